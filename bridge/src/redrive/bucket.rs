//! Letters of an S3 bucket: listed in the order of their receipt, read, sent, and deleted when their function has
//! accepted them. All others stay unchanged.

use tokio::task::JoinSet;
use tracing::warn;

use super::{BATCH, Redrive, RedriveError, Verdict};
use crate::aws::Aws;
use crate::config::BucketUrl;
use crate::dead_letter::{Bucket, DeadLetter, DestinationError, Object};

/// No letter of more bytes fits an event, whose limit is 6 MiB, however its payload is escaped; and ten are read at
/// once.
const LARGEST: u64 = 64 << 20;

pub(super) async fn run(redrive: &mut Redrive, aws: &Aws, url: &BucketUrl) -> Result<(), RedriveError> {
    redrive.log_beginning();
    let bucket = Bucket::open(aws, url);
    let mut last = None;
    while !redrive.is_over() {
        let page = bucket.list(last.as_deref()).await?;
        last = page.objects.last().map(|object| object.key.clone());
        // Consoles stand in such an object for a folder.
        let objects: Vec<_> = page.objects.into_iter().filter(|object| !object.key.ends_with('/')).collect();
        for objects in objects.chunks(BATCH) {
            if redrive.is_over() {
                break;
            }
            run_batch(redrive, &bucket, objects).await?;
        }
        if !page.more || last.is_none() {
            break;
        }
    }
    Ok(())
}

async fn run_batch(redrive: &mut Redrive, bucket: &Bucket, objects: &[Object]) -> Result<(), RedriveError> {
    let (fitting, large): (Vec<_>, Vec<_>) = objects.iter().cloned().partition(|object| object.size <= LARGEST);
    for object in large {
        redrive.summary.failed += 1;
        warn!(
            event = "redrive.too_large",
            key = object.key,
            bytes = object.size,
            "larger than any letter that fits an event; it stays"
        );
    }
    let bodies = each(bucket, fitting.clone(), |bucket, object| async move { bucket.read(&object).await }).await?;
    // Another redrive has handled objects that no longer exist.
    let read: Vec<_> = fitting.into_iter().zip(bodies).filter_map(|(object, body)| Some((object, body?))).collect();
    let letters: Vec<Option<DeadLetter>> = read.iter().map(|(_, body)| serde_json::from_slice(body).ok()).collect();
    let verdicts = redrive.batch(&letters).await;
    let objects = read.into_iter().zip(verdicts);
    let taken = objects.filter_map(|((object, _), verdict)| matches!(verdict, Verdict::Redriven).then_some(object));
    each(bucket, taken.collect(), |bucket, object| async move { bucket.delete(&object).await }).await?;
    Ok(())
}

/// Calls for all objects at once, each call to its end, so that one that fails takes no other with it. The results are
/// in the order of the objects.
async fn each<T, F>(
    bucket: &Bucket,
    objects: Vec<Object>,
    call: impl Fn(Bucket, Object) -> F,
) -> Result<Vec<T>, DestinationError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, DestinationError>> + Send + 'static,
{
    let mut under_way = JoinSet::new();
    for (index, object) in objects.into_iter().enumerate() {
        let call = call(bucket.clone(), object);
        under_way.spawn(async move { (index, call.await) });
    }
    let mut ended = under_way.join_all().await;
    ended.sort_by_key(|(index, _)| *index);
    ended.into_iter().map(|(_, result)| result).collect()
}

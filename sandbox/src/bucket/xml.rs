//! The few documents that S3 answers with (S3 API reference). Reads none.

use std::fmt::Write;

use super::store::Object;
use crate::queue::md5;

pub(super) const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

pub(super) fn error(code: &str, message: &str) -> String {
    format!("{DECLARATION}<Error><Code>{}</Code><Message>{}</Message></Error>", escaped(code), escaped(message))
}

/// `ListBucketResult`, as of `ListObjectsV2`.
pub(super) fn listing(name: &str, prefix: &str, most: usize, page: &[&Object], more: bool) -> String {
    let mut contents = String::new();
    for object in page {
        let (key, tag, size) = (escaped(&object.key), md5(&object.body), object.size);
        // Writing to a string cannot fail.
        let _ = write!(
            contents,
            "<Contents><Key>{key}</Key><LastModified>2026-11-20T12:00:00.000Z</LastModified><ETag>&quot;{tag}&quot;</ETag>\
             <Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        );
    }
    let token = page.last().filter(|_| more).map(|object| escaped(&object.key)).unwrap_or_default();
    let token = if more { format!("<NextContinuationToken>{token}</NextContinuationToken>") } else { token };
    format!(
        "{DECLARATION}<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>{name}</Name>\
         <Prefix>{}</Prefix><KeyCount>{}</KeyCount><MaxKeys>{most}</MaxKeys><IsTruncated>{more}</IsTruncated>{token}\
         {contents}</ListBucketResult>",
        escaped(prefix),
        page.len(),
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

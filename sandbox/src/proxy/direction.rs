//! One direction of one connection: segments in, and the same segments out when they are due. Decides by the line's
//! quality at the moment when a segment comes in.

use std::io;
use std::sync::atomic::Ordering;

use fastrand::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Duration, Instant, sleep_until};

use super::{Line, Quality};

/// What an Ethernet frame carries of TCP.
const SEGMENT: usize = 1_460;
/// Segments under way; above it the sender feels back-pressure, as from a real line.
const UNDER_WAY: usize = 64;

type Segment = (Instant, Vec<u8>);

pub(super) struct Direction<'a> {
    line: &'a Line,
    quality: watch::Receiver<Quality>,
    /// Its place among all directions of this line.
    number: u64,
    /// Bytes that may still pass before it breaks.
    budget: Option<u64>,
}

impl<'a> Direction<'a> {
    pub(super) fn new(line: &'a Line, number: u64, budget: Option<u64>) -> Self {
        Self { line, quality: line.quality.subscribe(), number, budget }
    }

    /// Passes on until the sender ends, which is passed on too.
    pub(super) async fn pass(self, from: ReadHalf<'_>, to: WriteHalf<'_>) -> io::Result<()> {
        let (under_way, arriving) = mpsc::channel(UNDER_WAY);
        let Self { line, quality, number, budget } = self;
        let leave = leave(from, under_way, quality.clone(), number);
        tokio::try_join!(leave, arrive(line, arriving, to, quality, budget)).map(drop)
    }
}

async fn leave(
    mut from: ReadHalf<'_>,
    under_way: mpsc::Sender<Segment>,
    quality: watch::Receiver<Quality>,
    number: u64,
) -> io::Result<()> {
    let mut chance: Option<Rng> = None;
    let mut free = Instant::now();
    loop {
        let mut bytes = vec![0; SEGMENT];
        let read = from.read(&mut bytes).await?;
        if read == 0 {
            return Ok(());
        }
        bytes.truncate(read);
        let quality = *quality.borrow();
        free = free.max(Instant::now());
        if let Some(rate) = quality.bytes_per_second {
            #[allow(clippy::cast_precision_loss, reason = "a segment and a rate are small numbers")]
            let takes = read as f64 / rate.max(1) as f64;
            free += Duration::from_secs_f64(takes);
        }
        if let Some(loss) = quality.loss {
            let chance = chance.get_or_insert_with(|| Rng::with_seed(loss.seed ^ (number << 32)));
            if chance.f64() < loss.probability {
                free += loss.timeout;
            }
        }
        // A closed receiver ends this direction.
        let _ = under_way.send((free + quality.delay, bytes)).await;
    }
}

async fn arrive(
    line: &Line,
    mut arriving: mpsc::Receiver<Segment>,
    mut to: WriteHalf<'_>,
    mut quality: watch::Receiver<Quality>,
    mut budget: Option<u64>,
) -> io::Result<()> {
    while let Some((due, bytes)) = arriving.recv().await {
        sleep_until(due).await;
        // An error means that the line is gone.
        let _ = quality.wait_for(|quality| !quality.silent).await;
        let whole = bytes.len() as u64;
        let part = budget.map_or(whole, |budget| budget.min(whole));
        to.write_all(&bytes[..usize::try_from(part).unwrap_or(bytes.len())]).await?;
        line.passed.fetch_add(part, Ordering::Relaxed);
        if let Some(left) = &mut budget {
            *left -= part;
            if *left == 0 {
                return Err(io::Error::other("cut on request"));
            }
        }
    }
    let _ = quality.wait_for(|quality| !quality.silent).await;
    to.shutdown().await
}

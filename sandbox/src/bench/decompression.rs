//! Measures the decompression of one payload (`content_encoding`), by the bridge's own code in this process, without
//! broker and function. A time is the shortest of several runs, because other work only makes it longer.

use std::fmt;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use bridge::content::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde::Serialize;

use super::header::Header;
use super::picture::bars::{Bars, Column, Row};

/// The most that an event takes, and a payload becomes (Lambda's quota of a request).
const LIMIT: usize = 6 * 1024 * 1024;
/// Nothing but zeros, and longer than the limit.
const BOMB: usize = 4 * LIMIT;
/// How often each is undone in a run: as often as fits, and three times at least.
const FOR: Duration = Duration::from_millis(200);
const AT_LEAST: u32 = 3;

/// One payload, by both.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Times {
    what: &'static str,
    /// As it is sent, in bytes.
    gzip_bytes: usize,
    zstd_bytes: usize,
    gzip_us: f64,
    zstd_us: f64,
}

/// All payloads, below a header.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Decompression {
    pub(super) header: Header,
    pub(super) decompression: Vec<Times>,
}

/// The payloads, each once as it was before.
fn payloads() -> [(&'static str, Vec<u8>); 4] {
    [
        ("1 KB of JSON", json(1_000)),
        ("100 KB of JSON", json(100_000)),
        ("6 MB of JSON", json(6_000_000)),
        ("a decompression bomb, given up", vec![0; BOMB]),
    ]
}

/// Undoes each so often.
///
/// # Errors
/// When something cannot be compressed.
pub(super) fn measure(runs: u32) -> io::Result<Vec<Times>> {
    payloads().into_iter().map(|(what, plain)| times(what, &plain, LIMIT, runs)).collect()
}

fn times(what: &'static str, plain: &[u8], limit: usize, runs: u32) -> io::Result<Times> {
    let (gzip, zstd) = (gzip(plain)?, compress_to_vec(plain, CompressionLevel::Fastest));
    Ok(Times {
        what,
        gzip_bytes: gzip.len(),
        zstd_bytes: zstd.len(),
        gzip_us: shortest(Compression::Gzip, &gzip, plain, limit, runs)?,
        zstd_us: shortest(Compression::Zstd, &zstd, plain, limit, runs)?,
    })
}

/// The shortest time, in microseconds.
fn shortest(compression: Compression, compressed: &[u8], plain: &[u8], limit: usize, runs: u32) -> io::Result<f64> {
    let mut shortest = Duration::MAX;
    for _ in 0..runs {
        let (begun, mut times) = (Instant::now(), 0);
        while times < AT_LEAST || begun.elapsed() < FOR {
            let before = Instant::now();
            let undone = compression.undo(compressed, limit);
            shortest = shortest.min(before.elapsed());
            times += 1;
            // A wrong result is an error, not a measurement.
            if undone.as_ref().is_ok_and(|undone| undone != plain) || undone.is_err() != (plain.len() > limit) {
                return Err(io::Error::other(format!("{}: undone wrongly", compression.name())));
            }
        }
    }
    Ok(shortest.as_secs_f64() * 1e6)
}

fn gzip(plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(plain)?;
    encoder.finish()
}

/// Readings, until there are so many bytes; the same ones each time.
fn json(bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut text = String::from("[");
    while text.len() < bytes {
        let (device, tenths, at) = (random.u32(0..50), random.u32(150..300), random.u32(..));
        // Writing to a String cannot fail.
        let _ = write!(text, r#"{{"device_id":"sensor-{device:02}","temperature":{tenths}e-1,"at":{at}}},"#);
    }
    text.truncate(bytes - 1);
    text.push(']');
    text.into_bytes()
}

impl Decompression {
    pub(super) fn picture(&self) -> Bars {
        let column = |name: &str, figure: fn(&Times) -> f64| Column {
            name: format!("{name}, µs"),
            digits: 1,
            values: self.decompression.iter().map(|times| Some(figure(times))).collect(),
        };
        let row = |times: &Times| Row { label: times.what.to_owned(), is_own: true, is_loud: false };
        Bars {
            title: "What it costs to undo the compression of a payload".to_owned(),
            lines: self.header.lines().into(),
            loud: self.header.warning().into_iter().collect(),
            rows: self.decompression.iter().map(row).collect(),
            columns: vec![column("gzip", |times| times.gzip_us), column("Zstandard", |times| times.zstd_us)],
        }
    }
}

impl fmt::Display for Decompression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.header)?;
        writeln!(f, "{:>12}{:>12}{:>14}{:>14}  payload", "gzip µs", "zstd µs", "gzip bytes", "zstd bytes")?;
        self.decompression.iter().try_for_each(|times| {
            let Times { what, gzip_bytes, zstd_bytes, gzip_us, zstd_us } = times;
            writeln!(f, "{gzip_us:>12.1}{zstd_us:>12.1}{gzip_bytes:>14}{zstd_bytes:>14}  {what}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::header::tests::header;
    use super::*;

    #[test]
    fn payloads_are_as_long_as_they_say() {
        assert_eq!(payloads().map(|(_, plain)| plain.len()), [1_000, 100_000, 6_000_000, BOMB]);
        assert_eq!(json(1_000), json(1_000));
    }

    #[test]
    fn a_small_payload_and_a_bomb_have_their_times_by_both() {
        let decompression =
            vec![times("small", &json(1_000), 1_000, 1).unwrap(), times("bomb", &[0; 2_000], 1_000, 1).unwrap()];
        assert!(decompression.iter().all(|times| times.gzip_us > 0.0 && times.zstd_us > 0.0), "{decompression:?}");
        let whole = Decompression { header: header("debug"), decompression };
        assert!(whole.to_string().contains("DEBUG BUILD") && whole.to_string().contains("  bomb"), "{whole}");
        assert!(whole.picture().draw().unwrap().contains("Zstandard, µs"));
    }

    #[test]
    fn a_wrong_answer_has_no_time() {
        let other = gzip(b"other").unwrap();
        let error = shortest(Compression::Gzip, &other, b"plain", 100, 1).unwrap_err();
        assert_eq!(error.to_string(), "gzip: undone wrongly");
    }
}

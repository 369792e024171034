//! The promise: a compressed payload that becomes too long costs no more than its limit, however long it would become.

#![allow(clippy::unwrap_used, reason = "a step of a test that fails, fails the test")]
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{Write, copy, repeat};

use bridge::content::Compression;
use flate2::write::GzEncoder;
use std::io::Read;

const LIMIT: usize = 512 << 10;
/// The decompressed size of the gzip bomb, which takes a while to make.
const GZIP: u64 = 24 << 20;
/// The decompressed size of the Zstandard bomb.
const ZSTD: u64 = 256 << 20;

/// The most memory that this process has had at once, in bytes.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

fn gzip_bomb() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    copy(&mut repeat(0).take(GZIP), &mut encoder).unwrap();
    encoder.flush().unwrap();
    encoder.finish().unwrap()
}

/// Blocks that say nothing but "the same byte, 128 KiB times" (RFC 8878, 3.1.1.2.2), in a window of 8 MiB.
fn zstd_bomb() -> Vec<u8> {
    let (blocks, block) = (ZSTD >> 17, [0x02_u8, 0, 0x10, 0]);
    let mut bomb = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 13 << 3];
    (0..blocks).for_each(|_| bomb.extend(block));
    bomb.extend([0x01, 0, 0]);
    bomb
}

/// The only test of this program, so that nothing else allocates meanwhile.
#[test]
fn a_bomb_takes_its_limit_and_the_window_of_its_format() {
    for (compression, bomb, window) in
        [(Compression::Gzip, gzip_bomb(), 32 << 10), (Compression::Zstd, zstd_bomb(), 16 << 20)]
    {
        let before = peak();
        let unreadable = compression.undo(&bomb, LIMIT).unwrap_err();
        assert_eq!(unreadable.kind, "ContentTooLarge", "{compression:?}: {}", unreadable.why);
        let taken = peak() - before;
        assert!(taken < 2 * LIMIT + window + (1 << 20), "{compression:?}: {taken} bytes for a bomb of {}", bomb.len());
    }
    // The bombs are real: with room for it, one of them becomes what it says, which this test would see.
    let before = peak();
    let whole = Compression::Gzip.undo(&gzip_bomb(), usize::MAX).unwrap();
    assert_eq!(whole.len() as u64, GZIP);
    assert!(peak() - before > LIMIT * 32, "the measure is blind");
}

//! Complete and damaged streams.

use std::cell::Cell;
use std::io::{self, Read};

use proptest::prelude::*;

use super::*;

const BOTH: [Compression; 2] = [Compression::Gzip, Compression::Zstd];

fn compressed(compression: Compression, plain: &[u8]) -> Vec<u8> {
    match compression {
        Compression::Gzip => gzip::compressed(plain),
        Compression::Zstd => zstd::compressed(plain),
    }
}

fn kind(compression: Compression, payload: &[u8], limit: usize) -> &'static str {
    compression.undo(payload, limit).unwrap_err().kind
}

#[test]
fn several_members_or_frames_are_one_payload() {
    for compression in BOTH {
        let twice = [compressed(compression, b"one"), compressed(compression, b"two")].concat();
        assert_eq!(compression.undo(&twice, 6).unwrap(), "onetwo");
        assert_eq!(kind(compression, &twice, 5), "ContentTooLarge");
        assert_eq!(compression.undo(b"", 5).unwrap(), "", "nothing is nothing");
    }
}

/// Streams of other tools, so that both sides of our crates are not wrong together: Python's gzip, and zstd 1.5.
#[test]
fn what_the_usual_tools_write_is_read() {
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    };
    let gzip = bytes("1f8b08000000000002ffab564a54b28a36d4318aad050084dbd6170b000000");
    let zstd = bytes("28b52ffd04585900007b2261223a5b312c325d7d4ede8c4b");
    assert_eq!(Compression::Gzip.undo(&gzip, 100).unwrap(), r#"{"a":[1,2]}"#);
    assert_eq!(Compression::Zstd.undo(&zstd, 100).unwrap(), r#"{"a":[1,2]}"#);
}

#[test]
fn a_stream_that_is_cut_short_or_damaged_or_another_is_unreadable() {
    let plain: Vec<u8> = (0..10_000_u32).flat_map(|number| (number % 251).to_le_bytes()).collect();
    for compression in BOTH {
        let whole = compressed(compression, &plain);
        for end in [1, 4, 10, whole.len() / 2, whole.len() - 1] {
            assert_eq!(kind(compression, &whole[..end], 1 << 20), "ContentUnreadable", "{compression:?} {end}");
        }
        let mut damaged = whole.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert_eq!(kind(compression, &damaged, 1 << 20), "ContentUnreadable", "{compression:?}");
        let behind = [&whole[..], b"and more"].concat();
        assert_eq!(kind(compression, &behind, 1 << 20), "ContentUnreadable", "{compression:?}");
        assert_eq!(kind(compression, br#"{"plain":true}"#, 1 << 20), "ContentUnreadable", "{compression:?}");
    }
    assert_eq!(kind(Compression::Zstd, &compressed(Compression::Gzip, b"x"), 100), "ContentUnreadable");
}

/// An endless reader that counts what was read.
struct Endless<'a>(&'a Cell<usize>);
impl Read for Endless<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.0.set(self.0.get() + room.len());
        Ok(room.len())
    }
}

#[test]
fn the_limit_is_the_most_that_is_taken_and_no_more_is_asked_for() {
    for compression in BOTH {
        let exact = compressed(compression, &[7; 5000]);
        assert_eq!(compression.undo(&exact, 5000).unwrap().len(), 5000);
        assert_eq!(kind(compression, &exact, 4999), "ContentTooLarge");
    }
    for limit in [0, 1, 4096, 100_000] {
        let (asked, mut output) = (Cell::new(0), Output::new(limit));
        assert!(matches!(output.take(Endless(&asked)), Err(Fault::TooLarge)));
        assert_eq!(asked.get(), limit + 1);
        assert_eq!(output.room.capacity(), limit);
    }
}

/// The crate would allocate the announced size at once.
#[test]
fn a_frame_of_zstd_that_asks_for_too_much_room_is_refused_by_its_header() {
    let window = |byte: u8| [&MAGIC_OF_ZSTD[..], &[0x00, byte]].concat();
    // 2 TiB, and one step above 8 MiB.
    for byte in [0xff, (13 << 3) | 1] {
        let why = Compression::Zstd.undo(&window(byte), 100).unwrap_err().why;
        assert!(why.ends_with("its window is larger than 8 MiB"), "{byte:x}: {why}");
    }
    for (header, size) in [(vec![0x20, 101], 101), (vec![0x60, 0, 0], 256), (vec![0xe0, 0, 0, 0, 0, 0, 0, 0, 0x80], 0)]
    {
        let frame = [&MAGIC_OF_ZSTD[..], &header].concat();
        assert_eq!(kind(Compression::Zstd, &frame, 100), "ContentTooLarge", "{size}");
    }
}

const MAGIC_OF_ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

#[test]
fn a_frame_to_be_skipped_is_skipped() {
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3], &compressed(Compression::Zstd, b"x")[..]].concat();
    assert_eq!(Compression::Zstd.undo(&skipped, 100).unwrap(), "x");
    assert_eq!(kind(Compression::Zstd, &[0x50, 0x2a, 0x4d, 0x18, 9, 0, 0, 0, 1], 100), "ContentUnreadable");
}

proptest! {
    #[test]
    fn whatever_was_compressed_comes_back(plain in prop::collection::vec(0_u8..4, 0..4_000)) {
        for compression in BOTH {
            prop_assert_eq!(&compression.undo(&compressed(compression, &plain), plain.len()).unwrap()[..], &plain[..]);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0_usize..300) {
        for compression in BOTH {
            let mut stream = compressed(compression, &bytes);
            stream.truncate(stream.len().min(cut));
            stream.extend(&bytes);
            drop(compression.undo(&stream, 1000));
            drop(compression.undo(&bytes, 1000));
        }
    }
}

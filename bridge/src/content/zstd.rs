//! Zstandard: the only file that names its crate. Reads each frame's header first, because the crate allocates the
//! memory that a header asks for.

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use super::output::{Fault, Output};

/// The window size that every decoder should support, and none has to exceed (RFC 8878, 3.1.1.1.2).
const MAX_WINDOW: u64 = 8 << 20;

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// All frames; those to be skipped are.
pub(super) fn undo(mut payload: &[u8], output: &mut Output) -> Result<(), Fault> {
    let mut decoder = FrameDecoder::new();
    while !payload.is_empty() {
        look(payload, output.left() as u64)?;
        match StreamingDecoder::new_with_decoder(&mut payload, &mut decoder) {
            Ok(stream) => output.take(stream)?,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let rest = usize::try_from(length).ok().and_then(|length| payload.get(length..));
                payload = rest.ok_or(Fault::Broken("it ends too soon"))?;
                continue;
            }
            Err(_) => return Err(Fault::Broken("its header is damaged, or something else")),
        }
        let (told, found) = (decoder.get_checksum_from_data(), decoder.get_calculated_checksum());
        if told.is_some() && told != found {
            return Err(Fault::Broken("its checksum is another"));
        }
    }
    Ok(())
}

/// Reads what a frame says of its size and its window (RFC 8878, 3.1.1.1). What is no frame is left to the crate.
fn look(frame: &[u8], left: u64) -> Result<(), Fault> {
    let Some([descriptor, rest @ ..]) = frame.strip_prefix(&MAGIC) else { return Ok(()) };
    let single = descriptor & 0x20 != 0;
    if !single {
        let Some(window) = rest.first() else { return Ok(()) };
        let base = 1_u64 << (10 + (window >> 3));
        let window = base + base / 8 * u64::from(window & 7);
        return if window > MAX_WINDOW { Err(Fault::Broken("its window is larger than 8 MiB")) } else { Ok(()) };
    }
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let length = [1, 2, 4, 8][usize::from(descriptor >> 6)];
    let Some(size) = rest.get(dictionary..dictionary + length) else { return Ok(()) };
    let size = size.iter().rev().fold(0_u64, |size, byte| size << 8 | u64::from(*byte));
    let size = if length == 2 { size + 256 } else { size };
    if size > left { Err(Fault::TooLarge) } else { Ok(()) }
}

#[cfg(test)]
pub(super) fn compressed(plain: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(plain, ruzstd::encoding::CompressionLevel::Fastest)
}

//! gzip: the only file that names its crate. Does not limit sizes.

use flate2::bufread::MultiGzDecoder;

use super::output::{Fault, Output};

/// Reads all members; bytes after the last member are an error.
pub(super) fn undo(payload: &[u8], output: &mut Output) -> Result<(), Fault> {
    output.take(MultiGzDecoder::new(payload))
}

#[cfg(test)]
pub(super) fn compressed(plain: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

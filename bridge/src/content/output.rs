//! The buffer for decompressed bytes, which grows to the limit and never beyond. Knows no format.

use std::io::{ErrorKind, Read};

use bytes::Bytes;

/// The first room; most payloads need no more.
const FIRST: usize = 4 * 1024;

/// Why there is no output.
#[derive(Debug)]
pub(super) enum Fault {
    TooLarge,
    /// In words that hold nothing of the payload.
    Broken(&'static str),
}

pub(super) struct Output {
    pub(super) room: Vec<u8>,
    filled: usize,
    limit: usize,
}

impl Output {
    pub(super) fn new(limit: usize) -> Self {
        Self { room: Vec::new(), filled: 0, limit }
    }

    /// How many bytes more may come.
    pub(super) fn left(&self) -> usize {
        self.limit - self.filled
    }

    /// Takes all that a decompressor gives. One byte beyond the limit is asked for, and no second.
    pub(super) fn take(&mut self, mut source: impl Read) -> Result<(), Fault> {
        let mut beyond = [0];
        loop {
            let full = self.left() == 0;
            let room = if full { &mut beyond[..] } else { self.room() };
            match source.read(room) {
                Ok(0) => return Ok(()),
                Ok(_) if full => return Err(Fault::TooLarge),
                Ok(bytes) => self.filled += bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Err(Fault::Broken("it ends too soon"));
                }
                Err(_) => return Err(Fault::Broken("it is damaged, or something else")),
            }
        }
    }

    fn room(&mut self) -> &mut [u8] {
        if self.filled == self.room.len() {
            let length = (2 * self.room.len()).max(FIRST).min(self.limit);
            self.room.reserve_exact(length - self.filled);
            self.room.resize(length, 0);
        }
        &mut self.room[self.filled..]
    }

    /// What has come, without the room that was not needed.
    pub(super) fn finish(mut self) -> Bytes {
        self.room.truncate(self.filled);
        self.room.shrink_to_fit();
        self.room.into()
    }
}

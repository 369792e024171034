//! Finds the Message Expiry Interval in a property section that passes by in pieces (MQTT 5, 3.3.2.3.3). A broker counts
//! it down, so it must not make two copies of a message look like two messages.

/// What comes next in the section.
#[derive(Debug, Clone, Copy)]
enum Next {
    /// The identifier of a property.
    Property,
    /// So many bytes of its value.
    Value(usize),
    /// So many bytes of the expiry.
    Expiry(usize),
    /// A number of which each byte but the last has its highest bit set.
    Number,
    /// The length of a string or of binary data, of which this is the first byte if it is there; so many follow it.
    Length(Option<u8>, usize),
    /// Nothing that is known.
    Unknown,
}

/// See the module's page.
#[derive(Debug)]
pub(super) struct Expiry {
    next: Next,
    /// Strings that follow the value that is passing by.
    strings: usize,
    /// What is left of the section.
    left: usize,
}

impl Expiry {
    /// For a section of so many bytes.
    pub(super) fn within(section: usize) -> Self {
        Self { next: Next::Property, strings: 0, left: section }
    }

    /// Overwrites its bytes in this piece.
    pub(super) fn hide(&mut self, piece: &mut [u8]) {
        let mut rest = piece;
        while self.left > 0 && !rest.is_empty() {
            let taken = self.take(rest).min(self.left);
            self.left -= taken;
            rest = &mut rest[taken..];
        }
    }

    /// Takes the next part of the section from the front; how many bytes it has. `rest` is not empty.
    fn take(&mut self, rest: &mut [u8]) -> usize {
        let byte = rest[0];
        match self.next {
            Next::Property => self.next = self.value_of(byte),
            Next::Value(length) | Next::Expiry(length) => {
                let here = length.min(rest.len());
                if matches!(self.next, Next::Expiry(_)) {
                    rest[..here].fill(0);
                    self.next = if here == length { Next::Property } else { Next::Expiry(length - here) };
                } else {
                    self.next = if here == length { self.behind() } else { Next::Value(length - here) };
                }
                return here;
            }
            Next::Number if byte & 0x80 == 0 => self.next = Next::Property,
            Next::Number => {}
            Next::Length(None, strings) => self.next = Next::Length(Some(byte), strings),
            Next::Length(Some(first), strings) => {
                self.strings = strings;
                let length = usize::from(u16::from_be_bytes([first, byte]));
                self.next = if length > 0 { Next::Value(length) } else { self.behind() };
            }
            Next::Unknown => return rest.len(),
        }
        1
    }

    /// After a value.
    fn behind(&self) -> Next {
        if self.strings > 0 { Next::Length(None, self.strings - 1) } else { Next::Property }
    }

    /// The properties of a PUBLISH (3.3.2.3).
    fn value_of(&mut self, id: u8) -> Next {
        self.strings = 0;
        match id {
            0x01 => Next::Value(1),
            0x02 => Next::Expiry(4),
            0x23 => Next::Value(2),
            0x0b => Next::Number,
            0x03 | 0x08 | 0x09 => Next::Length(None, 0),
            0x26 => Next::Length(None, 1),
            _ => Next::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECTION: &[u8] = b"\x01\x01\x26\0\x02k\x02\0\0\x0b\x80\x01\x02\0\0\0\x09\x03\0\0\x26\0\0\0\x02\x02\x02\x23\0\x02\x02\0\0\x01\x02";
    const HIDDEN: &[u8] =
        b"\x01\x01\x26\0\x02k\x02\0\0\x0b\x80\x01\x02\0\0\0\0\x03\0\0\x26\0\0\0\x02\x02\x02\x23\0\x02\x02\0\0\0\0";

    #[test]
    fn it_is_hidden_wherever_the_pieces_end_and_nothing_else_is() {
        for first in 0..SECTION.len() {
            for second in first..SECTION.len() {
                let mut section = [SECTION, b"\x02\0\0\0\x09payload"].concat();
                let mut expiry = Expiry::within(SECTION.len());
                for piece in [0..first, first..second, second..section.len()] {
                    expiry.hide(&mut section[piece]);
                }
                assert_eq!(section, [HIDDEN, b"\x02\0\0\0\x09payload"].concat(), "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn behind_what_mqtt_does_not_know_nothing_is_hidden() {
        let mut section = *b"\x7f\x02\0\0\0\x09";
        Expiry::within(section.len()).hide(&mut section);
        assert_eq!(section, *b"\x7f\x02\0\0\0\x09");
    }
}

//! Scans a property section without decoding it (MQTT 5, 2.2.2.2): counts the user properties, checks that no single
//! property appears twice, and finds the strings. Allocates nothing, so that the check costs less than decoding a
//! section that it refuses.

use std::ops::Range;

use super::packet::WireError;

const CONTENT_TYPE: u8 = 0x03;
const RESPONSE_TOPIC: u8 = 0x08;
const SUBSCRIPTION_IDENTIFIER: u8 = 0x0b;
const USER_PROPERTY: u8 = 0x26;

/// How many user properties there are. An identifier that MQTT does not know ends the walk: decoding will refuse it.
///
/// # Errors
/// When a property is cut off, or stands twice though it may not. A User Property may, in every packet; a Subscription
/// Identifier may in PUBLISH alone, which is the only packet of a broker that has any (3.3.2.3.8).
pub(super) fn user_properties(mut section: &[u8]) -> Result<usize, WireError> {
    let (mut seen, mut user) = (0_u64, 0);
    while let Some((&id, rest)) = section.split_first() {
        let length = match length(id, rest) {
            Length::Of(length) => Some(length),
            Length::CutOff => None,
            Length::Unknown => break,
        };
        let cut_off = || WireError::malformed("properties: the last one is cut off");
        section = length.and_then(|length| rest.get(length..)).ok_or_else(cut_off)?;
        if id == USER_PROPERTY {
            user += 1;
        } else if id != SUBSCRIPTION_IDENTIFIER {
            let bit = 1 << id;
            if seen & bit != 0 {
                return Err(WireError::protocol(format_args!("properties: 0x{id:02x} stands twice")));
            }
            seen |= bit;
        }
    }
    Ok(user)
}

/// The strings of a PUBLISH's properties (3.3.2.3): what each is, and where. Ends where the section is cut off, or has a
/// property that MQTT does not know.
pub(super) fn strings(section: &[u8]) -> impl Iterator<Item = (&'static str, Range<usize>)> {
    let mut next = 0;
    let properties = std::iter::from_fn(move || {
        let (&id, rest) = section.get(next..)?.split_first()?;
        let Length::Of(length) = length(id, rest) else { return None };
        let from = next + 1;
        next = from + length;
        (next <= section.len()).then_some((id, from..next))
    });
    properties.flat_map(|(id, at)| {
        let whole = |what| [Some((what, at.start + 2..at.end)), None];
        match id {
            CONTENT_TYPE => whole("content type"),
            RESPONSE_TOPIC => whole("response topic"),
            USER_PROPERTY => {
                let name = at.start + 2..at.start + string_at(section, at.start).unwrap_or(2);
                let value = name.end + 2..at.end;
                [Some(("user property", name)), Some(("user property", value))]
            }
            _ => [None, None],
        }
        .into_iter()
        .flatten()
    })
}

/// The length of the string at this place, its own length included.
fn string_at(section: &[u8], at: usize) -> Option<usize> {
    Some(2 + usize::from(u16::from_be_bytes(*section.get(at..)?.first_chunk()?)))
}

/// How long the value of a property is.
enum Length {
    Of(usize),
    CutOff,
    /// MQTT does not know the property.
    Unknown,
}

/// The length of the value at the front of `rest`.
fn length(id: u8, rest: &[u8]) -> Length {
    let string = |at: usize| string_at(rest, at);
    let length = match id {
        0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2a => Some(1),
        0x13 | 0x21 | 0x22 | 0x23 => Some(2),
        0x02 | 0x11 | 0x18 | 0x27 => Some(4),
        0x03 | 0x08 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1a | 0x1c | 0x1f => string(0),
        USER_PROPERTY => string(0).and_then(|name| Some(name + string(name)?)),
        SUBSCRIPTION_IDENTIFIER => rest.iter().take(4).position(|byte| byte & 0x80 == 0).map(|last| last + 1),
        _ => return Length::Unknown,
    };
    length.map_or(Length::CutOff, Length::Of)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(section: &[u8]) -> Result<usize, u8> {
        user_properties(section).map_err(|error| error.code)
    }

    /// Each property of the standard once, with a value of its type (2.2.2.2).
    const ALL: [&[u8]; 27] = [
        b"\x01\0",
        b"\x02\0\0\0\x01",
        b"\x03\0\x01a",
        b"\x08\0\x01a",
        b"\x09\0\x01a",
        b"\x0b\x80\x01",
        b"\x11\0\0\0\x01",
        b"\x12\0\x01a",
        b"\x13\0\x01",
        b"\x15\0\x01a",
        b"\x16\0\x01a",
        b"\x17\0",
        b"\x18\0\0\0\x01",
        b"\x19\0",
        b"\x1a\0\x01a",
        b"\x1c\0\x01a",
        b"\x1f\0\x01a",
        b"\x21\0\x01",
        b"\x22\0\x01",
        b"\x23\0\x01",
        b"\x24\0",
        b"\x25\0",
        b"\x26\0\x01a\0\x01b",
        b"\x27\0\0\0\x01",
        b"\x28\0",
        b"\x29\0",
        b"\x2a\0",
    ];

    #[test]
    fn only_user_properties_and_subscription_identifiers_stand_twice() {
        assert_eq!(walk(&ALL.concat()), Ok(1), "each once");
        for property in ALL {
            let expected = match property[0] {
                USER_PROPERTY => Ok(2),
                SUBSCRIPTION_IDENTIFIER => Ok(0),
                _ => Err(0x82),
            };
            assert_eq!(walk(&[property, property].concat()), expected, "{property:02x?}");
        }
    }

    #[test]
    fn a_property_that_leaves_its_section_is_malformed() {
        for property in ALL {
            for end in 1..property.len() {
                assert_eq!(walk(&property[..end]), Err(0x81), "{:02x?}", &property[..end]);
            }
        }
    }

    #[test]
    fn what_mqtt_does_not_know_is_left_to_the_decoder() {
        assert_eq!(walk(b"\x26\0\0\0\0\x7f\x01\x01"), Ok(1));
        assert_eq!(walk(b"\xff"), Ok(0));
    }
}

//! Writes an ECDSA signature as TLS carries it. PKCS #11 gives its two numbers side by side (PKCS #11 3.1, 6.3.1), TLS
//! wants them in DER (RFC 3279, 2.2.3).

/// `None` for what cannot be two numbers of a curve that is used here.
pub(super) fn ecdsa_signature(numbers: &[u8]) -> Option<Vec<u8>> {
    if numbers.is_empty() || !numbers.len().is_multiple_of(2) {
        return None;
    }
    let (r, s) = numbers.split_at(numbers.len() / 2);
    let body = [integer(r)?, integer(s)?].concat();
    // Two numbers of P-384 are 104 bytes at most, so a length has one byte.
    let length = u8::try_from(body.len()).ok().filter(|length| *length < 0x80)?;
    Some([&[0x30, length][..], &body].concat())
}

/// Without leading zeros, but with one where the first bit would make the number negative.
fn integer(number: &[u8]) -> Option<Vec<u8>> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let digits = &number[zeros.min(number.len() - 1)..];
    let sign: &[u8] = if digits[0] & 0x80 == 0 { &[] } else { &[0] };
    let length = u8::try_from(digits.len() + sign.len()).ok()?;
    Some([&[0x02, length], sign, digits].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_they_can_be_and_never_negative() {
        assert_eq!(ecdsa_signature(&[0, 1, 0x80, 2]).unwrap(), [0x30, 8, 2, 1, 1, 2, 3, 0, 0x80, 2]);
        assert_eq!(ecdsa_signature(&[0, 0, 0, 0x7f]).unwrap(), [0x30, 6, 2, 1, 0, 2, 1, 0x7f]);
        assert_eq!(ecdsa_signature(&[0xff; 96]).unwrap().len(), 2 + 2 * (2 + 49));
    }

    #[test]
    fn what_is_no_signature_is_none() {
        for numbers in [&[][..], &[1], &[1; 63], &[1; 132]] {
            assert_eq!(ecdsa_signature(numbers), None, "{} bytes", numbers.len());
        }
    }
}

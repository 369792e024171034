//! Finds a section of an ELF file: enough to read who compiled it. Pure; takes any bytes.

/// The section of this name, in a 64-bit file of this machine's byte order; `None` where there is none.
pub(super) fn section<'a>(file: &'a [u8], name: &str) -> Option<&'a [u8]> {
    if !file.starts_with(b"\x7fELF\x02") {
        return None;
    }
    let table = word(file, 0x28, 8)?;
    let (size, count, names) = (word(file, 0x3a, 2)?, word(file, 0x3c, 2)?, word(file, 0x3e, 2)?);
    let header = |index: usize| table.checked_add(index.checked_mul(size)?);
    let content = |header: usize| {
        let from = word(file, header.checked_add(0x18)?, 8)?;
        file.get(from..from.checked_add(word(file, header.checked_add(0x20)?, 8)?)?)
    };
    let names = content(header(names)?)?;
    (0..count).filter_map(header).find_map(|header| {
        let its = names.get(word(file, header, 4)?..)?;
        (its.strip_prefix(name.as_bytes())?.first() == Some(&0)).then(|| content(header))?
    })
}

/// An unsigned number of so many bytes, at most 8.
fn word(file: &[u8], at: usize, bytes: usize) -> Option<usize> {
    let mut word = [0; 8];
    let part = file.get(at..at.checked_add(bytes)?)?;
    if cfg!(target_endian = "little") {
        word[..bytes].copy_from_slice(part);
    } else {
        word[8 - bytes..].copy_from_slice(part);
    }
    usize::try_from(u64::from_ne_bytes(word)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_says_who_compiled_it() {
        let file = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let comment = section(&file, ".comment").unwrap();
        assert!(String::from_utf8_lossy(comment).contains("rustc version"));
        assert_eq!(section(&file, ".no-such-section"), None);
    }

    #[test]
    fn bytes_that_are_no_program_have_no_section() {
        assert_eq!(section(b"#!/bin/sh", ".comment"), None);
        let mut broken = vec![0xff; 64];
        broken[..5].copy_from_slice(b"\x7fELF\x02");
        assert_eq!(section(&broken, ".comment"), None);
        assert_eq!(section(&broken[..20], ".comment"), None);
    }
}

//! Blocks of IP addresses, version 4 or 6 (RFC 4632, 3.1; RFC 4291, 2.3). Resolves no names.

use std::net::IpAddr;

/// The addresses that begin with the same bits.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cidr {
    ipv6: bool,
    /// The bits of an address that are compared.
    mask: u128,
    /// The values of those bits.
    network: u128,
}

impl Cidr {
    /// Reads `10.0.0.0/24` and `2001:db8::/32`. Bits after the prefix may be set, and do not count.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let prefix: u32 = prefix.parse().ok()?;
        let free = if address.is_ipv6() { 128_u32 } else { 32 }.checked_sub(prefix)?;
        let mask = u128::MAX.checked_shl(free).unwrap_or(0);
        Some(Self { ipv6: address.is_ipv6(), mask, network: bits(address) & mask })
    }

    /// Whether `text` is an address of the block; an address of the other version never is.
    pub(super) fn contains(&self, text: &str) -> bool {
        text.parse::<IpAddr>()
            .is_ok_and(|address| address.is_ipv6() == self.ipv6 && bits(address) & self.mask == self.network)
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(block: &str, address: &str) -> bool {
        Cidr::read(block).unwrap().contains(address)
    }

    #[test]
    fn addresses_of_the_block_match() {
        assert!(contains("10.0.0.0/24", "10.0.0.0") && contains("10.0.0.0/24", "10.0.0.255"));
        assert!(!contains("10.0.0.0/24", "10.0.1.0") && !contains("10.0.0.0/24", "9.255.255.255"));
        assert!(contains("10.0.0.77/24", "10.0.0.1"), "bits after the prefix do not count");
        assert!(contains("10.0.0.7/32", "10.0.0.7") && !contains("10.0.0.7/32", "10.0.0.6"));
        assert!(contains("0.0.0.0/0", "255.255.255.255") && contains("::/0", "2001:db8::1"));
        assert!(contains("2001:db8::/32", "2001:DB8:0::1") && !contains("2001:db8::/32", "2001:db9::1"));
    }

    #[test]
    fn versions_do_not_mix_and_names_are_no_addresses() {
        assert!(!contains("0.0.0.0/0", "::1") && !contains("::/0", "10.0.0.1"));
        assert!(!contains("0.0.0.0/0", "localhost") && !contains("0.0.0.0/0", ""));
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for text in ["10.0.0.0", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/-1", "10.0.0.0/", "/8", "host/8", ""] {
            assert_eq!(Cidr::read(text), None, "{text}");
        }
    }
}

//! Addresses at which no database of an installation can be: they mean the machine that connects, or its link.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The first 96 bits of an IPv6 address that carries an IPv4 address.
const MAPPED: [u16; 6] = [0, 0, 0, 0, 0, 0xffff];
/// The same for translation by NAT64 (RFC 6052).
const TRANSLATED: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

/// The address of the metadata service of AWS over IPv6; over IPv4 it is link-local.
const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// What is wrong with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OutOfBounds {
    /// 127.0.0.0/8, `::1`.
    #[error("a loopback address")]
    Loopback,
    /// 0.0.0.0/8, `::`: connecting to it reaches the own machine.
    #[error("the unspecified address")]
    Unspecified,
    /// 169.254.0.0/16, `fe80::/10`.
    #[error("a link-local address")]
    LinkLocal,
    /// Multicast and broadcast.
    #[error("an address of many machines")]
    Many,
    /// `fd00:ec2::254`.
    #[error("the address of a cloud's metadata service")]
    Metadata,
}

impl OutOfBounds {
    /// Whether each machine reaches itself there.
    pub(crate) const fn is_own(self) -> bool {
        matches!(self, Self::Loopback | Self::Unspecified)
    }
}

/// Why the operator does not connect to an address: it would reach itself or its node, not what the installation's
/// pods reach there.
pub(crate) fn out_of_bounds(address: IpAddr) -> Option<OutOfBounds> {
    match address {
        IpAddr::V4(address) => v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(address) => v4(address),
            None => v6(address),
        },
    }
}

fn v4(address: Ipv4Addr) -> Option<OutOfBounds> {
    if address.is_loopback() {
        Some(OutOfBounds::Loopback)
    } else if address.octets().starts_with(&[0]) {
        Some(OutOfBounds::Unspecified)
    } else if address.is_link_local() {
        Some(OutOfBounds::LinkLocal)
    } else if address.is_multicast() || address.is_broadcast() {
        Some(OutOfBounds::Many)
    } else {
        None
    }
}

fn v6(address: Ipv6Addr) -> Option<OutOfBounds> {
    if address.is_loopback() {
        Some(OutOfBounds::Loopback)
    } else if address.is_unspecified() {
        Some(OutOfBounds::Unspecified)
    } else if address.is_unicast_link_local() {
        Some(OutOfBounds::LinkLocal)
    } else if address.is_multicast() {
        Some(OutOfBounds::Many)
    } else if address == METADATA {
        Some(OutOfBounds::Metadata)
    } else {
        None
    }
}

/// The IPv4 address that an IPv6 address carries: mapped (`::ffff:0:0/96`), compatible (`::/96`, long deprecated), or
/// translated (`64:ff9b::/96`).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [prefix @ .., high, low] = address.segments();
    // `::` and `::1` are addresses of their own.
    let compatible = prefix == [0; 6] && high != 0;
    if prefix != MAPPED && prefix != TRANSLATED && !compatible {
        return None;
    }
    let ([first, second], [third, fourth]) = (high.to_be_bytes(), low.to_be_bytes());
    Some(Ipv4Addr::new(first, second, third, fourth))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("127.0.0.1", false)]
    #[case("127.8.0.1", false)]
    #[case("0.0.0.0", false)]
    #[case("0.1.2.3", false)]
    #[case("169.254.169.254", false)]
    #[case("224.0.0.1", false)]
    #[case("255.255.255.255", false)]
    #[case("::", false)]
    #[case("::1", false)]
    #[case("fe80::1", false)]
    #[case("ff02::1", false)]
    #[case("fd00:ec2::254", false)]
    #[case("::ffff:127.0.0.1", false)]
    #[case("::ffff:169.254.169.254", false)]
    #[case("::127.0.0.1", false)]
    #[case("64:ff9b::7f00:1", false)]
    #[case("10.0.0.7", true)]
    #[case("172.16.0.1", true)]
    #[case("203.0.113.9", true)]
    #[case("fd00::7", true)]
    #[case("2001:db8::7", true)]
    #[case("::ffff:10.0.0.7", true)]
    #[case("64:ff9b::a00:7", true)]
    fn is_judged(#[case] address: &str, #[case] allowed: bool) {
        let address: IpAddr = address.parse().unwrap();
        assert_eq!(out_of_bounds(address).is_none(), allowed, "{address}");
    }

    proptest! {
        #[test]
        fn a_mapped_address_is_judged_as_what_it_carries(bits in any::<u32>()) {
            let address = Ipv4Addr::from_bits(bits);
            prop_assert_eq!(
                out_of_bounds(address.to_ipv6_mapped().into()),
                out_of_bounds(address.into())
            );
        }
    }
}

//! Which connections are open, and which one makes room for another. Pure.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
};

/// The open connections, oldest first. `H` ends one.
#[derive(Debug)]
pub(super) struct Connections<H> {
    open: VecDeque<Open<H>>,
    most: usize,
    most_of_peer: usize,
    next: u64,
}

#[derive(Debug)]
struct Open<H> {
    number: u64,
    peer: IpAddr,
    end: H,
}

impl<H> Connections<H> {
    /// None yet; so many at most, and of one address.
    pub(super) const fn new(most: usize, most_of_peer: usize) -> Self {
        Self { open: VecDeque::new(), most, most_of_peer, next: 0 }
    }

    /// Takes a new connection, always. Its number, and the connection that has to end for it: the oldest of the same
    /// address where that has as many as it may have, otherwise the oldest of the address that has the most. Whoever
    /// asks is answered at once, so that an old connection is one that does not ask.
    pub(super) fn admit(&mut self, peer: IpAddr, end: H) -> (u64, Option<H>) {
        let of_peer = self.open.iter().filter(|open| open.peer == peer).count();
        let leaves = if of_peer >= self.most_of_peer {
            Some(peer)
        } else if self.open.len() >= self.most {
            self.busiest()
        } else {
            None
        };
        let displaced = leaves.and_then(|peer| {
            let oldest = self.open.iter().position(|open| open.peer == peer)?;
            self.open.remove(oldest)
        });
        let number = self.next;
        self.next += 1;
        self.open.push_back(Open { number, peer, end });
        (number, displaced.map(|open| open.end))
    }

    /// A connection has ended.
    pub(super) fn ended(&mut self, number: u64) {
        self.open.retain(|open| open.number != number);
    }

    /// The address with the most connections; of several the one with the oldest.
    fn busiest(&self) -> Option<IpAddr> {
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for open in &self.open {
            *counts.entry(open.peer).or_default() += 1;
        }
        let most = counts.values().max().copied()?;
        let mut peers = self.open.iter().map(|open| open.peer);
        peers.find(|peer| counts.get(peer) == Some(&most))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn peer(number: u8) -> IpAddr {
        [10, 0, 0, number].into()
    }

    /// Which connection each of these ends, in the order of their numbers.
    fn displaced(most: usize, most_of_peer: usize, peers: &[u8]) -> Vec<Option<usize>> {
        let mut connections = Connections::new(most, most_of_peer);
        let each = peers.iter().enumerate();
        each.map(|(number, from)| connections.admit(peer(*from), number).1).collect()
    }

    #[test]
    fn an_address_with_too_many_loses_its_oldest() {
        assert_eq!(displaced(10, 2, &[2, 1, 1, 1, 1]), [None, None, None, Some(1), Some(2)]);
    }

    #[test]
    fn whoever_has_the_most_makes_room_for_others() {
        assert_eq!(displaced(3, 3, &[1, 2, 2, 3]), [None, None, None, Some(1)]);
        assert_eq!(displaced(3, 3, &[1, 2, 3, 4]), [None, None, None, Some(0)]);
    }

    #[test]
    fn what_has_ended_does_not_count() {
        let mut connections = Connections::new(1, 1);
        let (number, _) = connections.admit(peer(1), ());
        connections.ended(number);
        assert_eq!(connections.admit(peer(1), ()).1, None);
    }

    proptest! {
        #[test]
        fn there_are_never_more_than_allowed(peers in proptest::collection::vec(0_u8..9, 0..200)) {
            let mut connections = Connections::new(7, 3);
            for from in peers {
                connections.admit(peer(from), ());
                prop_assert!(connections.open.len() <= 7);
                let of_peer = connections.open.iter().filter(|open| open.peer == peer(from)).count();
                prop_assert!((1..=3).contains(&of_peer));
            }
        }
    }
}

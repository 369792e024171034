//! The contents of a ledger in numbers. Changes nothing.

use super::Ledger;

impl Ledger {
    /// Messages that this session holds: received and not acknowledged, or still on their way through a function.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.receipts.len() - self.overtaken + self.carried.len() + self.stale
    }

    /// How many outstanding messages are unfinished. A message that has its outcome, and waits for the broker to send
    /// it again, is not counted, because it blocks nothing.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.outstanding() - self.carried.settled()
    }

    /// How many messages, and bytes of them, count against further reading: those that this connection can acknowledge.
    /// What is carried over from earlier ones does not count, as only reading lets the broker send it again.
    #[must_use]
    pub fn in_the_way(&self) -> (usize, usize) {
        (self.receipts.len() - self.overtaken + self.stale, self.bytes - self.carried.bytes())
    }

    /// How many places the receipts of this connection take, those included that only hold their place behind one without
    /// an outcome. A broker that uses its packet identifiers properly never makes them more than the window has.
    #[must_use]
    pub fn places(&self) -> usize {
        self.receipts.len()
    }

    /// The size of the messages whose payloads may still be in memory, in bytes. An earlier connection's message that has
    /// its outcome does not count: only its receipt is left.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.bytes - self.carried.settled_bytes()
    }

    /// What the broker counts against Receive Maximum on this connection (MQTT 5, 4.9): PUBLISH packets received and
    /// not yet answered with PUBACK, or PUBCOMP; copies once. Never more than it counts itself.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether the broker could have one more message in flight, whatever window of its own it keeps to: it has nothing
    /// in flight and nothing is to be done here, or it had more before on this connection.
    #[must_use]
    pub fn broker_has_room(&self) -> bool {
        self.unfinished() == 0 || self.in_flight < self.most_in_flight
    }

    /// Deliveries that have no verdict yet.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running
    }

    /// Whether a message was abandoned on this connection, so that only a new one can bring it, and those behind it,
    /// on.
    #[must_use]
    pub fn needs_reconnect(&self) -> bool {
        self.abandoned > 0
    }
}

//! The ledger under random histories, beside a broker at the other end of a line that takes time: what either side
//! writes is read later, or never. The broker sends again on the same connection and over a resumed session, with or
//! without DUP, under old identifiers or new ones; drops messages; uses identifiers again as soon as it may; denies a
//! session that it kept. Equal contents are common. After each step:
//!
//! - whatever identifier an acknowledgement names when the broker reads it, the message that the broker frees by it has
//!   been through the function: itself, or an equal message for each one that is freed;
//! - acknowledgements leave in the order of receipt;
//! - at the end every message that the broker did not drop has been through the function, and the book is empty.

use std::collections::{HashMap, VecDeque};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// One step of a history.
#[derive(Debug, Clone)]
enum Step {
    /// The broker sends a new message with one of a few contents.
    Publish { qos: Qos, text: u8 },
    /// The broker sends the nth message in flight again, with DUP as it must (MQTT 5, 3.3.1-1): without it, nobody
    /// could tell a copy that crosses its acknowledgement from the next message under that identifier.
    Resend { which: usize },
    /// The next packet of the broker arrives.
    Arrive,
    /// The broker reads the next packet of ours.
    Hear,
    /// The nth running delivery has its outcome.
    Settle { which: usize, outcome: Outcome },
    /// We write PINGREQ.
    Ping,
    /// A new connection; what is under way on the old one is lost.
    Reconnect { kept: Kept, renumber: bool, dup: bool, drops: Option<usize> },
}

fn step() -> impl Strategy<Value = Step> {
    let qos = prop_oneof![3 => Just(Qos::AtLeastOnce), 1 => Just(Qos::ExactlyOnce)];
    let outcome = prop_oneof![9 => Just(Outcome::Delivered), 1 => Just(Outcome::Abandoned)];
    let kept = prop_oneof![4 => Just(Kept::Yes), 1 => Just(Kept::Doubtful), 1 => Just(Kept::No)];
    let drops = prop::option::weighted(0.2, any::<usize>());
    prop_oneof![
        6 => (qos, 0..3_u8).prop_map(|(qos, text)| Step::Publish { qos, text }),
        3 => any::<usize>().prop_map(|which| Step::Resend { which }),
        12 => Just(Step::Arrive),
        10 => Just(Step::Hear),
        8 => (any::<usize>(), outcome).prop_map(|(which, outcome)| Step::Settle { which, outcome }),
        2 => Just(Step::Ping),
        1 => (kept, any::<bool>(), prop::bool::weighted(0.8), drops)
            .prop_map(|(kept, renumber, dup, drops)| Step::Reconnect { kept, renumber, dup, drops }),
    ]
}

/// A message in flight at the broker.
#[derive(Debug, Clone)]
struct Sent {
    number: usize,
    packet_id: u16,
    qos: Qos,
    text: u8,
    /// PUBREC has come: what is owed now is PUBREL.
    received: bool,
}

/// From the broker.
#[derive(Debug)]
enum Down {
    Publish { sent: Sent, dup: bool },
    Release(u16),
    Pong,
}

/// From us.
#[derive(Debug)]
enum Up {
    Ack(Ack),
    Complete(u16),
    Ping,
}

struct Model {
    ledger: Ledger,
    published: usize,
    in_flight: Vec<Sent>,
    down: VecDeque<Down>,
    up: VecDeque<Up>,
    running: Vec<(Ticket, u8, Qos)>,
    /// Invocations that ended well, and messages that the broker has freed, by content.
    ended: HashMap<(u8, u8), usize>,
    freed: HashMap<(u8, u8), usize>,
    /// The packet ids received on this connection and not acknowledged, in receive order.
    owed: VecDeque<u16>,
    loses: bool,
}

impl Model {
    fn new() -> Self {
        let mut ledger = Ledger::default();
        ledger.connect(Kept::No);
        let (in_flight, running) = (Vec::new(), Vec::new());
        let (down, up, owed) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        let (ended, freed) = (HashMap::new(), HashMap::new());
        Self { ledger, published: 0, in_flight, down, up, running, ended, freed, owed, loses: false }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Publish { qos, text } => self.publish(qos, text),
            Step::Resend { which } => self.resend(which),
            Step::Arrive => self.arrive(),
            Step::Hear => self.hear(),
            Step::Settle { which, outcome } => self.settle(which, outcome),
            Step::Ping => self.ping(),
            Step::Reconnect { kept, renumber, dup, drops } => self.reconnect(kept, renumber, dup, drops),
        }
        self.acknowledge();
        assert_eq!(self.ledger.running(), self.running.len());
        assert!(self.ledger.outstanding() >= self.ledger.running());
        assert!(self.ledger.unfinished() >= self.ledger.running());
    }

    fn publish(&mut self, qos: Qos, text: u8) {
        let free = |id: &u16| self.in_flight.iter().all(|sent| sent.packet_id != *id);
        let Some(packet_id) = (1..=4).find(free) else { return };
        self.published += 1;
        let sent = Sent { number: self.published, packet_id, qos, text, received: false };
        self.in_flight.push(sent.clone());
        self.down.push_back(Down::Publish { sent, dup: false });
    }

    fn resend(&mut self, which: usize) {
        let unread: Vec<_> = self.in_flight.iter().filter(|sent| !sent.received).cloned().collect();
        if !unread.is_empty() {
            self.down.push_back(Down::Publish { sent: unread[which % unread.len()].clone(), dup: true });
        }
    }

    fn arrive(&mut self) {
        match self.down.pop_front() {
            Some(Down::Publish { sent, dup }) => self.receive(&sent, dup),
            Some(Down::Release(id)) => {
                self.ledger.released(id);
                self.up.push_back(Up::Complete(id));
            }
            Some(Down::Pong) => self.ledger.ponged(),
            None => {}
        }
    }

    fn receive(&mut self, sent: &Sent, dup: bool) {
        let message = message(&sent.text.to_string(), sent.qos, dup);
        let open = self.owed.contains(&sent.packet_id);
        match self.ledger.admit(sent.packet_id, &message, |_| false) {
            Admission::New(ticket) => {
                self.owed.retain(|id| *id != sent.packet_id);
                self.owed.push_back(sent.packet_id);
                self.running.push((ticket, sent.text, sent.qos));
            }
            Admission::Joined | Admission::Refuted => {
                assert!(dup, "a message without DUP was taken for a copy");
                if !open {
                    self.owed.push_back(sent.packet_id);
                }
            }
            Admission::Received => {
                assert_eq!(sent.qos, Qos::ExactlyOnce);
                self.up.push_back(Up::Ack(Ack { packet_id: sent.packet_id, qos: sent.qos }));
            }
            Admission::Crossed => assert!(dup && !open),
        }
    }

    /// The broker frees what it has in flight under the identifier, if anything.
    fn hear(&mut self) {
        match self.up.pop_front() {
            Some(Up::Ack(ack)) => {
                let known = |sent: &Sent| sent.packet_id == ack.packet_id && sent.qos == ack.qos && !sent.received;
                let Some(index) = self.in_flight.iter().position(known) else { return };
                let key = (self.in_flight[index].text, ack.qos as u8);
                *self.freed.entry(key).or_default() += 1;
                assert!(
                    self.freed[&key] <= self.ended.get(&key).copied().unwrap_or_default(),
                    "{ack:?} frees {:?}, for which no invocation has ended",
                    self.in_flight[index]
                );
                if ack.qos == Qos::ExactlyOnce {
                    self.in_flight[index].received = true;
                    self.down.push_back(Down::Release(ack.packet_id));
                } else {
                    self.in_flight.remove(index);
                }
            }
            Some(Up::Complete(id)) => self.in_flight.retain(|sent| sent.packet_id != id || !sent.received),
            Some(Up::Ping) => self.down.push_back(Down::Pong),
            None => {}
        }
    }

    fn settle(&mut self, which: usize, outcome: Outcome) {
        if self.running.is_empty() {
            return;
        }
        let (ticket, text, qos) = self.running.swap_remove(which % self.running.len());
        if outcome != Outcome::Abandoned {
            *self.ended.entry((text, qos as u8)).or_default() += 1;
        }
        let weight = message(&text.to_string(), qos, false).weight();
        self.ledger.settle(Settlement { ticket, outcome, weight });
        if self.ledger.needs_reconnect() {
            self.reconnect(Kept::Yes, false, true, None);
        }
    }

    fn ping(&mut self) {
        self.ledger.pinged();
        self.up.push_back(Up::Ping);
    }

    fn acknowledge(&mut self) {
        while let Some(ack) = self.ledger.release() {
            assert_eq!(self.owed.pop_front(), Some(ack.packet_id), "in the order of receipt");
            self.up.push_back(Up::Ack(ack));
        }
    }

    /// With [`Kept::Doubtful`] the broker has kept the session.
    fn reconnect(&mut self, kept: Kept, renumber: bool, dup: bool, drops: Option<usize>) {
        self.up.clear();
        self.down.clear();
        self.owed.clear();
        self.ledger.connect(kept);
        if kept == Kept::No {
            self.loses = true;
            return self.in_flight.clear();
        }
        let unread: Vec<_> = self.in_flight.iter().filter(|sent| !sent.received).map(|sent| sent.number).collect();
        if let Some(number) = drops.filter(|_| !unread.is_empty()).map(|index| unread[index % unread.len()]) {
            self.loses = true;
            self.in_flight.retain(|sent| sent.number != number);
        }
        if renumber && self.in_flight.iter().all(|sent| !sent.received) {
            (1..).zip(&mut self.in_flight).for_each(|(id, sent)| sent.packet_id = id);
        }
        for sent in &self.in_flight {
            self.down.push_back(if sent.received {
                Down::Release(sent.packet_id)
            } else {
                Down::Publish { sent: sent.clone(), dup }
            });
        }
    }

    /// Everything completes: then nothing may be left, neither at the broker nor in the ledger.
    fn finish(mut self) {
        self.apply(Step::Reconnect { kept: Kept::Yes, renumber: false, dup: true, drops: None });
        while !(self.running.is_empty() && self.down.is_empty() && self.up.is_empty()) {
            self.apply(Step::Arrive);
            self.apply(Step::Hear);
            self.apply(Step::Settle { which: 0, outcome: Outcome::Delivered });
        }
        assert!(self.in_flight.is_empty(), "never acknowledged: {:?}", self.in_flight);
        let (ended, freed): (usize, usize) = (self.ended.values().sum(), self.freed.values().sum());
        assert!(freed <= ended);
        assert!(self.loses || freed == self.published, "{freed} of {} came through", self.published);
        self.ledger.forget_settled();
        let left = (self.ledger.outstanding(), self.ledger.bytes, self.ledger.running());
        assert_eq!(left, (0, 0, 0), "{:?}", self.ledger);
        assert!(self.ledger.places.is_empty() && self.ledger.stale == 0);
    }
}

proptest! {
    #[test]
    fn no_history_makes_a_wrong_acknowledgement(steps in vec(step(), 1..200)) {
        let mut model = Model::new();
        for step in steps {
            model.apply(step);
        }
        model.finish();
    }
}

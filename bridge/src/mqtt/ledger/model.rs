//! The ledger under random histories, beside a broker that uses packet identifiers again as soon as it may: receipts,
//! outcomes, acknowledgements lost on their way, connections in a row, sessions kept and lost, messages that the broker
//! lets go, both flows of QoS. After each step: nothing is acknowledged but a message received on this very connection,
//! in receive order, after its own outcome.

use std::collections::HashSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// One step of a history.
#[derive(Debug, Clone)]
enum Step {
    /// The broker sends a new message, whose DUP flag may be wrong.
    Publish { qos: Qos, dup: bool },
    /// The nth running delivery has its outcome.
    Settle { which: usize, outcome: Outcome },
    /// The broker releases the QoS 2 packet identifier that has waited longest.
    Release,
    /// From now on nothing comes through on this connection, in either direction.
    Break,
    /// A new connection. With the session, the broker sends what it holds again, as far as this connection lasts.
    Reconnect { session_present: bool, lasts: usize, lets_go: Option<usize> },
}

/// With `twins`, messages have the same content, and the broker never lets one go or sets DUP wrongly: then content and
/// packet identifier together tell them apart. Without, no two are alike.
fn step(twins: bool) -> impl Strategy<Value = Step> {
    let qos = prop_oneof![3 => Just(Qos::AtLeastOnce), 2 => Just(Qos::ExactlyOnce), 1 => Just(Qos::AtMostOnce)];
    let outcome =
        prop_oneof![9 => Just(Outcome::Delivered), 2 => Just(Outcome::DeadLettered), 1 => Just(Outcome::Abandoned)];
    let lasts = prop_oneof![3 => Just(usize::MAX), 1 => 0..4_usize];
    let lets_go = if twins { Just(None).boxed() } else { prop::option::weighted(0.2, any::<usize>()).boxed() };
    prop_oneof![
        8 => (qos, prop::bool::weighted(0.1)).prop_map(move |(qos, dup)| Step::Publish { qos, dup: dup && !twins }),
        8 => (any::<usize>(), outcome).prop_map(|(which, outcome)| Step::Settle { which, outcome }),
        3 => Just(Step::Release),
        1 => Just(Step::Break),
        2 => (prop::bool::weighted(0.8), lasts, lets_go)
            .prop_map(|(session_present, lasts, lets_go)| Step::Reconnect { session_present, lasts, lets_go }),
    ]
}

/// A message in flight at the broker.
#[derive(Debug, Clone)]
struct Sent {
    number: usize,
    packet_id: u16,
    qos: Qos,
    text: String,
    /// PUBREC has come: what is owed now is PUBREL.
    received: bool,
}

impl Sent {
    fn message(&self, dup: bool) -> Message {
        message(&self.text, self.qos, dup)
    }
}

struct Model {
    ledger: Ledger,
    twins: bool,
    published: usize,
    /// In the order of sending.
    in_flight: Vec<Sent>,
    /// Deliveries without an outcome, by the number of their message.
    running: Vec<(Ticket, Sent)>,
    /// Messages that have had an outcome other than abandoned.
    done: HashSet<usize>,
    /// What was received on this connection and is not acknowledged, in receive order.
    unacknowledged: VecDeque<usize>,
    broken: bool,
}

impl Model {
    fn new(twins: bool) -> Self {
        let mut ledger = Ledger::default();
        ledger.connect(false);
        Self {
            ledger,
            twins,
            published: 0,
            in_flight: Vec::new(),
            running: Vec::new(),
            done: HashSet::new(),
            unacknowledged: VecDeque::new(),
            broken: false,
        }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Publish { qos, dup } => self.publish(qos, dup),
            Step::Settle { which, outcome } => self.settle(which, outcome),
            Step::Release => self.release(),
            Step::Break => self.broken = true,
            Step::Reconnect { session_present, lasts, lets_go } => self.reconnect(session_present, lasts, lets_go),
        }
        self.acknowledge();
        assert!(self.ledger.outstanding() >= self.ledger.running());
        assert_eq!(self.ledger.running(), self.running.len());
    }

    fn publish(&mut self, qos: Qos, dup: bool) {
        let free = |id: &u16| self.in_flight.iter().all(|sent| sent.packet_id != *id);
        let packet_id = if qos == Qos::AtMostOnce { Some(0) } else { (1..=4).find(free) };
        let Some(packet_id) = packet_id else { return };
        self.published += 1;
        let text = if self.twins { "twin".to_owned() } else { format!("message {}", self.published) };
        let sent = Sent { number: self.published, packet_id, qos, text, received: false };
        if !self.broken {
            self.receive(&sent, dup && qos != Qos::AtMostOnce);
        }
        if qos != Qos::AtMostOnce {
            self.in_flight.push(sent);
        }
    }

    /// The bridge receives a PUBLISH.
    fn receive(&mut self, sent: &Sent, dup: bool) {
        match self.ledger.admit(sent.packet_id, &sent.message(dup)) {
            Admission::New(ticket) => {
                let again = self.running.iter().any(|(_, running)| running.number == sent.number);
                assert!(!again, "{sent:?} runs already, and would be invoked twice");
                self.running.push((ticket, sent.clone()));
            }
            Admission::Resumed => {
                assert!(dup, "a new message was taken for an old one");
                let known =
                    self.done.contains(&sent.number) || self.running.iter().any(|(_, r)| r.number == sent.number);
                assert!(known, "{sent:?} was taken for another message");
            }
            Admission::Received => {
                assert!(sent.qos == Qos::ExactlyOnce && self.done.contains(&sent.number), "{sent:?}");
                return self.hear(sent.number);
            }
        }
        if sent.qos != Qos::AtMostOnce {
            self.unacknowledged.push_back(sent.number);
        }
    }

    fn settle(&mut self, which: usize, outcome: Outcome) {
        if self.running.is_empty() {
            return;
        }
        let (ticket, sent) = self.running.swap_remove(which % self.running.len());
        if outcome != Outcome::Abandoned {
            self.done.insert(sent.number);
        }
        self.ledger.settle(Settlement { ticket, outcome, weight: sent.message(false).weight() });
        if self.ledger.needs_reconnect() {
            self.reconnect(true, usize::MAX, None);
        }
    }

    /// Every acknowledgement that the ledger lets out is checked, whether it arrives or not.
    fn acknowledge(&mut self) {
        while let Some(ack) = self.ledger.release() {
            let number = self.unacknowledged.pop_front().expect("an acknowledgement of nothing");
            let sent = self.in_flight.iter().find(|sent| sent.number == number).expect("the broker has it in flight");
            assert_eq!((ack.packet_id, ack.qos), (sent.packet_id, sent.qos), "in receive order");
            assert!(self.done.contains(&number), "{sent:?} was acknowledged before its outcome");
            self.hear(number);
        }
    }

    /// The broker hears PUBACK or PUBREC, unless the connection is broken.
    fn hear(&mut self, number: usize) {
        if self.broken {
            return;
        }
        self.in_flight.iter_mut().filter(|sent| sent.number == number).for_each(|sent| sent.received = true);
        self.in_flight.retain(|sent| sent.number != number || sent.qos == Qos::ExactlyOnce);
    }

    /// PUBREL arrives, and PUBCOMP, unless the connection is broken between them.
    fn release(&mut self) {
        let Some(index) = self.in_flight.iter().position(|sent| sent.received) else { return };
        if !self.broken {
            self.ledger.released(self.in_flight[index].packet_id);
            self.in_flight.remove(index);
        }
    }

    fn reconnect(&mut self, session_present: bool, lasts: usize, lets_go: Option<usize>) {
        self.broken = false;
        self.unacknowledged.clear();
        self.ledger.connect(session_present);
        if !session_present {
            return self.in_flight.clear();
        }
        let unsent: Vec<_> = self.in_flight.iter().filter(|sent| !sent.received).map(|sent| sent.number).collect();
        if let Some(number) = lets_go.filter(|_| !unsent.is_empty()).map(|index| unsent[index % unsent.len()]) {
            self.in_flight.retain(|sent| sent.number != number);
        }
        for sent in self.in_flight.clone().into_iter().filter(|sent| !sent.received).take(lasts) {
            self.receive(&sent, true);
            self.acknowledge();
        }
        self.broken = lasts < self.in_flight.len();
    }

    /// Everything comes to its end: then nothing may be left, neither at the broker nor in the ledger.
    fn finish(mut self) {
        self.apply(Step::Reconnect { session_present: true, lasts: usize::MAX, lets_go: None });
        while !self.running.is_empty() {
            self.apply(Step::Settle { which: 0, outcome: Outcome::Delivered });
        }
        while self.in_flight.iter().any(|sent| sent.received) {
            self.apply(Step::Release);
        }
        assert!(self.in_flight.is_empty(), "settled and never acknowledged: {:?}", self.in_flight);
        // The first new message tells that nothing old comes any more.
        self.apply(Step::Publish { qos: Qos::AtLeastOnce, dup: false });
        self.apply(Step::Settle { which: 0, outcome: Outcome::Delivered });
        let left = (self.ledger.outstanding(), self.ledger.bytes(), self.ledger.running());
        assert_eq!(left, (0, 0, 0), "{:?}", self.ledger);
        assert!(self.ledger.places.is_empty() && self.ledger.carried.is_empty() && self.ledger.stale == 0);
        // The ledger does not hear of what the broker lets go; its few bytes wait for the next use of the identifier.
        assert!(self.ledger.awaiting_release.is_empty() || !self.twins, "{:?}", self.ledger.awaiting_release);
    }
}

fn play(twins: bool, steps: Vec<Step>) {
    let mut model = Model::new(twins);
    for step in steps {
        model.apply(step);
    }
    model.finish();
}

proptest! {
    #[test]
    fn no_history_makes_a_wrong_acknowledgement(steps in vec(step(false), 1..200)) {
        play(false, steps);
    }

    #[test]
    fn no_history_of_messages_that_are_alike_makes_a_wrong_acknowledgement(steps in vec(step(true), 1..200)) {
        play(true, steps);
    }
}

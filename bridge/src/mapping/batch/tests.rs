//! Batches by count, window and bytes, ordered and not.

use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use tokio::task::JoinSet;

use super::*;
use crate::config::{OrderingKey, Qos};
use crate::delivery::{Outcome, RecordId, Settlement, Ticket};
use crate::lambda::encode;
use crate::message::Message;
use crate::shutdown::{self, Listener, Phase};

const LIMIT: usize = 6 * 1024 * 1024;

struct Source {
    sender: mpsc::Sender<Delivery>,
    settler: mpsc::Sender<Settlement>,
    settlements: mpsc::Receiver<Settlement>,
    sent: u64,
    /// The connection that it comes from.
    epoch: u64,
}

impl Source {
    fn new() -> (Self, mpsc::Receiver<Delivery>) {
        let (sender, queue) = mpsc::channel(1000);
        let (settler, settlements) = mpsc::channel(1000);
        (Self { sender, settler, settlements, sent: 0, epoch: 1 }, queue)
    }

    fn send(&mut self, topic: &str, payload: Vec<u8>) {
        self.sent += 1;
        let message = Message {
            topic: ByteString::from(topic),
            payload: Bytes::from(payload),
            qos: Qos::AtLeastOnce,
            retain: false,
            dup: false,
            properties: None,
        };
        let id = RecordId::Numbered { run: 1, sequence: self.sent };
        let ticket = Ticket { epoch: self.epoch, slot: self.sent };
        self.sender.try_send(Delivery::new(message, id, ticket, self.settler.clone())).unwrap();
    }
}

fn limits(records: usize, window: Duration) -> Limits {
    Limits { records, window, bytes: LIMIT }
}

fn unordered(queue: mpsc::Receiver<Delivery>, limits: Limits) -> Batches {
    Batches::Unordered(Unordered::new(queue, Intake::default(), limits))
}

/// The phase of a mapping that nobody ever ends.
fn running() -> Listener {
    let (announcer, listener) = shutdown::channel();
    std::mem::forget(announcer);
    listener
}

fn ordered(queue: mpsc::Receiver<Delivery>, limits: Limits, tasks: &mut JoinSet<()>) -> Batches {
    ordered_in(queue, limits, running(), tasks)
}

fn ordered_in(queue: mpsc::Receiver<Delivery>, limits: Limits, shutdown: Listener, tasks: &mut JoinSet<()>) -> Batches {
    let intake = Intake { ordering_key: Some(OrderingKey::TopicLevel(0)), ..Intake::default() };
    Batches::Ordered(Ordered::start(queue, intake, limits, shutdown, tasks))
}

fn numbers(batch: &[Delivery]) -> Vec<u64> {
    let number = |id: &RecordId| if let RecordId::Numbered { sequence, .. } = id { *sequence } else { 0 };
    batch.iter().map(|delivery| number(&delivery.id)).collect()
}

#[tokio::test]
async fn takes_what_is_there_up_to_the_limit() {
    let (mut source, queue) = Source::new();
    (0..25).for_each(|_| source.send("t", b"x".to_vec()));
    drop(source);
    let batches = unordered(queue, limits(10, Duration::ZERO));
    let mut sizes = Vec::new();
    while let Some(batch) = batches.next().await {
        sizes.push(batch.len());
    }
    assert_eq!(sizes, [10, 10, 5]);
}

#[tokio::test(start_paused = true)]
async fn the_window_opens_with_the_first_delivery_and_closes_in_time() {
    for keyed in [false, true] {
        let (mut source, queue) = Source::new();
        let mut tasks = JoinSet::new();
        let limits = limits(10, Duration::from_secs(1));
        let batches = if keyed { ordered(queue, limits, &mut tasks) } else { unordered(queue, limits) };
        let begun = Instant::now();
        let publish = async {
            for pause in [60_000, 900, 900] {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                source.send("t", b"x".to_vec());
            }
        };
        let (first, ()) = tokio::join!(batches.next(), publish);
        let first = first.unwrap();
        assert_eq!(numbers(&first), [1, 2], "ordered: {keyed}");
        assert!(begun.elapsed() < Duration::from_millis(61_801));
        drop(first.into_iter().map(|delivery| delivery.settle(Outcome::Delivered)).collect::<Vec<()>>());
        assert_eq!(numbers(&batches.next().await.unwrap()), [3], "ordered: {keyed}");
    }
}

#[tokio::test]
async fn a_batch_never_outgrows_an_event_and_wastes_little_of_it() {
    for keyed in [false, true] {
        let (mut source, queue) = Source::new();
        let mut tasks = JoinSet::new();
        for payload in [vec![0x01_u8; 300_000], vec![0xff; 1_000_000], b"{\"a\":1}".to_vec(), vec![b'"'; 2_000_000]] {
            (0..3).for_each(|n| source.send(&format!("k{n}"), payload.clone()));
        }
        let limits = limits(1000, Duration::ZERO);
        let batches = if keyed { ordered(queue, limits, &mut tasks) } else { unordered(queue, limits) };
        let (mut records, mut sizes) = (0, Vec::new());
        while records < 12 {
            let batch = batches.next().await.unwrap();
            records += batch.len();
            sizes.push(encode("m", batch.iter()).len());
            batch.into_iter().for_each(|delivery| delivery.settle(Outcome::Delivered));
        }
        assert!(sizes.iter().all(|size| *size <= LIMIT), "{sizes:?}");
        let total: usize = sizes.iter().sum();
        assert!(keyed || sizes.len() <= 2 * total.div_ceil(LIMIT), "{sizes:?}");
    }
}

#[tokio::test]
async fn one_key_is_with_one_lane_at_a_time_and_in_order() {
    let (mut source, queue) = Source::new();
    let mut tasks = JoinSet::new();
    ["a", "a", "b", "a"].iter().for_each(|topic| source.send(topic, b"x".to_vec()));
    let batches = ordered(queue, limits(1, Duration::ZERO), &mut tasks);
    let mut first = batches.next().await.unwrap();
    let second = batches.next().await.unwrap();
    assert_eq!((numbers(&first), numbers(&second)), (vec![1], vec![3]));
    let third = tokio::time::timeout(Duration::from_millis(50), batches.next()).await;
    assert!(third.is_err(), "`a` is still out");
    first.remove(0).settle(Outcome::Delivered);
    assert_eq!(numbers(&batches.next().await.unwrap()), [2]);
}

#[tokio::test]
async fn what_stands_behind_an_abandoned_delivery_is_abandoned_too() {
    let (mut source, queue) = Source::new();
    let mut tasks = JoinSet::new();
    ["a", "a", "b"].iter().for_each(|topic| source.send(topic, b"x".to_vec()));
    let batches = ordered(queue, limits(1, Duration::ZERO), &mut tasks);
    drop(batches.next().await.unwrap());
    let settlements = [source.settlements.recv().await.unwrap(), source.settlements.recv().await.unwrap()];
    assert!(settlements.iter().all(|settlement| settlement.outcome == Outcome::Abandoned));
    assert_eq!(numbers(&batches.next().await.unwrap()), [3]);
}

#[tokio::test]
async fn what_comes_behind_an_abandoned_delivery_is_abandoned_until_another_connection_brings_it_again() {
    let (mut source, queue) = Source::new();
    let mut tasks = JoinSet::new();
    source.send("a", b"x".to_vec());
    let batches = ordered(queue, limits(1, Duration::ZERO), &mut tasks);
    drop(batches.next().await.unwrap());
    ["a", "b"].iter().for_each(|topic| source.send(topic, b"x".to_vec()));
    assert_eq!(numbers(&batches.next().await.unwrap()), [3], "the second one would overtake the first");
    source.epoch = 2;
    ["a", "a"].iter().for_each(|topic| source.send(topic, b"x".to_vec()));
    assert_eq!(numbers(&batches.next().await.unwrap()), [4]);
    let settled = [source.settlements.recv().await.unwrap(), source.settlements.recv().await.unwrap()];
    assert_eq!(settled.map(|settlement| settlement.ticket.slot), [1, 2]);
}

#[tokio::test]
async fn in_a_drain_nothing_goes_before_an_abandoned_delivery_that_was_carried_over() {
    let (mut source, queue) = Source::new();
    let mut tasks = JoinSet::new();
    let (announcer, listener) = shutdown::channel();
    source.send("a", b"x".to_vec());
    let batches = ordered_in(queue, limits(1, Duration::ZERO), listener, &mut tasks);
    let carried = batches.next().await.unwrap();
    // Another connection has brought the first one again, which has joined the one that runs, and the second behind it.
    source.epoch = 2;
    announcer.announce(Phase::Draining);
    drop(carried);
    ["a", "b"].iter().for_each(|topic| source.send(topic, b"x".to_vec()));
    assert_eq!(numbers(&batches.next().await.unwrap()), [3]);
}

#[tokio::test]
async fn a_key_is_freed_however_many_are_freed_at_once() {
    let (sender, queue) = mpsc::channel(2);
    let (settler, _settlements) = mpsc::channel(1000);
    let mut source = Source { sender, settler, settlements: mpsc::channel(1).1, sent: 0, epoch: 1 };
    let mut tasks = JoinSet::new();
    let batches = ordered(queue, limits(1, Duration::ZERO), &mut tasks);
    let mut out = Vec::new();
    for key in 0..10 {
        source.send(&format!("k{key}"), b"x".to_vec());
        out.extend(batches.next().await.unwrap());
    }
    // Ten keys, through a queue with room for two, while no other task runs.
    out.drain(..).for_each(|delivery| delivery.settle(Outcome::Delivered));
    for key in 0..10 {
        source.send(&format!("k{key}"), b"x".to_vec());
        let next = tokio::time::timeout(Duration::from_secs(10), batches.next()).await;
        assert_eq!(numbers(&next.unwrap_or_else(|_| panic!("k{key} is jammed")).unwrap()), [11 + key]);
    }
}

#[tokio::test]
async fn what_does_not_fit_keeps_its_order_without_a_key() {
    let (mut source, queue) = Source::new();
    let mut tasks = JoinSet::new();
    let intake = Intake { ordering_key: Some(OrderingKey::TopicLevel(1)), ..Intake::default() };
    (0..8).for_each(|_| source.send("keyless", vec![b'x'; 1_500_000]));
    let batches = Batches::Ordered(Ordered::start(queue, intake, limits(100, Duration::ZERO), running(), &mut tasks));
    drop(source.sender);
    let mut seen = Vec::new();
    while let Some(batch) = batches.next().await {
        seen.extend(numbers(&batch));
        batch.into_iter().for_each(|delivery| delivery.settle(Outcome::Delivered));
    }
    assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[tokio::test]
async fn every_lane_ends_when_the_queue_has() {
    let (mut source, queue) = Source::new();
    let mut tasks = JoinSet::new();
    let batches = std::sync::Arc::new(ordered(queue, limits(1, Duration::ZERO), &mut tasks));
    source.send("a", b"x".to_vec());
    let held = batches.next().await.unwrap();
    source.send("a", b"x".to_vec());
    for _ in 0..4 {
        let batches = batches.clone();
        tasks.spawn(async move { while batches.next().await.is_some() {} });
    }
    drop(source.sender);
    tokio::task::yield_now().await;
    drop(held);
    let ended = tokio::time::timeout(Duration::from_secs(10), async { while tasks.join_next().await.is_some() {} });
    ended.await.expect("all lanes and the feeder end");
}

/// F45.
#[tokio::test]
async fn f45_two_records_with_one_id_never_share_an_event() {
    for keyed in [false, true] {
        let (mut source, queue) = Source::new();
        let mut tasks = JoinSet::new();
        let intake = || Intake {
            message_id: Some(crate::config::MessageId::Payload("/id".into())),
            ordering_key: keyed.then_some(OrderingKey::TopicLevel(0)),
            ..Intake::default()
        };
        ["a", "b", "a", "c", "c"].iter().for_each(|id| source.send("t", format!(r#"{{"id":"{id}"}}"#).into_bytes()));
        drop(source.sender);
        let limits = limits(100, Duration::from_millis(20));
        let batches = if keyed {
            Batches::Ordered(Ordered::start(queue, intake(), limits, running(), &mut tasks))
        } else {
            Batches::Unordered(Unordered::new(queue, intake(), limits))
        };
        let mut seen = Vec::new();
        while let Some(batch) = batches.next().await {
            seen.push(batch.iter().map(|delivery| delivery.id.to_string()).collect::<Vec<_>>().concat());
            batch.into_iter().for_each(|delivery| delivery.settle(Outcome::Delivered));
        }
        assert_eq!(seen, ["ab", "ac", "c"], "ordered: {keyed}");
    }
}

#[tokio::test]
async fn a_closed_queue_is_emptied_before_it_ends() {
    let (mut source, queue) = Source::new();
    let mut tasks = JoinSet::new();
    ["a", "a"].iter().for_each(|topic| source.send(topic, b"x".to_vec()));
    let batches = ordered(queue, limits(1, Duration::ZERO), &mut tasks);
    drop(source);
    for number in [1, 2] {
        let mut batch = batches.next().await.unwrap();
        assert_eq!(numbers(&batch), [number]);
        batch.remove(0).settle(Outcome::Delivered);
    }
    assert!(batches.next().await.is_none());
}

/// A lane that works on what it set aside drops its turn.
#[tokio::test(start_paused = true)]
async fn a_batch_that_one_lane_began_is_finished_by_another() {
    for records in [1, 10] {
        let (mut source, queue) = Source::new();
        let batches = unordered(queue, limits(records, Duration::from_secs(1)));
        let a_while = || tokio::time::timeout(Duration::from_millis(100), batches.next());
        assert!(a_while().await.is_err());
        source.send("t", vec![b'"'; LIMIT / 4]);
        if records == 1 {
            assert_eq!(numbers(&batches.next().await.unwrap()), [1]);
            continue;
        }
        assert!(a_while().await.is_err());
        source.send("t", b"x".to_vec());
        assert!(a_while().await.is_err());
        let begun = Instant::now();
        assert_eq!(numbers(&batches.next().await.unwrap()), [1, 2]);
        assert_eq!(begun.elapsed(), Duration::from_millis(800), "the window is that of the first");
        (0..2).for_each(|_| source.send("t", vec![0x01; LIMIT / 10]));
        assert_eq!(numbers(&batches.next().await.unwrap()), [3], "the other does not fit");
        assert!(a_while().await.is_err());
        drop(source);
        assert_eq!(numbers(&batches.next().await.unwrap()), [4]);
        assert!(batches.next().await.is_none());
    }
}

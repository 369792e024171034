//! The one loop that connects, drives a connection and connects again, for all clients. It owns socket, clock and
//! randomness; the [`Client`] gets the time and decides which packets to send, and when.

use std::future::{Future, pending};
use std::pin::Pin;
use std::time::{Duration, Instant as StdInstant};

use bytes::BytesMut;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::choice::Choice;
use super::connect::{Unopened, hang_up, open_within};
use super::connection::Connection;
use super::connector::Connector;
use super::end::End;
use super::link::Link;
use super::packet::{ConnAck, Hello};
use super::reconnect::{Failure, Next, Reconnect};
use super::transport::Agreed;
use super::wire::Wire;
use crate::clock::now;

/// One side of the conversation with a broker, over as many connections as it takes.
pub(super) trait Client {
    /// What CONNECT says to this one of the brokers.
    fn hello(&self, broker: usize) -> Hello;

    /// This one of the brokers has answered CONNECT with CONNACK.
    fn at_broker(&mut self, _broker: usize) {}

    /// CONNACK has arrived.
    fn connected(&mut self, connack: &ConnAck, agreed: &Agreed, now: StdInstant);

    /// CONNECT went out to this one of the brokers and no CONNACK came back. Clients without a session ignore this.
    fn unanswered(&mut self, _broker: usize) {}

    /// This number of bytes was added to `input`.
    fn received(&mut self, bytes: usize, now: StdInstant);

    /// Does everything that can be done without waiting: takes packets out of `input`, puts packets into `output`.
    ///
    /// # Errors
    /// When the connection is to end, for better or worse.
    fn turn(&mut self, input: &mut BytesMut, output: &mut BytesMut, now: StdInstant) -> Result<(), End>;

    /// The content of `output` was written. Returns true if more should be written at once.
    fn written(&mut self, now: StdInstant) -> bool;

    /// Whether it takes more bytes now.
    fn reads(&self) -> bool;

    /// When it needs a turn if nothing happens before.
    fn wakes(&self, now: StdInstant) -> StdInstant;

    /// There are newer TLS files than this connection was made with. Returns true if it may be closed at once;
    /// otherwise the client ends it itself.
    fn give_way(&mut self, now: StdInstant) -> bool;

    /// The first broker is reachable again, and this connection is to another. Returns true if it may be closed at
    /// once; otherwise the client ends it itself.
    fn go_back(&mut self, now: StdInstant) -> bool;

    /// Whether nothing is left at the broker now that a connection to it has ended well, on which it was `asked` to go
    /// back or was not. For one with a session this can be later; true once.
    fn has_left(&mut self, asked: bool) -> bool {
        asked
    }

    /// Whether the next attempt must be at the same broker.
    fn keeps_broker(&self) -> bool {
        false
    }

    /// The connection, or the attempt to make one, has ended. Returns the end as the client sees it.
    fn disconnected(&mut self, end: End) -> End;

    /// Reports a failure, with the wait until the next attempt.
    fn failed(&mut self, failure: Failure);

    /// Whether there is nothing left to do, not even to connect.
    fn is_done(&self) -> bool;

    /// Waits for something that does not come from the broker, and takes it in. Cancel safe.
    fn hear(&mut self) -> impl Future<Output = ()> + Send;
}

/// Runs a client until it is done.
pub(super) async fn run(client: &mut impl Client, connector: &Connector, link: &Link) {
    let (mut reconnect, mut choice) = (Reconnect::new(link), connector.choice(&link.client_id));
    while !client.is_done() {
        let mut freshness = connector.freshness();
        let mut login = connector.login();
        let (end, lived, asked) = {
            let (place, hello) = ((connector, choice.at()), client.hello(choice.at()));
            let opened = open_within(place, Wire(link.protocol), hello, &mut login, link.connect_timeout);
            match until_done(client, opened).await {
                None => return,
                Some(Ok((connection, connack))) => {
                    choice.connected();
                    connector.note(&link.client_id, choice.at());
                    client.at_broker(choice.at());
                    let made = Instant::now();
                    let mut back = Back { first: back(connector, &choice, link), asked: false };
                    let end = serve(client, connection, &connack, link, &mut back).await;
                    (end, Some(made.elapsed()), back.asked)
                }
                Some(Err(Unopened { end, unanswered })) => {
                    if unanswered {
                        client.unanswered(choice.at());
                    }
                    (end, None, false)
                }
            }
        };
        let end = client.disconnected(end);
        if choice.is_away() && matches!(end, End::Renewed | End::Retired) && client.has_left(asked) {
            choice.go_back();
        }
        let next = reconnect.after(end, lived, fastrand::f64(), now());
        let (wait, lasting) = match next {
            Next::Over => return,
            Next::AtOnce => continue,
            Next::Failed(failure) => {
                let goes_on = lived.is_none() && !client.keeps_broker() && !choice.is_exhausted();
                let wait = if goes_on { Duration::ZERO } else { failure.wait };
                let lasting = failure.lasting;
                client.failed(Failure { wait, ..failure });
                (wait, lasting)
            }
        };
        // New TLS files may be what was missing, or another password.
        tokio::select! {
            biased;
            _ = until_done(client, sleep(wait)) => {}
            () = freshness.renewed() => {}
            () = login.renewed(), if lasting => {}
        }
    }
}

/// The way back to the first broker, from a connection to another.
struct Back<'a> {
    /// Waits until it is reachable again.
    first: Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
    /// Whether it was reachable; the client then knows.
    asked: bool,
}

/// Waits until the first broker is reachable again; for ever, with a connection to it.
fn back<'a>(connector: &'a Connector, choice: &Choice, link: &Link) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
    let patience = link.connect_timeout;
    if choice.is_away() { Box::pin(connector.first_is_back(patience)) } else { Box::pin(pending()) }
}

/// Waits for `other`, while the client still handles its own events; `None` when it has nothing left to do.
async fn until_done<T>(client: &mut impl Client, other: impl Future<Output = T>) -> Option<T> {
    tokio::pin!(other);
    loop {
        if client.is_done() {
            return None;
        }
        tokio::select! {
            biased;
            done = &mut other => return Some(done),
            () = client.hear() => {}
        }
    }
}

/// One connection from CONNACK to its end.
async fn serve(
    client: &mut impl Client,
    mut connection: Connection,
    connack: &ConnAck,
    link: &Link,
    back: &mut Back<'_>,
) -> End {
    client.connected(connack, &connection.agreed(), now());
    let end = converse(client, &mut connection, link.keep_alive, back).await;
    hang_up(Wire(link.protocol), connection, &end).await;
    end
}

async fn converse(
    client: &mut impl Client,
    connection: &mut Connection,
    patience: Duration,
    back: &mut Back<'_>,
) -> End {
    let mut freshness = connection.freshness();
    let mut gives_way = false;
    let alarm = sleep_until(Instant::now());
    tokio::pin!(alarm);
    loop {
        if let Err(end) = turn(client, connection, patience).await {
            return end;
        }
        set(alarm.as_mut(), client.wakes(now()).into());
        tokio::select! {
            biased;
            read = connection.read(), if client.reads() => match read {
                Ok(bytes) => client.received(bytes, now()),
                Err(error) => return error.into(),
            },
            () = client.hear() => {}
            () = freshness.outdated(), if !gives_way => {
                gives_way = true;
                if client.give_way(now()) {
                    return End::Renewed;
                }
            }
            () = &mut back.first, if !back.asked => {
                back.asked = true;
                if client.go_back(now()) {
                    return End::Renewed;
                }
            }
            () = &mut alarm => {}
        }
    }
}

async fn turn(client: &mut impl Client, connection: &mut Connection, patience: Duration) -> Result<(), End> {
    loop {
        let Connection { input, output, .. } = connection;
        client.turn(input, output, now())?;
        if connection.output.is_empty() {
            return Ok(());
        }
        connection.flush(patience).await?;
        if !client.written(now()) {
            return Ok(());
        }
    }
}

/// Moves the alarm only where it must: most turns leave it alone.
fn set(alarm: Pin<&mut Sleep>, at: Instant) {
    if alarm.is_elapsed() || at < alarm.deadline() {
        alarm.reset(at);
    }
}

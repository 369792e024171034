//! The first and last packets of a connection: from TCP to CONNACK, and DISCONNECT. Knows nothing of the packets in
//! between.

use std::time::Duration;

use tokio::time::timeout;

use super::connection::Connection;
use super::connector::Connector;
use super::decoder::Decoder;
use super::end::End;
use super::login::{Login, NoPassword};
use super::packet::{Close, ConnAck, Hello, Incoming, Reason, SPEAK_V311, WireError};
use super::stage::StageCell;
use super::wire::Wire;
use crate::config::Protocol;
use crate::secret::Wiped;

/// Why an attempt came to nothing.
pub struct Unopened {
    pub end: End,
    /// CONNECT may have reached the broker and no CONNACK came back: nobody knows what it did with the session.
    pub unanswered: bool,
}

/// The password first; then TCP, TLS, CONNECT and CONNACK under one deadline: a broker that drips bytes must not hold
/// us.
pub async fn open_within(
    (connector, place): (&Connector, usize),
    wire: Wire,
    hello: Hello,
    login: &mut Login,
    patience: Duration,
) -> Result<(Connection, ConnAck), Unopened> {
    open_noting(&StageCell::default(), (connector, place), wire, hello, login, patience).await
}

/// The same; `stage` is new, and says afterwards how far it came.
pub(super) async fn open_noting(
    stage: &StageCell,
    (connector, place): (&Connector, usize),
    wire: Wire,
    hello: Hello,
    login: &mut Login,
    patience: Duration,
) -> Result<(Connection, ConnAck), Unopened> {
    // Read before connecting: without a password no connection is worth opening.
    if let Err(NoPassword { why, lasting }) = login.read(patience).await {
        let why = format!("no password for the broker: {why}");
        let end = if lasting { End::lasting(why) } else { End::lost(why) };
        return Err(Unopened { end, unanswered: false });
    }
    let opened = timeout(patience, open((connector, place), stage, wire, &hello, login, patience)).await;
    let opened = opened.unwrap_or_else(|_| Err(End::lost(stage.overdue(patience))));
    opened.map_err(|end| Unopened { end, unanswered: stage.is_unanswered() })
}

/// Tells the broker why, and closes. A broker that is well gets the time to read our last acknowledgements; one that is
/// lost does not.
pub async fn hang_up(wire: Wire, mut connection: Connection, end: &End) {
    let patience = Duration::from_secs(if matches!(end, End::Lost { .. }) { 1 } else { 5 });
    // The connection is closed in any case, so errors do not matter.
    let _ = wire.disconnect(end.close(), &mut connection.output);
    let _ = connection.flush(patience).await;
    connection.close(patience).await;
}

async fn open(
    (connector, place): (&Connector, usize),
    stage: &StageCell,
    wire: Wire,
    hello: &Hello,
    login: &mut Login,
    patience: Duration,
) -> Result<(Connection, ConnAck), End> {
    let mut connection = connector.open_at(place, stage).await?;
    connection.send(&connect(wire, hello, login)?.0, patience).await?;
    match answer(&mut connection, stage, wire, hello, login).await {
        Ok(connack) => Ok((connection, connack)),
        Err(end) => {
            // The broker should get the reason code.
            if let Close::Error(_) = end.close() {
                hang_up(wire, connection, &end).await;
            }
            Err(end)
        }
    }
}

/// The packet, which may hold a password.
fn connect(wire: Wire, hello: &Hello, login: &Login) -> Result<Wiped, WireError> {
    /// For all but client id, user name and password.
    const REST: usize = 64;
    let auth = login.auth();
    let mut packet = Wiped::with_room_for(REST + hello.client_id.len() + auth.size());
    wire.connect(hello, &auth, &mut packet.0)?;
    Ok(packet)
}

async fn answer(
    connection: &mut Connection,
    stage: &StageCell,
    wire: Wire,
    hello: &Hello,
    login: &Login,
) -> Result<ConnAck, End> {
    let mut decoder = Decoder::new(wire);
    loop {
        if connection.input.starts_with(b"HTTP/") {
            return Err(End::lasting("the port speaks HTTP over TLS, not MQTT; use the broker's port for MQTT, or `wss://` where this one carries it".into()));
        }
        match decoder.next(&mut connection.input)? {
            Some(Incoming::ConnAck(ConnAck { refused: Some(reason), .. })) => {
                stage.answered();
                return Err(refused(&reason, hello, login));
            }
            Some(Incoming::ConnAck(connack)) => {
                stage.answered();
                connection.accepted();
                return Ok(connack);
            }
            Some(_) => return Err(End::protocol_error("another packet before CONNACK")),
            None => drop(connection.read().await.map_err(|error| End::from(error).explained(|| hung_up(wire)))?),
        }
    }
}

const HUNG_UP: &str =
    " in answer to CONNECT; its log may say why, such as a certificate of ours that it wants, or refuses";

/// What a broker may mean by closing the connection in place of CONNACK.
fn hung_up(wire: Wire) -> String {
    match wire.0 {
        Protocol::V5 => format!("{HUNG_UP}; {SPEAK_V311}"),
        Protocol::V311 => HUNG_UP.into(),
    }
}

/// MQTT 5, 3.2.2.2. If the broker refuses the login, the error names what to check.
fn refused(reason: &Reason, hello: &Hello, login: &Login) -> End {
    let mut why = format!("CONNECT as `{}` refused: {}", hello.client_id, reason.text);
    if reason.is_authentication() {
        why = format!("authentication failed: {why}; {}", login.way_out());
    }
    End::Lost { why, lasting: reason.is_lasting(), closed: false, taken_over: false, close: None }
}

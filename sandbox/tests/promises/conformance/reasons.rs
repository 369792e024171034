//! How the bridge treats the broker's reason codes (3.2.2.2, 3.14.2.1, 4.13): temporary and permanent ones.

use bridge::config::Protocol;
use sandbox::scripted::{ConnAck, Scripted};

use crate::common::{eventually, willing};
use crate::stage::{Played, Stage, WINDOW, both};

/// In the first second after a permanent reason the bridge must not reconnect; after a temporary one it must.
const BACKOFF: &str = "1ms..1h";

/// A reason code, what the operator reads, and whether an operator has to fix something first.
type Row = (u8, &'static str, bool);

/// Completes with the bridge's verdict on the only connection so far.
async fn judge(stage: &Stage, (code, words, lasting): Row) -> Played {
    let troubles = || stage.world.bridge().unwrap().troubles().join("; ");
    if lasting {
        eventually(&format!("0x{code:02x}: it says why"), || troubles().contains(words)).await;
        tokio::time::sleep(WINDOW).await;
        assert_eq!(stage.broker.connections(), 1, "0x{code:02x}: {}", troubles());
        assert_eq!(stage.world.counters().subscribed.get(), 0);
    } else {
        stage.broker.accept().await?;
    }
    Ok(())
}

async fn stage(protocol: Protocol) -> Stage {
    Stage::new(protocol, |b| b.function(willing()).set("mqtt.backoff", BACKOFF)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_2_2_2_a_refused_connect_is_tried_again_when_that_can_help() {
    const V5: &[Row] = &[
        (0x80, "unspecified error", false),
        (0x84, "unsupported protocol version", true),
        (0x85, "client identifier not valid", true),
        (0x86, "bad user name password", true),
        (0x87, "not authorized", true),
        (0x88, "server unavailable", false),
        (0x89, "server busy", false),
        (0x8a, "banned", true),
        (0x8c, "bad authentication method", true),
        (0x97, "quota exceeded", false),
        (0x9c, "use another server", true),
        (0x9d, "server moved", true),
        (0x9f, "connection rate exceeded", false),
    ];
    const V311: &[Row] = &[
        (1, "unacceptable protocol version", true),
        (2, "client identifier not accepted", true),
        (3, "server unavailable", false),
        (4, "bad user name or password", true),
        (5, "not authorized", true),
    ];
    both(|protocol| async move {
        let mut stage = stage(protocol).await;
        for row in if protocol == Protocol::V5 { V5 } else { V311 } {
            stage.again().await;
            let mut peer = stage.broker.accept().await?;
            peer.greet(&ConnAck::refused(row.0)).await?;
            judge(&stage, *row).await?;
        }
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_13_2_1_a_disconnect_by_the_broker_is_followed_by_its_reason() -> Played {
    let mut stage = stage(Protocol::V5).await;
    let rows: [Row; 13] = [
        (0x00, "normal disconnection", false),
        (0x80, "unspecified error", false),
        (0x82, "protocol error", false),
        (0x87, "not authorized", true),
        (0x89, "server busy", false),
        (0x8b, "server shutting down", false),
        (0x8d, "keep alive timeout", false),
        (0x8e, "session taken over; is another process running with the same client id?", true),
        (0x93, "receive maximum exceeded", false),
        (0x97, "quota exceeded", false),
        (0x98, "administrative action", false),
        (0x9c, "use another server", true),
        (0x9d, "server moved", true),
    ];
    for row in rows {
        stage.again().await;
        let mut peer = stage.fresh().await?;
        peer.disconnect(row.0).await?;
        peer.end().await?;
        judge(&stage, row).await?;
    }
    Ok(())
}

/// 4.13.2: a client may follow a Server Reference. This one does not: whom to trust is for the configuration to say.
#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_13_2_no_server_reference_is_followed() -> Played {
    let mut stage = stage(Protocol::V5).await;
    let elsewhere = Scripted::start(&stage.world.files, Protocol::V5).await.unwrap();
    let place = format!("localhost:{}", elsewhere.url().port);
    for code in [0x9c, 0x9d] {
        stage.again().await;
        let mut peer = stage.broker.accept().await?;
        peer.greet(&ConnAck::refused(code).server_reference(&place)).await?;
        judge(&stage, (code, "refused", true)).await?;
    }
    assert_eq!(elsewhere.connections(), 0);
    Ok(())
}

/// The broker's words reach the operator, and cannot forge a line there.
#[tokio::test(flavor = "multi_thread")]
async fn a_reason_string_is_told_in_one_line() -> Played {
    let mut stage = stage(Protocol::V5).await;
    stage.again().await;
    let mut peer = stage.broker.accept().await?;
    peer.greet(&ConnAck::refused(0x87).reason("no\n\u{1b}[31m{\"level\":\"INFO\"}\u{9b}")).await?;
    let troubles = || stage.world.bridge().unwrap().troubles().join("; ");
    eventually("it says why", || troubles().contains("not authorized: no")).await;
    assert!(!troubles().contains(char::is_control), "{:?}", troubles());
    Ok(())
}

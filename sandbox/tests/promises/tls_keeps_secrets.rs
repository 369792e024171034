//! Promise: the traffic between bridge and broker reveals neither topic nor payload nor client id. Every byte between
//! the two is recorded below TLS.

use std::sync::{Arc, Mutex};

use crate::common::{acknowledged, answering, everywhere, nothing_lost, publish};
use sandbox::lambda::Answer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Passes bytes between whoever connects and `port`, and keeps a copy of all of them.
async fn recorded(port: u16) -> (u16, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = listener.local_addr().unwrap().port();
    let record = Arc::new(Mutex::new(Vec::new()));
    let kept = record.clone();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
            tokio::spawn(copy(near_read, far_write, kept.clone()));
            tokio::spawn(copy(far_read, near_write, kept.clone()));
        }
    });
    (here, record)
}

async fn copy(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    record: Arc<Mutex<Vec<u8>>>,
) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        record.lock().unwrap().extend_from_slice(&bytes[..read]);
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

fn shows(record: &Mutex<Vec<u8>>, word: &str) -> bool {
    record.lock().unwrap().windows(word.len()).any(|window| window == word.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_readable_is_on_the_line() {
    everywhere(|builder| async move {
        let function = answering(|_| {
            Answer::json(&serde_json::json!({ "publish": [{ "topic": "commands", "payload": "open-sesame" }] }))
        });
        let builder = builder.function(function).set("mapping.response.allow", "commands");
        let mut world = builder.set("mqtt.client_id", "lighthouse").without_bridge().await.unwrap();
        let (port, record) = recorded(world.url().port).await;
        world.set("mqtt.url", &format!("mqtts://localhost:{port}"));
        world.start_bridge().await.unwrap();
        let sensors = publish(&world, 100, |_| {}).await;
        acknowledged(&world, 100).await;
        nothing_lost(&world, &sensors).await;
        let bytes = record.lock().unwrap().len();
        assert!(bytes > 100 * 100, "only {bytes} bytes went by");
        for word in
            ["sensor/data", "device_id", "temperature", "message_id", "lighthouse", "commands", "open-sesame", "MQTT"]
        {
            assert!(!shows(&record, word), "`{word}` is on the line in clear");
        }
    })
    .await;
}

/// The recorder finds what is there to be found.
#[tokio::test(flavor = "multi_thread")]
async fn the_recorder_would_have_seen_it() {
    let echo = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, record) = recorded(echo.local_addr().unwrap().port()).await;
    let mut near = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (mut far, _) = echo.accept().await.unwrap();
    near.write_all(b"..sensor/data..").await.unwrap();
    let mut read = [0; 15];
    far.read_exact(&mut read).await.unwrap();
    assert!(shows(&record, "sensor/data"));
}

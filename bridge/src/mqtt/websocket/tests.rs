use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use super::*;
use crate::mqtt::tls::Failure;

/// The next byte, or an error.
async fn byte(ours: &mut WebSocket<DuplexStream>) -> io::Result<u8> {
    timeout(Duration::from_secs(30), ours.read_u8()).await.expect("nothing comes")
}

/// Both ends of a WebSocket, the broker's with its library as it is.
async fn pair() -> (WebSocket<DuplexStream>, WebSocketStream<DuplexStream>) {
    let (ours, theirs) = duplex(256 * 1024);
    #[expect(clippy::result_large_err, reason = "the library's own type")]
    let accept = |request: &Request, mut response: Response| {
        assert_eq!(request.uri().path(), "/mqtt");
        assert_eq!(request.headers()["host"], "broker.example:443");
        response.headers_mut().insert("Sec-WebSocket-Protocol", request.headers()["sec-websocket-protocol"].clone());
        Ok(response)
    };
    let (ours, theirs) = tokio::join!(upgrade(ours, "broker.example:443", "/mqtt"), accept_hdr_async(theirs, accept));
    (ours.unwrap(), theirs.unwrap())
}

/// The outcome of an upgrade that gets these bytes as response.
async fn refused(answer: &str) -> Failure {
    let (ours, mut theirs) = duplex(64 * 1024);
    theirs.write_all(answer.as_bytes()).await.unwrap();
    theirs.shutdown().await.unwrap();
    upgrade(ours, "broker.example", "/mqtt").await.err().expect("no refusal")
}

#[tokio::test]
async fn bytes_come_whole_however_the_frames_are_cut() {
    let (mut ours, mut theirs) = pair().await;
    for part in [&b"\x30"[..], b"", b"\x05\x00\x01t", b"ab\xd0", b"\x00"] {
        theirs.send(Message::binary(part.to_vec())).await.unwrap();
    }
    // One message in two frames, and a ping between them.
    let frame = |data: &'static [u8], code, last| Message::Frame(Frame::message(data, OpCode::Data(code), last));
    theirs.send(frame(b"ab", Data::Binary, false)).await.unwrap();
    theirs.send(Message::Ping("here?".into())).await.unwrap();
    theirs.send(frame(b"cd", Data::Continue, true)).await.unwrap();
    let mut read = [0; 13];
    ours.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"\x30\x05\x00\x01tab\xd0\x00abcd");
    assert_eq!(theirs.next().await.unwrap().unwrap(), Message::Pong("here?".into()), "the ping has no answer");
}

#[tokio::test]
async fn what_is_written_comes_in_binary_frames_of_limited_length() {
    let (mut ours, mut theirs) = pair().await;
    let bytes: Vec<_> = (0..LONGEST_WRITTEN + 10).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let write = async {
        ours.write_all(&bytes).await.unwrap();
        ours.flush().await.unwrap();
    };
    let read = async {
        let frames = [theirs.next().await.unwrap().unwrap(), theirs.next().await.unwrap().unwrap()];
        assert!(frames.iter().all(Message::is_binary));
        frames.map(|frame| frame.into_data().to_vec())
    };
    let ((), [first, second]) = tokio::join!(write, read);
    assert_eq!((first.len(), second.len()), (LONGEST_WRITTEN, 10));
    assert_eq!([first, second].concat(), bytes);
}

#[tokio::test]
async fn an_end_is_told_by_its_code() {
    for (code, reason, kind, words) in [
        (CloseCode::Normal, "", io::ErrorKind::ConnectionAborted, "with 1000, normal closure"),
        (CloseCode::Away, "maintenance", io::ErrorKind::ConnectionAborted, "with 1001, going away: maintenance"),
        (CloseCode::Policy, "not\nyou", io::ErrorKind::PermissionDenied, "with 1008, policy violation: not"),
        (CloseCode::Library(4001), "", io::ErrorKind::Other, "with 4001, for a reason of its own"),
    ] {
        let (mut ours, mut theirs) = pair().await;
        theirs.close(Some(CloseFrame { code, reason: reason.into() })).await.unwrap();
        let error = byte(&mut ours).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words) && !error.to_string().contains('\n'), "{error}");
    }
    let (mut ours, theirs) = pair().await;
    drop(theirs);
    assert_eq!(byte(&mut ours).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn a_text_frame_and_a_frame_that_no_packet_fills_are_refused() {
    let (mut ours, mut theirs) = pair().await;
    theirs.send(Message::text("hunter2")).await.unwrap();
    let error = byte(&mut ours).await.unwrap_err().to_string();
    assert!(error.contains("text frame") && !error.contains("hunter2"), "{error}");
    let (mut ours, theirs) = pair().await;
    let mut below = theirs.into_inner();
    // A binary frame of a gigabyte (RFC 6455, 5.2), of which only the head comes.
    below.write_all(&[0x82, 127, 0, 0, 0, 0, 0x40, 0, 0, 0]).await.unwrap();
    let error = byte(&mut ours).await.unwrap_err().to_string();
    assert!(error.contains("a frame of more than 268435460 bytes"), "{error}");
}

#[tokio::test]
async fn saying_goodbye_is_a_close_frame() {
    let (mut ours, mut theirs) = pair().await;
    let (shut, heard) = tokio::join!(ours.shutdown(), theirs.next());
    shut.unwrap();
    assert!(heard.unwrap().unwrap().is_close());
    // Its own Close frame, and then the end of the connection.
    let _ = theirs.close(None).await;
    drop(theirs);
    assert!(byte(&mut ours).await.is_err(), "bytes behind the end");
}

#[tokio::test]
async fn each_answer_of_http_has_words_and_none_of_its_body() {
    for (status, words, lasting) in [
        (200, "nothing at this path carries WebSocket", true),
        (301, "a redirect, and none is followed", true),
        (400, "takes no WebSocket here", true),
        (401, "wants a login in HTTP", true),
        (403, "forbids this path", true),
        (404, "nothing at this path", true),
        (426, "another version", true),
        (429, "does not reach the broker now", false),
        (503, "does not reach the broker now", false),
    ] {
        let answer =
            format!("HTTP/1.1 {status} hunter2\r\nLocation: https://hunter2/\r\nContent-Length: 7\r\n\r\nhunter2");
        let Failure { cause, lasting: lasts } = refused(&answer).await;
        assert!(cause.contains(&format!("answers {status}")) && cause.contains(words), "{cause}");
        assert!(!cause.contains("hunter2"), "{cause}");
        assert_eq!(lasts, lasting, "{cause}");
    }
}

#[tokio::test]
async fn what_is_no_websocket_for_mqtt_is_refused() {
    let upgrade = "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    for (answer, words, lasting) in [
        (format!("{upgrade}Sec-WebSocket-Accept: x\r\n\r\n"), "not that of a WebSocket server", true),
        ("HTTP/1.1 101 x\r\n\r\n".to_owned(), "not that of a WebSocket server", true),
        ("\x20\x02\x00\x01".to_owned(), "no HTTP", true),
        (String::new(), "closed the connection in place of an answer", false),
    ] {
        let said = refused(&answer).await;
        assert!(said.cause.contains(words), "{}", said.cause);
        assert_eq!(said.lasting, lasting, "{}", said.cause);
    }
    // A WebSocket server of something else answers without the subprotocol.
    let (ours, theirs) = duplex(64 * 1024);
    let (ours, _theirs) =
        tokio::join!(super::upgrade(ours, "broker.example", "/mqtt"), tokio_tungstenite::accept_async(theirs));
    assert!(ours.err().unwrap().cause.contains("agrees to no subprotocol `mqtt`"));
}

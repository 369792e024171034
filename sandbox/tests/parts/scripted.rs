//! A broker that answers publishers as the test says: MQTT 5 over TLS, and nothing but CONNECT, PUBLISH and PINGREQ.

use std::sync::Arc;

use bytes::BytesMut;
use rumqttc::mqttbytes::v5::{ConnAck, ConnAckProperties, ConnectReturnCode, Packet, PubAck, PubAckReason, Publish};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sandbox::certs::PkiFiles;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

const READ_AHEAD: usize = 16 * 1024;

/// What the broker makes of a PUBLISH.
pub enum Verdict {
    /// PUBACK with this reason.
    Answer(PubAckReason),
    /// PUBACK once the client has gone quiet.
    AnswerLater,
    /// Closes the connection.
    Close,
}

/// What the broker allows, as CONNACK says.
#[derive(Clone, Copy, Default)]
pub struct Allows {
    pub receive_maximum: Option<u16>,
    pub max_packet_size: Option<u32>,
    pub max_qos: Option<u8>,
    pub retain: Option<u8>,
}

pub struct Scripted {
    pub port: u16,
    /// Every PUBLISH, with the number of those that wait for their PUBACK, itself included.
    pub seen: mpsc::UnboundedReceiver<(Publish, usize)>,
    task: JoinHandle<()>,
}

struct Script<F> {
    allows: Allows,
    judge: F,
    seen: mpsc::UnboundedSender<(Publish, usize)>,
}

impl Scripted {
    pub async fn start(
        files: &PkiFiles,
        allows: Allows,
        judge: impl Fn(&Publish) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = TlsAcceptor::from(Arc::new(server_config(files)));
        let (sender, seen) = mpsc::unbounded_channel();
        let script = Script { allows, judge, seen: sender };
        let task = tokio::spawn(async move {
            // One client at a time is all that connects here.
            while let Ok((stream, _)) = listener.accept().await {
                let _ = script.serve(&acceptor, stream).await;
            }
        });
        Self { port, seen, task }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<F: Fn(&Publish) -> Verdict> Script<F> {
    async fn serve(&self, acceptor: &TlsAcceptor, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = acceptor.accept(stream).await?;
        let (mut input, mut output, mut later) = (BytesMut::new(), BytesMut::new(), Vec::new());
        loop {
            let Ok(packet) = Packet::read(&mut input, None) else {
                // Nothing more is there: what was put off is due.
                later.drain(..).for_each(|id| answer(id, PubAckReason::Success, &mut output));
                stream.write_all(&output).await?;
                stream.flush().await?;
                output.clear();
                input.reserve(READ_AHEAD);
                if stream.read_buf(&mut input).await? == 0 {
                    return Ok(());
                }
                continue;
            };
            match packet {
                Packet::Connect(..) => self.welcome(&mut output),
                Packet::Publish(publish) => {
                    let verdict = (self.judge)(&publish);
                    let _ = self.seen.send((publish.clone(), later.len() + 1));
                    match verdict {
                        Verdict::Answer(reason) => answer(publish.pkid, reason, &mut output),
                        Verdict::AnswerLater => later.push(publish.pkid),
                        Verdict::Close => return Ok(()),
                    }
                }
                Packet::PingReq => Packet::PingResp.write(&mut output, None).map(drop).unwrap(),
                _ => return Ok(()),
            }
        }
    }

    fn welcome(&self, output: &mut BytesMut) {
        let properties = ConnAckProperties {
            session_expiry_interval: None,
            receive_max: self.allows.receive_maximum,
            max_qos: self.allows.max_qos,
            retain_available: self.allows.retain,
            max_packet_size: self.allows.max_packet_size,
            assigned_client_identifier: None,
            topic_alias_max: None,
            reason_string: None,
            user_properties: Vec::new(),
            wildcard_subscription_available: None,
            subscription_identifiers_available: None,
            shared_subscription_available: None,
            server_keep_alive: None,
            response_information: None,
            server_reference: None,
            authentication_method: None,
            authentication_data: None,
        };
        let connack =
            ConnAck { session_present: false, code: ConnectReturnCode::Success, properties: Some(properties) };
        Packet::ConnAck(connack).write(output, None).unwrap();
    }
}

fn answer(packet_id: u16, reason: PubAckReason, output: &mut BytesMut) {
    if packet_id != 0 {
        Packet::PubAck(PubAck { pkid: packet_id, reason, properties: None }).write(output, None).unwrap();
    }
}

fn server_config(files: &PkiFiles) -> ServerConfig {
    let chain = CertificateDer::pem_file_iter(&files.broker.cert).unwrap().collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(&files.broker.key).unwrap();
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}

//! A Kubernetes API server with one StatefulSet: answers over TLS to clients that send the token of the service
//! account.

use std::path::Path;
use std::process::Output;
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sandbox::world::World;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::common::PATIENCE;
use crate::replica::Replica;

/// A secret that must never appear in any output.
pub const TOKEN: &str = "hidden-token-of-the-account";
const PATH: &str = "GET /apis/apps/v1/namespaces/iot/statefulsets/bridge HTTP/1.";

pub struct ApiServer {
    port: u16,
    answer: Arc<Mutex<(u16, String)>>,
    account: TempDir,
    task: JoinHandle<()>,
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ApiServer {
    /// A server whose StatefulSet wants this many replicas.
    pub async fn wanting(world: &World, replicas: u64) -> Self {
        let files = &world.files;
        let chain = CertificateDer::pem_file_iter(&files.broker.cert).unwrap().collect::<Result<_, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_file(&files.broker.key).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let account = tempfile::tempdir().unwrap();
        std::fs::copy(&files.ca, account.path().join("ca.crt")).unwrap();
        std::fs::write(account.path().join("namespace"), "iot").unwrap();
        std::fs::write(account.path().join("token"), TOKEN).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = Arc::new(Mutex::new((500, String::new())));
        let (acceptor, answers) = (TlsAcceptor::from(Arc::new(config)), answer.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(acceptor.clone(), stream, answers.clone()));
            }
        });
        let server = Self { port, answer, account, task };
        server.wants(replicas);
        server
    }

    pub fn wants(&self, replicas: u64) {
        self.answers(
            200,
            &format!(r#"{{"kind":"StatefulSet","metadata":{{"name":"bridge"}},"spec":{{"replicas":{replicas}}}}}"#),
        );
    }

    pub fn answers(&self, status: u16, body: &str) {
        *self.answer.lock().unwrap() = (status, body.to_owned());
    }

    /// The directory of the service account.
    pub fn account(&self) -> &Path {
        self.account.path()
    }

    /// Runs the hook of a pod of this name to its end, as the chart has it.
    pub async fn pre_stop(&self, world: &World, pod: &str, bridge: &Replica) -> Output {
        let mut command = world.command().unwrap();
        command
            .args(["retire", "--if-scaled-down", "--wait", "--admin", &bridge.admin().to_string()])
            .arg("--service-account")
            .arg(self.account())
            .env("POD_NAME", pod)
            .env("KUBERNETES_SERVICE_HOST", "127.0.0.1")
            .env("KUBERNETES_SERVICE_PORT", self.port.to_string());
        let ended = tokio::time::timeout(PATIENCE, command.output()).await;
        ended.unwrap_or_else(|_| panic!("{pod}: the hook does not end: {:#?}", bridge.process.log())).unwrap()
    }
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, answer: Arc<Mutex<(u16, String)>>) -> std::io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    let mut question = Vec::new();
    while !question.ends_with(b"\r\n\r\n") {
        question.push(stream.read_u8().await?);
    }
    let question = String::from_utf8_lossy(&question).into_owned();
    let (status, body) = match answer.lock().unwrap().clone() {
        _ if !question.contains(&format!("\r\nAuthorization: Bearer {TOKEN}\r\n")) => (401, String::new()),
        _ if !question.starts_with(PATH) => (404, String::new()),
        answer => answer,
    };
    stream
        .write_all(format!("HTTP/1.0 {status} Said\r\nContent-Type: application/json\r\n\r\n{body}").as_bytes())
        .await?;
    stream.shutdown().await
}

//! Sends one GET to the API server of the pod's cluster, over TLS verified against the authority of its service
//! account. Blocks, follows no redirect, and limits the length of the response. Sends the token to nobody else.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use zeroize::Zeroizing;

use super::read_text;
use crate::crypto;
use crate::secret::Wiped;

/// For each of connecting, writing and reading.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Far more than a `StatefulSet` has: etcd takes no object above 1.5 MiB.
const LONGEST: u64 = 2 << 20;

/// The API server.
pub(super) struct Api {
    host: String,
    port: u16,
    service_account: PathBuf,
}

impl Api {
    /// The one that Kubernetes names in the environment of each container.
    pub(super) fn of_this_cluster(service_account: &Path) -> Result<Self, String> {
        let variable = |name| std::env::var(name).map_err(|_| format!("{name}: not set; this is no pod of Kubernetes"));
        let host = variable("KUBERNETES_SERVICE_HOST")?;
        let port = variable("KUBERNETES_SERVICE_PORT")?;
        let port = port.parse().map_err(|_| "KUBERNETES_SERVICE_PORT: no port".to_owned())?;
        Ok(Self { host, port, service_account: service_account.to_owned() })
    }

    /// The status and the body.
    pub(super) fn get(&self, path: &str) -> Result<(u16, String), String> {
        let token = Zeroizing::new(read_text(&self.service_account.join("token"))?);
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the token of the service account: holds more than letters, digits and signs".to_owned());
        }
        let answer = self.conversation(path, &token).map_err(|cause| {
            format!(
                "the Kubernetes API at {}: {cause}; may the pod reach it, and is `ca.crt` its authority?",
                self.authority()
            )
        })?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
        let status =
            status.ok_or_else(|| format!("the Kubernetes API at {}: the answer is not HTTP", self.authority()))?;
        Ok((status, body.to_owned()))
    }

    /// HTTP/1.0, because its answers end with the connection and come in no chunks.
    fn conversation(&self, path: &str, token: &str) -> std::io::Result<String> {
        let name = ServerName::try_from(self.host.clone()).map_err(std::io::Error::other)?;
        let session = ClientConnection::new(self.trusting()?, name).map_err(std::io::Error::other)?;
        let mut stream = StreamOwned::new(session, self.connect()?);
        let mut request = Wiped::with_room_for(512 + path.len() + token.len());
        let head = format!("GET {path} HTTP/1.0\r\nHost: {}\r\nAccept: application/json\r\n", self.authority());
        request.0.extend_from_slice(head.as_bytes());
        request.0.extend_from_slice(b"Authorization: Bearer ");
        request.0.extend_from_slice(token.as_bytes());
        request.0.extend_from_slice(b"\r\n\r\n");
        stream.write_all(&request.0)?;
        stream.flush()?;
        let mut answer = Vec::new();
        stream.take(LONGEST).read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        let mut last = std::io::Error::other("the name has no address");
        for address in (self.host.as_str(), self.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, TIMEOUT) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(TIMEOUT))?;
                    stream.set_write_timeout(Some(TIMEOUT))?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn trusting(&self) -> std::io::Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        let pem = std::fs::read(self.service_account.join("ca.crt"))?;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            roots.add(certificate.map_err(std::io::Error::other)?).map_err(std::io::Error::other)?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(crypto::provider(&[], &[])));
        let builder = builder.with_safe_default_protocol_versions().map_err(std::io::Error::other)?;
        let mut tls = builder.with_root_certificates(roots).with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(tls))
    }

    /// As it stands in a URL.
    fn authority(&self) -> String {
        match self.host.parse() {
            Ok(IpAddr::V6(address)) => format!("[{address}]:{}", self.port),
            _ => format!("{}:{}", self.host, self.port),
        }
    }
}

//! Connects through an HTTP proxy: a tunnel to the broker, in which TLS goes end to end. The proxy resolves the
//! broker's name. Its user name and password are read again for each attempt, and never shown.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::stage::Place;
use super::tls::Failure;
use crate::config;
use crate::foreign::hide;
use crate::secret::{self, Secret};
use crate::tunnel::{TunnelError, tunnel};

/// A proxy, and the login for it.
#[derive(Debug, Clone)]
pub(super) struct Proxy {
    pub(super) place: Place,
    credentials_file: Option<PathBuf>,
}

impl Proxy {
    /// That of a configuration.
    pub(super) fn of(mqtt: &config::Mqtt) -> Option<Self> {
        let config::Proxy { host, port } = mqtt.proxy.clone()?;
        Some(Self { place: Place { host, port }, credentials_file: mqtt.proxy_credentials_file.clone() })
    }

    /// A tunnel to `authority` over this connection to the proxy.
    ///
    /// # Errors
    /// Says what the proxy answers, and whether somebody has to change something.
    pub(super) async fn tunnel(&self, tcp: TcpStream, authority: &str) -> Result<TcpStream, Failure> {
        let login = match &self.credentials_file {
            Some(path) => Some(login(path).await?),
            None => None,
        };
        let opened = tunnel(tcp, authority, login.as_ref().map(|login| login.as_bytes())).await;
        opened.map_err(|error| self.explain(error, authority))
    }

    fn explain(&self, error: TunnelError, authority: &str) -> Failure {
        let (cause, lasting) = match error {
            TunnelError::Answered(407) => (self.wants_login(), true),
            TunnelError::Answered(status @ (408 | 429 | 500..=599)) => {
                (format!("the proxy answers {status}: it does not reach {authority} now"), false)
            }
            TunnelError::Answered(status) => {
                let way_out = "have it allow CONNECT to this host and port";
                (format!("the proxy refuses the way to {authority} ({status}); {way_out}"), true)
            }
            TunnelError::NotHttp => {
                let way_out = "check `mqtt.proxy`";
                (format!("what answers there is no HTTP proxy; {way_out}"), true)
            }
            TunnelError::Broken(error) => {
                (format!("the proxy closed the connection in place of an answer ({})", error.kind()), false)
            }
        };
        Failure { cause, lasting }
    }

    fn wants_login(&self) -> String {
        match &self.credentials_file {
            Some(file) => format!("the proxy does not take the user name and password in {} (407)", file.display()),
            None => {
                "the proxy wants a user name and a password (407); write `user:password` into a file and name it in \
                     `mqtt.proxy_credentials_file`"
                    .to_owned()
            }
        }
    }
}

/// The value of Proxy-Authorization (RFC 7617).
async fn login(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let unusable = |cause| Failure { cause: format!("no login: {}: {cause}", path.display()), lasting: true };
    let credentials = read(path).await.map_err(unusable)?;
    hide(credentials.bytes());
    let encoded = Zeroizing::new(BASE64_STANDARD.encode(credentials.bytes()));
    let mut login = Zeroizing::new(String::with_capacity("Basic ".len() + encoded.len()));
    login.push_str("Basic ");
    login.push_str(&encoded);
    Ok(login)
}

/// On another thread: a file system that hangs must not hang the sessions.
async fn read(path: &Path) -> Result<Secret, String> {
    let path = path.to_owned();
    match tokio::task::spawn_blocking(move || secret::read_credentials(&path)).await {
        Ok(read) => read,
        // The panic's text may contain the credentials.
        Err(_) => Err("was not read, as the thread for it has ended".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(credentials_file: Option<&str>, error: TunnelError) -> Failure {
        let place = Place { host: "proxy.example".into(), port: 3128 };
        let proxy = Proxy { place, credentials_file: credentials_file.map(PathBuf::from) };
        proxy.explain(error, "broker.example:8883")
    }

    #[test]
    fn each_answer_of_a_proxy_has_words() {
        for (file, error, words, lasting) in [
            (None, TunnelError::Answered(407), "`mqtt.proxy_credentials_file`", true),
            (
                Some("conf/proxy"),
                TunnelError::Answered(407),
                "does not take the user name and password in conf/proxy",
                true,
            ),
            (None, TunnelError::Answered(403), "refuses the way to broker.example:8883 (403)", true),
            (None, TunnelError::Answered(502), "answers 502: it does not reach broker.example:8883 now", false),
            (None, TunnelError::NotHttp, "no HTTP proxy", true),
            (None, TunnelError::Broken(std::io::ErrorKind::UnexpectedEof.into()), "closed the connection", false),
        ] {
            let said = explained(file, error);
            assert!(said.cause.contains(words) && said.lasting == lasting, "{said:?}");
        }
    }
}

//! `health`: asks a bridge on this machine how it is, for the health check of a container that has no shell. Reads no
//! configuration file: a bridge that runs must not be stopped because a file beside it is no longer right.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use clap::Args;

/// For each of connecting, asking and reading; container engines give a check some seconds.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The most of an answer to read: the troubles of many mappings, and no more than a log should take.
const LONGEST: u64 = 16 * 1024;

/// The flags of `health`.
#[derive(Debug, Clone, Args)]
pub struct HealthFlags {
    /// Where the bridge serves /livez, /startedz and /readyz
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "BRIDGE_ADMIN_LISTEN",
        hide_env_values = true,
        default_value = "127.0.0.1:9464"
    )]
    pub admin_listen: SocketAddr,
    /// Ask whether it is ready (/readyz), not only whether it lives (/livez)
    #[arg(long, conflicts_with = "started")]
    pub ready: bool,
    /// Ask whether it was ready once (/startedz): for a health check that ends a deployment which never works, and does not restart
    /// a bridge whose broker is away
    #[arg(long)]
    pub started: bool,
}

impl HealthFlags {
    /// What the bridge says of itself, when that is good.
    ///
    /// # Errors
    /// What it says when it is not, or why it cannot be asked.
    pub fn ask(&self) -> Result<String, String> {
        let path = match self {
            Self { ready: true, .. } => "/readyz",
            Self { started: true, .. } => "/startedz",
            _ => "/livez",
        };
        let answer = get(self.admin_listen, path)
            .map_err(|cause| format!("{}: {cause}; does the bridge run, and listen there?", self.admin_listen))?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        match head.strip_prefix("HTTP/1.1 ").map(|status| status.starts_with("200 ")) {
            Some(true) => Ok(body.to_owned()),
            Some(false) => Err(format!("{path}: {}", body.trim_end())),
            None => Err(format!("{}: no bridge: the answer is not HTTP", self.admin_listen)),
        }
    }
}

fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    // In one write: who reads only the first piece, answers and closes would break the next.
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: bridge\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Asks somebody who gives `answer` to whatever was asked for, and hands over the question too.
    fn ask(ready: bool, started: bool, answer: &'static str) -> (Result<String, String>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let flags = HealthFlags { admin_listen: listener.local_addr().unwrap(), ready, started };
        let server = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut question = [0; 256];
            let length = stream.read(&mut question).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&question[..length]).into_owned()
        });
        let said = flags.ask();
        (said, server.join().unwrap())
    }

    #[test]
    fn the_status_decides_and_the_reason_is_told() {
        let (said, question) = ask(false, false, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n");
        assert_eq!(said, Ok("ok\n".to_owned()));
        assert!(question.starts_with("GET /livez HTTP/1.1\r\n"), "{question}");

        let (said, question) = ask(true, false, "HTTP/1.1 503 Service Unavailable\r\n\r\nmapping `a`: connecting\n");
        assert_eq!(said, Err("/readyz: mapping `a`: connecting".to_owned()));
        assert!(question.starts_with("GET /readyz HTTP/1.1\r\n"), "{question}");

        let (said, question) = ask(false, true, "HTTP/1.1 503 Service Unavailable\r\n\r\nnever ready yet\n");
        assert_eq!(said, Err("/startedz: never ready yet".to_owned()));
        assert!(question.starts_with("GET /startedz HTTP/1.1\r\n"), "{question}");

        assert!(ask(false, false, "220 200 mail here\r\n").0.unwrap_err().ends_with("the answer is not HTTP"));
    }

    #[test]
    fn nobody_there_is_not_healthy() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = HealthFlags { admin_listen: closed, ready: false, started: false }.ask().unwrap_err();
        assert!(error.ends_with("does the bridge run, and listen there?"), "{error}");
    }
}

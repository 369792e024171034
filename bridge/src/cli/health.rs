//! `health`: asks a bridge on this machine whether it is alive, started or ready, for health checks of containers
//! without a shell.

use clap::Args;

use super::address::AdminFlags;
use super::ask::{Question, ask};

/// The most of an answer to read: the troubles of many mappings, and no more than a log should take.
const LONGEST: u64 = 16 * 1024;

/// The flags of `health`.
#[derive(Debug, Clone, Args)]
pub struct HealthFlags {
    #[command(flatten)]
    admin: AdminFlags,
    /// Check whether it is ready (/readyz), not only whether it is alive (/livez)
    #[arg(long, conflicts_with = "started")]
    pub ready: bool,
    /// Check whether it has been ready once (/startedz), for a health check that fails a deployment which never works,
    /// and does not restart a bridge whose broker is down
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
        let question = Question { method: "GET", path, token: None, longest: LONGEST };
        let (status, body) = ask(self.admin.address()?, &question)?;
        if status == 200 { Ok(body) } else { Err(format!("{path}: {}", body.trim_end())) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Asks somebody who gives `answer` to whatever was asked for, and hands over the question too.
    fn ask(ready: bool, started: bool, answer: &'static str) -> (Result<String, String>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = AdminFlags { admin_listen: listener.local_addr().ok(), config: None };
        let flags = HealthFlags { admin, ready, started };
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
        let admin = AdminFlags { admin_listen: Some(closed), config: None };
        let error = HealthFlags { admin, ready: false, started: false }.ask().unwrap_err();
        assert!(error.ends_with("does the bridge run, and listen there?"), "{error}");
    }
}

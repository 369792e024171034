//! `health`: asks a bridge on this machine how it is, for the health check of a container that has no shell. Of a configuration
//! file it reads the address alone: a bridge that runs must not be stopped because the rest is no longer right.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;

use super::ask::{Question, ask};

/// The most of an answer to read: the troubles of many mappings, and no more than a log should take.
const LONGEST: u64 = 16 * 1024;

/// Where a bridge listens unless it is configured otherwise.
const DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);

/// The flags of `health`.
#[derive(Debug, Clone, Args)]
pub struct HealthFlags {
    /// Where the bridge serves /livez, /startedz and /readyz
    #[arg(
        long,
        visible_alias = "admin",
        value_name = "ADDRESS",
        env = "BRIDGE_ADMIN_LISTEN",
        hide_env_values = true,
        help = "Where the bridge serves /livez, /startedz and /readyz [default: 127.0.0.1:9464]"
    )]
    pub admin_listen: Option<SocketAddr>,
    /// A configuration file, of which `admin.listen` alone is read
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
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
        let question = Question { method: "GET", path, token: None, longest: LONGEST };
        let (status, body) = ask(self.address()?, &question)?;
        if status == 200 { Ok(body) } else { Err(format!("{path}: {}", body.trim_end())) }
    }
}

impl HealthFlags {
    fn address(&self) -> Result<SocketAddr, String> {
        let of_file = || self.config.as_deref().map(listen_in).transpose().map(Option::flatten);
        Ok(self.admin_listen.map_or_else(of_file, |said| Ok(Some(said)))?.unwrap_or(DEFAULT))
    }
}

/// `admin.listen` of a file, where it stands there.
fn listen_in(file: &Path) -> Result<Option<SocketAddr>, String> {
    let object = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| format!("{object}: cannot be read: {}", error.kind()))?;
    let table: toml::Table = toml::from_str(&text).map_err(|_| format!("{object}: not TOML; `check` says where"))?;
    let Some(listen) = table.get("admin").and_then(|admin| admin.get("listen")) else { return Ok(None) };
    let address = listen.as_str().and_then(|text| text.parse().ok());
    address.map(Some).ok_or_else(|| format!("{object}: admin.listen: no address and port such as `{DEFAULT}`"))
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
        let flags = HealthFlags { admin_listen: listener.local_addr().ok(), config: None, ready, started };
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
    fn the_address_may_stand_in_a_file_that_is_wrong_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("bridge.toml");
        let said = |text: &str, flag: Option<&str>| {
            std::fs::write(&file, text).unwrap();
            let admin_listen = flag.map(|address| address.parse().unwrap());
            HealthFlags { admin_listen, config: Some(file.clone()), ready: false, started: false }.address()
        };
        let address = |text: &str| Ok(text.parse::<SocketAddr>().unwrap());
        assert_eq!(said("nonsense = 1\n[admin]\nlisten = \"127.0.0.1:7\"\n", None), address("127.0.0.1:7"));
        assert_eq!(said("[admin]\nlisten = \"127.0.0.1:7\"\n", Some("[::1]:8")), address("[::1]:8"));
        assert_eq!(said("[mqtt]\n", None), Ok(DEFAULT));
        assert!(said("[admin]\nlisten = 7\n", None).unwrap_err().contains("admin.listen: no address"));
        assert!(said("[admin", None).unwrap_err().contains("not TOML"));
        std::fs::remove_file(&file).unwrap();
        let gone = HealthFlags { admin_listen: None, config: Some(file.clone()), ready: false, started: false };
        assert!(gone.address().unwrap_err().contains("cannot be read"));
    }

    #[test]
    fn nobody_there_is_not_healthy() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error =
            HealthFlags { admin_listen: Some(closed), config: None, ready: false, started: false }.ask().unwrap_err();
        assert!(error.ends_with("does the bridge run, and listen there?"), "{error}");
    }
}

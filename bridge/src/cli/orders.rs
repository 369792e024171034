//! `pause` and `resume`, and the common part of all orders to a running bridge; for containers without curl.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::address::AdminFlags;
use super::ask::{Question, ask, said};
use crate::secret::{Secret, read_token};

/// More than the answer to an order has.
const LONGEST: u64 = 16 * 1024;

/// Which bridge, and by what right.
#[derive(Debug, Clone, Args)]
pub struct OrderFlags {
    #[command(flatten)]
    admin: AdminFlags,
    /// The file with the bridge's admin token, if it requires one (`admin.token_file`)
    #[arg(long, value_name = "FILE", env = "BRIDGE_ADMIN_TOKEN_FILE", hide_env_values = true)]
    token_file: Option<PathBuf>,
}

/// The flags of `pause` and `resume`.
#[derive(Debug, Clone, Args)]
pub struct MappingFlags {
    #[command(flatten)]
    order: OrderFlags,
    /// The name of the mapping, as `status` shows it
    #[arg(value_name = "MAPPING", value_parser = mapping_name)]
    mapping: String,
}

impl OrderFlags {
    /// Where the bridge answers.
    pub(super) fn address(&self) -> Result<SocketAddr, String> {
        self.admin.address()
    }

    /// Gives the order of this path. Returns what the bridge says.
    pub(super) fn give(&self, path: &str) -> Result<String, String> {
        let token = self.token()?;
        let question = Question { method: "POST", path, token: token.as_ref(), longest: LONGEST };
        match ask(self.address()?, &question)? {
            (200..=299, body) => Ok(body),
            (_, body) => Err(said(&body).to_string()),
        }
    }

    fn token(&self) -> Result<Option<Secret>, String> {
        let Some(path) = &self.token_file else { return Ok(None) };
        let token = read_token(path).map_err(|cause| format!("{}: {cause}", path.display()))?;
        // Any other byte, such as a line end, could begin another header.
        let fits = token.bytes().iter().all(u8::is_ascii_graphic);
        if fits { Ok(Some(token)) } else { Err(format!("{}: a token is of letters, digits and signs", path.display())) }
    }
}

impl MappingFlags {
    /// Holds the mapping.
    ///
    /// # Errors
    /// When the bridge cannot be asked, refuses, or has no such mapping.
    pub fn pause(&self) -> Result<String, String> {
        self.order.give(&format!("/mappings/{}/pause", self.mapping))
    }

    /// Lets it go.
    ///
    /// # Errors
    /// As [`Self::pause`].
    pub fn resume(&self) -> Result<String, String> {
        self.order.give(&format!("/mappings/{}/resume", self.mapping))
    }
}

/// Letters, digits and `-`, as in the configuration.
pub(super) fn mapping_name(text: &str) -> Result<String, String> {
    let fits =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if fits { Ok(text.to_owned()) } else { Err("not the name of a mapping".to_owned()) }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Gives an order to somebody who answers so, and hands over the question too.
    fn give(answer: &'static str, token: Option<&str>) -> (Result<String, String>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), token.unwrap_or_default()).unwrap();
        let admin = AdminFlags { admin_listen: listener.local_addr().ok(), config: None };
        let order = OrderFlags { admin, token_file: token.map(|_| file.path().to_owned()) };
        let server = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut question = [0; 512];
            let length = stream.read(&mut question).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&question[..length]).into_owned()
        });
        let said = MappingFlags { order, mapping: "devices".into() }.pause();
        (said, server.join().unwrap())
    }

    #[test]
    fn an_order_is_a_post_with_the_token() {
        let (said, question) = give("HTTP/1.1 200 OK\r\n\r\npaused\n", Some("t0ken\n"));
        assert_eq!(said.as_deref(), Ok("paused\n"));
        assert!(question.starts_with("POST /mappings/devices/pause HTTP/1.1\r\nHost: 127.0.0.1:"), "{question}");
        assert!(question.contains("\r\nAuthorization: Bearer t0ken\r\n"), "{question}");
        assert!(!give("HTTP/1.1 200 OK\r\n\r\npaused\n", None).1.contains("Authorization"));
    }

    #[test]
    fn a_refusal_is_told() {
        let (said, _) = give("HTTP/1.1 404 Not Found\r\n\r\nmapping `devices`: not found\n", None);
        assert_eq!(said, Err("mapping `devices`: not found".to_owned()));
    }

    #[test]
    fn nothing_but_a_name_is_a_mapping() {
        for name in ["", "../retire", "a b", "a\r\nb", "A", "a/pause?x"] {
            assert!(mapping_name(name).is_err(), "{name}");
        }
        assert!(mapping_name("sensor-data-2").is_ok());
    }
}

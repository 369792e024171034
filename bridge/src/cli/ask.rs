//! Sends one request to the admin endpoint of a bridge, with a minimal HTTP client. Follows no redirect and limits the
//! length of the response.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::foreign::Foreign;
use crate::secret::{Secret, Wiped};

/// For each of connecting, asking and reading; container engines give a check some seconds.
const TIMEOUT: Duration = Duration::from_secs(2);

/// What to ask.
pub(super) struct Question<'a> {
    pub(super) method: &'static str,
    /// Without spaces and line ends.
    pub(super) path: &'a str,
    /// Goes with an order.
    pub(super) token: Option<&'a Secret>,
    /// The most of an answer to read, in bytes.
    pub(super) longest: u64,
}

/// The status and the body.
///
/// # Errors
/// When nobody answers, or not by HTTP.
pub(super) fn ask(address: SocketAddr, question: &Question<'_>) -> Result<(u16, String), String> {
    let answer = conversation(address, question)
        .map_err(|cause| format!("{address}: {cause}; does the bridge run, and listen there?"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let status = status.ok_or_else(|| format!("{address}: no bridge: the answer is not HTTP"))?;
    Ok((status, body.to_owned()))
}

fn conversation(address: SocketAddr, question: &Question<'_>) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let Question { method, path, token, longest } = question;
    let mut request = Wiped::with_room_for(256 + path.len() + token.map_or(0, |token| token.bytes().len()));
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: 0\r\n");
    request.0.extend_from_slice(head.as_bytes());
    if let Some(token) = token {
        request.0.extend_from_slice(b"Authorization: Bearer ");
        request.0.extend_from_slice(token.bytes());
        request.0.extend_from_slice(b"\r\n");
    }
    request.0.extend_from_slice(b"\r\n");
    // In one write: a server that reads only the first part, answers and closes would make a second write fail.
    stream.write_all(&request.0)?;
    let mut answer = Vec::new();
    stream.take(*longest).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// What a bridge says of something that it has refused, limited.
pub(super) fn said(body: &str) -> Foreign {
    Foreign::of(body.trim_end())
}

//! HTTP/1.1 as far as these tests need it: one exchange a connection, read and answered by hand.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use super::PATIENCE;

/// A request that has come, and the connection to answer it on.
pub struct Exchange {
    pub path: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    stream: TcpStream,
}

impl Exchange {
    /// `None` for a connection that was closed before it asked anything.
    pub fn open(stream: TcpStream) -> Option<Self> {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (head, body) = message(&stream).ok()?;
        let path = head.first()?.split(' ').nth(1)?.to_owned();
        Some(Self { path, headers: headers(&head), body, stream })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// Answers, and closes the connection. One that is gone already hears nothing.
    pub fn answer(mut self, status: &str, headers: &[(&str, &str)], body: &str) {
        let headers = lines(headers);
        let length = body.len();
        let text = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}");
        let _ = self.stream.write_all(text.as_bytes());
    }
}

/// Posts to `http://{authority}/` and returns status and body.
pub fn post(authority: &str, headers: &[(&str, &str)], body: &str) -> io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(authority)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let headers = lines(headers);
    let length = body.len();
    write!(
        stream,
        "POST / HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )?;
    let (head, body) = message(&stream)?;
    let status = head.first().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    Ok((status.ok_or(io::ErrorKind::InvalidData)?, body))
}

fn lines(headers: &[(&str, &str)]) -> String {
    headers.iter().flat_map(|(name, value)| [name, ": ", value, "\r\n"]).collect()
}

fn message(stream: &TcpStream) -> io::Result<(Vec<String>, Vec<u8>)> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let length = find(&headers(&head), "content-length").and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    Ok((head, body))
}

fn headers(head: &[String]) -> Vec<(String, String)> {
    let pair = |line: &String| line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
    head.iter().skip(1).filter_map(pair).collect()
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

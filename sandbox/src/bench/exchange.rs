//! Measures what the system calls of an invocation take by themselves: one write of a request and one read of a response
//! over loopback, by one thread for many connections, without HTTP and without a signature. The reads block, where a
//! client of many connections waits for events instead.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use serde::Serialize;

use super::header::Header;
use super::picture::bars::{Bars, Column, Row};

/// As many as the bridge has in the cases beside which it is read.
const CONNECTIONS: usize = 64;
/// About the bytes of a small invocation.
const REQUEST: usize = 900;
const RESPONSE: usize = 200;
/// Exchanges on each connection in a run.
const ROUNDS: u32 = 2_000;

/// The figure, below a header.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Exchange {
    pub(super) header: Header,
    /// User and system time of the thread that asks, a request.
    pub(super) exchange_us: f64,
}

/// The shortest of several runs, in microseconds of CPU: other work only makes it longer.
///
/// # Errors
/// When there is no loopback, or no `/proc`.
pub(super) fn measure(runs: u32) -> io::Result<f64> {
    measure_rounds(runs, ROUNDS)
}

fn measure_rounds(runs: u32, rounds: u32) -> io::Result<f64> {
    let times = (0..runs).map(|_| run(rounds)).collect::<io::Result<Vec<_>>>()?;
    Ok(times.into_iter().fold(f64::INFINITY, f64::min))
}

fn run(rounds: u32) -> io::Result<f64> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let answering = thread::spawn(move || answer(&listener, rounds));
    let connections = (0..CONNECTIONS).map(|_| connected(TcpStream::connect(address)?));
    let mut connections = connections.collect::<io::Result<Vec<_>>>()?;
    let (request, mut response) = ([b'q'; REQUEST], [0; RESPONSE]);
    let before = cpu_of_this_thread()?;
    for _ in 0..rounds {
        connections.iter_mut().try_for_each(|connection| connection.write_all(&request))?;
        connections.iter_mut().try_for_each(|connection| connection.read_exact(&mut response))?;
    }
    let took = cpu_of_this_thread()? - before;
    answering.join().map_err(|_| io::Error::other("the side that answers has panicked"))??;
    #[expect(clippy::cast_precision_loss, reason = "a figure for a person")]
    Ok(took as f64 / 1e3 / (CONNECTIONS as f64 * f64::from(rounds)))
}

fn answer(listener: &TcpListener, rounds: u32) -> io::Result<()> {
    let connections = (0..CONNECTIONS).map(|_| connected(listener.accept()?.0));
    let mut connections = connections.collect::<io::Result<Vec<_>>>()?;
    let (mut request, response) = ([0; REQUEST], [b'a'; RESPONSE]);
    for _ in 0..rounds {
        for connection in &mut connections {
            connection.read_exact(&mut request)?;
            connection.write_all(&response)?;
        }
    }
    Ok(())
}

fn connected(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// User and system time in nanoseconds: the first field of `schedstat`.
fn cpu_of_this_thread() -> io::Result<u64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let time = stat.split_whitespace().next().and_then(|field| field.parse().ok());
    time.ok_or_else(|| io::Error::other("the kernel's line on this thread is not understood"))
}

impl Exchange {
    pub(super) fn picture(&self) -> Bars {
        let values = vec![Some(self.exchange_us)];
        Bars {
            title: "What one write and one read take, without HTTP".to_owned(),
            lines: self.header.lines().into(),
            loud: self.header.warning().into_iter().collect(),
            rows: vec![Row { label: WHAT.to_owned(), is_own: false, is_loud: false }],
            columns: vec![Column { name: "CPU, µs a request".to_owned(), digits: 1, values }],
        }
    }
}

const WHAT: &str = "one write and one read over loopback, 64 connections";

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.header)?;
        writeln!(f, "{:>12}  what", "CPU µs")?;
        writeln!(f, "{:>12.1}  {WHAT}", self.exchange_us)
    }
}

#[cfg(test)]
mod tests {
    use super::super::header::tests::header;
    use super::*;

    #[test]
    fn an_exchange_takes_some_time_and_says_of_what() {
        let whole = Exchange { header: header("debug"), exchange_us: measure_rounds(1, 10).unwrap() };
        assert!(whole.exchange_us > 0.0, "{whole}");
        assert!(whole.to_string().contains("DEBUG BUILD") && whole.to_string().contains("one write and one read"));
        assert!(whole.picture().draw().unwrap().contains("CPU, µs a request"));
    }
}

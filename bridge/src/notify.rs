//! Reports the state of the bridge to the service manager by systemd's `sd_notify` protocol, a datagram to the socket
//! that the variable `NOTIFY_SOCKET` names. Does nothing without that variable. Never waits.

use std::env;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// The longest status, in characters.
const LONGEST_STATUS: usize = 300;

/// The way to the service manager, and its watchdog.
#[derive(Debug)]
pub struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Interval>,
}

impl Notifier {
    /// As the environment says.
    #[must_use]
    pub fn from_environment() -> Self {
        let number = |name| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        // A watchdog that is for another process of the service is not ours.
        let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|_| is_ours).map(Duration::from_micros);
        Self::new(env::var_os("NOTIFY_SOCKET").as_deref(), watchdog)
    }

    /// To `socket`, which begins with `@` if it is an abstract socket; the watchdog fires after this time without a
    /// message.
    #[must_use]
    pub fn new(socket: Option<&OsStr>, watchdog: Option<Duration>) -> Self {
        let open = |name: &OsStr| Some((unbound()?, address(name)?));
        let socket = socket.filter(|name| !name.is_empty()).and_then(open);
        let watchdog = watchdog.filter(|period| socket.is_some() && !period.is_zero()).map(|period| {
            let half = period / 2;
            let mut beats = interval_at(Instant::now() + half, half);
            beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
            beats
        });
        Self { socket, watchdog }
    }

    /// It was ready, as `/readyz` says.
    pub fn ready(&self) {
        self.say("READY=1");
    }

    /// How it stands, for `systemctl status`.
    pub fn status(&self, words: &str) {
        // A field ends with its line.
        let line: String = words.lines().next().unwrap_or_default().chars().take(LONGEST_STATUS).collect();
        self.say(&format!("STATUS={line}"));
    }

    /// In-flight messages are finished.
    pub fn stopping(&self) {
        self.say("STOPPING=1\nSTATUS=draining");
    }

    /// Feeds the watchdog, again and again; pends for ever without one. Cancel safe.
    pub async fn beat(&mut self) {
        let Some(watchdog) = &mut self.watchdog else { return std::future::pending().await };
        watchdog.tick().await;
        self.say("WATCHDOG=1");
    }

    fn say(&self, state: &str) {
        if let Some((socket, address)) = &self.socket {
            // If the service manager does not get it, the worst case is a restart of the bridge.
            let _ = socket.send_to_addr(state.as_bytes(), address);
        }
    }
}

fn unbound() -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    socket.set_nonblocking(true).ok()?;
    Some(socket)
}

fn address(name: &OsStr) -> Option<SocketAddr> {
    #[cfg(target_os = "linux")]
    if let Some(name) = name.as_bytes().strip_prefix(b"@") {
        use std::os::linux::net::SocketAddrExt;
        return SocketAddr::from_abstract_name(name).ok();
    }
    name.as_bytes().starts_with(b"/").then(|| SocketAddr::from_pathname(name).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        // A datagram on this machine is there at once.
        socket.set_nonblocking(true).unwrap();
        let mut buffer = [0; 512];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn the_manager_hears_what_becomes_of_the_bridge() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let mut notifier = Notifier::new(Some(path.as_os_str()), Some(Duration::from_secs(20)));
        notifier.ready();
        assert_eq!(heard(&manager), "READY=1");
        notifier.status("not ready: mapping `m`: no\nREADY=1");
        assert_eq!(heard(&manager), "STATUS=not ready: mapping `m`: no");
        notifier.status(&"x".repeat(1000));
        assert_eq!(heard(&manager).len(), "STATUS=".len() + LONGEST_STATUS);
        let begun = Instant::now();
        notifier.beat().await;
        assert_eq!((begun.elapsed(), heard(&manager)), (Duration::from_secs(10), "WATCHDOG=1".to_owned()));
        notifier.stopping();
        assert!(heard(&manager).starts_with("STOPPING=1\n"));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn an_abstract_socket_is_found() {
        use std::os::linux::net::SocketAddrExt;
        let name = format!("mqtt-lambda-bridge-{:032x}", fastrand::u128(..));
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        Notifier::new(Some(OsStr::new(&format!("@{name}"))), None).ready();
        assert_eq!(heard(&manager), "READY=1");
    }

    #[tokio::test]
    async fn without_a_manager_nothing_is_said_and_nothing_fails() {
        for socket in [None, Some(""), Some("relative"), Some("/nowhere/at/all")] {
            let notifier = Notifier::new(socket.map(OsStr::new), None);
            notifier.ready();
            assert!(notifier.watchdog.is_none());
        }
    }
}

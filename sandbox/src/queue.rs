//! A local SQS with one queue: takes, lends and deletes messages as the service does, and fails on request.
//!
//! Speaks AWS JSON 1.0, as today's SDKs do. It never checks signatures, keeps nothing on disk, and knows no order
//! within the groups of a FIFO queue.

mod api;
mod store;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::lambda::http;
use store::Store;
pub(crate) use store::hexadecimal;
pub use store::{Message, md5};

/// What the queue does in place of its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Resets every connection.
    Down,
    /// Answers after this long, as if nothing were the matter.
    Slow(Duration),
    /// 503.
    Unavailable,
    /// 403: the caller's role has no permission.
    AccessDenied,
    /// Stores messages and confirms other bytes than those sent.
    WrongSum,
}

/// A running queue. Dropping it ends the server.
#[derive(Debug)]
pub struct Queue {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    name: &'static str,
    is_fifo: bool,
    store: Mutex<Store>,
    trouble: Mutex<Option<Trouble>>,
    /// `MaximumMessageSize`.
    limit: AtomicUsize,
    /// Whether nobody may ask for its attributes.
    is_reticent: AtomicBool,
    /// Messages that somebody tried to send.
    attempts: AtomicUsize,
    /// Times that it told its attributes.
    asked: AtomicUsize,
    /// Told when there may be a message for somebody who waits.
    changed: Notify,
}

impl Queue {
    /// A standard queue.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start() -> io::Result<Self> {
        Self::named("dead-letters", false).await
    }

    /// A FIFO queue.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start_fifo() -> io::Result<Self> {
        Self::named("dead-letters.fifo", true).await
    }

    async fn named(name: &'static str, is_fifo: bool) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (store, trouble) = (Mutex::default(), Mutex::default());
        let (limit, is_reticent) = (api::MESSAGE_LIMIT.into(), false.into());
        let (attempts, asked) = (0.into(), 0.into());
        let changed = Notify::new();
        let shared = Arc::new(Shared { name, is_fifo, store, trouble, limit, is_reticent, attempts, asked, changed });
        let api = Arc::clone(&shared);
        let server = tokio::spawn(http::serve(listener, move |request| api::route(Arc::clone(&api), request)));
        Ok(Self { shared, address, server })
    }

    /// What a configuration names it by.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/{}/{}", self.address, crate::lambda::ACCOUNT, self.shared.name)
    }

    /// Puts a message in from the side.
    pub fn put(&self, body: impl Into<String>) {
        lock(&self.shared.store).put(body.into(), None, None);
        self.shared.changed.notify_waiters();
    }

    /// What has been sent and not deleted, in order.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        lock(&self.shared.store).messages.clone()
    }

    /// Lets the time of all messages that somebody holds be over.
    pub fn release_all(&self) {
        lock(&self.shared.store).release_all();
        self.shared.changed.notify_waiters();
    }

    /// From now on it takes messages of so many bytes, and refuses to be asked for its attributes or not.
    pub fn limit(&self, bytes: usize, is_reticent: bool) {
        self.shared.limit.store(bytes, Ordering::Relaxed);
        self.shared.is_reticent.store(is_reticent, Ordering::Relaxed);
    }

    /// How many messages somebody has tried to send, refused ones included.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.shared.attempts.load(Ordering::Relaxed)
    }

    /// How often it has told its attributes.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::Relaxed)
    }

    /// From now on it is in this trouble, or in none.
    pub fn trouble(&self, trouble: Option<Trouble>) {
        *lock(&self.shared.trouble) = trouble;
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Locks, also after a panic elsewhere: nothing here is left half-written.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

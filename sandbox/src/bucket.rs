//! A local S3 with one bucket: takes, lists, gives and deletes objects as the service does, and fails on request.
//!
//! Speaks the REST API, with the bucket in the path. It wants every request signed and checks what is said about the
//! body, but no signature; it keeps nothing on disk.

mod api;
mod request;
mod store;
mod xml;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::lambda::http;
pub use store::Object;
use store::Store;

/// The bucket's name.
const NAME: &str = "dead-letters";
/// What the keys of its letters begin with.
const PREFIX: &str = "letters/";

/// What the bucket does in place of its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Resets every connection.
    Down,
    /// Answers after this long, as if nothing were the matter.
    Slow(Duration),
    /// 503, with which S3 asks for a slower pace.
    SlowDown,
    /// 403: the caller's role has no permission.
    AccessDenied,
    /// 403 for all that would change something.
    ReadOnly,
    /// 301: the bucket is in the region `eu-west-1`, and was asked in another.
    OtherRegion,
    /// 404: somebody has removed the bucket.
    NoSuchBucket,
    /// Stores objects and resets the connection.
    CutAfterStoring,
    /// Stores objects and confirms other bytes than those sent.
    WrongSum,
    /// Stores objects and confirms no bytes at all, as an old store that encrypts with a key of the customer's.
    NoSum,
    /// Gives other bytes than those stored.
    Damaged,
}

/// A running bucket. Dropping it ends the server.
#[derive(Debug)]
pub struct Bucket {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    store: Mutex<Store>,
    trouble: Mutex<Option<Trouble>>,
}

impl Bucket {
    /// An empty one.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (address, shared) = (listener.local_addr()?, Arc::new(Shared::default()));
        let api = Arc::clone(&shared);
        let server = tokio::spawn(http::serve(listener, move |request| api::route(Arc::clone(&api), request)));
        Ok(Self { shared, address, server })
    }

    /// Where it is, by a name as services have one.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://localhost:{}", self.address.port())
    }

    /// What a configuration names it by, with its endpoint.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/{NAME}/{PREFIX}", self.address)
    }

    /// What a configuration names it by where the endpoint is known.
    #[must_use]
    pub fn name(&self) -> String {
        format!("s3://{NAME}/{PREFIX}")
    }

    /// Puts an object in from the side; its key begins as those of letters do.
    pub fn put(&self, name: &str, body: impl Into<Bytes>) {
        let body = body.into();
        let sum = request::sha256(&body);
        lock(&self.shared.store).put(format!("{PREFIX}{name}"), body, Some(sum));
    }

    /// Puts an object in from the side that has so many bytes, of which none is kept: who reads it gets none.
    pub fn put_hollow(&self, name: &str, size: usize) {
        lock(&self.shared.store).put_hollow(format!("{PREFIX}{name}"), size);
    }

    /// What has been put and not deleted, in the order of the keys.
    #[must_use]
    pub fn objects(&self) -> Vec<Object> {
        lock(&self.shared.store).objects()
    }

    /// From now on it is in this trouble, or in none.
    pub fn trouble(&self, trouble: Option<Trouble>) {
        *lock(&self.shared.trouble) = trouble;
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Locks, also after a panic elsewhere: nothing here is left half-written.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! A value with listeners for its changes, which are woken in the order in which they began to wait.
//!
//! `tokio::sync::watch` does the same but wakes its receivers in random order, and the first one woken connects, asks
//! or ends first, so a simulated world could not be played again from its seed. Where there is only one listener, the
//! bridge uses `watch`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The value and its teller. Cheap to clone; all clones hold the same value.
#[derive(Debug, Clone)]
pub struct Latest<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    value: Mutex<Counted<T>>,
    changed: Notify,
}

#[derive(Debug)]
struct Counted<T> {
    value: T,
    /// How often it has changed.
    changes: u64,
}

/// One who listens. A clone knows of the same changes as its original.
#[derive(Debug, Clone)]
pub struct Heard<T> {
    latest: Latest<T>,
    /// The last change that it has seen.
    changes: u64,
}

impl<T: Copy> Latest<T> {
    /// Begins with `value`.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(Arc::new(Shared { value: Mutex::new(Counted { value, changes: 0 }), changed: Notify::new() }))
    }

    /// The value now.
    #[must_use]
    pub fn get(&self) -> T {
        self.lock().value
    }

    /// Changes the value and wakes all who wait, if `change` says that it did; returns what it was.
    pub fn update(&self, change: impl FnOnce(&mut T) -> bool) -> T {
        let mut now = self.lock();
        let before = now.value;
        if change(&mut now.value) {
            now.changes += 1;
            drop(now);
            self.0.changed.notify_waiters();
        }
        before
    }

    /// Sets the value and returns the old one. If both are equal, no listener is woken.
    pub fn replace(&self, value: T) -> T
    where
        T: PartialEq,
    {
        self.update(|now| std::mem::replace(now, value) != value)
    }

    /// A listener for every change from now on.
    #[must_use]
    pub fn listen(&self) -> Heard<T> {
        Heard { latest: self.clone(), changes: self.lock().changes }
    }

    fn lock(&self) -> MutexGuard<'_, Counted<T>> {
        self.0.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Copy> Heard<T> {
    /// The value now, seen or not.
    #[must_use]
    pub fn get(&self) -> T {
        self.latest.get()
    }

    /// Waits for a change that it has not seen. Several changes at once are one. Cancel safe.
    pub async fn changed(&mut self) {
        loop {
            // Registered before the look, so that a change in between is not missed.
            let told = self.latest.0.changed.notified();
            let changes = self.latest.lock().changes;
            if changes != self.changes {
                self.changes = changes;
                return;
            }
            told.await;
        }
    }

    /// Waits until the value is one that `fits`, and returns it. Cancel safe.
    pub async fn wait_for(&mut self, fits: impl Fn(&T) -> bool) -> T {
        loop {
            let told = self.latest.0.changed.notified();
            let (value, changes) = {
                let now = self.latest.lock();
                (now.value, now.changes)
            };
            self.changes = changes;
            if fits(&value) {
                return value;
            }
            told.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_are_told_in_the_order_in_which_they_began_to_wait() {
        let latest = Latest::new(0);
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        for number in 0..20 {
            let (mut heard, tell) = (latest.listen(), tell.clone());
            tokio::spawn(async move {
                heard.wait_for(|value| *value >= 2).await;
                let _ = tell.send(number);
            });
        }
        drop(tell);
        for value in [1, 2] {
            tokio::task::yield_now().await;
            latest.replace(value);
        }
        for number in 0..20 {
            assert_eq!(told.recv().await, Some(number));
        }
        assert_eq!(told.recv().await, None);
    }

    #[tokio::test]
    async fn several_changes_are_one_and_none_is_none() {
        let latest = Latest::new('a');
        let mut heard = latest.listen();
        latest.replace('b');
        assert_eq!((latest.replace('c'), heard.get()), ('b', 'c'));
        heard.changed().await;
        latest.replace('c');
        let mut late = latest.listen();
        tokio::select! {
            biased;
            () = heard.changed() => panic!("there was no change"),
            () = late.changed() => panic!("there was no change for the late one either"),
            () = std::future::ready(()) => {}
        }
    }
}

//! The current concurrency limit: one more for each round without an error, fewer when Lambda throttles or fails
//! (additive increase, multiplicative decrease). Never above the configured limit.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// The factor by which an error lowers the limit.
const DECREASE: f64 = 0.7;
/// Invocations that run at the same time fail at the same time; this counts as one error, not many.
const ONE_TROUBLE: Duration = Duration::from_millis(500);

/// How the result of an invocation changes the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// It was taken.
    Fine,
    /// It was refused for too many, or the service failed.
    Trouble,
}

/// Gives out permission to invoke.
#[derive(Debug)]
pub struct Limiter {
    permits: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    most: usize,
    allowed: f64,
    /// Permits that exist, given out or not.
    existing: usize,
    last_trouble: Option<Instant>,
}

impl Limiter {
    /// Starts at the most that is configured.
    #[must_use]
    pub fn new(most: usize) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "at most 10,000")]
        let allowed = most as f64;
        let state = State { most, allowed, existing: most, last_trouble: None };
        Self { permits: Semaphore::new(most), state: Mutex::new(state) }
    }

    /// Waits for permission. It must be given back with [`Limiter::done`].
    pub async fn permit(&self) {
        // The semaphore is never closed.
        if let Ok(permit) = self.permits.acquire().await {
            permit.forget();
        }
    }

    /// Gives permission back, with what the invocation has shown. Returns how many may run from now on.
    pub fn done(&self, load: Load, now: Instant) -> usize {
        let mut state = self.state();
        state.learn(load, now);
        let allowed = state.whole();
        if state.existing > allowed {
            state.existing -= 1;
        } else {
            let more = allowed - state.existing;
            state.existing = allowed;
            self.permits.add_permits(1 + more);
        }
        allowed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn learn(&mut self, load: Load, now: Instant) {
        #[allow(clippy::cast_precision_loss, reason = "at most 10,000")]
        let most = self.most as f64;
        match load {
            Load::Fine => self.allowed = (self.allowed + 1.0 / self.allowed).min(most),
            Load::Trouble => {
                let same = self.last_trouble.is_some_and(|last| now.saturating_duration_since(last) < ONE_TROUBLE);
                if !same {
                    self.allowed = (self.allowed * DECREASE).max(1.0);
                    self.last_trouble = Some(now);
                }
            }
        }
    }

    fn whole(&self) -> usize {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 10,000")]
        let whole = self.allowed as usize;
        whole.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many rounds of as many invocations as there may be, half a second each.
    async fn rounds(limiter: &Limiter, load: Load, rounds: u32, now: &mut Instant) -> usize {
        let mut allowed = limiter.state().whole();
        for _ in 0..rounds {
            *now += ONE_TROUBLE;
            let running = limiter.permits.available_permits();
            for _ in 0..running {
                limiter.permit().await;
            }
            for _ in 0..running {
                allowed = limiter.done(load, *now);
            }
            assert_eq!(limiter.permits.available_permits(), allowed.min(running.max(allowed)));
        }
        allowed
    }

    #[tokio::test]
    async fn falls_fast_and_recovers_slowly_up_to_what_is_configured() {
        let (limiter, mut now) = (Limiter::new(64), Instant::now());
        assert_eq!(rounds(&limiter, Load::Fine, 3, &mut now).await, 64);
        assert_eq!(rounds(&limiter, Load::Trouble, 1, &mut now).await, 44);
        assert!(rounds(&limiter, Load::Trouble, 20, &mut now).await == 1, "never below one");
        let recovered = rounds(&limiter, Load::Fine, 10, &mut now).await;
        assert!((5..=15).contains(&recovered), "{recovered}");
        assert_eq!(rounds(&limiter, Load::Fine, 200, &mut now).await, 64);
    }

    #[tokio::test]
    async fn failures_at_one_moment_are_one_trouble() {
        let (limiter, now) = (Limiter::new(100), Instant::now());
        for _ in 0..50 {
            limiter.permit().await;
        }
        let allowed: Vec<_> = (0..50).map(|_| limiter.done(Load::Trouble, now)).collect();
        assert!(allowed.iter().all(|allowed| *allowed == 70), "{allowed:?}");
    }
}

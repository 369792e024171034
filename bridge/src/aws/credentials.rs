//! Fetches credentials before a call begins: from the SDK's chain, with a deadline of their own, kept until shortly
//! before they expire. Only the SDK and the signer get a secret from this file.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature as Feature;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use tokio::time::timeout;

use super::guard::{Panicked, caught};
use super::words::causes;
use crate::foreign::hide;

/// The longest that a source may take. A container's endpoint answers in milliseconds, STS within a second or two.
const DEADLINE: Duration = Duration::from_secs(10);
/// Credentials are replaced so long before they expire.
const EARLY: Duration = Duration::from_mins(1);
/// Credentials that name no end are read again after this time: a file may have changed.
const KEPT: Duration = Duration::from_mins(15);
/// Credentials that were just fetched are not fetched again, though AWS refuses them.
const REFUSED_FOR: Duration = Duration::from_secs(5);
/// All who wait for a source that fails get the one answer.
const FAILED_FOR: Duration = Duration::from_secs(1);

/// Waits for credentials, and provides those that there are. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Ready(Arc<Shared>);

struct Shared {
    source: Option<SharedCredentialsProvider>,
    /// `AWS_PROFILE`, which the SDK's texts do not name when there is none of this name.
    profile: Option<String>,
    /// Held over a fetch, so that there is one at a time.
    fetching: tokio::sync::Mutex<Option<(Instant, String)>>,
    kept: Mutex<Option<Kept>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

struct Kept {
    /// Shared by all calls: a copy of credentials copies all that the SDK keeps with them.
    identity: Arc<Identity>,
    fetched_at: SystemTime,
    fetch_again: SystemTime,
    /// AWS has refused what they signed.
    are_refused: bool,
}

impl Kept {
    /// They serve until there are others.
    fn are_valid(&self) -> bool {
        self.identity.credentials.expiry().map_or(!self.are_refused, |at| at > SystemTime::now())
    }
}

/// The credentials that sign a request.
pub(crate) struct Identity {
    pub(crate) credentials: Credentials,
    /// How many were fetched before: the same number is the same credentials.
    pub(crate) generation: u64,
}

impl Ready {
    pub(super) fn new(source: Option<SharedCredentialsProvider>, profile: Option<String>) -> Self {
        Self(Arc::new(Shared { source, profile, fetching: tokio::sync::Mutex::new(None), kept: Mutex::new(None) }))
    }

    /// Returns at once while those that there are last.
    pub(crate) async fn ready(&self) -> Result<(), String> {
        if self.is_fresh() {
            return Ok(());
        }
        let mut failed = self.0.fetching.lock().await;
        // Another task may have fetched them while this one waited for the lock.
        if self.is_fresh() {
            return Ok(());
        }
        if let Some((at, cause)) = &*failed
            && at.elapsed() < FAILED_FOR
        {
            return if self.are_valid() { Ok(()) } else { Err(cause.clone()) };
        }
        let named = |cause| match &self.0.profile {
            Some(profile) => format!("AWS_PROFILE is `{profile}`, which gives none: {cause}"),
            None => cause,
        };
        let fetched = self.fetch().await.map_err(named);
        if let Err(cause) = &fetched {
            *failed = Some((Instant::now(), cause.clone()));
            if self.are_valid() {
                return Ok(());
            }
        }
        fetched
    }

    fn are_valid(&self) -> bool {
        self.kept().as_ref().is_some_and(Kept::are_valid)
    }

    async fn fetch(&self) -> Result<(), String> {
        let Some(source) = &self.0.source else { return Err("there is no source of credentials".into()) };
        let credentials = match timeout(DEADLINE, caught(source.provide_credentials())).await {
            Ok(Ok(fetched)) => fetched.map_err(|error| causes(&error))?,
            Ok(Err(Panicked)) => {
                return Err("their source panicked: something of its configuration cannot be used".into());
            }
            Err(_) => return Err(format!("their source has not answered within {DEADLINE:?}")),
        };
        hide_from_texts(&credentials);
        let now = SystemTime::now();
        let fetch_again = match credentials.expiry() {
            // Credentials that expire within the minute are used, and fetched again at the next call.
            Some(at) => at.checked_sub(EARLY).unwrap_or(now),
            None => now + KEPT,
        };
        let mut kept = self.kept();
        let generation = kept.as_ref().map_or(0, |kept| kept.identity.generation + 1);
        let identity = Arc::new(Identity { credentials, generation });
        *kept = Some(Kept { identity, fetched_at: now, fetch_again, are_refused: false });
        Ok(())
    }

    /// AWS has refused a request that these signed, before their end as far as it is known: they were revoked or
    /// exchanged, or the clock is late. The next call fetches others.
    pub(crate) fn refused(&self, generation: u64) {
        let now = SystemTime::now();
        let mut kept = self.kept();
        if let Some(kept) = kept.as_mut().filter(|kept| kept.identity.generation == generation)
            && kept.fetched_at + REFUSED_FOR <= now
        {
            kept.fetch_again = now;
            kept.are_refused = true;
        }
    }

    fn is_fresh(&self) -> bool {
        self.kept().as_ref().is_some_and(|kept| SystemTime::now() < kept.fetch_again)
    }

    /// The source of the current credentials, as text.
    pub(crate) fn origin(&self) -> &'static str {
        // The SDK hides this in its documentation, because it is for its own user agent. If it is empty, nothing is
        // shown.
        let kept = self.kept();
        let features = kept.as_ref().and_then(|kept| kept.identity.credentials.get_property::<Vec<Feature>>());
        features.and_then(|features| features.last()).map_or("a source that does not say its name", origin)
    }

    /// Those for the next call, at once while they last.
    pub(crate) async fn identity(&self) -> Result<Arc<Identity>, String> {
        let fresh = |kept: &&Kept| SystemTime::now() < kept.fetch_again;
        if let Some(kept) = self.kept().as_ref().filter(fresh) {
            return Ok(Arc::clone(&kept.identity));
        }
        Box::pin(self.ready()).await?;
        let kept = self.kept().as_ref().map(|kept| Arc::clone(&kept.identity));
        kept.ok_or_else(|| "none were fetched".to_owned())
    }

    fn current(&self) -> Option<Credentials> {
        self.kept().as_ref().map(|kept| kept.identity.credentials.clone())
    }

    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Real ones are 40 characters and more. What emulators take is as short as `test`, which is in many a text.
fn hide_from_texts(credentials: &Credentials) {
    const SHORTEST: usize = 16;
    let secrets = [Some(credentials.secret_access_key()), credentials.session_token()];
    secrets.into_iter().flatten().filter(|secret| secret.len() >= SHORTEST).for_each(|secret| hide(secret.as_bytes()));
}

/// For the SDK. Callers that have not waited before their call, such as S3 and SQS, wait here.
impl ProvideCredentials for Ready {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        if self.is_fresh()
            && let Some(credentials) = self.current()
        {
            return future::ProvideCredentials::ready(Ok(credentials));
        }
        future::ProvideCredentials::new(async {
            self.ready().await.map_err(CredentialsError::provider_error)?;
            self.current().ok_or_else(|| CredentialsError::not_loaded("none were fetched"))
        })
    }
}

fn origin(feature: &Feature) -> &'static str {
    match feature {
        Feature::CredentialsEnvVars => "the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        Feature::CredentialsProfile => "a profile of the shared configuration files",
        Feature::CredentialsProcess => "the credential_process of a profile",
        Feature::CredentialsSso => "an SSO session",
        Feature::CredentialsImds => "the instance's role (IMDS)",
        Feature::CredentialsHttp => "the container's role (ECS or EKS endpoint)",
        Feature::CredentialsProfileStsWebIdToken
        | Feature::CredentialsEnvVarsStsWebIdToken
        | Feature::CredentialsStsAssumeRoleWebId => "a role by web identity (STS)",
        Feature::CredentialsStsAssumeRole => "a role that was assumed (STS)",
        _ => "a source that does not say its name",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Hangs, then gives what it has.
    #[derive(Debug)]
    struct Source {
        takes: Duration,
        lasts: Option<Duration>,
        asked: Arc<AtomicUsize>,
    }

    impl ProvideCredentials for Source {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            self.asked.fetch_add(1, Ordering::Relaxed);
            future::ProvideCredentials::new(async {
                tokio::time::sleep(self.takes).await;
                let expiry = self.lasts.map(|lasts| SystemTime::now() + lasts);
                Ok(Credentials::new("key", "secret", None, expiry, "test"))
            })
        }
    }

    fn ready(takes: Duration, lasts: Option<Duration>) -> (Ready, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let source = Source { takes, lasts, asked: asked.clone() };
        (Ready::new(Some(SharedCredentialsProvider::new(source)), None), asked)
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_hangs_is_an_error_in_time_and_asked_once_by_many() {
        let (ready, asked) = ready(Duration::from_hours(1), None);
        let begun = tokio::time::Instant::now();
        let (one, two, three) = tokio::join!(ready.ready(), ready.ready(), ready.ready());
        assert!(one.unwrap_err().contains("10s") && two.is_err() && three.is_err());
        assert_eq!((begun.elapsed(), asked.load(Ordering::Relaxed)), (DEADLINE, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_lasts_is_fetched_once_and_what_is_about_to_end_again() {
        for (lasts, expected) in [(None, 1), (Some(Duration::from_hours(1)), 1), (Some(Duration::from_secs(30)), 3)] {
            let (ready, asked) = ready(Duration::ZERO, lasts);
            for _ in 0..3 {
                assert_eq!(ready.ready().await, Ok(()));
            }
            assert_eq!(asked.load(Ordering::Relaxed), expected, "{lasts:?}");
        }
    }

    /// Gives some that last so long, and then fails.
    #[derive(Debug)]
    struct Once(AtomicUsize, Option<Duration>);

    impl Once {
        fn that_last(time: Option<Duration>) -> Ready {
            Ready::new(Some(SharedCredentialsProvider::new(Self(AtomicUsize::new(0), time))), None)
        }
    }

    impl ProvideCredentials for Once {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::ready(match self.0.fetch_add(1, Ordering::Relaxed) {
                0 => {
                    let expiry = self.1.map(|time| SystemTime::now() + time);
                    Ok(Credentials::new("key", "secret", None, expiry, "test"))
                }
                _ => Err(CredentialsError::provider_error("away")),
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn while_their_source_fails_those_that_have_not_expired_serve_everybody() {
        let ready = Once::that_last(Some(Duration::from_secs(30)));
        assert_eq!(ready.ready().await, Ok(()));
        let all = tokio::join!(ready.ready(), ready.ready(), ready.ready());
        assert_eq!(all, (Ok(()), Ok(()), Ok(())));
    }

    #[tokio::test(start_paused = true)]
    async fn while_their_source_fails_those_without_an_end_serve_until_aws_refuses_them() {
        let ready = Once::that_last(None);
        assert_eq!(ready.ready().await, Ok(()));
        ready.kept().as_mut().unwrap().fetch_again = SystemTime::now();
        for _ in 0..2 {
            assert_eq!(ready.ready().await, Ok(()));
        }
        ready.kept().as_mut().unwrap().fetched_at -= REFUSED_FOR;
        ready.refused(0);
        assert!(ready.ready().await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_aws_refuses_are_fetched_again_unless_they_are_new_or_others_are_there() {
        let (ready, asked) = ready(Duration::ZERO, None);
        let generation = async || ready.identity().await.unwrap().generation;
        assert_eq!(generation().await, 0);
        ready.refused(0);
        assert_eq!(generation().await, 0, "just fetched");
        ready.kept().as_mut().unwrap().fetched_at -= REFUSED_FOR;
        ready.refused(0);
        assert_eq!(generation().await, 1);
        ready.kept().as_mut().unwrap().fetched_at -= REFUSED_FOR;
        ready.refused(0);
        assert_eq!((generation().await, asked.load(Ordering::Relaxed)), (1, 2), "a late answer to the ones before");
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_credentials_have_the_same_number_and_others_another() {
        let (lasting, _) = ready(Duration::ZERO, None);
        let numbers = [lasting.identity().await.unwrap().generation, lasting.identity().await.unwrap().generation];
        assert_eq!(numbers, [0, 0]);
        let (ending, _) = ready(Duration::ZERO, Some(Duration::from_secs(30)));
        let numbers = [ending.identity().await.unwrap().generation, ending.identity().await.unwrap().generation];
        assert_eq!(numbers, [0, 1]);
    }

    #[test]
    fn no_secret_is_shown() {
        assert_eq!(format!("{:?}", ready(Duration::ZERO, None).0), "Ready(Credentials)");
    }
}

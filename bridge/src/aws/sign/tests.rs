//! What a signer caches, and for how long.

use std::time::Duration;

use aws_credential_types::Credentials;

use super::*;

/// 20150830T123600Z.
pub(super) fn second() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_mins(24_015_636)
}

fn identity(generation: u64, secret: &str, token: Option<&str>) -> Identity {
    let token = token.map(str::to_owned);
    Identity { credentials: Credentials::new("AKIDEXAMPLE", secret, token, None, "test"), generation }
}

pub(super) fn example() -> Identity {
    identity(1, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None)
}

pub(super) fn identity_with(token: &str) -> Identity {
    // Credentials other than those of AWS's example.
    identity(token.len() as u64 + 100, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", Some(token))
}

fn signer() -> Signer {
    Signer::new("us-east-1", "service")
}

fn authorization(signer: &Signer, identity: &Identity, at: SystemTime) -> String {
    let moment = signer.moment(identity, at).unwrap();
    let prepared = Prepared::new("GET", "/", &[("host", "example.amazonaws.com")]);
    moment.authorization(&prepared, &[("x-amz-date", moment.date().0)], b"")
}

#[test]
fn the_whole_header() {
    let expected = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                    SignedHeaders=host;x-amz-date, \
                    Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
    assert_eq!(authorization(&signer(), &example(), second()), expected);
}

#[test]
fn what_is_kept_follows_the_second_the_day_and_the_credentials() {
    let kept = signer();
    let (one, other) = (example(), identity(2, "another", Some("token")));
    let day = Duration::from_hours(24);
    let later = |by| second() + by;
    let uses = [
        (&one, second()),
        (&one, later(Duration::from_millis(999))),
        (&one, later(Duration::from_secs(1))),
        (&one, later(day)),
        (&other, later(day)),
        (&other, later(day + Duration::from_secs(1))),
        (&one, second()),
        (&other, second()),
    ];
    for (identity, at) in uses {
        let [of_kept, of_fresh] = [&kept, &signer()].map(|signer| {
            let moment = signer.moment(identity, at).unwrap();
            assert_eq!(moment.date().0, stamp(at));
            assert_eq!(moment.date().1.to_str().unwrap(), stamp(at));
            (authorization(signer, identity, at), moment.token().cloned())
        });
        assert_eq!(of_kept, of_fresh, "{at:?}");
        assert_eq!(of_kept.1.is_some(), identity.credentials.session_token().is_some());
    }
}

#[test]
fn a_second_and_a_day_are_prepared_once() {
    let signer = signer();
    let at = |by| signer.moment(&example(), second() + by).unwrap();
    let first = at(Duration::ZERO);
    assert!(Arc::ptr_eq(&first, &at(Duration::from_millis(999))));
    let next = at(Duration::from_secs(1));
    assert!(!Arc::ptr_eq(&first, &next) && Arc::ptr_eq(&first.derived, &next.derived));
}

#[test]
fn a_time_is_stamped_in_utc() {
    assert_eq!(stamp(second()), "20150830T123600Z");
    assert_eq!(stamp(second() + Duration::from_millis(999)), "20150830T123600Z");
}

#[test]
fn a_path_is_encoded_once_more_and_keeps_its_slashes() {
    assert_eq!(encoded("arn:aws:x/$LATEST"), "arn%3Aaws%3Ax%2F%24LATEST");
    assert_eq!(canonical("/2015-03-31/functions/a%3Ab/invocations"), "/2015-03-31/functions/a%253Ab/invocations");
}

#[test]
fn no_key_is_shown() {
    let signer = signer();
    let moment = signer.moment(&identity_with("a-token"), second()).unwrap();
    assert_eq!(format!("{signer:?} {:?}", moment.token()), "Signer Some(Sensitive)");
}

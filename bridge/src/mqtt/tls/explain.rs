//! Explains a TLS failure to the person who has to repair it, and says whether anybody has to. Does no I/O.

use std::io;
use std::time::{Duration, SystemTime};

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertRevocationListError, CertificateError, Error, PeerIncompatible};

use super::certificate::day;

/// A failure in words.
#[derive(Debug)]
pub struct Failure {
    /// What is wrong, and how to fix it.
    pub cause: String,
    /// Another try can only succeed when somebody has changed something.
    pub lasting: bool,
}

impl Failure {
    fn lasting(cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), lasting: true }
    }
}

/// Explains a failure of the handshake, or of a read after it: under TLS 1.3 a broker refuses our certificate when the
/// handshake is over for us (RFC 8446, section 4.4.2.4), so the first thing read is its alert.
pub fn explain(error: &io::Error) -> Failure {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(tls) => in_words(tls),
        None => Failure { cause: broken(error), lasting: false },
    }
}

/// A connection that breaks. rustls has a text of its own for a missing `close_notify`, which says nothing more.
fn broken(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => "the broker closed the connection".into(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => "the broker reset the connection".into(),
        _ => error.to_string(),
    }
}

/// Explains a failure of the handshake. A broker that hangs up gives no reason; the usual ones depend on whether it was
/// `silent`, that is hung up on our very first message, and whether that message was a `large_hello`.
pub fn handshake_failed(error: &io::Error, silent: bool, large_hello: bool) -> Failure {
    use io::ErrorKind as K;
    let tls = error.get_ref().is_some_and(|inner| inner.downcast_ref::<Error>().is_some());
    if tls || !matches!(error.kind(), K::UnexpectedEof | K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe) {
        return explain(error);
    }
    let mut cause = String::from("the broker closed the connection during the handshake");
    cause.push_str(match (silent, large_hello) {
        (false, _) => ", after it had answered; its log may say why",
        (true, false) => HUNG_UP,
        (true, true) => HUNG_UP_ON_A_LARGE_HELLO,
    });
    Failure { cause, lasting: false }
}

/// What it may mean that a handshake gets no answer in time, after a `large_hello` or not: the end of a sentence. Some brokers
/// shake hands with one client after the other, such as rumqttd (docs/brokers.md).
pub fn handshake_never_ends(large_hello: bool) -> &'static str {
    if large_hello { SWALLOWED_A_LARGE_HELLO } else { STUCK }
}

const STUCK: &str = "; the broker may have too much to do, or be kept busy by another client";

const SWALLOWED_A_LARGE_HELLO: &str = "; the broker may have too much to do, or be kept busy by another client. A firewall that \
     drops the large ClientHello of X25519MLKEM768 looks like that, too: leave the groups with MLKEM out of \
     `mqtt.tls.key_exchange_groups`";

const HUNG_UP: &str = "; a port without TLS does that too: use the TLS port, usually 8883";

const HUNG_UP_ON_A_LARGE_HELLO: &str = "; a port without TLS does that too: use the TLS port, usually 8883. So does a firewall \
     or a load balancer that cannot take the large ClientHello of X25519MLKEM768: leave the groups with MLKEM out of \
     `mqtt.tls.key_exchange_groups`";

/// The same for an error of rustls itself.
pub(super) fn in_words(tls: &Error) -> Failure {
    match tls {
        Error::InvalidCertificate(wrong) => Failure::lasting(certificate(wrong)),
        Error::InvalidCertRevocationList(wrong) => Failure::lasting(revocation_list(wrong)),
        Error::AlertReceived(alert) => alert_received(*alert),
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13 | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => Failure::lasting(NO_COMMON_VERSION),
        Error::PeerIncompatible(what) => {
            Failure::lasting(format!("the broker's TLS and ours have nothing in common ({what:?})"))
        }
        Error::NoCertificatesPresented => Failure::lasting("the broker shows no certificate"),
        Error::DecryptError | Error::PeerMisbehaved(_) => Failure { cause: tls.to_string(), lasting: false },
        other => Failure { cause: other.to_string(), lasting: false },
    }
}

const NO_COMMON_VERSION: &str = "the broker speaks no version of TLS that is allowed here; TLS 1.2 is the oldest, and \
     `mqtt.tls.min_version` may ask for more";

const BAD_SIGNATURE: &str = "a signature of the broker does not hold: either its certificate is not signed by the CA in \
     `ca_file`, though that CA has its issuer's name (take the CA certificate that this broker uses now), or a key is too \
     weak to count (RSA needs 2048 bits)";

fn alert_received(alert: AlertDescription) -> Failure {
    use AlertDescription as A;
    match alert {
        A::CertificateRequired | A::NoCertificate => Failure::lasting(format!(
            "the broker wants a certificate of ours ({alert:?}); set `mqtt.tls.cert_file` and `mqtt.tls.key_file`"
        )),
        A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateRevoked
        | A::CertificateExpired
        | A::CertificateUnknown
        | A::UnknownCA
        | A::AccessDenied
        | A::DecryptError => Failure::lasting(format!(
            "the broker refuses our certificate, or that it got none ({alert:?}); check `mqtt.tls.cert_file` against what \
             the broker's CA for clients has issued, and its dates"
        )),
        A::HandshakeFailure | A::InsufficientSecurity => Failure::lasting(format!(
            "the broker refuses ({alert:?}): it has no cipher suite or group in common with us, or wants a certificate of \
             ours that it was not given"
        )),
        A::ProtocolVersion => Failure::lasting(NO_COMMON_VERSION),
        A::NoApplicationProtocol => Failure::lasting(
            "the broker takes none of the application protocols that were offered (NoApplicationProtocol): for `mqtts://` \
             write into `mqtt.alpn` what its port takes, or leave the key out; for `wss://` it must take `http/1.1`",
        ),
        A::InternalError | A::CloseNotify | A::UserCanceled => {
            Failure { cause: format!("the broker gives up ({alert:?}); its log may say why"), lasting: false }
        }
        other => Failure::lasting(format!("the broker refuses ({other:?})")),
    }
}

fn certificate(wrong: &CertificateError) -> String {
    use CertificateError as C;
    match wrong {
        C::NotValidForNameContext { expected, presented } => {
            let names: Vec<_> = presented.iter().map(|name| plain_name(name)).collect();
            let names = if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") };
            format!(
                "the broker's certificate is not valid for `{}`: it names {names}; connect by one of its names, or give \
                 the broker a certificate with this one as subject alternative name (a common name does not count)",
                expected.to_str()
            )
        }
        C::UnknownIssuer => {
            "the broker's certificate comes from an unknown issuer; set `ca_file` to the CA that issued it, and have the \
             broker send its intermediate certificates"
                .into()
        }
        C::BadSignature => BAD_SIGNATURE.into(),
        C::ExpiredContext { not_after, .. } => {
            format!("the broker's certificate, or an intermediate of it, has expired on {}; renew it", date(*not_after))
        }
        C::Expired => "the broker's certificate, or an intermediate of it, has expired; renew it".into(),
        C::NotValidYetContext { not_before, time } => format!(
            "the broker's certificate, or an intermediate of it, is not valid yet: it begins on {}; is our clock right? It \
             says {}",
            date(*not_before),
            date(*time)
        ),
        C::NotValidYet => {
            "the broker's certificate, or an intermediate of it, is not valid yet; is our clock right?".into()
        }
        C::Revoked => "the broker's certificate has been revoked".into(),
        C::UnknownRevocationStatus => {
            "no list in `crl_file` comes from the issuer of the broker's certificate, or from that of its intermediate; \
             put the current list of each of them into it"
                .into()
        }
        C::ExpiredRevocationListContext { next_update, .. } => {
            format!("a list in `crl_file` is out of date since {}; renew it", date(*next_update))
        }
        C::ExpiredRevocationList => "a list in `crl_file` is out of date; renew it".into(),
        C::InvalidPurpose | C::InvalidPurposeContext { .. } => {
            "the broker's certificate is not for servers; make one with the extended key usage serverAuth".into()
        }
        other => unusual(&format!("{other:?}")),
    }
}

/// For people: rustls counts seconds.
fn date(time: UnixTime) -> String {
    day(SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_secs())).to_string()
}

/// Errors that rustls passes on from the verifying library only by name.
fn unusual(named: &str) -> String {
    let version = named.contains("UnsupportedCertVersion");
    if version {
        return "the broker's certificate is X.509 version 1, which holds no host name and no purpose; reissue it as \
                version 3, as certs/make-certs.sh does, or with `openssl x509 -req … -extfile` and a subjectAltName"
            .into();
    }
    if named.contains("SignatureAlgorithm") {
        return "the broker's certificate uses a signature algorithm that is no longer accepted (SHA-1, MD5); reissue it with \
                SHA-256"
            .into();
    }
    format!("the broker's certificate is refused ({named})")
}

fn revocation_list(wrong: &CertRevocationListError) -> String {
    format!("a list in `crl_file` cannot be used ({wrong:?}); take the one that the CA has signed")
}

/// rustls prints `DnsName("localhost")` and `IpAddress(127.0.0.1)`.
fn plain_name(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"')
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::ServerName;

    use super::*;

    fn of(error: Error) -> Failure {
        explain(&io::Error::new(io::ErrorKind::InvalidData, error))
    }

    #[test]
    fn the_wrong_name_is_told_with_the_right_ones() {
        let wrong = CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("broker.example").unwrap(),
            presented: vec!["DnsName(\"localhost\")".into(), "IpAddress(127.0.0.1)".into()],
        };
        let text = certificate(&wrong);
        assert!(text.contains("`broker.example`") && text.contains("localhost, 127.0.0.1"), "{text}");
    }

    #[test]
    fn what_somebody_has_to_mend_is_lasting_and_a_broken_line_is_not() {
        assert!(of(Error::AlertReceived(AlertDescription::CertificateRequired)).lasting);
        assert!(of(Error::AlertReceived(AlertDescription::UnknownCA)).lasting);
        assert!(of(Error::InvalidCertificate(CertificateError::Revoked)).lasting);
        assert!(!of(Error::AlertReceived(AlertDescription::InternalError)).lasting);
        assert!(!explain(&io::Error::from(io::ErrorKind::ConnectionReset)).lasting);
    }

    /// 2026-11-28T03:00:00Z
    const NOW: u64 = 1_795_834_800;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn the_end_and_the_beginning_of_a_certificate_are_dates() {
        let time = at(NOW);
        let ended = certificate(&CertificateError::ExpiredContext { time, not_after: at(NOW - 86_400) });
        assert!(ended.contains("has expired on 2026-11-27T03:00:00Z"), "{ended}");
        let early = certificate(&CertificateError::NotValidYetContext { time, not_before: at(NOW + 86_400) });
        assert!(early.contains("begins on 2026-11-29T03:00:00Z") && early.contains("says 2026-11-28"), "{early}");
        let list = certificate(&CertificateError::ExpiredRevocationListContext { time, next_update: at(NOW - 1) });
        assert!(list.contains("since 2026-11-28T02:59:59Z"), "{list}");
        assert!(![ended, early, list].iter().any(|text| text.contains("UNIX")));
    }

    #[test]
    fn the_last_date_that_a_certificate_can_hold_is_shown() {
        let last = certificate(&CertificateError::NotValidYetContext { time: at(0), not_before: at(253_402_300_799) });
        assert!(last.contains("9999-12-31T23:59:59Z"), "{last}");
    }

    #[test]
    fn a_hang_up_on_the_first_message_names_its_two_usual_reasons() {
        for kind in [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe] {
            let Failure { cause, lasting } = handshake_failed(&kind.into(), true, true);
            assert!(cause.contains("during the handshake") && cause.contains("8883"), "{cause}");
            assert!(cause.contains("`mqtt.tls.key_exchange_groups`") && !lasting, "{cause}");
        }
    }

    #[test]
    fn a_hang_up_blames_a_large_client_hello_only_when_there_was_one_without_an_answer() {
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        assert!(!handshake_failed(&reset, true, false).cause.contains("key_exchange_groups"));
        let answered = handshake_failed(&reset, false, true).cause;
        assert!(!answered.contains("key_exchange_groups") && answered.contains("its log"), "{answered}");
    }

    #[test]
    fn a_verdict_of_tls_is_no_hang_up() {
        let verdict =
            io::Error::new(io::ErrorKind::UnexpectedEof, Error::InvalidCertificate(CertificateError::Revoked));
        assert!(handshake_failed(&verdict, true, true).cause.contains("revoked"));
        let slow = io::Error::from(io::ErrorKind::TimedOut);
        assert!(!handshake_failed(&slow, true, true).cause.contains("8883"));
    }

    #[test]
    fn no_text_of_rustls_stands_for_a_closed_connection() {
        let rustls = "peer closed connection without sending TLS close_notify: https://docs.rs/rustls/";
        let closed = explain(&io::Error::new(io::ErrorKind::UnexpectedEof, rustls)).cause;
        assert_eq!(closed, "the broker closed the connection");
        let during = handshake_failed(&io::Error::new(io::ErrorKind::UnexpectedEof, rustls), true, true).cause;
        assert!(!during.contains("docs.rs"), "{during}");
    }
}

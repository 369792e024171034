//! What a broker shows: names, dates, chains, revocation, keys and signatures.

use std::time::{Duration, SystemTime};

use bridge::metrics::Metrics;
use bridge::mqtt::{Connector, LiveTls, StageCell};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CustomExtension, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair, NameConstraints,
    RsaKeySize, SanType, SerialNumber,
};

use crate::peer::{self, Server};
use crate::pki::{self, Authority, Careless, DAY, HOUR, Made, dates, server};
use crate::tls_table::table::Must::{Accept, Refuse};
use crate::tls_table::table::{Side, Table, with};

#[tokio::test(flavor = "multi_thread")]
async fn names() {
    let root = Authority::root("root");
    let trusting = || Side::trusting(&root.pem());
    let mut table = Table::default();
    table.row("valid names");
    table.broker("a DNS name", trusting(), root.sign(server(&["localhost"])), Accept).await;
    table.broker("an IPv4 address", trusting().host("127.0.0.1"), root.sign(server(&["127.0.0.1"])), Accept).await;
    let below = root.below("issuing", |_| {});
    table.broker("a chain with an intermediate", trusting(), below.sign(server(&["localhost"])), Accept).await;
    let wildcard = || root.sign(server(&["*.broker.test"]));
    table.broker("a wildcard of one label", trusting().host("a.broker.test"), wildcard(), Accept).await;

    table.row("wrong names");
    let refused = &["not valid for"];
    table
        .broker("another host", trusting(), root.sign(server(&["broker.test"])), Refuse(&["localhost", "broker.test"]))
        .await;
    table
        .broker(
            "an address without an IP name",
            trusting().host("127.0.0.1"),
            root.sign(server(&["localhost"])),
            Refuse(refused),
        )
        .await;
    let as_dns = with(server(&[]), |params| {
        params.subject_alt_names = vec![SanType::DnsName(Ia5String::try_from("127.0.0.1").unwrap())];
    });
    table.broker("an address as a DNS name", trusting().host("127.0.0.1"), root.sign(as_dns), Refuse(refused)).await;
    table.broker("a wildcard over two labels", trusting().host("a.b.broker.test"), wildcard(), Refuse(refused)).await;
    table.broker("a wildcard at the apex", trusting().host("broker.test"), wildcard(), Refuse(refused)).await;
    for (case, name) in [("a partial wildcard", "br*.test"), ("a wildcard for everything", "*")] {
        table.broker(case, trusting().host("broker.test"), root.sign(server(&[name])), Refuse(refused)).await;
    }
    let common_name =
        with(server(&[]), |params| params.distinguished_name.push(rcgen::DnType::CommonName, "localhost"));
    table
        .broker(
            "a common name alone",
            trusting(),
            root.sign(common_name),
            Refuse(&["no name at all", "subject alternative name"]),
        )
        .await;
    table.end(12);
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_and_chains() {
    let (root, now) = (Authority::root("root"), SystemTime::now());
    let trusting = || Side::trusting(&root.pem());
    let localhost = || server(&["localhost"]);
    let mut table = Table::default();
    table.row("dates");
    let expired = with(localhost(), |params| dates(params, now - DAY, now - HOUR));
    table.broker("expired", trusting(), root.sign(expired), Refuse(&["has expired on 20"])).await;
    let early = with(localhost(), |params| dates(params, now + HOUR, now + DAY));
    table
        .broker("not yet valid", trusting(), root.sign(early), Refuse(&["not valid yet: it begins on 20", "clock"]))
        .await;

    table.row("chains");
    let unknown = &["unknown issuer", "ca_file"];
    table.broker("an unknown authority", trusting(), Authority::root("other").sign(localhost()), Refuse(unknown)).await;
    let namesake = Authority::root("root").sign(localhost());
    table.broker("an authority of the same name", trusting(), namesake, Refuse(&["signature", "ca_file"])).await;
    let key = pki::key();
    let own = Made { chain: localhost().self_signed(&key).unwrap().pem(), key: key.serialize_pem() };
    table.broker("self-signed", trusting(), own, Refuse(unknown)).await;
    let below = root.below("issuing", |_| {});
    let made = below.sign(localhost());
    let first = made.chain.split_inclusive("-----END CERTIFICATE-----\n").next().unwrap().to_owned();
    let alone = Made { chain: first, key: made.key };
    table.broker("a missing intermediate", trusting(), alone, Refuse(&["unknown issuer", "intermediate"])).await;
    let expired = root.below("issuing", |params| dates(params, now - DAY, now - HOUR)).sign(localhost());
    table.broker("an expired intermediate", trusting(), expired, Refuse(&["intermediate", "has expired on 20"])).await;

    table.row("authorities that are none");
    let none = root.below("no CA", |params| params.is_ca = IsCa::ExplicitNoCa).sign(localhost());
    table.broker("an intermediate that is no CA", trusting(), none, Refuse(&["refused", "EndEntityUsedAsCa"])).await;
    let zero = root.below("zero", |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let deep = zero.below("deep", |_| {}).sign(localhost());
    table.broker("a path longer than allowed", trusting(), deep, Refuse(&["refused", "PathLen"])).await;
    let elsewhere = root.below("constrained", |params| {
        let only = vec![GeneralSubtree::DnsName("broker.test".into())];
        params.name_constraints = Some(NameConstraints { permitted_subtrees: only, excluded_subtrees: Vec::new() });
    });
    table
        .broker(
            "a name outside the constraint",
            trusting(),
            elsewhere.sign(localhost()),
            Refuse(&["refused", "NameConstraint"]),
        )
        .await;
    let strange = with(localhost(), |params| {
        let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
        extension.set_criticality(true);
        params.custom_extensions = vec![extension];
    });
    table
        .broker(
            "an unknown critical extension",
            trusting(),
            root.sign(strange),
            Refuse(&["refused", "CriticalExtension"]),
        )
        .await;
    let client_only =
        with(localhost(), |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    table
        .broker("for clients alone", trusting(), root.sign(client_only), Refuse(&["not for servers", "serverAuth"]))
        .await;

    table.row("roots");
    let old = Authority::root_with("root", |params| dates(params, now - DAY, now - HOUR));
    let only_old = Side::trusting(&old.pem());
    table
        .broker(
            "an expired root alone",
            only_old,
            old.sign(localhost()),
            Refuse(&["no CA certificate in it is valid", "has expired"]),
        )
        .await;
    let both = || Side::trusting(&format!("{}{}", old.pem(), root.pem()));
    table.broker("an expired root beside a good one", both(), root.sign(localhost()), Accept).await;
    table.broker("signed by the expired one of two", both(), old.sign(localhost()), Refuse(&["ca_file"])).await;
    table.end(15);
}

#[tokio::test(flavor = "multi_thread")]
async fn revocation() {
    let (root, now) = (Authority::root("root"), SystemTime::now());
    let issuing = root.below("issuing", |params| params.serial_number = Some(SerialNumber::from(7_u64)));
    let made = |serial: u64| {
        issuing.sign(with(server(&["localhost"]), |params| params.serial_number = Some(SerialNumber::from(serial))))
    };
    let (soon, past) = (now + DAY, now - HOUR);
    let both = |of_root: String, of_issuing: String| {
        Side::trusting(&root.pem()).with("mqtt.tls.crl_file", &format!("{of_root}{of_issuing}"))
    };
    let mut table = Table::default();
    table.row("revocation");
    let clean = || (root.revocation_list(&[], soon), issuing.revocation_list(&[1], soon));
    let side = both(clean().0, clean().1);
    table.broker("not revoked", side, made(2), Accept).await;
    let side = both(clean().0, clean().1);
    table.broker("revoked", side, made(1), Refuse(&["has been revoked"])).await;
    let side = both(root.revocation_list(&[7], soon), clean().1);
    table.broker("a revoked intermediate", side, made(2), Refuse(&["has been revoked"])).await;
    let side = both(clean().0, issuing.revocation_list(&[], past));
    table.broker("an expired list", side, made(2), Refuse(&["out of date since 20", "renew"])).await;
    let side = both(root.revocation_list(&[], past), clean().1);
    table.broker("an expired list of the root", side, made(2), Refuse(&["out of date"])).await;
    let unknown = &["no list in `crl_file` comes from the issuer"];
    let side = both(String::new(), Authority::root("other").revocation_list(&[], soon));
    table.broker("a list of another issuer", side, made(2), Refuse(unknown)).await;
    let side = both(String::new(), clean().1);
    table.broker("none for the intermediate", side, made(2), Refuse(unknown)).await;
    let side = both(clean().0, String::new());
    table.broker("none for the certificate", side, made(2), Refuse(unknown)).await;
    let namesake = root.below("issuing", |_| {}).revocation_list(&[], soon);
    let side = both(clean().0, namesake);
    table.broker("a list that its issuer has not signed", side, made(2), Refuse(&["crl_file"])).await;
    table.row("two lists of one issuer");
    let day = now - DAY;
    let of = |revoked: &[u64], from, number| issuing.revocation_list_of(revoked, from, soon, number);
    for (case, older, newer) in [
        ("by date", of(&[], day, 2), of(&[2], now - HOUR, 1)),
        ("by number, on the same day", of(&[], day, 1), of(&[2], day, 2)),
    ] {
        for (order, lists) in [("older", [&older, &newer]), ("newer", [&newer, &older])] {
            let side = both(clean().0, lists.map(String::as_str).concat());
            table.broker(&format!("{case}, the {order} first"), side, made(2), Refuse(&["has been revoked"])).await;
        }
    }
    table.end(13);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_signatures() {
    let root = Authority::root("root");
    let trusting = || Side::trusting(&root.pem());
    let localhost = || server(&["localhost"]);
    let mut table = Table::default();
    table.row("keys");
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    table.broker("RSA 2048", trusting(), root.sign_for(localhost(), &rsa), Accept).await;
    for (case, algorithm) in [
        ("P-256", &rcgen::PKCS_ECDSA_P256_SHA256),
        ("P-384", &rcgen::PKCS_ECDSA_P384_SHA384),
        ("Ed25519", &rcgen::PKCS_ED25519),
    ] {
        let made = root.sign_for(localhost(), &KeyPair::generate_for(algorithm).unwrap());
        table.broker(case, trusting(), made, Accept).await;
    }
    let Some(program) = sandbox::tools::require("openssl") else { return table.end(4) };
    let directory = tempfile::tempdir().unwrap();
    let careless = Careless { openssl: &program, directory: directory.path() };
    let ca = careless.root();
    let names = "subjectAltName=DNS:localhost\nbasicConstraints=CA:false\nextendedKeyUsage=serverAuth\n";
    let lax = &["-cipher", "ALL:@SECLEVEL=0"];
    let weak = &["does not hold", "2048"];
    let old = &["uses a signature algorithm that is no longer accepted", "SHA-256"];
    for (case, new_key, sign, extensions, must) in [
        ("RSA 2048 with SHA-256, from the same place", "rsa:2048", "-sha256", names, None),
        ("P-521", "ec -pkeyopt ec_paramgen_curve:P-521", "-sha256", names, None),
        ("RSA 1024", "rsa:1024", "-sha256", names, Some(&weak[..])),
        ("SHA-1", "rsa:2048", "-sha1", names, Some(&old[..])),
        ("MD5", "rsa:2048", "-md5", names, Some(&old[..])),
        (
            "X.509 version 1",
            "rsa:2048",
            "-sha256",
            "",
            Some(&["version 1", "reissue it as version 3", "subjectAltName"][..]),
        ),
    ] {
        let made = careless.leaf(case.split(' ').next_back().unwrap(), new_key, sign, extensions);
        let Some(words) = must else {
            table.broker(case, Side::trusting(&ca), made, Accept).await;
            continue;
        };
        for version in ["-tls1_2", "-tls1_3"] {
            let peer = peer::openssl(&program, directory.path(), &made, &[lax, &[version][..]].concat()).await;
            let words: &'static [&'static str] = words;
            table.case(&format!("{case}, {version}"), Side::trusting(&ca), peer, Refuse(words)).await;
        }
    }
    table.end(14);
}

/// rustls does not look at the dates of a root, so the bridge does, also later than at the start.
#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_ends_while_in_use_is_trusted_no_more() {
    let now = SystemTime::now();
    let end = now + Duration::from_secs(5);
    let (lasting, short) =
        (Authority::root("lasting"), Authority::root_with("short", |params| dates(params, now - DAY, end)));
    let peer = Server::new(short.sign(server(&["localhost"]))).start().await;
    let side = Side::trusting(&format!("{}{}", lasting.pem(), short.pem()));
    let config = side.config(peer.port);
    let tls = LiveTls::load(config.mqtt.tls.clone(), Metrics::new().tls()).unwrap();
    let connector = Connector::of(&config.mqtt, tls).unwrap();
    // Only time has to pass; validity is in whole seconds.
    tokio::time::sleep(end.duration_since(SystemTime::now()).unwrap_or_default() + Duration::from_secs(1)).await;
    let refused = connector.open(&StageCell::default()).await.err().expect("a root that has ended is trusted");
    assert!(refused.to_string().contains("unknown issuer"), "{refused}");
}

//! The bridge's own certificate, and its own files.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sandbox::world::World;

use crate::common;
use crate::peer::{self, Peer, Server};
use crate::pki::{Authority, DAY, HOUR, Made, client, dates, server};
use crate::tls_table::table::Must::{Accept, Refuse};
use crate::tls_table::table::{ONLY_1_2, ONLY_1_3, Side, Table, with};

#[tokio::test(flavor = "multi_thread")]
async fn our_certificate() {
    let (root, other, now) = (Authority::root("root"), Authority::root("other"), SystemTime::now());
    let made = root.sign(server(&["localhost"]));
    let expired = root.sign(with(client(), |params| dates(params, now - DAY, now - HOUR)));
    let own: [(&str, Option<Made>, bool); 6] = [
        ("good", Some(root.sign(client())), true),
        ("absent", None, false),
        ("expired", Some(expired), false),
        ("of another CA", Some(other.sign(client())), false),
        ("of another CA with the same name", Some(Authority::root("root").sign(client())), false),
        ("for servers", Some(root.sign(server(&["bridge"]))), false),
    ];
    let program = sandbox::tools::require("openssl");
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("clients.crt");
    std::fs::write(&ca, root.pem()).unwrap();
    let mut table = Table::default();
    table.row("our certificate, which the broker wants");
    for (case, shown, good) in own {
        let side = || {
            let side = Side::trusting(&root.pem());
            shown.iter().fold(side, Side::showing)
        };
        let must = || if good { Accept } else { Refuse(&["certificate", "the broker"]) };
        for (name, versions) in [("TLS 1.2", ONLY_1_2), ("TLS 1.3", ONLY_1_3)] {
            let server = Server { versions, clients: Some(root.pem()), ..Server::new(made.clone()) };
            table.case(&format!("{case}, rustls, {name}"), side(), server.start().await, must()).await;
        }
        // s_server speaks no MQTT, so nobody is accepted there in the end.
        let Some(program) = program.as_deref().filter(|_| !good) else { continue };
        for version in ["-tls1_2", "-tls1_3"] {
            let peer = asking(program, directory.path(), &made, &ca, version).await;
            table.case(&format!("{case}, OpenSSL, {version}"), side(), peer, must()).await;
        }
    }
    table.end(12);
}

async fn asking(program: &Path, directory: &Path, made: &Made, ca: &Path, version: &str) -> Peer {
    let ca = ca.display().to_string();
    peer::openssl(program, directory, made, &[version, "-Verify", "1", "-verify_return_error", "-CAfile", &ca]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn our_files() {
    use std::os::unix::fs::PermissionsExt;
    let (root, now) = (Authority::root("root"), SystemTime::now());
    let made = root.sign(server(&["localhost"]));
    let (own, other) = (root.sign(client()), root.sign(client()));
    let mut table = Table::default();
    table.row("our files, at the start");
    let mixed = Made { chain: own.chain.clone(), key: other.key };
    let side = Side::trusting(&root.pem()).showing(&mixed);
    table
        .broker("a key of another certificate", side, made.clone(), Refuse(&["does not belong to the certificate"]))
        .await;
    let side = Side::trusting(&root.pem()).showing(&own);
    let key: PathBuf = side.files.path().join("mqtt.tls.key_file");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o604)).unwrap();
    let open = &["every user may read", "chmod 600", "`defaultMode: 0400`"];
    table.broker("a key that others may read", side, made.clone(), Refuse(open)).await;
    table.row("our files, with a byte order mark");
    let marked = |pem: &str| format!("\u{feff}{pem}");
    let list = root.revocation_list(&[], now + DAY);
    let own = Made { chain: marked(&own.chain), key: marked(&own.key) };
    let side = Side::trusting(&marked(&root.pem())).with("mqtt.tls.crl_file", &marked(&list)).showing(&own);
    table.broker("each of them", side, made, Accept).await;
    table.end(3);
}

/// In the log of the real binary; what has ended is told, too, as long as something is left to trust.
#[tokio::test(flavor = "multi_thread")]
async fn what_ends_soon_or_has_ended_is_told_at_the_start() {
    let now = SystemTime::now();
    let ended = Authority::root_with("ended root", |params| dates(params, now - DAY * 9, now - DAY));
    let ending = Authority::root_with("ending root", |params| dates(params, now - DAY * 80, now + DAY * 5));
    let mut world = World::builder().function(common::willing()).without_bridge().await.unwrap();
    let roots = world.directory().join("roots.crt");
    let all = [std::fs::read_to_string(&world.files.ca).unwrap(), ended.pem(), ending.pem()];
    std::fs::write(&roots, all.concat()).unwrap();
    world.set("mqtt.tls.ca_file", &roots.display().to_string());
    let mut process = world.spawn_bridge().unwrap();
    assert!(process.logged("broker.connected", common::PATIENCE).await, "{:#?}", process.log());
    let told = |event: &str| {
        let lines: Vec<_> = process.log().into_iter().filter(|line| line.contains(event)).collect();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        lines[0].clone()
    };
    let (soon, over) = (told("tls.expiring"), told("tls.expired"));
    assert!(soon.contains("ending root") && soon.contains("\"of\":\"authority\""), "{soon}");
    assert!(over.contains("ended root") && over.contains("has expired on"), "{over}");
}

/// What is wrong with the files ends the real binary before any connection.
#[tokio::test(flavor = "multi_thread")]
async fn the_real_binary_ends_with_exit_code_2_over_an_expired_root_and_an_open_key() {
    use std::os::unix::fs::PermissionsExt;
    let now = SystemTime::now();
    let expired = Authority::root_with("old root", |params| dates(params, now - DAY * 9, now - DAY));
    let mut world = World::builder().function(common::willing()).without_bridge().await.unwrap();
    let root = world.directory().join("root.crt");
    let good = world.files.ca.display().to_string();
    std::fs::write(&root, expired.pem()).unwrap();
    world.set("mqtt.tls.ca_file", &root.display().to_string());
    ends_with_code_2(&world, &["root.crt: no CA certificate in it is valid now", "old root", "has expired on"]).await;
    world.set("mqtt.tls.ca_file", &good);
    std::fs::set_permissions(&world.files.bridge.key, std::fs::Permissions::from_mode(0o644)).unwrap();
    ends_with_code_2(&world, &["every user may read or change it (mode 0644)"]).await;
}

async fn ends_with_code_2(world: &World, words: &[&str]) {
    let mut process = world.spawn_bridge().unwrap();
    let status = process.exited(common::PATIENCE).await.unwrap().expect("it ends by itself");
    common::eventually("its last words", || process.count(words[0]) > 0).await;
    let log = process.log().join("\n");
    assert_eq!(status.code(), Some(2), "{log}");
    assert!(words.iter().all(|word| log.contains(word)), "{log}");
    assert!(!log.contains("broker."), "it has tried to connect: {log}");
}

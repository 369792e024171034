//! Promise: certificate, key, authority and revocation list are renewed while the bridge runs, without losing a message
//! and without invoking twice; an invalid set leaves the old one in use; the bridge leaves a broker that a new list
//! revokes.

use crate::common;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::common::{
    Fate, PATIENCE, answering, eventually, everywhere, fault, nothing_lost, publish, side_by_side, sized, willing,
};
use sandbox::certs::{Leaf, Pki, Role, SignedBy, Validity};
use sandbox::lambda::{Action, Answer, When};
use sandbox::sensors::SensorOptions;
use sandbox::world::{BrokerKind, World, WorldBuilder};

/// What the bridge's `/metrics` say under that name and labels; none when the line is not there.
fn metric(world: &World, name: &str) -> Option<u64> {
    let text = world.bridge().unwrap().metrics().render();
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

fn renewals(world: &World, result: &str) -> u64 {
    metric(world, &format!("mqtt_lambda_bridge_tls_renewals_total{{result=\"{result}\"}}")).unwrap_or_default()
}

fn files_refused(world: &World) -> bool {
    metric(world, "mqtt_lambda_bridge_tls_files_refused") == Some(1)
}

/// Waits until `count` reaches `goal`, for as long as it grows.
async fn reaches(what: &str, goal: u64, count: impl Fn() -> u64) {
    while count() < goal {
        let now = count();
        eventually(&format!("more than {now} of {goal} {what}"), || count() > now).await;
    }
}

async fn with_list(builder: WorldBuilder) -> World {
    let mut world = builder.without_bridge().await.unwrap();
    let list = world.files.crl.display().to_string();
    world.set("mqtt.tls.crl_file", &list);
    world.start_bridge().await.unwrap();
    world
}

/// A new certificate for the bridge, written over the old one, key and certificate one after the other.
fn renew_bridge(world: &World, leaf: &Leaf) {
    let directory = world.files.bridge.cert.parent().unwrap();
    world.pki.issue(leaf).unwrap().write_to(directory, "bridge").unwrap();
}

fn revoke(world: &World, roles: &[Role], validity: Validity) {
    let revoked: Vec<_> = roles.iter().map(|role| world.pki.identity(*role)).collect();
    fs::write(&world.files.crl, world.pki.revoke(&revoked, validity).unwrap()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_and_list_are_replaced_under_load() {
    everywhere(|builder| async move {
        let world = with_list(builder.function(willing()).set("mapping.concurrency", "64")).await;
        fault(&world, When::Always, Action::Delay(Duration::from_millis(20)));
        let total = sized(1000, 10_000);
        let options = |options: &mut SensorOptions| (options.rate, options.total) = (500.0, Some(total));
        let sensors = world.sensors(options).unwrap();
        let (registry, counters) = (sensors.registry(), world.counters());
        for part in [1, 2, 3] {
            reaches("published", total * part / 4, || registry.counts().acked).await;
            let connected = counters.connects.get();
            renew_bridge(&world, &Leaf::client("bridge"));
            revoke(&world, &[Role::Device], Validity::Current);
            // The files may have been seen already.
            world.bridge().unwrap().renew_tls().await.unwrap();
            eventually("the new set is in use", || renewals(&world, "renewed") >= part).await;
            eventually("the session has a new connection", || counters.connects.get() > connected).await;
        }
        reaches("published", total, || registry.counts().acked).await;
        reaches("acknowledged", total, || counters.acknowledged.get()).await;
        let fate = Fate::of(&world);
        let (lost, connections) = (fate.lost(&sensors).len(), counters.connects.get());
        println!("{total} messages, {lost} lost, {} repeated, {connections} connections", fate.extra());
        assert_eq!((lost, fate.extra(), fate.dead.len()), (0, 0, 0));
        assert_eq!(world.counters().session_lost.get(), 0);
        assert_eq!(world.counters().connection_failures.get(), 0, "giving way is no failure");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_new_list_revokes_is_let_go_and_taken_again() {
    let world = with_list(World::builder().function(willing())).await;
    publish(&world, 5, |_| {}).await;
    revoke(&world, &[Role::Broker], Validity::Current);
    let trouble = || world.bridge().unwrap().troubles().join("; ");
    eventually("the broker is refused", || trouble().contains("has been revoked")).await;
    assert_eq!(world.counters().subscribed.get(), 0);
    let kept = publish(&world, 5, |_| {}).await;
    revoke(&world, &[], Validity::Current);
    eventually("the broker is taken again", || trouble().is_empty()).await;
    let fate = nothing_lost(&world, &kept).await;
    assert_eq!(fate.extra(), 0);
}

/// Makes the files of a world a set that no bridge may take.
type Spoil = fn(&World);

const SPOILED: [(&str, Spoil); 7] = [
    ("a certificate without its key", |world| {
        let other = world.pki.issue(&Leaf::client("bridge")).unwrap();
        fs::write(&world.files.bridge.cert, other.certificate_pem()).unwrap();
    }),
    ("an empty certificate", |world| fs::write(&world.files.bridge.cert, "").unwrap()),
    ("an expired certificate", |world| {
        renew_bridge(world, &Leaf { validity: Validity::Expired, ..Leaf::client("bridge") });
    }),
    ("an expired list", |world| revoke(world, &[], Validity::Expired)),
    ("a list that is none", |world| {
        fs::write(&world.files.crl, "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n").unwrap();
    }),
    ("a key that others may read", |world| {
        renew_bridge(world, &Leaf::client("bridge"));
        fs::set_permissions(&world.files.bridge.key, fs::Permissions::from_mode(0o644)).unwrap();
    }),
    ("an authority that is gone", |world| fs::remove_file(&world.files.ca).unwrap()),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_set_leaves_the_old_one_in_use() {
    let case = |(what, spoil): (&str, Spoil)| (what.to_owned(), Box::pin(leaves_the_old_one_in_use(spoil)));
    side_by_side(SPOILED.map(case).into()).await;
}

async fn leaves_the_old_one_in_use(spoil: Spoil) {
    let world = with_list(World::builder().function(willing())).await;
    let (cert, key, crl) = (&world.files.bridge.cert, &world.files.bridge.key, &world.files.crl);
    let good = [cert, key, crl, &world.files.ca].map(|path| (path.clone(), fs::read(path).unwrap()));
    spoil(&world);
    eventually("the set is refused", || files_refused(&world)).await;
    assert!(world.bridge().unwrap().renew_tls().await.is_err());
    for (path, bytes) in &good {
        fs::write(path, bytes).unwrap();
    }
    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
    eventually("the good files are back", || !files_refused(&world)).await;
    assert_eq!((renewals(&world, "renewed"), world.counters().connects.get()), (0, 1), "the connection was touched");
    publish(&world, 1, |_| {}).await;
    common::acknowledged(&world, 1).await;
    renew_bridge(&world, &Leaf::client("bridge"));
    eventually("a good set is still taken", || renewals(&world, "renewed") >= 1).await;
}

/// Files that change between two checks are incomplete, so they are neither loaded nor refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_is_being_written_is_left_alone() {
    /// Time for two looks at least.
    const WRITING: Duration = Duration::from_secs(5);
    let mut world = World::builder().function(willing()).without_bridge().await.unwrap();
    world.start_bridge().await.unwrap();
    let cert = world.files.bridge.cert.clone();
    let beside = cert.with_extension("new");
    let writer = std::thread::spawn(move || {
        let begun = std::time::Instant::now();
        for state in 0.. {
            fs::write(&beside, format!("{state} bytes of a certificate")).unwrap();
            fs::rename(&beside, &cert).unwrap();
            if begun.elapsed() > WRITING {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    while !writer.is_finished() {
        assert!(!files_refused(&world), "half a set was judged");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    renew_bridge(&world, &Leaf::client("bridge"));
    eventually("the whole set is taken", || renewals(&world, "renewed") == 1).await;
    assert_eq!(renewals(&world, "refused"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_symlink_swap_as_kubernetes_does_it() {
    let mut world = World::builder().function(willing()).without_bridge().await.unwrap();
    let mount = world.directory().join("mount");
    fs::create_dir(&mount).unwrap();
    let version = |name: &str| {
        let directory = mount.join(name);
        fs::create_dir(&directory).unwrap();
        world.pki.issue(&Leaf::client("bridge")).unwrap().write_to(&directory, "tls").unwrap();
    };
    let point = |name: &str| {
        symlink(name, mount.join("..data_tmp")).unwrap();
        fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    };
    version("..v1");
    version("..v2");
    point("..v1");
    for file in ["tls.crt", "tls.key"] {
        symlink(Path::new("..data").join(file), mount.join(file)).unwrap();
    }
    let path = |file: &str| mount.join(file).display().to_string();
    let (cert, key) = (path("tls.crt"), path("tls.key"));
    point("..v1");
    world.set("mqtt.tls.cert_file", &cert);
    world.set("mqtt.tls.key_file", &key);
    world.start_bridge().await.unwrap();
    let link = mount.join("..data_tmp");
    symlink("..v2", &link).unwrap();
    fs::rename(&link, mount.join("..data")).unwrap();
    eventually("the new version is in use", || renewals(&world, "renewed") >= 1).await;
    eventually("on a new connection", || world.counters().connects.get() == 2).await;
    assert_eq!(renewals(&world, "refused"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_renews_at_once_and_the_same_files_change_nothing() {
    let world = World::builder().function(willing()).start().await.unwrap();
    let bridge = world.bridge().unwrap();
    assert_eq!(bridge.renew_tls().await, Ok(false));
    renew_bridge(&world, &Leaf::client("bridge"));
    assert_eq!(bridge.renew_tls().await, Ok(true));
    assert_eq!(bridge.renew_tls().await, Ok(false));
    eventually("a new connection", || world.counters().connects.get() == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_the_broker_refuses_costs_one_connection_at_first() {
    let builder = World::builder().function(willing());
    let world = builder
        .set("mapping.topic_filter", "$share/group/sensor/data")
        .set("mapping.sessions", "3")
        .start()
        .await
        .unwrap();
    assert_eq!(world.counters().subscribed.get(), 3);
    renew_bridge(&world, &Leaf { signed_by: SignedBy::Stranger, ..Leaf::client("bridge") });
    assert_eq!(
        world.bridge().unwrap().renew_tls().await,
        Ok(true),
        "nothing here can tell whose authority the broker trusts"
    );
    let troubles = || world.bridge().unwrap().troubles();
    eventually("the broker has refused one", || !troubles().is_empty()).await;
    assert_eq!((troubles().len(), world.counters().subscribed.get()), (1, 2), "{:?}", troubles());
    let kept = publish(&world, 10, |_| {}).await;
    renew_bridge(&world, &Leaf::client("bridge"));
    assert_eq!(world.bridge().unwrap().renew_tls().await, Ok(true));
    eventually("all are back", || world.counters().subscribed.get() == 3 && troubles().is_empty()).await;
    nothing_lost(&world, &kept).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_publisher_confirms_before_it_gives_way() {
    let function = answering(|call| {
        let event: serde_json::Value = serde_json::from_slice(&call.payload).unwrap();
        let id = &event["records"][0]["payload"]["message_id"];
        Answer::json(&serde_json::json!({ "publish": [{ "topic": "answers", "payload": { "message_id": id } }] }))
    });
    let builder = World::builder().function(function).set("mapping.response.allow", "answers");
    let world = builder.start().await.unwrap();
    // Counted at the function: a second bridge knows only what it received itself.
    let mut second = World::builder()
        .function(willing())
        .broker(BrokerKind::External {
            url: world.url().clone(),
            ca: world.files.ca.clone(),
            bridge: world.files.device.clone(),
            device: world.files.device.clone(),
        })
        .without_bridge()
        .await
        .unwrap();
    second.set("mqtt.client_id", "listener");
    second.set("mapping.topic_filter", "answers");
    second.start_bridge().await.unwrap();
    let _sensors = world.sensors(|options| (options.rate, options.total) = (200.0, Some(200))).unwrap();
    for reached in [30, 80, 130] {
        reaches("answers", reached, || second.counters().acknowledged.get()).await;
        renew_bridge(&world, &Leaf::client("bridge"));
        assert_eq!(world.bridge().unwrap().renew_tls().await, Ok(true));
    }
    reaches("acknowledged", 200, || world.counters().acknowledged.get()).await;
    reaches("answers", 200, || second.counters().acknowledged.get()).await;
    let fate = Fate::of(&second);
    assert_eq!((fate.handled.len(), fate.extra()), (200, 0), "answers came twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ends_of_certificates_are_shown() {
    let world = with_list(World::builder().function(willing())).await;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    for of in ["certificate", "authority", "revocation_list"] {
        let name = format!("mqtt_lambda_bridge_tls_certificate_expires_timestamp_seconds{{of=\"{of}\"}}");
        let days = (metric(&world, &name).unwrap() - now) / 86_400;
        assert!((29..=30).contains(&days), "{of}: {days}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_to_the_files_is_told_by_stable_names() {
    let mut world = World::builder().function(willing()).without_bridge().await.unwrap();
    world.set("admin.listen", "off");
    let mut process = world.spawn_bridge().unwrap();
    for name in ["tls.loaded", "broker.connected"] {
        assert!(process.logged(&format!("\"event\":\"{name}\""), PATIENCE).await, "{name}: {:#?}", process.log());
    }
    fs::write(&world.files.bridge.cert, Pki::generate().unwrap().identity(Role::Bridge).certificate_pem()).unwrap();
    assert!(process.logged("\"event\":\"tls.refused\"", PATIENCE).await, "{:#?}", process.log());
    renew_bridge(&world, &Leaf { validity: Validity::Current, ..Leaf::client("bridge") });
    assert!(process.logged("\"event\":\"tls.renewed\"", PATIENCE).await, "{:#?}", process.log());
    let log = process.log().join("\n");
    assert!(log.contains("does not belong to the certificate in"), "{log}");
    assert!(!log.contains("PRIVATE KEY"), "{log}");
}

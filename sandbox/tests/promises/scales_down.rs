//! Promise: a pod of a Kubernetes StatefulSet retires if it was scaled down, and only then. After rolling updates,
//! evictions and an API server that does not answer, its sessions are kept and nothing is lost. On the real binary,
//! with the command of the chart's `preStop`.

use std::process::Output;

use crate::api_server::{ApiServer, TOKEN};
use crate::common::{self, eventually, everywhere, nothing_lost, sized, willing};
use crate::replica::{AT_ONCE, Replica, SHORT, broker, mapping};
use sandbox::world::{World, WorldBuilder};

const SHARED: &str = "$share/bridge/sensor/data";

async fn scene(builder: WorldBuilder, filter: &'static str) -> (World, impl Fn(&str) -> String) {
    let protocol = builder.protocol_spoken();
    let world = builder.function(willing()).without_bridge().await.unwrap();
    let (url, files) = (world.url().clone(), world.files.clone());
    let config = move |pod: &str| {
        broker(&url, &files, protocol, pod, &format!("{SHORT}\n{AT_ONCE}")) + &mapping("m", filter, "")
    };
    (world, config)
}

fn said(output: &Output) -> (bool, String) {
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(!text.contains(TOKEN), "{text}");
    (output.status.success(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn scaling_from_three_to_one_retires_the_others_alone() {
    everywhere(|builder| async move {
        let (world, config) = scene(builder, SHARED).await;
        let api = ApiServer::wanting(&world, 3).await;
        let mut pods = Vec::new();
        for pod in ["bridge-0", "bridge-1", "bridge-2"] {
            pods.push(Replica::start(&world, pod, &config(pod)).await);
        }
        let part = sized(30, 500);
        // Slow enough for a busy machine: a queue that grows is fetched before a replica leaves.
        let mut sensors = world.sensors(|options| options.rate = 10.0).unwrap();
        eventually("messages flow", || sensors.acked() > part).await;
        api.wants(1);
        for (ordinal, pod) in pods.iter_mut().enumerate().rev() {
            let (good, text) = said(&api.pre_stop(&world, &format!("bridge-{ordinal}"), pod).await);
            assert!(good, "{text}");
            assert_eq!(text.contains("not retired"), ordinal == 0, "bridge-{ordinal}: {text}");
            if ordinal > 0 {
                // The hook has waited until the bridge exited, so there is no process for a SIGTERM.
                pod.ended().await;
                assert_eq!(pod.logged("session.retired").len(), 1);
            }
        }
        let before = sensors.acked();
        eventually("the first goes on alone", || sensors.acked() > before + part).await;
        assert_eq!(sensors.stop(common::PATIENCE).await, 0);
        let fate = nothing_lost(&world, &sensors).await;
        assert_eq!((fate.handled.len() as u64, fate.extra()), (sensors.published(), 0));
        // No queue is left at the broker.
        let again = Replica::start(&world, "again", &config("bridge-1")).await;
        assert_eq!(again.sessions("bridge-1-m").await, [false]);
    })
    .await;
}

/// Two rolling updates: pod by pod from the last the hook, SIGTERM, and the next pod of that name. What comes while a pod is away is
/// counted too.
async fn updates(builder: WorldBuilder, replicas: u64, filter: &'static str) {
    let (world, config) = scene(builder, filter).await;
    let api = ApiServer::wanting(&world, replicas).await;
    let names: Vec<String> = (0..replicas).map(|ordinal| format!("bridge-{ordinal}")).collect();
    let mut pods = Vec::new();
    for pod in &names {
        pods.push(Replica::start(&world, pod, &config(pod)).await);
    }
    let part = sized(30, 500);
    let mut sensors = world.sensors(|options| options.rate = 10.0).unwrap();
    for ordinal in (0..names.len()).rev().cycle().take(2 * names.len()) {
        let (name, pod) = (&names[ordinal], &mut pods[ordinal]);
        let before = sensors.acked();
        eventually("messages flow", || sensors.acked() > before + part).await;
        let (good, text) = said(&api.pre_stop(&world, name, pod).await);
        assert!(good && text.contains("not retired"), "{text}");
        pod.process.signal("TERM").await.unwrap();
        pod.ended().await;
        assert!(pod.logged("session.retired").is_empty());
        let without = sensors.acked();
        eventually("messages come while it is away", || sensors.acked() > without).await;
        *pod = Replica::start(&world, name, &config(name)).await;
        assert_eq!(pod.sessions(&format!("{name}-m")).await, [true], "the broker has kept the session");
    }
    assert_eq!(sensors.stop(common::PATIENCE).await, 0);
    nothing_lost(&world, &sensors).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_and_evictions_of_two_replicas_keep_their_sessions_and_lose_nothing() {
    everywhere(|builder| updates(builder, 2, SHARED)).await;
}

/// Alone, and with a filter that is not shared: nobody takes its messages meanwhile but the broker.
#[tokio::test(flavor = "multi_thread")]
async fn updates_and_evictions_of_the_only_replica_keep_its_session_and_lose_nothing() {
    everywhere(|builder| updates(builder, 1, "sensor/data")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_clear_answer_nobody_retires() {
    let (world, config) = scene(World::builder(), SHARED).await;
    let api = ApiServer::wanting(&world, 1).await;
    // Its ordinal is above the replicas: it would retire on any answer that is taken for one.
    let pod = Replica::start(&world, "bridge-1", &config("bridge-1")).await;
    for (status, body, why) in [
        (401, "{}", "must be allowed to `get` it"),
        (403, r#"{"kind":"Status","message":"forbidden"}"#, "must be allowed to `get` it"),
        (500, "etcd is away", "answers 500: etcd is away"),
        (200, "<html>", "no StatefulSet"),
        (200, r#"{"kind":"StatefulSet","metadata":{}}"#, "no StatefulSet"),
    ] {
        api.answers(status, body);
        let (good, text) = said(&api.pre_stop(&world, "bridge-1", &pod).await);
        assert!(!good && text.contains(why) && text.contains("not retired"), "{status}: {text}");
    }
    for (status, body, why) in [
        (404, "", "not found"),
        (200, r#"{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z"},"spec":{"replicas":0}}"#, "being removed"),
    ] {
        api.answers(status, body);
        let (good, text) = said(&api.pre_stop(&world, "bridge-1", &pod).await);
        assert!(good && text.contains(why) && text.contains("not retired"), "{status}: {text}");
    }
    api.wants(1);
    let (good, text) = said(&api.pre_stop(&world, "no-ordinal", &pod).await);
    assert!(!good && text.contains("no pod of a StatefulSet"), "{text}");
    // An authority that did not issue the server's certificate.
    let stranger = sandbox::certs::Pki::generate().unwrap();
    std::fs::write(api.account().join("ca.crt"), stranger.ca_pem()).unwrap();
    let (good, text) = said(&api.pre_stop(&world, "bridge-1", &pod).await);
    assert!(!good && text.contains("ca.crt") && text.contains("not retired"), "{text}");
    std::fs::remove_file(api.account().join("token")).unwrap();
    let (good, text) = said(&api.pre_stop(&world, "bridge-1", &pod).await);
    assert!(!good && text.contains("automountServiceAccountToken"), "{text}");
    assert!(pod.ask("GET", "/readyz").await.1.starts_with("ready\n"));
}

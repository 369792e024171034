//! F7: what can happen to the broker. Saved messages are there again; lost sessions are logged.

use std::time::Duration;

use sandbox::broker::{Autosave, Broker, BrokerOptions, Mosquitto};
use sandbox::lambda::{Action, Answer, Function, When};
use sandbox::world::FUNCTION;
use tokio::sync::watch;

use crate::common::{PATIENCE, eventually, fault, publish, sized, willing};
use crate::faults::scene::{RECEIVE_MAXIMUM, Scene, both_protocols, settled};

/// What the sensors may publish again, when a PUBACK was lost with the broker.
const SENSORS_WINDOW: usize = 256;

fn mosquitto(scene: &mut Scene) -> &mut Mosquitto {
    match scene.world.broker.as_mut() {
        Some(Broker::Mosquitto(mosquitto)) => mosquitto,
        other => panic!("no Mosquitto: {other:?}"),
    }
}

fn persistent(autosave: Autosave) -> BrokerOptions {
    BrokerOptions { persistence: true, autosave, ..BrokerOptions::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn f7_broker_sigterm_under_load() {
    both_protocols(|builder| async move {
        let (messages, stops) = (sized(500, 10_000), sized(3, 20));
        let builder = builder.broker_options(persistent(Autosave::OnChange)).function(willing());
        let mut scene = Scene::start(builder).await;
        fault(&scene.world, When::Always, Action::Delay(Duration::from_millis(10)));
        let mut sensors =
            scene.world.sensors(|options| (options.rate, options.total) = (150.0, Some(messages))).unwrap();
        let log = scene.world.lambda.log();
        for stop in 1..=stops {
            let reached = stop * messages / (stops + 1);
            log.wait_for(PATIENCE, |log| log.totals().succeeded >= reached).await.unwrap();
            scene.world.broker.as_mut().unwrap().restart().await.unwrap();
            scene.flow_resumes(messages).await;
        }
        let fate = scene.settled("F7 SIGTERM", &mut sensors, stops).await;
        assert_eq!(fate.handled.len() as u64, messages);
        let most = (RECEIVE_MAXIMUM + SENSORS_WINDOW) * usize::try_from(stops).unwrap();
        assert!(fate.extra() <= most, "{} extra", fate.extra());
        assert_eq!(scene.process.count("session lost"), 0, "{:#?}", scene.process.log());
        scene.check_acks().await;
    })
    .await;
}

/// What has its outcome is not in flight any more, though no broker can be told.
#[tokio::test(flavor = "multi_thread")]
async fn what_ends_while_the_broker_is_away_is_not_shown_as_in_flight() {
    both_protocols(|builder| async move {
        let (gate, open) = watch::channel(false);
        let function = Function::inline(FUNCTION, move |_| {
            let mut open = open.clone();
            async move {
                // An error means that the test has ended.
                let _ = open.wait_for(|open| *open).await;
                Answer::null()
            }
        });
        let mut world = builder.function(function).start().await.unwrap();
        publish(&world, 1, |_| {}).await;
        eventually("it is in flight", || world.counters().live.oldest_in_flight().is_some()).await;
        world.broker.as_mut().unwrap().stop().await.unwrap();
        eventually("the connection is lost", || world.counters().ready.get() == 0).await;
        gate.send_replace(true);
        eventually("nothing is in flight", || world.counters().live.oldest_in_flight().is_none()).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f7_broker_sigkill_after_it_has_saved() {
    if sandbox::tools::require("mosquitto").is_none() {
        return;
    }
    for autosave in [Autosave::OnChange, Autosave::EachSecond] {
        both_protocols(|builder| async move {
            let (messages, kills) = (sized(250, 2_000), sized(2, 5));
            let builder = builder.broker_options(persistent(autosave)).function(willing());
            let mut scene = Scene::start(builder).await;
            let mut extra = 0;
            for _ in 0..kills {
                // Slow, so that most messages still wait at the broker when it is killed.
                fault(&scene.world, When::Always, Action::Delay(Duration::from_millis(500)));
                let sensors = publish(&scene.world, messages, |_| {}).await;
                match autosave {
                    Autosave::OnChange => mosquitto(&mut scene).save().await.unwrap(),
                    Autosave::EachSecond => mosquitto(&mut scene).autosaved().await.unwrap(),
                }
                let broker = scene.world.broker.as_mut().unwrap();
                broker.kill().await.unwrap();
                broker.restart().await.unwrap();
                scene.world.lambda.faults().clear();
                extra = settled(&scene.world, "F7 SIGKILL", &sensors, 1).await.extra();
            }
            let most = (RECEIVE_MAXIMUM + SENSORS_WINDOW) * usize::try_from(kills).unwrap();
            assert!(extra <= most, "{extra} extra, at most {most} allowed");
            assert_eq!(scene.process.count("session lost"), 0, "{:#?}", scene.process.log());
            scene.check_acks().await;
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f7_a_session_that_the_broker_has_lost_raises_the_alarm() {
    if sandbox::tools::require("mosquitto").is_none() {
        return;
    }
    both_protocols(|builder| async move {
        let builder = builder.broker_options(persistent(Autosave::OnChange)).function(willing());
        let mut scene = Scene::start(builder).await;
        let first = publish(&scene.world, 20, |_| {}).await;
        settled(&scene.world, "F7 lost session", &first, 0).await;
        scene.world.broker.as_mut().unwrap().kill().await.unwrap();
        mosquitto(&mut scene).forget().unwrap();
        scene.world.broker.as_mut().unwrap().restart().await.unwrap();
        assert!(scene.process.logged("session lost", PATIENCE).await, "{:#?}", scene.process.log());
        let lines = scene.process.log();
        let alarm = lines.iter().find(|line| line.contains("session lost")).unwrap();
        assert!(alarm.contains("ERROR"), "{alarm}");
        eventually("subscribed again", || scene.process.count("subscribed") == 2).await;
        let second = publish(&scene.world, 20, |_| {}).await;
        settled(&scene.world, "F7 lost session", &second, 1).await;
        scene.check_acks().await;
    })
    .await;
}

//! Promise: the status page updates live, works on a phone and in dark mode, and sends requests only to the bridge.

use crate::common;
use std::path::Path;

use crate::browser::{self, Browser};
use crate::common::{acknowledged, eventually, fault, publish, willing};
use sandbox::lambda::{Action, When};
use sandbox::queue::{Queue, Trouble};
use sandbox::world::World;
use tokio::task::block_in_place;

/// Names a directory for pictures of the page.
const PICTURES: &str = "STATUS_PAGE_PICTURES";

const CARD: &str = "document.querySelector('article[data-mapping=\"sensor-data\"]')";

/// The small print below a figure of the card.
fn small(key: &str) -> String {
    format!("{CARD}?.querySelector('b[data-key={key}]').parentNode.querySelector('small').textContent")
}

/// Keeps a picture of the page where somebody wants to look at it.
fn picture(browser: &mut Browser, name: &str) {
    if let Some(directory) = std::env::var_os(PICTURES) {
        browser.picture(&Path::new(&directory).join(format!("{name}.png")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_shows_what_happens_and_asks_nobody_but_the_bridge() {
    let Some(chromium) = browser::installed() else { return };
    let queue = Queue::start().await.unwrap();
    let builder = World::builder().set("mapping.retry.backoff", "100ms..200ms").set("mapping.retry.max_attempts", "1");
    let builder = builder.set("mapping.on_failure.sqs", &queue.url());
    let world = builder.function(willing()).start().await.unwrap();
    let address = world.bridge().unwrap().admin_address().unwrap();
    let url = format!("http://{address}/");
    let mut browser = block_in_place(|| Browser::start(&chromium));
    block_in_place(|| {
        browser.open(&url);
        browser.eventually(&small("received"), |said| said.starts_with("0 in all"));
        assert_eq!(browser.evaluate("document.querySelector('#state').textContent"), "ready");
        assert!(browser.evaluate(&format!("{CARD}.innerText")).contains("sensor/data → sensor-handler"));
    });

    publish(&world, 20, |_| {}).await;
    acknowledged(&world, 20).await;
    block_in_place(|| browser.eventually(&small("received"), |said| said.starts_with("20 in all; last ")));

    fault(&world, When::Always, Action::throttle(None));
    publish(&world, 1, |_| {}).await;
    block_in_place(|| browser.eventually(&format!("{CARD}.innerText"), |said| said.contains("lambda: throttled: ")));
    world.lambda.faults().clear();
    acknowledged(&world, 21).await;
    block_in_place(|| browser.eventually(&format!("{CARD}.innerText"), |said| said.contains("it has worked since")));

    // Two messages that the function rejects: the queue takes none, so the file has them.
    queue.trouble(Some(Trouble::AccessDenied));
    fault(&world, When::Always, Action::function_error("SensorError", "cannot"));
    publish(&world, 2, |_| {}).await;
    acknowledged(&world, 23).await;
    block_in_place(|| {
        let place = |number: u8| format!("{CARD}.querySelectorAll('ul')[2].children[{number}].innerText");
        let queue = browser.eventually(&place(0), |said| said.contains("refuses"));
        assert!(queue.starts_with("sqs ") && queue.contains("0 taken, 2 refused; refuses since 2"), "{queue}");
        assert!(queue.contains("AccessDenied"), "{queue}");
        let file = browser.eventually(&place(1), |said| said.contains("works"));
        assert!(file.starts_with("file ") && file.contains("2 taken, 0 refused; last taken 2"), "{file}");
        picture(&mut browser, "degraded");
    });
    queue.trouble(None);
    publish(&world, 1, |_| {}).await;
    acknowledged(&world, 24).await;
    world.lambda.faults().clear();

    assert!(world.bridge().unwrap().pause("sensor-data", true));
    block_in_place(|| {
        browser.eventually(&format!("{CARD}.querySelector('.pill').textContent"), |said| said == "paused");
        browser.eventually(&format!("{CARD}.querySelector('.note').textContent"), |said| {
            said.matches("paused since 2").count() == 1 && said.contains("resume sensor-data")
        });
    });

    block_in_place(|| {
        for (screen, scheme) in
            [((1280, 900), "light"), ((1280, 900), "dark"), ((390, 844), "light"), ((390, 844), "dark")]
        {
            browser.look_with(screen, scheme);
            let wider = "document.documentElement.scrollWidth > document.documentElement.clientWidth";
            assert_eq!(browser.evaluate(wider), "false", "it fits {screen:?} without a scroll bar below");
            picture(&mut browser, &format!("{}-{scheme}", screen.0));
        }
        browser.eventually("matchMedia('(prefers-color-scheme: dark)').matches", |dark| dark == "true");
        let ground = browser.evaluate("getComputedStyle(document.body).backgroundColor");
        browser.look_with((390, 844), "light");
        browser.eventually("getComputedStyle(document.body).backgroundColor", |light| light != ground);
    });

    let Browser { requests, answers, complaints, .. } = &browser;
    let ours = |asked: &&String| asked.starts_with(&url) || asked.starts_with("data:");
    assert_eq!(requests.iter().filter(|asked| !ours(asked)).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(requests.iter().any(|asked| asked.ends_with("/status.json")), "{requests:?}");
    assert_eq!(complaints, &Vec::<String>::new());
    let headers = &answers.iter().find(|(asked, _)| *asked == url).expect("the page").1;
    let policy = headers["Content-Security-Policy"].as_str().or_else(|| headers["content-security-policy"].as_str());
    assert!(policy.is_some_and(|policy| policy.starts_with("default-src 'none'; ")), "{headers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_is_gone_is_said_on_the_page() {
    let Some(chromium) = browser::installed() else { return };
    let mut world = World::builder().function(willing()).start().await.unwrap();
    let address = world.bridge().unwrap().admin_address().unwrap();
    let mut browser = block_in_place(|| Browser::start(&chromium));
    block_in_place(|| {
        browser.open(&format!("http://{address}/"));
        browser.eventually(
            "document.querySelector('#stale').hidden && document.querySelectorAll('article').length",
            |n| n == "1",
        );
    });
    assert!(world.drain_bridge(common::PATIENCE).await);
    eventually("nobody listens", || std::net::TcpStream::connect(address).is_err()).await;
    block_in_place(|| {
        browser.eventually("document.querySelector('#stale').textContent", |said| {
            said.starts_with("No answer from the bridge")
        });
        assert_eq!(browser.evaluate("document.querySelector('#stale').hidden"), "false");
    });
}

//! The function's answers are published, and a device receives them.

use event::{Encoding, Publish, Response};
use sandbox::lambda::{Answer, Call, Function};
use sandbox::world::FUNCTION;
use serde_json::value::RawValue;

use super::bench::{Bench, Seen};
use super::device::Device;

const MESSAGES: usize = 20;

pub async fn a_device_hears(bench: Bench) -> Seen {
    let command = format!("lab/{}/command", bench.name);
    let mut stage = bench.stage(answering(command.clone()), &format!("response.allow = [\"{command}\"]")).await;
    let bridge = stage.bridge().await;
    let mut device = Device::listen(&stage, bench.protocol, &command).await;
    let sensors = stage.publish(MESSAGES as u64).await;
    let heard = device.hear(MESSAGES).await;
    let mut seen = stage.outcome(&[&sensors]).await;
    seen.nothing_lost(bench.again(&[&bridge]));
    seen.must(heard == MESSAGES, format!("{heard} of {MESSAGES} answers heard"));
    seen.note = format!("{heard} answers heard");
    seen
}

/// A command for each event.
fn answering(topic: String) -> Function {
    Function::inline(FUNCTION, move |_: Call| {
        let payload = RawValue::from_string("{\"set\":\"idle\"}".to_owned()).unwrap();
        let publish = Publish {
            topic: topic.clone(),
            payload,
            encoding: Encoding::Json,
            qos: None,
            retain: false,
            item_identifier: None,
        };
        async move { Answer::json(&Response { publish: vec![publish], ..Response::default() }) }
    })
}

//! A queue and a bucket for dead letters. Each confirms the exact bytes that it has stored, or refuses.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::time::sleep;

use super::answer::{Answer, Fate};
use super::{Cloud, Weather};
use crate::sim::letter::Letter;

impl Cloud {
    /// `SendMessage`.
    pub(super) async fn queue(&self, body: &[u8]) -> Fate {
        let request: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = request["MessageBody"].as_str().unwrap_or_default();
        let sum = Md5::digest(text).iter().fold(String::new(), |sum, byte| sum + &format!("{byte:02x}"));
        let answer = Answer::of(200, json!({ "MD5OfMessageBody": sum, "MessageId": "1" }).to_string());
        self.store(Weather::QueueFails, text.as_bytes(), "queue", answer).await
    }

    /// `PutObject`.
    pub(super) async fn bucket(&self, body: &[u8]) -> Fate {
        let sum = BASE64_STANDARD.encode(Sha256::digest(body));
        let answer = Answer::of(200, "").with("x-amz-checksum-sha256", &sum);
        self.store(Weather::BucketFails, body, "bucket", answer).await
    }

    async fn store(&self, fails: Weather, letter: &[u8], place: &'static str, answer: Answer) -> Fate {
        let took = self.state().chance.millis(1..50);
        sleep(took).await;
        let mut state = self.state();
        if state.is(fails) {
            let silent = state.chance.percent(20);
            return if silent { Fate::Silent } else { Fate::Answered(Answer::error(503, "ServiceUnavailable")) };
        }
        let letter = Letter::read(letter).map(|letter| (letter, place));
        Fate::Answered(Answer { letter, ..answer })
    }
}

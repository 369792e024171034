//! A headless Chromium in which a test opens a page: its requests, its errors, and what it shows. Speaks the `DevTools`
//! protocol over a pipe, so that it listens on no port.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sandbox::tools;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_mins(2);

/// The browser of this machine, by the names that it has on Debian and on GitHub's machines.
pub fn installed() -> Option<PathBuf> {
    tools::require_one_of(&["chromium", "google-chrome"])
}

/// A browser with one page.
pub struct Browser {
    process: Child,
    orders: ChildStdin,
    said: Receiver<Value>,
    page: Value,
    last: u64,
    /// The requests of the page.
    pub requests: Vec<String>,
    /// The headers of the answers, by URL, as JSON.
    pub answers: Vec<(String, Value)>,
    /// The page's errors, and requests that were refused.
    pub complaints: Vec<String>,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts it with an empty page.
    pub fn start(chromium: &Path) -> Self {
        let profile = tempfile::tempdir().unwrap();
        // It reads orders from descriptor 3 and answers on 4.
        let mut process = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null"])
            .arg(chromium)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"])
            .args(["--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (orders, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let (says, said) = channel();
        thread::spawn(move || {
            let mut answers = BufReader::new(answers);
            let mut message = Vec::new();
            while answers.read_until(0, &mut message).is_ok_and(|length| length > 0) {
                message.pop();
                if says.send(serde_json::from_slice(&message).unwrap()).is_err() {
                    return;
                }
                message.clear();
            }
        });
        let mut browser = Self {
            process,
            orders,
            said,
            page: Value::Null,
            last: 0,
            requests: Vec::new(),
            answers: Vec::new(),
            complaints: Vec::new(),
            _profile: profile,
        };
        let target = browser.order("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].clone();
        let attached = browser.order("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        browser.page = attached["sessionId"].clone();
        for domain in ["Network", "Runtime", "Log", "Page"] {
            browser.order(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// Opens this URL.
    pub fn open(&mut self, url: &str) {
        let gone = self.order("Page.navigate", json!({ "url": url }));
        assert_eq!(gone["errorText"], Value::Null, "{gone}");
    }

    /// The value of an expression in the page, as text.
    pub fn evaluate(&mut self, expression: &str) -> String {
        let said = self.order("Runtime.evaluate", json!({ "expression": expression, "returnByValue": true }));
        let value = &said["result"]["value"];
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    }

    /// Waits until an expression has this value.
    pub fn eventually(&mut self, expression: &str, wished: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let value = self.evaluate(expression);
            if wished(&value) {
                return value;
            }
            assert!(begun.elapsed() < PATIENCE, "{expression} is still {value}; {:?}", self.complaints);
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Looks at the page with another screen, in light or dark.
    pub fn look_with(&mut self, (width, height): (u32, u32), scheme: &str) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.order("Emulation.setDeviceMetricsOverride", metrics);
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.order("Emulation.setEmulatedMedia", features);
    }

    /// Keeps a picture of the whole page for people to look at.
    pub fn picture(&mut self, file: &Path) {
        let taken = self.order("Page.captureScreenshot", json!({ "captureBeyondViewport": true }));
        let bytes = STANDARD.decode(taken["data"].as_str().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    }

    fn order(&mut self, method: &str, parameters: Value) -> Value {
        self.last += 1;
        let mut order = json!({ "id": self.last, "method": method, "params": parameters });
        if !self.page.is_null() {
            order["sessionId"] = self.page.clone();
        }
        self.orders.write_all(format!("{order}\0").as_bytes()).unwrap();
        loop {
            let message = self.said.recv_timeout(PATIENCE).expect("an answer of the browser's");
            if message["id"] == self.last {
                assert_eq!(message["error"], Value::Null, "{method}");
                return message["result"].clone();
            }
            self.hear(&message);
        }
    }

    fn hear(&mut self, message: &Value) {
        let about = &message["params"];
        let url = |value: &Value| value["url"].as_str().unwrap_or_default().to_owned();
        match message["method"].as_str().unwrap_or_default() {
            "Network.requestWillBeSent" => self.requests.push(url(&about["request"])),
            "Network.responseReceived" => {
                self.answers.push((url(&about["response"]), about["response"]["headers"].clone()));
            }
            "Runtime.exceptionThrown" => self.complaints.push(about["exceptionDetails"].to_string()),
            "Log.entryAdded" => self.complaints.push(about["entry"].to_string()),
            _ => {}
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

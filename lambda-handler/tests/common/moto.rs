//! An independent DynamoDB: moto's server, if `.ci/emulator-tools` has installed it.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::{env, io};

use serde_json::{Value, json};

use super::{PATIENCE, http};

const PROGRAM: &str = "moto_server";

/// A server, killed when dropped.
pub struct Moto {
    child: Child,
    pub authority: String,
}

impl Moto {
    /// `None` where it is not installed, which is said past the capture of the test harness.
    ///
    /// Where `REQUIRE_TOOLS` names it, or all, its absence is a failure: the convention of the sandbox's tests.
    pub fn start() -> Option<Self> {
        let Some(program) = find() else {
            let required = env::var("REQUIRE_TOOLS").unwrap_or_default();
            let named = required.split(',').map(str::trim).any(|name| name == "all" || name == PROGRAM);
            assert!(!named, "`{PROGRAM}`: not found in PATH; .ci/emulator-tools installs it");
            let _ = writeln!(io::stderr(), "skipped: {PROGRAM} is not installed; .ci/emulator-tools installs it");
            return None;
        };
        let mut child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        let (found, port) = mpsc::channel();
        // Reads on for ever: a full pipe would stop the server.
        thread::spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                if let Some((_, authority)) = line.split_once("Running on http://") {
                    let _ = found.send(authority.trim().to_owned());
                }
            }
        });
        let started = port.recv_timeout(PATIENCE);
        if started.is_err() {
            let _ = child.kill();
        }
        Some(Self { child, authority: started.unwrap() })
    }

    /// Makes a table of that name, as docs/function.md describes it.
    pub fn create_table(&self, name: &str) {
        let attribute = |name| json!({ "AttributeName": name, "AttributeType": "S" });
        let key = |name, kind| json!({ "AttributeName": name, "KeyType": kind });
        let table = json!({
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [attribute("device_id"), attribute("sk")],
            "KeySchema": [key("device_id", "HASH"), key("sk", "RANGE")],
        });
        self.call("CreateTable", &table);
        let ttl = json!({ "AttributeName": "expires_at", "Enabled": true });
        self.call("UpdateTimeToLive", &json!({ "TableName": name, "TimeToLiveSpecification": ttl }));
    }

    pub fn items(&self, table: &str) -> Vec<Value> {
        let found = self.call("Scan", &json!({ "TableName": table, "ConsistentRead": true }));
        assert!(found.get("LastEvaluatedKey").is_none(), "more than one page");
        found["Items"].as_array().unwrap().clone()
    }

    fn call(&self, operation: &str, body: &Value) -> Value {
        let target = format!("DynamoDB_20120810.{operation}");
        let scope = "Credential=test/20261120/us-east-1/dynamodb/aws4_request";
        let signature = format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0");
        let headers =
            [("x-amz-target", &*target), ("content-type", "application/x-amz-json-1.0"), ("authorization", &signature)];
        let (status, answer) = http::post(&self.authority, &headers, &body.to_string()).unwrap();
        assert_eq!(status, 200, "{operation}: {}", String::from_utf8_lossy(&answer));
        serde_json::from_slice(&answer).unwrap()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn find() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|directory| directory.join(PROGRAM)).find(|file| file.is_file())
}

//! The flags of the demo: what they are called, which values make sense, and which demo they ask for.

use std::path::PathBuf;
use std::time::Duration;

use bridge::config::{BrokerUrl, Protocol};
use bridge::topic::validate_topic_name;
use clap::{Args, ValueEnum};

use super::{Demo, Patience};
use crate::certs::IdentityFiles;
use crate::lambda::{Action, Fault, Function, When};
use crate::scene::{self, Scene};
use crate::world::{BrokerKind, FUNCTION};

const DEFAULT_TOPIC: &str = "sensor/data";
/// Messages a second that no machine of this kind publishes.
const MAX_RATE: f64 = 100_000.0;

/// What the demo shows.
#[derive(Debug, Args)]
pub struct Flags {
    /// How long it runs, for example `10s`; until Ctrl-C by default.
    #[arg(long, value_parser = a_time)]
    duration: Option<Duration>,
    /// Messages a second of all sensors together.
    #[arg(long, value_parser = a_rate, default_value_t = 20.0)]
    rate: f64,
    /// How many sensors publish.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000), default_value_t = 5)]
    sensors: u16,
    /// Every Nth message is a reading that the function rejects, so that it becomes a dead letter; none by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    bad_every: Option<u64>,
    /// The version of MQTT: `5` or `3.1.1`.
    #[arg(long, default_value = "5")]
    protocol: Protocol,
    /// How many invocations may run at once.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000), default_value_t = 10)]
    concurrency: u16,
    /// What is played: sensors whose readings are taken, or hubs that are answered with commands.
    #[arg(long, default_value = "sensors")]
    scene: SceneName,
    /// Where sensors publish and what the bridge subscribes to.
    #[arg(long, value_parser = a_topic, default_value = DEFAULT_TOPIC)]
    topic: String,
    /// What goes wrong at the local Lambda, at each `--fault-every`th invocation; nothing by default.
    #[arg(long)]
    fault: Option<FaultKind>,
    /// The fault strikes each Nth invocation.
    #[arg(long, value_name = "N", default_value_t = 5, requires = "fault", value_parser = clap::value_parser!(u64).range(1..))]
    fault_every: u64,
    /// Another function: an executable that speaks the Lambda Runtime API; the real handler by default.
    #[arg(long, value_name = "FILE")]
    bootstrap: Option<PathBuf>,
    /// Start Mosquitto, which must be installed, in place of the embedded broker.
    #[arg(long, conflicts_with = "broker")]
    mosquitto: bool,
    /// Use a broker that runs already, for example `mqtts://localhost:8883` or `wss://localhost:443/mqtt`.
    #[arg(long, requires = "ca_file", requires = "cert_file", requires = "key_file")]
    broker: Option<BrokerUrl>,
    /// With `--broker`: the authority that issued its certificate, in PEM.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// With `--broker`: the bridge's certificate chain, in PEM.
    #[arg(long, value_name = "FILE")]
    cert_file: Option<PathBuf>,
    /// With `--broker`: the bridge's private key, in PEM.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// With `--broker`: the sensors' certificate chain; the bridge's by default.
    #[arg(long, value_name = "FILE", requires = "device_key_file")]
    device_cert_file: Option<PathBuf>,
    /// With `--broker`: the sensors' private key; the bridge's by default.
    #[arg(long, value_name = "FILE", requires = "device_cert_file")]
    device_key_file: Option<PathBuf>,
    /// Show the bridge's status page in a browser.
    #[arg(long)]
    open: bool,
}

/// A scene by name.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum SceneName {
    /// Readings on `sensor/data`.
    Sensors,
    /// Readings on `devices/{hub}/data`, commands on `devices/{hub}/command`.
    Hub,
}

/// A fault by name.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum FaultKind {
    /// 429, too many requests.
    Throttle,
    /// 500, the service failed.
    Error,
    /// HTTP 200 with `X-Amz-Function-Error`.
    FunctionError,
    /// The connection breaks before the function runs.
    Cut,
    /// The function runs, and the connection breaks before its answer.
    RunThenCut,
    /// The function takes a second longer.
    Slow,
}

impl FaultKind {
    fn action(self) -> Action {
        match self {
            Self::Throttle => Action::throttle(None),
            Self::Error => Action::status(500),
            Self::FunctionError => Action::function_error("Injected", "a fault of the sandbox"),
            Self::Cut => Action::Cut,
            Self::RunThenCut => Action::RunThenCut,
            Self::Slow => Action::Delay(Duration::from_secs(1)),
        }
    }
}

impl Flags {
    /// Looks at what no flag can see alone.
    ///
    /// # Errors
    /// When two flags contradict each other.
    pub fn check(&self) -> Result<(), String> {
        if matches!(self.scene, SceneName::Hub) && self.topic != DEFAULT_TOPIC {
            return Err(format!(
                "--topic {}: hubs publish to `{}`: leave it out, or play `--scene sensors`",
                self.topic,
                scene::DEVICE_DATA
            ));
        }
        Ok(())
    }

    /// What these flags ask for.
    #[must_use]
    pub fn into_demo(self) -> Demo {
        let function = self.bootstrap.map(|path| Function::process(FUNCTION, path));
        let fault = self.fault.map(|kind| Fault::new(When::Every(self.fault_every), kind.action()));
        let broker = match (self.broker, self.ca_file, self.cert_file, self.key_file) {
            (Some(url), Some(ca), Some(cert), Some(key)) => {
                let bridge = IdentityFiles { cert, key };
                let device = match (self.device_cert_file, self.device_key_file) {
                    (Some(cert), Some(key)) => IdentityFiles { cert, key },
                    _ => bridge.clone(),
                };
                BrokerKind::External { url, ca, bridge, device }
            }
            _ if self.mosquitto => BrokerKind::Mosquitto,
            _ => BrokerKind::Embedded,
        };
        let scene = match self.scene {
            SceneName::Sensors => Scene::Sensors { topic: self.topic },
            SceneName::Hub => Scene::Hub,
        };
        Demo {
            broker,
            protocol: self.protocol,
            scene,
            sensors: usize::from(self.sensors),
            rate: self.rate,
            bad_every: self.bad_every,
            duration: self.duration,
            fault,
            function,
            concurrency: usize::from(self.concurrency),
            open: self.open,
            patience: Patience::default(),
        }
    }
}

/// A number of messages a second.
///
/// # Errors
/// When nothing could be published so often.
pub fn a_rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number: for example `20` or `0.5`".to_owned())?;
    if rate > 0.0 && rate <= MAX_RATE { Ok(rate) } else { Err(format!("must be above 0, and {MAX_RATE} at most")) }
}

/// A time that is not nothing.
///
/// # Errors
/// When it is none.
pub fn a_time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| format!("{error}: for example `10s` or `5m`"))?;
    if time.is_zero() { Err("must be above 0".to_owned()) } else { Ok(time) }
}

/// A topic that messages can be published to and the bridge can subscribe to alone.
fn a_topic(text: &str) -> Result<String, String> {
    validate_topic_name(text).map_err(|error| error.fault().to_string())?;
    if text.starts_with('$') {
        return Err("a topic that begins with `$` belongs to the broker".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        flags: Flags,
    }

    fn parsed(line: &str) -> Result<Flags, String> {
        let line = Line::try_parse_from(["x"].into_iter().chain(line.split_whitespace()));
        let flags = line.map_err(|error| error.to_string())?.flags;
        flags.check().map(|()| flags)
    }

    #[test]
    fn values_that_make_no_sense_are_refused_with_the_flag_and_the_cause() {
        Line::command().debug_assert();
        for (line, flag, cause) in [
            ("--rate 0", "--rate", "above 0"),
            ("--rate -1", "--rate", "above 0"),
            ("--rate NaN", "--rate", "above 0"),
            ("--rate inf", "--rate", "100000 at most"),
            ("--rate much", "--rate", "not a number"),
            ("--sensors 0", "--sensors", "1..=1000"),
            ("--sensors 5000", "--sensors", "1..=1000"),
            ("--concurrency 0", "--concurrency", "1..=1000"),
            ("--bad-every 0", "--bad-every", "not in 1.."),
            ("--fault slow --fault-every 0", "--fault-every", "not in 1.."),
            ("--duration 0s", "--duration", "above 0"),
            ("--duration soon", "--duration", "for example"),
            ("--topic a/+", "--topic", "topic filters only"),
            ("--topic a/#", "--topic", "topic filters only"),
            ("--topic $SYS/x", "--topic", "belongs to the broker"),
            ("--scene hub --topic a", "--topic", "hubs publish to"),
        ] {
            let error = parsed(&line.replacen("--rate -1", "--rate=-1", 1)).unwrap_err();
            assert!(error.contains(flag) && error.contains(cause), "{line}: {error}");
        }
        assert!(parsed("--topic=").unwrap_err().contains("must not be empty"));
    }

    #[test]
    fn what_makes_sense_is_taken() {
        for line in
            ["", "--rate 0.1 --sensors 1000", "--scene hub", "--fault cut --fault-every 1 --bad-every 1", "--topic a/b"]
        {
            let demo = parsed(line).unwrap().into_demo();
            assert!(demo.rate > 0.0 && demo.sensors > 0, "{line}");
        }
    }
}

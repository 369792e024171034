//! The result of a soak: as a table for people, as JSON for programs, and as a picture. Checks the result; measures
//! nothing.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::plan::Kind;
use crate::plot::{Panel, Plot};

const MIB: u64 = 1024 * 1024;
/// What the bridge may take, beside a window full of messages.
const MEMORY: u64 = 64 * MIB;
/// What the bridge holds at most: twice its Receive Maximum, which Mosquitto up to 2.0.12 makes use of.
const WINDOW: u64 = 2 * 256;
/// The largest message that the sensors of a soak publish, and more.
const LARGEST: u64 = 1_024;
/// What all sensors together may publish again when a broker ends before its PUBACK has arrived.
const SENSORS_WINDOW: u64 = 5 * 256;
/// How much more the last quarter of a run may use than the second; a leak uses more and more.
const MEMORY_SLACK: u64 = 8 * MIB;
/// A connection to Lambda is kept for 90 s, and there may be as many as invocations at once.
const DESCRIPTORS_SLACK: u64 = 64;
/// The cap of the back-off and 5 s, and a second for a loaded machine.
const FLOW_RESUMES_S: f64 = 6.5;

/// How things stood at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Sample {
    /// Seconds since the start.
    pub at_s: f64,
    /// Messages handled a second, since the sample before.
    pub rate: f64,
    /// Messages published that have no outcome yet.
    pub in_flight: u64,
    /// The bridge's resident memory; absent while there is no bridge.
    pub resident_bytes: Option<u64>,
    /// Its open descriptors.
    pub descriptors: Option<u64>,
}

/// One fault and what followed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Struck {
    /// Seconds from the start to the fault.
    pub at_s: f64,
    /// What it was.
    pub kind: Kind,
    /// Seconds from its end until something was handled again; absent when that took more than a minute.
    pub recovered_s: Option<f64>,
    /// Messages handled again from this fault to the next.
    pub duplicates: u64,
}

/// All that a run came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// Repeats the run.
    pub seed: u64,
    /// Which broker.
    pub broker: String,
    /// Which version of MQTT.
    pub protocol: String,
    /// Seconds from the first message to the last outcome.
    pub duration_s: f64,
    /// Different messages published.
    pub published: u64,
    /// Of them, handled by the function.
    pub handled: u64,
    /// Of them, in the failure destination.
    pub dead_lettered: u64,
    /// Of them, still with the broker, or never confirmed by it.
    pub unacknowledged: u64,
    /// Of them, gone.
    pub lost: u64,
    /// Times that a message was handled again.
    pub duplicated: u64,
    /// Calls of the function.
    pub invocations: u64,
    /// Of them, failed.
    pub failed_invocations: u64,
    /// Times that the bridge connected again without being started again.
    pub reconnects: u64,
    /// Times that the bridge was started.
    pub bridge_starts: u64,
    /// Every fault.
    pub faults: Vec<Struck>,
    /// A line each second.
    pub samples: Vec<Sample>,
}

impl Report {
    /// What is not as promised; nothing when all is well.
    #[must_use]
    pub fn breaches(&self) -> Vec<String> {
        let mut breaches = Vec::new();
        let mut check = |holds: bool, breach: String| {
            if !holds {
                breaches.push(breach);
            }
        };
        check(self.lost == 0, format!("I1: {} lost", self.lost));
        check(self.unacknowledged == 0, format!("{} without an outcome in the end", self.unacknowledged));
        let (duplicated, allowed) = (self.duplicated, self.allowed_duplicates());
        check(duplicated <= allowed, format!("I3: {duplicated} handled again, {allowed} allowed"));
        for struck in self.faults.iter().filter(|struck| struck.recovered_s.is_none_or(|took| took > FLOW_RESUMES_S)) {
            let took = struck.recovered_s.map_or("within a minute".to_owned(), |took| format!("for {took:.1} s"));
            check(false, format!("I4: nothing flowed {took} after {} at {:.0} s", struck.kind, struck.at_s));
        }
        let (peak, bound) = (self.peak_resident(), MEMORY + WINDOW * LARGEST);
        check(peak < bound, format!("I5: {} MiB, {} allowed", peak / MIB, bound / MIB));
        let climbs = climb(&self.series(|sample| sample.resident_bytes));
        check(climbs <= MEMORY_SLACK, format!("memory climbs: {} MiB more in the end", climbs / MIB));
        let climbs = climb(&self.series(|sample| sample.descriptors));
        check(climbs <= DESCRIPTORS_SLACK, format!("descriptors climb: {climbs} more in the end"));
        breaches
    }

    /// The bound of I3.
    fn allowed_duplicates(&self) -> u64 {
        let by = |struck: &Struck| match struck.kind {
            Kind::F9 | Kind::F10 => 0,
            Kind::F7 | Kind::F8 => WINDOW + SENSORS_WINDOW,
            _ => WINDOW,
        };
        self.faults.iter().map(by).sum()
    }

    fn series(&self, of: impl Fn(&Sample) -> Option<u64>) -> Vec<u64> {
        self.samples.iter().filter_map(of).collect()
    }

    fn peak_resident(&self) -> u64 {
        self.series(|sample| sample.resident_bytes).into_iter().max().unwrap_or_default()
    }

    fn peak_descriptors(&self) -> u64 {
        self.series(|sample| sample.descriptors).into_iter().max().unwrap_or_default()
    }

    /// One JSON object: the fields, the numbers of each kind of fault, and the breaches.
    ///
    /// # Errors
    /// Never for a report of this shape; the signature is that of the JSON library.
    pub fn to_json(&self) -> serde_json::Result<String> {
        #[derive(Serialize)]
        struct Whole<'a> {
            #[serde(flatten)]
            report: &'a Report,
            faults_by_kind: BTreeMap<String, usize>,
            peak_resident_bytes: u64,
            peak_descriptors: u64,
            breaches: Vec<String>,
        }
        serde_json::to_string(&Whole {
            report: self,
            faults_by_kind: self.by_kind().into_iter().map(|(kind, struck)| (kind.to_string(), struck.len())).collect(),
            peak_resident_bytes: self.peak_resident(),
            peak_descriptors: self.peak_descriptors(),
            breaches: self.breaches(),
        })
    }

    fn by_kind(&self) -> BTreeMap<Kind, Vec<&Struck>> {
        let mut kinds: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for struck in &self.faults {
            kinds.entry(struck.kind).or_default().push(struck);
        }
        kinds
    }

    /// The run as a picture.
    #[must_use]
    pub fn plot(&self) -> Plot {
        #[allow(clippy::cast_precision_loss, reason = "a picture needs three figures")]
        let panel = |name: &str, of: &dyn Fn(&Sample) -> Option<f64>| Panel {
            name: name.to_owned(),
            points: self.samples.iter().filter_map(|sample| Some((sample.at_s, of(sample)?))).collect(),
        };
        #[allow(clippy::cast_precision_loss, reason = "a picture needs three figures")]
        let float = |number: u64| number as f64;
        Plot {
            title: format!("Soak of the bridge: {} faults, {} lost", self.faults.len(), self.lost),
            subtitle: format!(
                "{} published, {} handled, {} dead-lettered, {} handled again; {}, MQTT {}, seed {}",
                self.published,
                self.handled,
                self.dead_lettered,
                self.duplicated,
                self.broker,
                self.protocol,
                self.seed
            ),
            panels: vec![
                panel("messages handled a second", &|sample| Some(sample.rate)),
                panel("messages without an outcome", &|sample| Some(float(sample.in_flight))),
                panel("resident memory of the bridge, MiB", &|sample| {
                    sample.resident_bytes.map(|bytes| float(bytes) / float(MIB))
                }),
                panel("open descriptors of the bridge", &|sample| sample.descriptors.map(float)),
            ],
            marks: self.faults.iter().map(|struck| (struck.at_s, struck.kind.to_string())).collect(),
        }
    }
}

/// How much higher the last quarter's peak is than the second's; nothing in a run of moments.
fn climb(series: &[u64]) -> u64 {
    let quarter = series.len() / 4;
    if quarter < 10 {
        return 0;
    }
    let peak = |part: &[u64]| part.iter().copied().max().unwrap_or_default();
    peak(&series[series.len() - quarter..]).saturating_sub(peak(&series[quarter..2 * quarter]))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, number) in [
            ("published", self.published),
            ("handled", self.handled),
            ("dead-lettered", self.dead_lettered),
            ("unacknowledged", self.unacknowledged),
            ("lost", self.lost),
            ("handled again", self.duplicated),
            ("invocations", self.invocations),
            ("failed invocations", self.failed_invocations),
            ("reconnects", self.reconnects),
            ("bridge started", self.bridge_starts),
            ("memory peak, MiB", self.peak_resident() / MIB),
            ("descriptors, most", self.peak_descriptors()),
        ] {
            writeln!(f, "{name:<20}{number:>13}")?;
        }
        writeln!(f, "\n{:<44}{:>6}{:>16}{:>20}", "fault", "times", "handled again", "slowest recovery")?;
        for (kind, struck) in self.by_kind() {
            let again: u64 = struck.iter().map(|struck| struck.duplicates).sum();
            let slowest = struck.iter().filter_map(|struck| struck.recovered_s).fold(0.0, f64::max);
            let name = format!("{kind} {}", kind.words());
            writeln!(f, "{name:<44}{:>6}{again:>16}{:>20}", struck.len(), format!("{slowest:.1} s"))?;
        }
        writeln!(
            f,
            "\n{:.0} s with MQTT {}, broker {}, seed {}",
            self.duration_s, self.protocol, self.broker, self.seed
        )?;
        match &self.breaches()[..] {
            [] => f.write_str("all as promised: nothing is lost"),
            breaches => write!(f, "NOT as promised: {}", breaches.join("; ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Report {
        let struck = |kind, duplicates| Struck { at_s: 20.0, kind, recovered_s: Some(0.3), duplicates };
        let sample =
            Sample { at_s: 1.0, rate: 99.5, in_flight: 3, resident_bytes: Some(20 * MIB), descriptors: Some(25) };
        Report {
            published: 10,
            handled: 8,
            dead_lettered: 2,
            duplicated: 100,
            faults: vec![struck(Kind::F4, 100), struck(Kind::F9, 0)],
            samples: vec![sample; 100],
            ..Report::default()
        }
    }

    #[test]
    fn what_holds_is_no_breach() {
        assert_eq!(good().breaches(), Vec::<String>::new());
        assert!(good().to_string().ends_with("all as promised: nothing is lost"));
    }

    #[test]
    fn each_invariant_has_its_breach() {
        let mut slow = good();
        slow.faults[0].recovered_s = None;
        let mut fat = good();
        fat.samples[50].resident_bytes = Some(80 * MIB);
        let (mut leak, mut open) = (good(), good());
        (80..100).for_each(|at| leak.samples[at].resident_bytes = Some(30 * MIB));
        (80..100).for_each(|at| open.samples[at].descriptors = Some(100));
        for (report, breach) in [
            (Report { lost: 1, ..good() }, "I1: 1 lost"),
            (Report { unacknowledged: 1, ..good() }, "1 without an outcome in the end"),
            (Report { duplicated: 513, ..good() }, "I3: 513 handled again, 512 allowed"),
            (slow, "I4: nothing flowed within a minute after F4 at 20 s"),
            (fat, "I5: 80 MiB, 64 allowed"),
            (leak, "memory climbs: 10 MiB more in the end"),
            (open, "descriptors climb: 75 more in the end"),
        ] {
            assert_eq!(report.breaches(), [breach]);
            assert!(report.to_string().contains(&format!("NOT as promised: {breach}")));
        }
    }

    #[test]
    fn json_has_the_faults_by_kind() {
        let json: serde_json::Value = serde_json::from_str(&good().to_json().unwrap()).unwrap();
        assert_eq!(json["faults_by_kind"]["F4"], 1);
        assert_eq!(json["lost"], 0);
        assert_eq!(json["breaches"], serde_json::json!([]));
        assert_eq!(json["samples"].as_array().unwrap().len(), 100);
    }

    #[test]
    fn the_picture_has_all_panels_and_marks() {
        let plot = good().plot();
        assert_eq!((plot.panels.len(), plot.marks.len()), (4, 2));
        assert!(plot.panels.iter().all(|panel| panel.points.len() == 100));
    }
}

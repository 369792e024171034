//! The function behind a mapping: checks each record for a sensor reading, stores the good ones and reports the bad
//! ones, and answers a temperature out of range with a command to its device.
//!
//! [`Function::answer`] is a plain async function from [`event::Event`] to [`event::Response`]; [`serve`] connects it to
//! the Lambda runtime. It knows nothing of MQTT, and one bad record never costs the others their success.

mod function;
pub mod logging;
mod metrics;
mod reading;
mod runtime;
mod settings;
mod store;
mod thresholds;
mod topics;

pub use function::{Function, StartError};
pub use metrics::OUT_OF_RANGE;
pub use reading::{
    MAX_DEVICE_ID, MAX_MESSAGE_ID, MAX_STATUS, Reading, ReadingError, TEMPERATURE_RANGE, Timestamp, TimestampError,
};
pub use runtime::{ServeError, serve};
pub use settings::{LONGEST_TTL, SHORTEST_TTL, Settings, SettingsError};
pub use store::{EntryError, MAX_RECORD_ID, NoRegion, Store, Table};
pub use thresholds::{Breach, Thresholds};
pub use topics::{DeviceTopics, DeviceTopicsError};

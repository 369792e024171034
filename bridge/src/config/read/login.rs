//! Who we say we are to a broker that wants a user name: reads what goes with what. Opens no file, and never repeats a
//! password.

use std::path::PathBuf;

use super::super::keys::PASSWORD_VARIABLE;
use super::super::{ConfigError, InvalidValue, Protocol};
use super::reader::Reader;
use crate::secret::Secret;

/// The settings of [`Mqtt`](super::Mqtt) that tell the broker our name.
pub(super) struct Login {
    pub(super) username: Option<String>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) password: Option<Secret>,
}

/// Reads them; `password` came as a variable.
pub(super) fn login(root: &Reader<'_>, password: Option<Secret>, protocol: Protocol) -> Result<Login, ConfigError> {
    let username = root.maybe("mqtt.username", username)?;
    let password_file = root.file("mqtt.password_file")?;
    if password.is_some() && password_file.is_some() {
        return Err(root.error("mqtt.password_file", "BRIDGE_MQTT_PASSWORD is set, too; keep one of them"));
    }
    if protocol == Protocol::V311 && username.is_none() {
        let reason = "MQTT 3.1.1 knows no password without a user name; set `mqtt.username`, or `mqtt.protocol` to `5`";
        if password.is_some() {
            return Err(ConfigError::setting(PASSWORD_VARIABLE, reason));
        }
        if password_file.is_some() {
            return Err(root.error("mqtt.password_file", reason));
        }
    }
    Ok(Login { username, password_file, password })
}

fn username(text: &str) -> Result<String, InvalidValue> {
    /// The longest string of MQTT (MQTT 5, 1.5.4).
    const MAX_BYTES: usize = 65_535;
    match text {
        "" => Err(InvalidValue::new("must not be empty; leave it out for none")),
        _ if text.chars().any(char::is_control) => Err(InvalidValue::new("must not hold control characters")),
        _ if text.len() > MAX_BYTES => Err(InvalidValue::new(format!("longer than {MAX_BYTES} bytes"))),
        _ => Ok(text.to_owned()),
    }
}

//! All keys of the configuration, as its sections define them.

use std::sync::LazyLock;

use super::Config;
pub(crate) use super::key::{FILE_VARIABLE, Fallback, Key};
use super::section::keys_of;

/// All keys, in the order of the sections.
pub(crate) static KEYS: LazyLock<Vec<Key>> = LazyLock::new(keys_of::<Config>);

/// The key at `path`.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Whether keys stand below `path`, which makes it a table.
pub(super) fn is_section(path: &str) -> bool {
    KEYS.iter().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::key::PASSWORD_VARIABLE;
    use super::*;

    #[test]
    fn paths_variables_and_flags_are_unique() {
        let paths: BTreeSet<_> = KEYS.iter().map(|key| key.path).collect();
        let variables: BTreeSet<_> = KEYS.iter().map(Key::variable).collect();
        let flags: Vec<_> = KEYS.iter().filter_map(|key| key.flag).collect();
        assert_eq!((paths.len(), variables.len()), (KEYS.len(), KEYS.len()));
        assert_eq!(flags.iter().collect::<BTreeSet<_>>().len(), flags.len());
        assert!(!variables.contains(FILE_VARIABLE) && !variables.contains(PASSWORD_VARIABLE));
    }

    #[test]
    fn keys_of_one_table_stand_together() {
        // The commented default opens a table where the first of its keys stands.
        let mut tables: Vec<_> =
            KEYS.iter().map(|key| key.path.split_once('.').map_or("", |(table, _)| table)).collect();
        tables.dedup();
        assert_eq!(tables.iter().collect::<BTreeSet<_>>().len(), tables.len(), "{tables:?}");
    }

    #[test]
    fn variables_follow_the_path() {
        assert_eq!(find("mqtt.tls.ca_file").unwrap().variable(), "BRIDGE_MQTT_TLS_CA_FILE");
        let key = find("mapping.retry.max_attempts").unwrap();
        assert_eq!(key.variable(), "BRIDGE_MAPPING_RETRY_MAX_ATTEMPTS");
        assert_eq!(key.variable_of("sensor-data").unwrap(), "BRIDGE_MAPPING_SENSOR_DATA_RETRY_MAX_ATTEMPTS");
        assert_eq!(find("log").unwrap().variable_of("sensor-data"), None);
    }
}

//! What may not change between two configurations of one process. Reads nothing.

use super::Config;
use super::keys::PASSWORD_VARIABLE;

impl Config {
    /// The keys that differ and hold for the life of a process: where the broker and the admin endpoint are, who we are
    /// there, and how log lines are written. All others can change while the bridge runs.
    #[must_use]
    pub fn fixed_keys_changed(&self, new: &Self) -> Vec<&'static str> {
        let ((ours, theirs), (tls, new_tls)) = ((&self.mqtt, &new.mqtt), (&self.mqtt.tls, &new.mqtt.tls));
        let differs = [
            ("log", self.log != new.log),
            ("admin.listen", self.admin.listen != new.admin.listen),
            ("mqtt.url", ours.url != theirs.url),
            ("mqtt.client_id", ours.client_id != theirs.client_id),
            ("mqtt.username", ours.username != theirs.username),
            // The file's name; what is in it may change at any time.
            ("mqtt.password_file", ours.password_file != theirs.password_file),
            (PASSWORD_VARIABLE, ours.password != theirs.password),
            ("mqtt.protocol", ours.protocol != theirs.protocol),
            ("mqtt.session_expiry", ours.session_expiry != theirs.session_expiry),
            ("mqtt.keep_alive", ours.keep_alive != theirs.keep_alive),
            ("mqtt.connect_timeout", ours.connect_timeout != theirs.connect_timeout),
            ("mqtt.backoff", ours.backoff != theirs.backoff),
            ("mqtt.dropped_topic", ours.dropped_topic != theirs.dropped_topic),
            ("mqtt.tls.ca_file", tls.ca_file != new_tls.ca_file),
            ("mqtt.tls.cert_file", tls.cert_file != new_tls.cert_file),
            ("mqtt.tls.key_file", tls.key_file != new_tls.key_file),
            ("mqtt.tls.crl_file", tls.crl_file != new_tls.crl_file),
            ("mqtt.tls.min_version", tls.min_version != new_tls.min_version),
            ("mqtt.tls.cipher_suites", tls.cipher_suites != new_tls.cipher_suites),
            ("mqtt.tls.key_exchange_groups", tls.key_exchange_groups != new_tls.key_exchange_groups),
        ];
        let mut keys: Vec<_> = differs.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect();
        // Better an unclear name than a change that is passed over: a test sees to it that none is missing above.
        if keys.is_empty() && (&self.admin, ours) != (&new.admin, theirs) {
            keys.push("mqtt");
        }
        keys
    }
}

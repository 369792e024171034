//! Promise: the bridge follows MQTT's rules for clients, even with a broker that violates its own. Each test names the
//! rule by its number in MQTT 5, and runs under both versions if MQTT 3.1.1 has the rule too.

mod acks;
mod connect;
mod reasons;
mod receive_maximum;
mod sessions;
mod subscribe;

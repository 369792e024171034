//! Promise: the bridge keeps the rules that MQTT has for a client, also with a broker that does not keep its own. Each test
//! names the rule, by its number in MQTT 5; where MQTT 3.1.1 has it too, both versions are played.

mod acks;
mod connect;
mod reasons;
mod receive_maximum;
mod sessions;
mod subscribe;

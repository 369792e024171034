//! The promises, each in a file of its own that opens with it. One program, so that tests that wait for a broker, a
//! function or a clock run in parallel, and are linked once. `cargo test -p sandbox --test promises retires` runs one
//! file.

#![allow(clippy::large_futures, reason = "each is polled once, in a test")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a step of a test that fails, fails the test")]

mod accounts_for_every_message;
mod acks_after_success;
mod acks_in_order;
mod alarms_ring;
mod answers_devices;
mod audit_events;
mod aws_iot_core;
mod bad_input;
mod batches;
mod books_balance;
mod brokers;
mod check_walks;
mod client_hazards;
mod conformance;
mod dead_letters_to_bucket;
mod dead_letters_to_file;
mod dead_letters_to_queue;
mod dead_letters_to_topic;
mod decompresses;
mod delivers;
mod demo_commands;
mod device_attacks;
mod drains_on_shutdown;
mod endless_answers;
mod environment;
mod error_table;
mod fails_over;
mod falls_back_along_the_chain;
mod faults;
mod flows;
mod full_window;
mod hardened_broker;
mod keeps_order_by_key;
mod keys_in_hardware;
mod local_lambda;
mod measures_honestly;
mod night_cases;
mod no_payload_anywhere;
mod notifies_systemd;
mod publishes_answers;
mod raw_format;
mod reaches_broker;
mod reaches_lambda;
mod redrives;
mod refused_answers;
mod refuses_unverified_broker;
mod reloads;
mod rests_after_failures;
mod resumes_session;
mod retires;
mod retries;
mod rivals;
mod sandbox_parts;
mod scales_down;
mod several_filters;
mod shipped_brokers;
mod silent_list;
mod simulated;
mod status_page;
mod status_topic;
mod survives_kill;
mod tells_operators;
mod tls_agility;
mod tls_interoperates;
mod tls_keeps_secrets;
mod tls_rotation;
mod tls_table;
mod traces;
mod user_name_and_password;

#[path = "../parts/alarms.rs"]
mod alarms;
#[path = "../parts/api_server.rs"]
mod api_server;
#[path = "../parts/browser.rs"]
mod browser;
#[path = "../common/mod.rs"]
mod common;
#[path = "../parts/given_binary.rs"]
mod given_binary;
#[path = "../parts/hardened.rs"]
mod hardened;
#[path = "../parts/messages.rs"]
mod messages;
#[path = "../parts/nginx.rs"]
mod nginx;
#[path = "../parts/tls_peer.rs"]
mod peer;
#[path = "../parts/tls_pki.rs"]
mod pki;
#[path = "../parts/replica.rs"]
mod replica;
#[path = "../parts/shipped.rs"]
mod shipped;
#[path = "../parts/stage.rs"]
mod stage;
#[path = "../parts/subscriber.rs"]
mod subscriber;
#[path = "../parts/token.rs"]
mod token;
#[path = "../parts/trace_receiver.rs"]
mod trace_receiver;

//! What a broker may do, and what the session does about it: no socket, no clock, a few lines a case.

mod bench;
mod brokers;
mod connack;
mod filters;
mod receive;
mod retire;
mod session_lost;
mod subscribe;
mod wire;

//! The session's reaction to whatever a broker may do: no socket, no clock, a few lines for each case.

mod bench;
mod brokers;
mod connack;
mod filters;
mod keep_alive;
mod receive;
mod retire;
mod session_lost;
mod subscribe;
mod wire;

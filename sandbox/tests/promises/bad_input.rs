//! Promise: whatever devices, brokers and their operators send, each message is handled, dead-lettered or expired exactly
//! once and then acknowledged; nothing panics; what no broker may send ends the connection with the right reason, and
//! costs no invocation; and logs stay what they are. The configuration has a test of its own, beside the bridge.

mod command_line;
mod logs;
mod metadata;
mod packet;
mod payload;
mod poison;
mod reasons;
mod topic;

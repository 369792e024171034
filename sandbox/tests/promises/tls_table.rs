//! The promise: what the bridge takes a broker for is decided by this table, row by row. Shown by
//! `cargo test -p sandbox --test promises tls_table -- --nocapture`: one line a case, with the words of the refusal.

mod certificates;
mod handshakes;
mod names;
mod ours;
mod table;

//! The CPU time of another process, as the kernel counts it (`/proc`, so Linux alone).

use std::io;
use std::time::Duration;

/// In which the kernel counts times for programs (proc(5), `sysconf(_SC_CLK_TCK)`); 100 on all that the bridge is built
/// for.
const TICKS_PER_SECOND: u64 = 100;

/// User and system time of the process with this id, all its threads together.
///
/// # Errors
/// When it has ended, or there is no `/proc`.
pub(super) fn time_of(id: u32) -> io::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let ticks = ticks(&stat).ok_or_else(|| io::Error::other("the kernel's line on the process is not understood"))?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Fields 14 and 15 of proc(5), after a name that may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_found_behind_any_name() {
        let line = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 12 30 5 6 20 0 1 0 100 1000 10";
        assert_eq!(ticks(line), Some(42));
        assert_eq!(ticks("7 S"), None);
        assert!(time_of(std::process::id()).is_ok());
    }
}

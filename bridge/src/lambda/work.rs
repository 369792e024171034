//! Counts how often parts of an event are read while a response is interpreted, so that a test can check that the work
//! is linear. Counts nothing outside tests.

#[cfg(test)]
use std::cell::Cell;

#[cfg(test)]
thread_local! {
    static READ: Cell<usize> = const { Cell::new(0) };
}

/// Counts that this number of records was read.
pub(super) fn read(records: usize) {
    #[cfg(test)]
    READ.set(READ.get() + records);
    #[cfg(not(test))]
    let _ = records;
}

/// How many records were looked at meanwhile.
#[cfg(test)]
pub(super) fn of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = READ.get();
    let result = work();
    (result, READ.get() - before)
}

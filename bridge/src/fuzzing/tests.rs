//! Calls the entry points with an everyday number of cases: every seed, then bytes near a seed, then random bytes.

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::TARGETS;

/// The seeds of a fuzz run, and earlier findings.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("fuzz/seeds").join(target);
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| fs::read(file).unwrap()).collect()
}

#[test]
fn every_target_has_seeds_and_bears_them() {
    for (name, target) in TARGETS {
        let seeds = seeds(name);
        assert!(seeds.len() >= 3, "{name}: {} seeds", seeds.len());
        seeds.iter().for_each(|seed| target(seed));
    }
}

#[test]
fn every_target_is_a_fuzz_target() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for (name, _) in TARGETS {
        let caller = fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(caller.contains(&format!("bridge::fuzzing::{name}")), "{caller}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in the manifest");
    }
}

/// One change to a seed.
#[derive(Debug, Clone)]
enum Edit {
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
    Cut(prop::sample::Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let byte = || prop_oneof![any::<u8>(), select(b"\0\x01\x7f\x80\xff\"\\{}[]:,#+/$\n".as_slice())];
    prop_oneof![
        4 => (any::<prop::sample::Index>(), byte()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        2 => (any::<prop::sample::Index>(), vec(byte(), 1..6)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        2 => (any::<prop::sample::Index>(), 1..6_usize).prop_map(|(at, count)| Edit::Remove(at, count)),
        1 => any::<prop::sample::Index>().prop_map(Edit::Cut),
    ]
}

fn edited(mut bytes: Vec<u8>, edits: Vec<Edit>) -> Vec<u8> {
    for edit in edits {
        let length = bytes.len();
        if length == 0 {
            break;
        }
        match edit {
            Edit::Set(at, byte) => bytes[at.index(length)] = byte,
            Edit::Insert(at, new) => drop(bytes.splice(at.index(length)..at.index(length), new)),
            Edit::Remove(at, count) => drop(bytes.drain(at.index(length)..(at.index(length) + count).min(length))),
            Edit::Cut(at) => bytes.truncate(at.index(length)),
        }
    }
    bytes
}

fn near_a_seed(target: &str) -> impl Strategy<Value = Vec<u8>> {
    (select(seeds(target)), vec(edit(), 0..5)).prop_map(|(seed, edits)| edited(seed, edits))
}

macro_rules! bears_any_bytes {
    ($($target:ident),+) => {$(
        proptest! {
            #[test]
            fn $target(bytes in prop_oneof![4 => near_a_seed(stringify!($target)), 1 => vec(any::<u8>(), 0..200)]) {
                super::$target(&bytes);
            }
        }
    )+};
}

bears_any_bytes!(configuration, dead_letter, event, filter, mqtt, response);

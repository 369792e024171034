//! Defines a section of the configuration by one annotated struct. A macro derives the struct itself, the keys with
//! their documentation, defaults, flags and bounds, the readers, and whether a change needs a restart. Reads no text
//! itself.

use super::key::Key;
use super::reader::Reader;

/// What [`section!`] makes of a struct.
pub(super) trait Section: Sized {
    /// Adds its keys, in their order.
    fn keys(keys: &mut Vec<Key>);

    /// Reads it; `None` when there is a mistake in it, which the reader keeps.
    fn read(reader: &mut Reader<'_>) -> Option<Self>;

    /// Adds the keys whose values differ from those of `new` and that cannot change while the bridge runs.
    fn fixed(&self, new: &Self, changed: &mut Vec<&'static str>);
}

/// The keys of a section, in their order.
pub(super) fn keys_of<S: Section>() -> Vec<Key> {
    let mut keys = Vec::new();
    S::keys(&mut keys);
    keys
}

/// Defines a section: `in` says what the paths of its keys begin with, `checked by` what judges the whole of it once
/// all its values are good.
///
/// The documentation of a field is what users read of its key. What stands behind `=` is one of
/// - `key { KEY, METHOD }`: a key, and the method of [`Reader`] that reads it, with its argument;
/// - `subsection {}`: another section;
/// - `other { KEYS, FUNCTION, NAME }`: the keys of something else, what reads it, and the name that it has when it cannot
///   change while the bridge runs.
macro_rules! section {
    (
        $(#[$meta:meta])*
        pub struct $section:ident in $prefix:literal $(, checked by $check:path)? {
            $($(#[doc = $doc:literal])+ pub $name:ident: $type:ty = $form:ident { $($spec:tt)* };)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $section {
            $($(#[doc = $doc])+ pub $name: $type,)*
        }

        impl $crate::config::section::Section for $section {
            fn keys(keys: &mut Vec<$crate::config::key::Key>) {
                $($crate::config::section::$form!(
                    keys(keys) concat!($prefix, stringify!($name)), concat!($($doc),+), $type, $($spec)*
                );)*
            }

            fn read(reader: &mut $crate::config::reader::Reader<'_>) -> Option<Self> {
                // All keys are read before the first invalid one ends this function, so that all mistakes are reported.
                // No variable has its name before all are read, so that a function of the same name can read any of
                // them.
                let ($($name,)*) = ($($crate::config::section::$form!(
                    read(reader) concat!($prefix, stringify!($name)), "", $type, $($spec)*
                ),)*);
                let section = Self { $($name: $name?,)* };
                $($check(&section, reader);)?
                Some(section)
            }

            fn fixed(&self, new: &Self, changed: &mut Vec<&'static str>) {
                $($crate::config::section::$form!(
                    fixed(changed, self.$name, new.$name) concat!($prefix, stringify!($name)), "", $type, $($spec)*
                );)*
            }
        }
    };
}

macro_rules! key {
    (keys($keys:ident) $path:expr, $doc:expr, $type:ty, $key:expr, $($read:tt)+) => {
        $keys.push($key.at($path, $doc))
    };
    (read($reader:ident) $path:expr, $doc:expr, $type:ty, $key:expr, $method:ident$(($argument:expr))?) => {
        $reader.$method(&$key.at($path, $doc) $(, $argument)?)
    };
    (fixed($changed:ident, $old:expr, $new:expr) $path:expr, $doc:expr, $type:ty, $key:expr, $($read:tt)+) => {
        if $old != $new && $key.at($path, $doc).change() == $crate::config::key::Change::Restart {
            $changed.push($path);
        }
    };
}

macro_rules! subsection {
    (keys($keys:ident) $path:expr, $doc:expr, $type:ty,) => {
        <$type as $crate::config::section::Section>::keys($keys)
    };
    (read($reader:ident) $path:expr, $doc:expr, $type:ty,) => {
        <$type as $crate::config::section::Section>::read($reader)
    };
    (fixed($changed:ident, $old:expr, $new:expr) $path:expr, $doc:expr, $type:ty,) => {
        $crate::config::section::Section::fixed(&$old, &$new, $changed)
    };
}

macro_rules! other {
    (keys($keys:ident) $path:expr, $doc:expr, $type:ty, $of_it:expr, $read:expr, $name:expr) => {
        $keys.extend::<Vec<$crate::config::key::Key>>($of_it)
    };
    (read($reader:ident) $path:expr, $doc:expr, $type:ty, $of_it:expr, $read:expr, $name:expr) => {
        $read($reader)
    };
    (fixed($changed:ident, $old:expr, $new:expr) $path:expr, $doc:expr, $type:ty, $of_it:expr, $read:expr, $name:expr) => {
        if $old != $new {
            $changed.extend::<Option<&'static str>>($name);
        }
    };
}

pub(super) use {key, other, section, subsection};

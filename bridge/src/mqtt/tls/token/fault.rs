//! The errors of a token as text, and whether a restart of the module could help. Contains no PIN.

use std::fmt;

use cryptoki::error::{Error, RvError};

use crate::foreign::Foreign;

/// A failure of a module, or something that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    words: String,
    is_of_pin: bool,
}

impl Fault {
    pub(super) fn words(words: impl Into<String>) -> Self {
        Self { words: words.into(), is_of_pin: false }
    }

    /// About the PIN, which is not to be tried again.
    pub(super) fn pin(words: impl Into<String>) -> Self {
        Self { words: words.into(), is_of_pin: true }
    }

    pub(super) fn is_of_pin(&self) -> bool {
        self.is_of_pin
    }

    /// Whether it may be otherwise once the module has started again.
    pub(super) fn may_pass(&self) -> bool {
        !self.is_of_pin
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let (kind, function) = match error {
            Error::Pkcs11(kind, function) => (kind, function),
            Error::LibraryLoading(cause) => {
                let cause = Foreign::of(&cause.to_string());
                return Self::words(format!("the module does not load: {cause}"));
            }
            Error::MissingSymbol(_) | Error::NullFunctionPointer => {
                return Self::words("not a PKCS #11 module: it lacks a function that each has");
            }
            other => {
                return Self::words(format!("the module's answer makes no sense: {}", Foreign::of(&other.to_string())));
            }
        };
        match kind {
            RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange => {
                Self::pin("the token refuses the PIN; correct the file that `pin-source` names")
            }
            RvError::PinLocked => Self::pin("the PIN is locked after wrong ones; unlock it with the token's own tool"),
            RvError::PinExpired | RvError::UserPinNotInitialized => {
                Self::pin("the PIN has to be set first; do so with the token's own tool")
            }
            RvError::UserNotLoggedIn => Self::words(
                "the token wants a login; add `pin-source=file:` and the path of the PIN, and take no key that wants one for \
                 each signature (CKA_ALWAYS_AUTHENTICATE)",
            ),
            RvError::KeyFunctionNotPermitted => Self::words("the key must not sign (CKA_SIGN is false)"),
            RvError::DeviceRemoved | RvError::TokenNotPresent | RvError::SlotIdInvalid => {
                Self::words("the token is gone; plug it in, or start what serves it")
            }
            RvError::DeviceError | RvError::GeneralError | RvError::FunctionFailed => {
                Self::words(format!("the module fails in C_{function:?}; its own log may say why"))
            }
            other => Self::words(format!("the module refuses C_{function:?}: {other:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cryptoki::context::Function;

    fn of(kind: RvError) -> Fault {
        Error::Pkcs11(kind, Function::Sign).into()
    }

    #[test]
    fn a_refused_pin_is_not_to_be_tried_again() {
        for kind in [RvError::PinIncorrect, RvError::PinLocked, RvError::PinExpired] {
            let fault = of(kind);
            assert!(fault.is_of_pin() && !fault.may_pass(), "{fault}");
        }
        assert!(of(RvError::DeviceRemoved).may_pass() && !of(RvError::DeviceRemoved).is_of_pin());
    }

    #[test]
    fn what_is_not_foreseen_has_its_names() {
        assert_eq!(of(RvError::HostMemory).to_string(), "the module refuses C_Sign: HostMemory");
    }
}

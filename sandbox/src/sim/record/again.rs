//! What a broker sends more than once, and so may be invoked more than once.

use super::Record;

/// How a broker sends something again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) enum Again {
    /// Before anything new, and so that the bridge can know it for what it is.
    Recognised,
    /// Before anything new, but as if it were new itself.
    Unknown,
    /// Behind what is new. The bridge expects only what still runs: what had its outcome may run again.
    Late,
}

impl Record {
    /// The broker sends these again. What was acknowledged and not read may be invoked again; what still runs may not
    /// where the bridge can recognise it.
    pub(in crate::sim) fn sent_again(&self, numbers: &[u64], again: Again) {
        let mut inner = self.inner();
        for number in numbers {
            let Some(fate) = inner.fates.get_mut(number) else { continue };
            fate.passed = false;
            fate.late |= again == Again::Late;
            if again != Again::Recognised || fate.outcomes > 0 {
                fate.allowed += 1;
                (fate.copied, fate.not_before) = (true, None);
            }
        }
    }

    /// The broker keeps this message and sends it to whoever subscribes.
    pub(in crate::sim) fn owed(&self, number: u64) {
        if let Some(fate) = self.inner().fates.get_mut(&number) {
            // If the message was owed already, one more delivery is allowed.
            let again = std::mem::replace(&mut fate.owed, true);
            fate.allowed += u64::from(again);
            if again {
                (fate.copied, fate.not_before) = (true, None);
            }
        }
    }

    /// Each comes once more, as a copy by another filter that the bridge cannot know for one.
    pub(in crate::sim) fn repeats(&self, numbers: &[u64]) {
        self.allow(numbers);
        let mut inner = self.inner();
        for number in numbers {
            if let Some(fate) = inner.fates.get_mut(number) {
                (fate.copied, fate.not_before) = (true, None);
            }
        }
    }

    /// One more invocation for each is no surprise.
    pub(in crate::sim) fn allow(&self, numbers: &[u64]) {
        let mut inner = self.inner();
        for number in numbers {
            if let Some(fate) = inner.fates.get_mut(number) {
                fate.allowed += 1;
            }
        }
    }
}

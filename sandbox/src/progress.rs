//! The progress of a long operation: on a terminal a bar below the output, elsewhere only the output, line by line.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Between two looks at the time.
const TICK: Duration = Duration::from_millis(500);

/// A bar on standard error; clones are the same bar.
#[derive(Debug, Clone)]
pub struct Progress(ProgressBar);

impl Progress {
    /// So many of these.
    #[must_use]
    pub fn of(what: &str, total: u64) -> Self {
        let bar = ProgressBar::new(total);
        bar.set_style(style(&format!("{{bar:30}} {{pos}} of {{len}} {what}, {{eta}} left  {{msg}}")));
        Self(bar)
    }

    /// Parts of a whole whose lengths are known, roughly: what is said behind the bar is all that there is to say.
    #[must_use]
    pub fn of_parts(total: u64) -> Self {
        let bar = ProgressBar::new(total);
        bar.set_style(style("{bar:30} {msg}"));
        Self(bar)
    }

    /// As long as this; it moves by itself while a Tokio runtime runs.
    #[must_use]
    pub fn over(duration: Duration) -> Self {
        let bar = ProgressBar::new(duration.as_secs());
        bar.set_style(style("{bar:30} {elapsed} of {msg}"));
        bar.set_message(humantime::format_duration(duration).to_string());
        let moving = bar.clone();
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(TICK);
            while !moving.is_finished() {
                ticks.tick().await;
                moving.set_position(moving.elapsed().as_secs());
            }
        });
        Self(bar)
    }

    /// Whether anybody sees the bar.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        !self.0.is_hidden()
    }

    /// So many are done, and this is how it goes.
    pub fn reached(&self, done: u64, so_far: impl FnOnce() -> String) {
        if self.is_shown() {
            self.0.set_message(so_far());
        }
        self.0.set_position(done);
    }

    /// A line above the bar.
    pub fn say(&self, line: &str) {
        self.0.suspend(|| eprintln!("{line}"));
    }

    /// The same, for who shall not know of bars.
    pub fn says(&self) -> impl Fn(&str) + Clone + Send + 'static {
        let progress = self.clone();
        move |line| progress.say(line)
    }

    /// The bar goes.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// A template that is wrong shows the bar's own.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━━╌")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_good() {
        for template in
            ["{bar:30} {pos} of {len} worlds, {eta} left  {msg}", "{bar:30} {msg}", "{bar:30} {elapsed} of {msg}"]
        {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[tokio::test]
    async fn a_finished_bar_moves_no_more_and_what_is_said_is_said_without_a_terminal() {
        let progress = Progress::over(Duration::from_secs(5));
        progress.says()("said");
        progress.finish();
        assert!(progress.0.is_finished());
    }
}

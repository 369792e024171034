//! Changes the configuration while the bridge runs. The new one is checked as a whole before anything changes. Then
//! only the mappings that differ are affected: each is drained before its successor starts, or retired if it has none.

use tokio::time::Instant;
use tracing::{error, info, warn};

use super::Bridge;
use super::prepare::{prepare, warn_about, warn_of_circles};
use super::running::{Given, Heritage, Running};
use crate::admin::Standing;
use crate::config::{self, Config, ConfigError};
use crate::shutdown::Phase;

/// A mapping that is to start as soon as no other has its client ids.
pub(super) struct Wanted {
    settings: config::Mapping,
    given: Given,
}

impl Wanted {
    pub(super) fn new(settings: &config::Mapping, given: Given) -> Self {
        Self { settings: settings.clone(), given }
    }
}

/// Which mappings a new configuration affects.
#[derive(Debug, Default)]
struct Changes {
    added: Vec<String>,
    changed: Vec<String>,
    removed: Vec<String>,
    unchanged: usize,
}

impl Bridge {
    /// Applies another configuration, or refuses it as a whole; then the previous one stays active, and the log says
    /// why. Returns whether it was accepted. Mappings that differ change over while [`Bridge::tend`] is polled.
    pub fn reload(&mut self, loaded: Result<Config, ConfigError>) -> bool {
        let taken = loaded.map_err(|error| error.to_string()).and_then(|config| self.take_up(config));
        self.metrics.reloaded(taken.is_ok());
        match &taken {
            Ok(Changes { added, changed, removed, unchanged }) => {
                info!(
                    event = "configuration.reloaded",
                    ?added,
                    ?changed,
                    ?removed,
                    unchanged,
                    "configuration reloaded"
                );
            }
            Err(reason) => error!(
                event = "configuration.refused",
                reason, "configuration not reloaded; the previous one stays in use"
            ),
        }
        taken.is_ok()
    }

    fn take_up(&mut self, config: Config) -> Result<Changes, String> {
        if self.phase() != Phase::Running {
            // A reload cannot bring back sessions that the broker has been told to delete.
            return Err("the bridge leaves for good or is about to end: restart it to change anything".into());
        }
        let fixed = self.config.fixed_keys_changed(&config);
        if !fixed.is_empty() {
            return Err(format!("{}: cannot change while the bridge runs; restart it", fixed.join(", ")));
        }
        let wanted = self.prepare_all(&config).map_err(|error| error.to_string());
        if wanted.is_err() {
            // Parts that were opened for it are not needed.
            self.close_unused();
        }
        let wanted = wanted?;
        let changes = self.compare(&config, &wanted);
        wanted.iter().for_each(|wanted| warn_about(&wanted.settings, config.mqtt.protocol));
        if !wanted.is_empty() {
            warn_of_circles(&config.mappings);
        }
        (self.config, self.wanted) = (config, wanted);
        self.part();
        self.reconcile();
        self.retire_if_configured();
        Ok(changes)
    }

    /// Leaves for good if the configuration names this bridge among those that do.
    pub(super) fn retire_if_configured(&mut self) {
        if self.config.mqtt.is_retiring() {
            self.retire();
        }
    }

    /// All mappings of the configuration that do not run with these very settings already.
    fn prepare_all(&mut self, config: &Config) -> Result<Vec<Wanted>, super::StartError> {
        let mut wanted = Vec::new();
        for settings in &config.mappings {
            if self.staying(&settings.name).is_none_or(|running| running.settings() != settings) {
                let handle = self.publishing.handle();
                let given =
                    prepare(settings, &self.aws, &mut self.destinations, handle, (&self.metrics, &self.traces))?;
                wanted.push(Wanted::new(settings, given));
            }
        }
        Ok(wanted)
    }

    fn compare(&self, config: &Config, wanted: &[Wanted]) -> Changes {
        let known = |name: &str| self.config.mappings.iter().any(|mapping| mapping.name == name);
        let kept = |name: &str| config.mappings.iter().any(|mapping| mapping.name == name);
        let names = wanted.iter().map(|wanted| wanted.settings.name.clone());
        let (changed, added) = names.partition(|name| known(name));
        let removed = self.config.mappings.iter().map(|mapping| mapping.name.clone()).filter(|name| !kept(name));
        Changes { added, changed, removed: removed.collect(), unchanged: config.mappings.len() - wanted.len() }
    }

    fn staying(&self, name: &str) -> Option<&Running> {
        let stays = |running: &&Running| running.standing() == Standing::Stays && running.settings().name == name;
        self.mappings.iter().find(stays)
    }

    /// Drains or retires mappings that the configuration changes or removes.
    fn part(&mut self) {
        let deadline = Instant::now() + self.config.drain_timeout;
        for running in self.mappings.iter_mut().filter(|running| running.standing() == Standing::Stays) {
            let name = &running.settings().name;
            match self.config.mappings.iter().find(|mapping| mapping.name == *name) {
                Some(settings) if settings == running.settings() => {}
                Some(_) => running.make_way(deadline),
                None => {
                    info!(event = "mapping.retiring", mapping = name, "retiring: it is not configured any more");
                    running.retire();
                }
            }
        }
    }

    /// Everything leaves for good; the bridge ends when it has.
    pub(super) fn retire(&mut self) {
        if self.phase() != Phase::Running {
            return;
        }
        info!(event = "bridge.retiring", "retiring: ends when the broker has nothing more");
        self.announcer.announce(Phase::Retiring);
        self.wanted.clear();
        self.mappings.iter_mut().filter(|running| running.standing() == Standing::Stays).for_each(Running::retire);
        self.reconcile();
    }

    /// Removes mappings that have ended, and starts those that can start now.
    pub(super) fn reconcile(&mut self) {
        for index in (0..self.mappings.len()).rev() {
            if self.mappings[index].has_ended() {
                self.unproven |= self.mappings[index].is_unproven();
                self.succeed(index);
            }
        }
        for wanted in std::mem::take(&mut self.wanted) {
            if self.is_free(&wanted.settings, None) {
                self.launch(wanted, Heritage::default());
            } else {
                self.wanted.push(wanted);
            }
        }
        self.publishing.start_if_needed(&self.config.mappings);
        self.close_unused();
        self.show();
    }

    /// Puts the successor in the place of a mapping that has ended, if it has one and that one's client ids are free.
    fn succeed(&mut self, index: usize) {
        let ended = &self.mappings[index];
        let (name, changes) = (ended.settings().name.clone(), ended.standing() == Standing::Changes);
        let next = self.wanted.iter().position(|wanted| wanted.settings.name == name);
        match next {
            Some(next) if !self.is_free(&self.wanted[next].settings, Some(index)) => {}
            Some(next) => {
                let (ended, wanted) = (self.mappings.remove(index), self.wanted.remove(next));
                let heritage = ended.into_heritage();
                // A mapping that has retired leaves nothing at the broker.
                self.launch(wanted, if changes { heritage } else { Heritage::default() });
            }
            None if changes => {
                // It was drained for new settings, which a later configuration or the end of the bridge has replaced.
                let ended = self.mappings.remove(index);
                let wanted = Wanted::new(ended.settings(), ended.given().clone());
                self.launch(wanted, ended.into_heritage());
                self.mappings.iter_mut().filter(|running| running.settings().name == name).for_each(Running::retire);
            }
            None => self.mappings.remove(index).stop(),
        }
    }

    fn launch(&mut self, wanted: Wanted, heritage: Heritage) {
        let Wanted { settings, given } = wanted;
        info!(event = "mapping.started", mapping = settings.name, "mapping started");
        self.mappings.push(Running::start(&settings, given, heritage, &self.config.mqtt, &self.connector));
    }

    /// Whether no mapping but the one at `own` has one of the client ids, or the name.
    fn is_free(&self, settings: &config::Mapping, own: Option<usize>) -> bool {
        let ids: Vec<_> =
            (0..settings.sessions).map(|index| self.config.mqtt.client_id_for(&settings.name, index)).collect();
        let others = self.mappings.iter().enumerate().filter(|(index, _)| Some(*index) != own);
        !others.map(|(_, running)| running).any(|running| {
            running.settings().name == settings.name || ids.iter().any(|client_id| running.holds(client_id))
        })
    }

    /// Ends drains that have run out of time.
    pub(super) fn cut(&mut self, now: Instant) {
        for running in self.mappings.iter_mut().filter(|running| running.deadline().is_some_and(|at| at <= now)) {
            warn!(
                event = "mapping.cut",
                mapping = running.settings().name,
                "drain ran out of time: the rest stays un-acknowledged for the new settings"
            );
            running.stop();
        }
    }

    /// Closes the failure destinations that no mapping names any more, and shows no mapping that is not there: a
    /// configuration that is refused has named some before.
    fn close_unused(&mut self) {
        let all =
            || self.mappings.iter().map(Running::settings).chain(self.wanted.iter().map(|wanted| &wanted.settings));
        let used: Vec<_> = all().flat_map(|settings| &settings.on_failure).collect();
        self.destinations.keep(|on_failure| used.contains(&on_failure));
        self.metrics.keep(|name| all().any(|settings| settings.name == name));
    }
}

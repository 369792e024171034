//! Who CONNECT says we are, where the broker wants a user name or a password. The password is read anew for each attempt,
//! so that a token can be renewed while the bridge runs. Shows nothing of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::sleep;

use super::packet::Auth;
use crate::config;
use crate::foreign::hide;
use crate::secret::{self, Secret};

/// How often the file is looked at while the broker does not take what was in it.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What is configured. Cheap enough to clone; the default says nothing.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    username: Option<String>,
    password: Password,
}

#[derive(Debug, Clone, Default)]
enum Password {
    #[default]
    None,
    Given(Secret),
    File(PathBuf),
}

impl Credentials {
    /// Those of a configuration.
    #[must_use]
    pub fn of(mqtt: &config::Mqtt) -> Self {
        let password = match (&mqtt.password_file, &mqtt.password) {
            (Some(path), _) => Password::File(path.clone()),
            (None, Some(given)) => Password::Given(given.clone()),
            (None, None) => Password::None,
        };
        Self { username: mqtt.username.clone(), password }
    }

    /// For one attempt to connect.
    pub(super) fn login(&self) -> Login {
        Login { credentials: self.clone(), password: None }
    }
}

/// One attempt, and what it offers.
pub(super) struct Login {
    credentials: Credentials,
    /// As it was read; `None` before, or when it could not be read.
    password: Option<Secret>,
}

impl Login {
    /// Reads the password. On another thread: a file system that hangs must not hang the sessions.
    ///
    /// # Errors
    /// When the file cannot be used; names it, and shows nothing of it.
    pub(super) async fn read(&mut self) -> Result<(), String> {
        self.password = match &self.credentials.password {
            Password::None => None,
            Password::Given(password) => Some(password.clone()),
            Password::File(path) => Some(read(path).await.map_err(|cause| format!("{}: {cause}", path.display()))?),
        };
        // Before the broker hears it, so that it can never be shown in the broker's words.
        if let Some(password) = &self.password {
            hide(password.bytes());
        }
        Ok(())
    }

    /// For CONNECT.
    pub(super) fn auth(&self) -> Auth<'_> {
        Auth { username: self.credentials.username.as_deref(), password: self.password.as_ref() }
    }

    /// What to look at when the broker does not take it.
    pub(super) fn way_out(&self) -> String {
        let named = if self.credentials.username.is_some() { "`mqtt.username` and " } else { "" };
        match &self.credentials.password {
            Password::File(path) => {
                format!("check {named}the password in {}; a new one there is tried at once", path.display())
            }
            Password::Given(_) => format!("check {named}BRIDGE_MQTT_PASSWORD, and start the bridge anew"),
            Password::None if named.is_empty() => {
                "no user name was given; if the broker wants one, set `mqtt.username` and `mqtt.password_file`".into()
            }
            Password::None => "`mqtt.username` was given without a password; set `mqtt.password_file`".into(),
        }
    }

    /// Waits until the file holds another password than the one that was offered, and nothing else. Cancel safe.
    pub(super) async fn renewed(&self) {
        let Password::File(path) = &self.credentials.password else { return std::future::pending().await };
        while read(path).await.ok().is_none_or(|found| Some(&found) == self.password.as_ref()) {
            sleep(LOOK_EVERY).await;
        }
    }
}

async fn read(path: &Path) -> Result<Secret, String> {
    let path = path.to_owned();
    match tokio::task::spawn_blocking(move || secret::read_password(&path)).await {
        Ok(read) => read,
        // Its words may hold what was read.
        Err(_) => Err("was not read, as the thread for it has ended".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foreign::Foreign;

    fn login(username: Option<&str>, password: Password) -> Login {
        let credentials = Credentials { username: username.map(str::to_owned), password };
        credentials.login()
    }

    #[test]
    fn the_way_out_names_what_was_given() {
        let file = || Password::File("conf/token".into());
        let given = || Password::Given(Secret::password(b"hunter2".to_vec()).unwrap());
        for (username, password, expected) in [
            (Some("u"), file(), "check `mqtt.username` and the password in conf/token; "),
            (None, file(), "check the password in conf/token; "),
            (Some("u"), given(), "check `mqtt.username` and BRIDGE_MQTT_PASSWORD, "),
            (Some("u"), Password::None, "`mqtt.username` was given without a password; "),
            (None, Password::None, "no user name was given; "),
        ] {
            let said = login(username, password).way_out();
            assert!(said.starts_with(expected) && !said.contains("hunter2"), "{said}");
        }
    }

    #[tokio::test]
    async fn a_password_that_is_offered_is_in_no_foreign_text_any_more() {
        let words = "`repeated-by-a-broker` is wrong";
        let mut login = login(None, Password::Given(Secret::password(b"repeated-by-a-broker".to_vec()).unwrap()));
        assert_eq!(Foreign::of(words), words, "nothing was offered yet");
        login.read().await.unwrap();
        assert!(!Foreign::of(words).contains("repeated"));
    }
}

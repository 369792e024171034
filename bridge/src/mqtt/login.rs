//! The user name and password of CONNECT, if the broker needs them. The password is read again for each attempt, so
//! that a token can be renewed while the bridge runs. Shows nothing of it.

mod command;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use self::command::PasswordCommand;
use super::packet::Auth;
use crate::config;
use crate::foreign::hide;
use crate::secret::{self, Secret};

/// How often the file is looked at while the broker does not take what was in it.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The configured login. Cheap to clone; the default is no login.
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
    Command(PasswordCommand),
}

impl Credentials {
    /// Those of a configuration.
    #[must_use]
    pub fn of(mqtt: &config::Mqtt) -> Self {
        let password = match (&mqtt.password_file, PasswordCommand::of(mqtt), &mqtt.password) {
            (Some(path), ..) => Password::File(path.clone()),
            (None, Some(command), _) => Password::Command(command),
            (None, None, Some(given)) => Password::Given(given.clone()),
            (None, None, None) => Password::None,
        };
        Self { username: mqtt.username.clone(), password }
    }

    /// For one attempt to connect.
    pub(super) fn login(&self) -> Login {
        Login { credentials: self.clone(), password: None }
    }
}

/// Why there is none to offer.
pub(super) struct NoPassword {
    pub(super) why: String,
    /// Somebody has to change something.
    pub(super) lasting: bool,
}

/// One attempt, and what it offers.
pub(super) struct Login {
    credentials: Credentials,
    /// As it was read; `None` before, or when it could not be read.
    password: Option<Secret>,
}

impl Login {
    /// Reads the password: from a file within `patience`, from a program within the time that is its own.
    ///
    /// # Errors
    /// When it cannot be had; names the file or program, and shows nothing of it. A file that is wrong stays so until
    /// somebody writes it; a program may succeed the next time.
    pub(super) async fn read(&mut self, patience: Duration) -> Result<(), NoPassword> {
        let none = |lasting: bool| move |why: String| NoPassword { why, lasting };
        self.password = match &self.credentials.password {
            Password::None => None,
            Password::Given(password) => Some(password.clone()),
            Password::File(path) => Some(read(path, patience).await.map_err(none(true))?),
            Password::Command(command) => Some(command.run().await.map_err(none(false))?),
        };
        // Registered before it is sent, so that a text of the broker that repeats it is never shown.
        if let Some(password) = &self.password {
            hide(password.bytes());
        }
        Ok(())
    }

    /// For CONNECT.
    pub(super) fn auth(&self) -> Auth<'_> {
        Auth { username: self.credentials.username.as_deref(), password: self.password.as_ref() }
    }

    /// What to check if the broker refuses it.
    pub(super) fn way_out(&self) -> String {
        let named = if self.credentials.username.is_some() { "`mqtt.username` and " } else { "" };
        match &self.credentials.password {
            Password::File(path) => {
                format!("check {named}the password in {}; a new one there is tried at once", path.display())
            }
            Password::Command(command) => {
                format!("check {named}what {} prints; it is run again for the next attempt", command.name())
            }
            Password::Given(_) => format!("check {named}BRIDGE_MQTT_PASSWORD, and restart the bridge"),
            Password::None if named.is_empty() => {
                "no user name was given; if the broker wants one, set `mqtt.username` and `mqtt.password_file`".into()
            }
            Password::None => "`mqtt.username` was given without a password; set `mqtt.password_file`".into(),
        }
    }

    /// Waits until the file holds another password than the one that was offered, and nothing else. Cancel safe.
    pub(super) async fn renewed(&self) {
        let Password::File(path) = &self.credentials.password else { return std::future::pending().await };
        while read(path, LOOK_EVERY).await.ok().is_none_or(|found| Some(&found) == self.password.as_ref()) {
            sleep(LOOK_EVERY).await;
        }
    }
}

/// On another thread: a file system that hangs must not hang the sessions.
async fn read(path: &Path, patience: Duration) -> Result<Secret, String> {
    let file = path.to_owned();
    let read = timeout(patience, tokio::task::spawn_blocking(move || secret::read_password(&file))).await;
    let read = match read {
        Ok(Ok(read)) => read,
        // The panic's text may contain the password.
        Ok(Err(_)) => Err("was not read, as the thread for it has ended".into()),
        Err(_) => Err(format!("was not read within {}", humantime::format_duration(patience))),
    };
    read.map_err(|cause| format!("{}: {cause}", path.display()))
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
        assert!(login.read(LOOK_EVERY).await.is_ok());
        assert!(!Foreign::of(words).contains("repeated"));
    }
}

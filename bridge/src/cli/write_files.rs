//! `write-files`: writes environment variables into files that only one user may read, for platforms that pass secrets
//! as variables (Amazon ECS), because the bridge reads secrets from files. Repeats no content in an error.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

/// The flags of `write-files`.
#[derive(Debug, Clone, Args)]
pub struct WriteFilesFlags {
    /// The directory to write to; it must exist
    #[arg(long, value_name = "DIRECTORY")]
    pub into: PathBuf,
    /// The owner of the files, as numbers `user:group`; by default the user that runs this
    #[arg(long, value_name = "OWNER", value_parser = owner)]
    pub owner: Option<(u32, u32)>,
    /// A variable that holds a JSON object of file names and contents; may be repeated
    #[arg(long, value_name = "VARIABLE")]
    pub json: Vec<String>,
    /// A file, and the variable that holds its content
    #[arg(value_name = "FILE=VARIABLE", value_parser = pair)]
    pub files: Vec<(String, String)>,
}

impl WriteFilesFlags {
    /// Writes all files, each with mode 0400, in place of what had its name; gives their names.
    ///
    /// Every variable is looked at before the first file is written.
    ///
    /// # Errors
    /// The first variable that is absent or holds no such object, or the file that cannot be written.
    pub fn write(&self) -> Result<Vec<String>, String> {
        self.write_from(|variable| env::var_os(variable))
    }

    fn write_from(&self, variable: impl Fn(&str) -> Option<OsString>) -> Result<Vec<String>, String> {
        let content = |name: &str| variable(name).ok_or_else(|| format!("{name}: not set; it holds what to write"));
        let mut files = BTreeMap::new();
        for name in &self.json {
            let text = content(name)?;
            let members: BTreeMap<String, String> = serde_json::from_slice(text.as_encoded_bytes())
                .map_err(|_| format!("{name}: not a JSON object of file names and texts"))?;
            files.extend(members.into_iter().map(|(file, text)| (file, OsString::from(text))));
        }
        for (file, name) in &self.files {
            files.insert(file.clone(), content(name)?);
        }
        if let Some(file) = files.keys().find(|file| !is_plain(file)) {
            return Err(format!(
                "`{}`: not a plain file name; use letters, digits, `.`, `-` and `_`",
                file.escape_debug()
            ));
        }
        for (file, text) in &files {
            self.write_one(file, text).map_err(|cause| format!("{}: {cause}", self.into.join(file).display()))?;
        }
        Ok(files.into_keys().collect())
    }

    /// The file gets its name last, so nobody sees an incomplete file, and other users never see it at all.
    fn write_one(&self, name: &str, content: &OsStr) -> std::io::Result<()> {
        let (path, beside) = (self.into.join(name), self.into.join(format!(".{name}.new")));
        match fs::remove_file(&beside) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => return Err(cause),
            _ => {}
        }
        private(&beside)?.write_all(content.as_encoded_bytes())?;
        if let Some(owner) = self.owner {
            give_to(owner, &beside)?;
        }
        fs::rename(&beside, &path)
    }
}

#[cfg(unix)]
fn private(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().write(true).create_new(true).mode(0o400).open(path)
}

#[cfg(not(unix))]
fn private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

#[cfg(unix)]
fn give_to((user, group): (u32, u32), path: &Path) -> std::io::Result<()> {
    std::os::unix::fs::chown(path, Some(user), Some(group))
}

#[cfg(not(unix))]
fn give_to(_owner: (u32, u32), _path: &Path) -> std::io::Result<()> {
    Err(std::io::Error::new(std::io::ErrorKind::Unsupported, "files have no owner by number here; leave out --owner"))
}

/// A name that stays in its directory, and cannot be meant otherwise.
fn is_plain(name: &str) -> bool {
    let known = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(known)
}

fn owner(text: &str) -> Result<(u32, u32), String> {
    let numbers = text.split_once(':').and_then(|(user, group)| Some((user.parse().ok()?, group.parse().ok()?)));
    numbers.ok_or_else(|| "not `user:group` in numbers".to_owned())
}

fn pair(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(file, variable)| !file.is_empty() && !variable.is_empty());
    parts.map(|(file, variable)| (file.to_owned(), variable.to_owned())).ok_or_else(|| "not FILE=VARIABLE".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(into: &Path, json: &[&str], files: &[&str]) -> WriteFilesFlags {
        let json = json.iter().map(|name| (*name).to_owned()).collect();
        let files = files.iter().map(|text| pair(text).unwrap()).collect();
        WriteFilesFlags { into: into.to_owned(), owner: None, json, files }
    }

    fn variable(name: &str) -> Option<OsString> {
        let text = match name {
            "TLS" => r#"{"ca.crt":"authority\n","bridge.key":"hunter2"}"#,
            "TOML" => "log = \"json\"\n",
            "LIST" => r#"["hunter2"]"#,
            "ESCAPE" => r#"{"../hunter2":"x"}"#,
            _ => return None,
        };
        Some(text.into())
    }

    #[test]
    fn every_byte_is_written_and_only_the_owner_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let flags = flags(directory.path(), &["TLS"], &["bridge.toml=TOML"]);
        for _again in 0..2 {
            assert_eq!(flags.write_from(variable).unwrap(), ["bridge.key", "bridge.toml", "ca.crt"]);
        }
        let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!((read("ca.crt"), read("bridge.key")), ("authority\n".to_owned(), "hunter2".to_owned()));
        assert_eq!(read("bridge.toml"), "log = \"json\"\n");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3, "nothing is left beside them");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(directory.path().join("bridge.key")).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o400);
        }
    }

    #[test]
    fn what_is_wrong_is_said_before_anything_is_written_and_shows_no_content() {
        let directory = tempfile::tempdir().unwrap();
        for (json, file, reason) in [
            ("TLS", "bridge.toml=ABSENT", "ABSENT: not set; it holds what to write"),
            ("ABSENT", "bridge.toml=TOML", "ABSENT: not set; it holds what to write"),
            ("LIST", "bridge.toml=TOML", "LIST: not a JSON object of file names and texts"),
            ("TLS", "../bridge.toml=TOML", "`../bridge.toml`: not a plain file name"),
            ("TLS", ".hidden=TOML", "`.hidden`: not a plain file name"),
            ("ESCAPE", "bridge.toml=TOML", "`../hunter2`: not a plain file name"),
        ] {
            let error = flags(directory.path(), &[json], &[file]).write_from(variable).unwrap_err();
            assert!(error.starts_with(reason), "{error}");
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "{error}");
        }
        let error = flags(&directory.path().join("absent"), &[], &["a=TOML"]).write_from(variable).unwrap_err();
        assert!(error.contains("absent") && !error.contains("json"), "{error}");
    }

    #[test]
    fn owners_and_pairs_are_read_whole() {
        assert_eq!(owner("65532:65532"), Ok((65532, 65532)));
        for text in ["65532", "nobody:nogroup", "1:", "-1:1"] {
            owner(text).unwrap_err();
        }
        for text in ["a", "=B", "a="] {
            pair(text).unwrap_err();
        }
    }
}

//! How a program was built: its profile, from Cargo's directory, and its compiler, as the binary names it.

use std::fmt;
use std::io;
use std::path::Path;

use serde::Serialize;

/// Profiles that compile without optimisation; Cargo calls the directory of `dev` so.
const DEBUG: &str = "debug";

/// What is known of it; `None` where nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(in super::super) struct Build {
    /// `release`, `debug` or another profile of Cargo's, for a program below a directory that Cargo builds into.
    pub(in super::super) profile: Option<String>,
    /// What Cargo.toml and the environment say of that profile, such as `lto = "fat"`.
    pub(in super::super) settings: Vec<String>,
    /// The version of the compiler.
    pub(in super::super) rust: Option<String>,
}

impl Build {
    /// Of this program; `root` is the workspace whose profiles are meant.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn of(program: &Path, root: &Path) -> io::Result<Self> {
        let profile = profile(&program.canonicalize()?);
        let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap_or_default();
        let settings = profile.as_deref().map(|profile| settings(&manifest, profile, |name| std::env::var(name).ok()));
        let rust = compiler(&std::fs::read(program)?);
        Ok(Self { profile, settings: settings.unwrap_or_default(), rust })
    }

    pub(super) fn is_debug(&self) -> bool {
        self.profile.as_deref() == Some(DEBUG)
    }
}

/// `target[/triple]/profile/program`, tests one below. Cargo marks `target` with a file; a copy of it may lack that,
/// and still be the debug build that nobody should take for a release.
fn profile(program: &Path) -> Option<String> {
    let mut directory = program.parent()?;
    if directory.ends_with("deps") {
        directory = directory.parent()?;
    }
    let name = directory.file_name()?.to_str()?;
    let is_marked = directory.ancestors().skip(1).take(2).any(|root| root.join("CACHEDIR.TAG").is_file());
    (is_marked || name == DEBUG).then(|| name.to_owned())
}

/// What is set of this profile: in the environment, or in the manifest.
fn settings(manifest: &str, profile: &str, variable: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let name = if profile == DEBUG { "dev" } else { profile };
    let section = format!("[profile.{name}]");
    let lines: Vec<_> = manifest.lines().skip_while(|line| *line != section).skip(1).collect();
    let in_section = |key: &str| {
        let mut lines = lines.iter().take_while(|line| !line.starts_with('['));
        lines.find_map(|line| Some(line.strip_prefix(key)?.trim().strip_prefix('=')?.trim().to_owned()))
    };
    ["opt-level", "lto", "codegen-units"]
        .into_iter()
        .filter_map(|key| {
            let named = format!("CARGO_PROFILE_{name}_{key}").replace('-', "_").to_uppercase();
            Some(format!("{key} = {}", variable(&named).or_else(|| in_section(key))?))
        })
        .collect()
}

/// By the word that the compiler leaves near the end of a program (`.comment`); this program holds the words as its own
/// text as well.
fn compiler(program: &[u8]) -> Option<String> {
    const WORDS: &[u8] = b"rustc version ";
    let at = program.windows(WORDS.len()).rposition(|words| words == WORDS)? + WORDS.len();
    let version = program[at..].split(|byte| matches!(byte, b' ' | b'\0')).next()?;
    let is_version = version.first().is_some_and(u8::is_ascii_digit) && version.is_ascii();
    is_version.then(|| String::from_utf8_lossy(version).into_owned())
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.profile.as_deref().unwrap_or("a profile that is not known"))?;
        if !self.settings.is_empty() {
            write!(f, " ({})", self.settings.join(", "))?;
        }
        self.rust.as_ref().map_or(Ok(()), |rust| write!(f, ", Rust {rust}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str =
        "[profile.dev]\ndebug = 1\n\n[profile.release]\ncodegen-units = 1\nlto = \"fat\"\n\n[other]\nopt-level = 9\n";

    #[test]
    fn the_directory_is_the_profile_below_a_target_alone() {
        let target = tempfile::tempdir().unwrap();
        let program = |path: &str| profile(&target.path().join(path));
        assert_eq!(program("release/bridge"), None);
        assert_eq!(program("debug/bridge").as_deref(), Some("debug"));
        std::fs::write(target.path().join("CACHEDIR.TAG"), "").unwrap();
        for path in ["release/bridge", "aarch64-unknown-linux-musl/release/bridge", "release/deps/tests-0123"] {
            assert_eq!(program(path).as_deref(), Some("release"), "{path}");
        }
        assert_eq!(profile(Path::new("/usr/bin/bridge")), None);
    }

    #[test]
    fn what_is_set_of_a_profile_is_said_and_the_environment_wins() {
        assert_eq!(settings(MANIFEST, "release", |_| None), [r#"lto = "fat""#, "codegen-units = 1"]);
        let thin = |name: &str| (name == "CARGO_PROFILE_RELEASE_LTO").then(|| "thin".to_owned());
        assert_eq!(settings(MANIFEST, "release", thin), ["lto = thin", "codegen-units = 1"]);
        assert!(settings(MANIFEST, "debug", |_| None).is_empty());
        assert!(settings(MANIFEST, "no-such", |_| None).is_empty());
    }

    #[test]
    fn the_compiler_is_named_among_others() {
        assert_eq!(compiler(b"GCC: 12\0rustc version 1.95.0 (abc 2026)\0").as_deref(), Some("1.95.0"));
        assert_eq!(compiler(b"GCC: 12\0"), None);
        assert_eq!(compiler(b"rustc version ends here"), None);
        let this = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(compiler(&this).is_some_and(|version| version.starts_with("1.")));
    }

    #[test]
    fn only_the_directory_called_debug_is_a_debug_build() {
        let of = |profile: &str| Build { profile: Some(profile.to_owned()), ..Build::default() };
        assert!(of("debug").is_debug() && !of("release").is_debug() && !Build::default().is_debug());
        assert_eq!(Build::default().to_string(), "a profile that is not known");
    }
}

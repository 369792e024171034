//! Finds the admin address of a bridge on this machine: by flag, variable, or `admin.listen` of a configuration file.
//! It reads nothing else of that file, so that a running bridge can be reached even if the rest is now invalid.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::config::in_words;

/// Where a bridge listens unless it is configured otherwise.
const DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);

/// Which bridge.
#[derive(Debug, Clone, Default, Args)]
pub struct AdminFlags {
    /// Where the bridge serves its status
    #[arg(
        long,
        visible_alias = "admin",
        value_name = "ADDRESS",
        env = "BRIDGE_ADMIN_LISTEN",
        hide_env_values = true,
        help = "Where the bridge serves its status [default: 127.0.0.1:9464]"
    )]
    pub admin_listen: Option<SocketAddr>,
    /// A configuration file; nothing but `admin.listen` is read from it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl AdminFlags {
    /// Where the bridge answers.
    pub(super) fn address(&self) -> Result<SocketAddr, String> {
        let of_file = || self.config.as_deref().map(listen_in).transpose().map(Option::flatten);
        Ok(self.admin_listen.map_or_else(of_file, |said| Ok(Some(said)))?.unwrap_or(DEFAULT))
    }
}

/// `admin.listen` of a file, if it is there.
fn listen_in(file: &Path) -> Result<Option<SocketAddr>, String> {
    let object = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| format!("{object}: {}", in_words(&error)))?;
    let table: toml::Table = toml::from_str(&text).map_err(|_| format!("{object}: not TOML; `check` says where"))?;
    let Some(listen) = table.get("admin").and_then(|admin| admin.get("listen")) else { return Ok(None) };
    let address = listen.as_str().and_then(|text| text.parse().ok());
    address.map(Some).ok_or_else(|| format!("{object}: admin.listen: no address and port such as `{DEFAULT}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_may_stand_in_a_file_that_is_wrong_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("bridge.toml");
        let said = |text: &str, flag: Option<&str>| {
            std::fs::write(&file, text).unwrap();
            let admin_listen = flag.map(|address| address.parse().unwrap());
            AdminFlags { admin_listen, config: Some(file.clone()) }.address()
        };
        let address = |text: &str| Ok(text.parse::<SocketAddr>().unwrap());
        assert_eq!(said("nonsense = 1\n[admin]\nlisten = \"127.0.0.1:7\"\n", None), address("127.0.0.1:7"));
        assert_eq!(said("[admin]\nlisten = \"127.0.0.1:7\"\n", Some("[::1]:8")), address("[::1]:8"));
        assert_eq!(said("[mqtt]\n", None), Ok(DEFAULT));
        assert!(said("[admin]\nlisten = 7\n", None).unwrap_err().contains("admin.listen: no address"));
        assert!(said("[admin", None).unwrap_err().contains("not TOML"));
        std::fs::remove_file(&file).unwrap();
        let gone = AdminFlags { admin_listen: None, config: Some(file.clone()) };
        assert_eq!(gone.address(), Err(format!("{}: no such file", file.display())));
    }
}

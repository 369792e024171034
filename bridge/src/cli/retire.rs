//! `retire`: makes a bridge leave for good; in a Kubernetes pod, on request, only if its StatefulSet has been scaled
//! down.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::Args;

use super::orders::OrderFlags;
use crate::kubernetes::{Fate, Pod, SERVICE_ACCOUNT};

/// Between two looks whether the bridge is still there.
const LOOK: Duration = Duration::from_millis(200);

/// The flags of `retire`.
#[derive(Debug, Clone, Args)]
pub struct RetireFlags {
    #[command(flatten)]
    order: OrderFlags,
    /// Return only when the bridge has exited
    #[arg(long)]
    wait: bool,
    /// In a pod of a Kubernetes StatefulSet: ask the Kubernetes API whether the StatefulSet has been scaled below this
    /// pod, and do nothing if not. For `preStop`, with `--wait`
    #[arg(long)]
    if_scaled_down: bool,
    /// The name of this pod
    #[arg(long, value_name = "NAME", env = "POD_NAME", hide_env_values = true, requires = "if_scaled_down")]
    pod: Option<String>,
    /// The directory of the pod's service account
    #[arg(long, value_name = "DIRECTORY", default_value = SERVICE_ACCOUNT)]
    service_account: PathBuf,
}

impl RetireFlags {
    /// Has the bridge retire. Returns what it says.
    ///
    /// # Errors
    /// When it cannot be asked, or refuses; or when nobody can say whether it was scaled down, and it keeps its sessions.
    pub fn retire(self) -> Result<String, String> {
        if self.if_scaled_down {
            let name = self.pod.ok_or("--pod: missing; it, or POD_NAME, is the name of this pod")?;
            let pod = Pod { name, service_account: self.service_account };
            match pod.fate().map_err(|cause| format!("{cause}; not retired, the broker keeps the sessions"))? {
                Fate::Returns(why) => return Ok(format!("not retired: {why}\n")),
                Fate::ScaledDown => {}
            }
        }
        let said = self.order.give("/retire")?;
        if self.wait {
            until_gone(self.order.address()?);
        }
        Ok(said)
    }
}

/// A bridge that is only slow still takes the connection; one that has ended refuses it.
fn until_gone(bridge: SocketAddr) {
    let gone = |error: std::io::Error| error.kind() == ErrorKind::ConnectionRefused;
    while !TcpStream::connect_timeout(&bridge, Duration::from_secs(2)).is_err_and(gone) {
        thread::sleep(LOOK);
    }
}

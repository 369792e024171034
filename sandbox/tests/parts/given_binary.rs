//! The real bridge from a given binary: one that is built with features that the others do not have.

use std::path::Path;

use sandbox::world::{BridgeProcess, World};

use crate::common::PATIENCE;

/// Started with these variables, once it is subscribed.
pub async fn subscribed(
    bridge: &Path,
    world: &World,
    variables: impl IntoIterator<Item = (&'static str, String)>,
) -> BridgeProcess {
    let mut process = world.spawn_binary(bridge, variables).unwrap();
    assert!(process.logged("\"subscribed\"", PATIENCE).await, "{:#?}", process.log());
    process
}

/// Stops it, which must succeed.
pub async fn stopped(mut process: BridgeProcess) {
    process.signal("TERM").await.unwrap();
    let status = process.exited(PATIENCE).await.unwrap();
    assert!(status.is_some_and(|status| status.success()), "{status:?}: {:#?}", process.log());
}

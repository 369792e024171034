//! Parts of the world as separate commands, to combine with parts of the user's own.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::broadcast::error::RecvError;

use crate::binaries;
use crate::lambda::{Function, Lambda, Settings};
use crate::world::FUNCTION;

/// Serves the real function at `listen` and shows what it writes, until Ctrl-C.
///
/// # Errors
/// When the function cannot be built, or the address cannot be listened on.
pub async fn lambda(listen: SocketAddr) -> Result<()> {
    let binaries = tokio::task::spawn_blocking(binaries::build).await.context("the build was interrupted")??;
    let function = Function { timeout: Duration::from_secs(10), ..Function::process(FUNCTION, binaries.handler) };
    let lambda = Lambda::start_with([function], Settings { listen, ..Settings::default() }).await?;
    let mut lines = lambda.output().subscribe();
    println!("function `{FUNCTION}` is served; in another terminal: export AWS_ENDPOINT_URL={}", lambda.endpoint());
    println!("also there: export AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local");
    let interrupt = tokio::signal::ctrl_c();
    tokio::pin!(interrupt);
    loop {
        tokio::select! {
            line = lines.recv() => match line {
                Ok(line) => println!("{}", line.text),
                Err(RecvError::Lagged(missed)) => println!("({missed} lines left out)"),
                Err(RecvError::Closed) => break,
            },
            _ = &mut interrupt => break,
        }
    }
    lambda.stop().await;
    Ok(())
}

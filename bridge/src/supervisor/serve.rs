//! Runs a bridge for the life of a process: starts it, handles signals, and shuts it down in order.

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tracing::{info, warn};

use super::{Bridge, Exit, ServeError, StartError};
use crate::aws::Aws;
use crate::clock::whole;
use crate::config::{Config, ConfigError};
use crate::notify::Notifier;

/// Runs a bridge until SIGTERM or SIGINT, then drains it; or until it has retired by an order. SIGHUP has it take up
/// what `load` gives then, and the TLS files as they are then.
///
/// # Errors
/// When it cannot start, or breaks.
pub async fn serve(config: Config, load: impl Fn() -> Result<Config, ConfigError>) -> Result<(), ServeError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(ServeError::Signals)?;
    let aws = Aws::from_environment().await.map_err(StartError::from)?;
    let mut bridge = Bridge::start(config, &aws).await?;
    info!(
        event = "bridge.started",
        version = env!("CARGO_PKG_VERSION"),
        admin = bridge.admin_address().map(tracing::field::display),
        lambda = aws.lambda_place(),
        "started"
    );
    say_credentials(&aws).await;
    let mut is_idle = false;
    let mut notifier = Notifier::from_environment();
    let (mut ready, mut headline) = (std::pin::pin!(bridge.started()), bridge.headline());
    let mut is_ready = false;
    let name = loop {
        tokio::select! {
            () = &mut ready, if !is_ready => {
                is_ready = true;
                notifier.ready();
            }
            Ok(()) = headline.changed() => notifier.status(&headline.borrow_and_update()),
            () = notifier.beat() => {}
            _ = terminate.recv() => break "SIGTERM",
            _ = interrupt.recv() => break "SIGINT",
            _ = hang_up.recv() => take_up_again(&mut bridge, load()).await,
            end = bridge.tend(), if !is_idle => match end {
                Exit::Broken => return Err(ServeError::Task),
                // The operator who named it in the configuration also ends it, because a process that ended by itself
                // would be restarted.
                Exit::Retired { unproven } if bridge.config.mqtt.is_retiring() => {
                    is_idle = true;
                    info!(event = "bridge.retired", unproven, "retired: the broker has nothing more, and has forgotten all sessions; idle until SIGTERM");
                }
                Exit::Retired { unproven } => {
                    bridge.drain(std::time::Duration::ZERO).await;
                    info!(event = "bridge.retired", unproven, "retired: the broker has nothing more, and has forgotten all sessions");
                    return if unproven { Err(ServeError::QueueUnproven) } else { Ok(()) };
                }
            },
        }
    };
    let drain_timeout = bridge.drain_timeout();
    info!(event = "bridge.draining", signal = name, at_most = ?drain_timeout, "draining");
    notifier.stopping();
    let begun = Instant::now();
    let mut drain = std::pin::pin!(bridge.drain(drain_timeout));
    let drained = loop {
        tokio::select! {
            drained = &mut drain => break drained,
            () = notifier.beat() => {}
        }
    };
    if drained {
        info!(event = "bridge.drained", took = ?whole(begun.elapsed()), "drained: all in-flight messages have their outcome");
    } else {
        warn!(event = "bridge.drain_cut", took = ?whole(begun.elapsed()), "drain ran out of time: the rest stays un-acknowledged for the next start");
    }
    Ok(())
}

/// Logs the source of the AWS credentials, or that there are none yet.
async fn say_credentials(aws: &Aws) {
    match aws.credentials().await {
        Ok(()) => info!(event = "aws.credentials", source = aws.origin(), "aws credentials found"),
        Err(cause) => {
            let event = "aws.no_credentials";
            warn!(event, %cause, "aws credentials: none found yet; messages are held until there are some");
        }
    }
}

/// The code that decides logs and counts the result of either.
async fn take_up_again(bridge: &mut Bridge, loaded: Result<Config, ConfigError>) {
    bridge.reload(loaded);
    let _ = bridge.renew_tls().await;
}

//! Checks the account: where its services are, where the credentials come from, and whose they are. Calls no function.

use super::report::{Found, Refused, Walk};
use crate::aws::{Aws, Caller, Unidentified};

/// Up to a caller that AWS knows. False when nothing can be called.
pub(super) async fn enter(aws: &Aws, walk: &mut Walk) -> bool {
    walk.found("region", None, Ok(Found::good(format!("Lambda is called at {}", aws.lambda_place()))));
    walk.step("credentials", None, credentials(aws)).await && walk.step("identity", None, Box::pin(identity(aws))).await
}

async fn credentials(aws: &Aws) -> Result<Found, Refused> {
    let hint = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or run where a role gives them";
    aws.credentials().await.map_err(|cause| (cause, Some(hint)))?;
    Ok(Found::good(format!("from {}", aws.origin())))
}

async fn identity(aws: &Aws) -> Result<Found, Refused> {
    match aws.caller().await {
        Ok(Caller { account, arn }) => Ok(Found::good(format!("account {account}, {arn}"))),
        Err(Unidentified::Refused(cause)) => {
            let hint = "the credentials are wrong, deleted or expired, or the clock of this machine is wrong";
            Err((format!("AWS does not take the credentials: {cause}"), Some(hint)))
        }
        // STS need not be reachable, and an emulator need not have it.
        Err(Unidentified::Unknown(cause)) => {
            Ok(Found::good(format!("not known, which the bridge does not need: {cause}")))
        }
    }
}

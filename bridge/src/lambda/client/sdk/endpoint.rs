//! The endpoint of the Invoke API, by the SDK's rules for partitions, FIPS and dual-stack, and by the endpoints that
//! the environment names. Contacts nobody.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use aws_sdk_lambda::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};

use crate::aws::Aws;

/// The URL that the SDK's own client would take; `None` where the rules have none.
pub(in crate::lambda::client) fn endpoint(aws: &Aws) -> Option<String> {
    let settings = aws.settings();
    let params = Params::builder()
        .set_region(settings.region().map(|region| region.as_ref().to_owned()))
        .set_use_fips(settings.use_fips())
        .set_use_dual_stack(settings.use_dual_stack())
        .set_endpoint(aws.endpoint_for("lambda"))
        .build()
        .ok()?;
    let resolver = DefaultResolver::new();
    // The resolver only computes, so that one poll completes it.
    match pin!(resolver.resolve_endpoint(&params)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(endpoint)) => Some(endpoint.url().to_owned()),
        Poll::Ready(Err(_)) | Poll::Pending => None,
    }
}

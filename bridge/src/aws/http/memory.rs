//! Answers requests inside this process, in place of a network. Simulated worlds provide the answers.

use std::fmt;
use std::io;
use std::pin::Pin;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{Request, Response};

use super::connection::Body;
use super::error::HttpError;

/// A response to come, or the way in which the connection breaks.
pub type Answering = Pin<Box<dyn Future<Output = io::Result<Response<Bytes>>> + Send>>;

/// Answers requests with absolute URLs.
pub trait Service: fmt::Debug + Send + Sync {
    /// The response. The caller may leave before it is ready.
    fn answer(&self, request: Request<Bytes>) -> Answering;
}

/// As over an existing connection.
pub(super) async fn exchange(
    service: &dyn Service,
    request: Request<Body>,
    longest: usize,
) -> Result<Response<Bytes>, HttpError> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(HttpError::Broken)?.to_bytes();
    let response =
        service.answer(Request::from_parts(head, body)).await.map_err(|error| HttpError::Broken(error.into()))?;
    if response.body().len() > longest {
        return Err(HttpError::TooLong { status: response.status().as_u16(), limit: longest });
    }
    Ok(response)
}

//! The HTTP client in the form that the SDK needs. The SDK's read timeout limits the exchange, which begins once there
//! is a connection.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use http_body_util::BodyExt;

use super::error::HttpError;
use super::exchange::{Http, Limits};

#[derive(Debug, Clone)]
struct Connector {
    http: Http,
    limits: Limits,
}

impl HttpClient for Http {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        let limits = Limits { connect: settings.connect_timeout(), exchange: settings.read_timeout() };
        SharedHttpConnector::new(Connector { http: self.clone(), limits })
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let this = self.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let response = this.http.send(request.map(BodyExt::boxed_unsync), this.limits).await.map_err(error)?;
            HttpResponse::try_from(response.map(Into::into)).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// Only the exchange's timeout is one: without a connection the service has had no time yet.
pub(in crate::aws) fn error(error: HttpError) -> ConnectorError {
    match error {
        HttpError::Timeout => ConnectorError::timeout(error.into()),
        HttpError::NoHost => ConnectorError::user(error.into()),
        _ => ConnectorError::io(error.into()),
    }
}

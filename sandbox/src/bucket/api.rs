//! The S3 API over REST: only what the bridge and its tests call.

use std::sync::Arc;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use tokio::time::sleep;

use super::request::{Asked, Refusal, no_such_bucket};
use super::{NAME, Shared, Trouble, lock, xml};
use crate::lambda::http::{self, Reply, Reset};
use crate::queue::md5;

/// Far more than a message of MQTT makes.
const OBJECT_LIMIT: usize = 512 << 20;
/// The most objects of a page. The service has 1,000 and may give fewer; tests have few and want several pages.
const PAGE: usize = 15;

type Headers = Vec<(&'static str, String)>;

pub(super) async fn route(bucket: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Reply>, Reset> {
    let trouble = *lock(&bucket.trouble);
    if trouble == Some(Trouble::Down) {
        return Err(Reset);
    }
    if let Some(Trouble::Slow(how)) = trouble {
        sleep(how).await;
    }
    if trouble == Some(Trouble::OtherRegion) {
        return Ok(redirect());
    }
    let asked = Asked::read(&request).and_then(|asked| allowed(&asked, trouble).map(|()| asked));
    let Ok(body) = http::read(request.into_body(), OBJECT_LIMIT).await else { return Err(Reset) };
    let asked = match asked {
        Ok(asked) => asked,
        Err(refusal) => return Ok(refuse(refusal)),
    };
    let stores = asked.method == Method::PUT;
    let answer = bucket.perform(asked, body, trouble);
    if stores && trouble == Some(Trouble::CutAfterStoring) {
        return Err(Reset);
    }
    Ok(answer.unwrap_or_else(refuse))
}

fn allowed(asked: &Asked, trouble: Option<Trouble>) -> Result<(), Refusal> {
    let denied = || Err((403, "AccessDenied", "not authorized to perform this on the bucket".into()));
    match trouble {
        Some(Trouble::SlowDown) => Err((503, "SlowDown", "please reduce your request rate".into())),
        Some(Trouble::NoSuchBucket) => Err(no_such_bucket()),
        Some(Trouble::AccessDenied) => denied(),
        Some(Trouble::ReadOnly) if asked.method != Method::GET => denied(),
        _ => Ok(()),
    }
}

impl Shared {
    fn perform(&self, asked: Asked, body: Bytes, trouble: Option<Trouble>) -> Result<Response<Reply>, Refusal> {
        match (&asked.method, asked.key.is_empty()) {
            (&Method::PUT, false) => self.put(asked, body, trouble),
            (&Method::GET, false) => self.get(&asked.key, trouble),
            (&Method::DELETE, false) => {
                lock(&self.store).delete(&asked.key);
                Ok(reply(204, vec![], Bytes::new()))
            }
            (&Method::GET, true) if asked.parameters.get("list-type").is_some_and(|kind| kind == "2") => {
                Ok(self.list(&asked))
            }
            _ => Err((501, "NotImplemented", "no such operation here".into())),
        }
    }

    fn put(&self, asked: Asked, body: Bytes, trouble: Option<Trouble>) -> Result<Response<Reply>, Refusal> {
        asked.check(&body)?;
        let mut headers = vec![("etag", format!("\"{}\"", md5(&body)))];
        headers.extend(asked.sum.clone().map(|sum| ("x-amz-checksum-sha256", sum)));
        match trouble {
            Some(Trouble::WrongSum) => headers[1..].iter_mut().for_each(|(_, sum)| *sum = "AA==".into()),
            Some(Trouble::NoSum) => headers = vec![("etag", format!("\"{}\"", md5("other bytes")))],
            _ => {}
        }
        lock(&self.store).put(asked.key, body, asked.sum);
        Ok(reply(200, headers, Bytes::new()))
    }

    fn get(&self, key: &str, trouble: Option<Trouble>) -> Result<Response<Reply>, Refusal> {
        let store = lock(&self.store);
        let object = store.get(key).ok_or_else(|| (404, "NoSuchKey", "the specified key does not exist".to_owned()))?;
        let mut headers = vec![("etag", format!("\"{}\"", md5(&object.body)))];
        headers.extend(object.sum.clone().map(|sum| ("x-amz-checksum-sha256", sum)));
        let damaged = || object.body.iter().map(|byte| byte ^ 1).collect();
        let body = if trouble == Some(Trouble::Damaged) { damaged() } else { object.body.clone() };
        Ok(reply(200, headers, body))
    }

    fn list(&self, asked: &Asked) -> Response<Reply> {
        let parameter = |name: &str| asked.parameters.get(name).map(String::as_str);
        let prefix = parameter("prefix").unwrap_or_default();
        // Continuation tokens of this server are object keys.
        let after = parameter("continuation-token").or(parameter("start-after")).unwrap_or_default();
        let most = parameter("max-keys").and_then(|most| most.parse().ok()).unwrap_or(PAGE).min(PAGE);
        let store = lock(&self.store);
        let (page, more) = store.list(prefix, after, most);
        reply(200, xml_type(), Bytes::from(xml::listing(NAME, prefix, most, &page, more)))
    }
}

/// S3 user guide, "Request redirection and the REST API".
fn redirect() -> Response<Reply> {
    let text = "The bucket you are attempting to access must be addressed using the specified endpoint.";
    let headers = [xml_type(), vec![("x-amz-bucket-region", "eu-west-1".to_owned())]].concat();
    reply(301, headers, Bytes::from(xml::error("PermanentRedirect", text)))
}

fn refuse((status, code, text): Refusal) -> Response<Reply> {
    reply(status, xml_type(), Bytes::from(xml::error(code, &text)))
}

fn xml_type() -> Headers {
    vec![("content-type", "application/xml".into())]
}

fn reply(status: u16, headers: Headers, body: Bytes) -> Response<Reply> {
    http::reply(status, &headers, Reply::whole(body))
}

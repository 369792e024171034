//! What is prepared for a case, and how it is repaired. Each is a step of the table.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::pin::Pin;

use super::door::Door;
use crate::common::{answering, willing};
use bridge::config::BrokerUrl;
use sandbox::bucket::{self, Bucket};
use sandbox::certs::Pki;
use sandbox::front::Front;
use sandbox::lambda::{Answer, Function, Lambda};
use sandbox::queue::{self, Queue};
use sandbox::world::{BridgeProcess, World};

/// What stands around the bridge in one case, as far as the case has it.
#[derive(Default)]
pub struct Scene {
    /// For the environment of the bridge.
    pub variables: Vec<String>,
    door: Option<Door>,
    lambda: Option<Lambda>,
    bucket: Option<Bucket>,
    queue: Option<Queue>,
    proxy: Option<Front>,
    other: Option<BridgeProcess>,
}

impl Scene {
    fn door(&mut self) -> &mut Door {
        self.door.get_or_insert_with(Door::shut)
    }
}

/// Something that is done in the world of a case.
pub type Step = for<'a> fn(&'a mut World, &'a mut Scene) -> Done<'a>;
type Done<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

pub fn nothing<'a>(_: &'a mut World, _: &'a mut Scene) -> Done<'a> {
    Box::pin(async {})
}

/// A Lambda of the same address that has other functions, later.
pub fn lambda_without_functions<'a>(world: &'a mut World, scene: &'a mut Scene) -> Done<'a> {
    Box::pin(async {
        let empty = Lambda::start([]).await.unwrap();
        lambda_behind_a_shut_door(world, scene).await;
        scene.door().leads_to(empty.address());
        scene.lambda = Some(empty);
    })
}

/// Python's way of writing a dictionary, say.
pub fn lambda_of_unreadable_answers<'a>(world: &'a mut World, scene: &'a mut Scene) -> Done<'a> {
    Box::pin(async {
        let answer = Answer::Ok("{'batchItemFailures': []}".into());
        let lambda = Lambda::start([answering(move |_| answer.clone())]).await.unwrap();
        lambda_behind_a_shut_door(world, scene).await;
        scene.door().leads_to(lambda.address());
        scene.lambda = Some(lambda);
    })
}

pub fn function_is_made<'a>(world: &'a mut World, scene: &'a mut Scene) -> Done<'a> {
    door_leads_to_lambda(world, scene)
}

pub fn alias_is_made<'a>(_: &'a mut World, scene: &'a mut Scene) -> Done<'a> {
    Box::pin(async {
        let function = Function { aliases: vec!["live".to_owned()], ..willing() };
        let lambda = Lambda::start([function]).await.unwrap();
        scene.door().leads_to(lambda.address());
        scene.lambda = Some(lambda);
    })
}

pub fn lambda_behind_a_shut_door<'a>(_: &'a mut World, scene: &'a mut Scene) -> Done<'a> {
    let port = scene.door().port();
    scene.variables.push(format!("AWS_ENDPOINT_URL=http://127.0.0.1:{port}"));
    Box::pin(async {})
}

pub fn door_leads_to_lambda<'a>(world: &'a mut World, scene: &'a mut Scene) -> Done<'a> {
    scene.door().leads_to(world.lambda.address());
    Box::pin(async {})
}

pub fn broker_behind_a_shut_door<'a>(world: &'a mut World, scene: &'a mut Scene) -> Done<'a> {
    let url = BrokerUrl::mqtts(&world.url().host, scene.door().port());
    world.set("mqtt.url", &url.to_string());
    Box::pin(async {})
}

pub fn door_leads_to_broker<'a>(world: &'a mut World, scene: &'a mut Scene) -> Done<'a> {
    scene.door().leads_to(world.url().authority());
    Box::pin(async {})
}

pub fn proxy_behind_a_shut_door<'a>(world: &'a mut World, scene: &'a mut Scene) -> Done<'a> {
    let file = world.directory().join("proxy.credentials");
    write_secret(&file, "bridge:word");
    world.set("mqtt.proxy", &format!("http://127.0.0.1:{}", scene.door().port()));
    world.set("mqtt.proxy_credentials_file", file.to_str().unwrap());
    Box::pin(async {})
}

pub fn door_leads_to_proxy<'a>(_: &'a mut World, scene: &'a mut Scene) -> Done<'a> {
    Box::pin(async {
        let proxy = Front::proxy("bridge", "word").await.unwrap();
        scene.door().leads_to(format!("127.0.0.1:{}", proxy.port()));
        scene.proxy = Some(proxy);
    })
}

/// An authority that did not issue the broker's certificate.
pub fn other_authority<'a>(world: &'a mut World, _: &'a mut Scene) -> Done<'a> {
    let file = authority_file(world);
    std::fs::write(&file, Pki::generate().unwrap().ca_pem()).unwrap();
    world.set("mqtt.tls.ca_file", file.to_str().unwrap());
    Box::pin(async {})
}

pub fn right_authority<'a>(world: &'a mut World, _: &'a mut Scene) -> Done<'a> {
    let new = world.directory().join("new-ca.crt");
    std::fs::write(&new, world.pki.ca_pem()).unwrap();
    std::fs::rename(new, authority_file(world)).unwrap();
    Box::pin(async {})
}

fn authority_file(world: &World) -> PathBuf {
    world.directory().join("other-ca.crt")
}

pub fn broker_url_of_lambda<'a>(world: &'a mut World, _: &'a mut Scene) -> Done<'a> {
    let url = world.lambda.endpoint().replace("http:", "mqtts:");
    world.set("mqtt.url", &url);
    Box::pin(async {})
}

/// Nobody listens yet, so that the first attempt does not succeed before the password is gone.
pub fn password_and_a_shut_door<'a>(world: &'a mut World, scene: &'a mut Scene) -> Done<'a> {
    let file = password_file(world);
    write_secret(&file, "password");
    world.set("mqtt.password_file", file.to_str().unwrap());
    broker_behind_a_shut_door(world, scene)
}

pub fn password_is_gone<'a>(world: &'a mut World, _: &'a mut Scene) -> Done<'a> {
    std::fs::remove_file(password_file(world)).unwrap();
    Box::pin(async {})
}

pub fn password_is_back<'a>(world: &'a mut World, scene: &'a mut Scene) -> Done<'a> {
    write_secret(&password_file(world), "password");
    door_leads_to_broker(world, scene)
}

fn password_file(world: &World) -> PathBuf {
    world.directory().join("password")
}

fn write_secret(file: &PathBuf, text: &str) {
    std::fs::write(file, text).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

pub fn another_bridge<'a>(world: &'a mut World, scene: &'a mut Scene) -> Done<'a> {
    scene.other = Some(world.spawn_bridge().unwrap());
    Box::pin(async {})
}

pub fn no_other_bridge<'a>(_: &'a mut World, scene: &'a mut Scene) -> Done<'a> {
    Box::pin(async { scene.other.take().unwrap().kill().await.unwrap() })
}

pub fn queue_that_denies<'a>(world: &'a mut World, scene: &'a mut Scene) -> Done<'a> {
    Box::pin(async {
        let queue = Queue::start().await.unwrap();
        queue.trouble(Some(queue::Trouble::AccessDenied));
        only_destination(world, "mapping.on_failure.sqs", &queue.url());
        scene.queue = Some(queue);
    })
}

pub fn queue_allows<'a>(_: &'a mut World, scene: &'a mut Scene) -> Done<'a> {
    scene.queue.as_ref().unwrap().trouble(None);
    Box::pin(async {})
}

pub fn bucket_elsewhere<'a>(world: &'a mut World, scene: &'a mut Scene) -> Done<'a> {
    Box::pin(async {
        let bucket = Bucket::start().await.unwrap();
        bucket.trouble(Some(bucket::Trouble::OtherRegion));
        only_destination(world, "mapping.on_failure.s3", &bucket.url());
        scene.bucket = Some(bucket);
    })
}

pub fn bucket_here<'a>(_: &'a mut World, scene: &'a mut Scene) -> Done<'a> {
    scene.bucket.as_ref().unwrap().trouble(None);
    Box::pin(async {})
}

fn only_destination(world: &mut World, key: &str, value: &str) {
    world.unset("mapping.on_failure.file");
    world.set(key, value);
}

//! The function's side of the Runtime API, and nothing else: your own code goes into `lib.rs`.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use mqtt_lambda_event::Event;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(async |event: LambdaEvent<Event>| Ok::<_, Error>(function_minimal::handle(&event.payload)))).await
}

//! The `lambda-handler` binary, deployed as `bootstrap`: starts logging and serves. Everything else is in the library.

use std::process::ExitCode;

// A panic over one record is to cost that record alone, which takes unwinding. cargo-lambda asks for `abort` where the
// profile says nothing.
#[cfg(panic = "abort")]
compile_error!(
    "lambda-handler: built with panic = \"abort\", one bad record could end the function: write panic = \"unwind\" in the profile of Cargo.toml"
);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    lambda_handler::logging::start();
    match lambda_handler::serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error, "stopped");
            ExitCode::FAILURE
        }
    }
}

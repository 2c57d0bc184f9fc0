//! A worker in Rust that serves the scripts of the conformance kit: STEPLANE_ADDRESS, STEPLANE_SCRIPTS, until SIGTERM.

mod invocation;
mod machine;
mod script;
mod session;
mod trouble;
mod wire;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut terminated = signal(SignalKind::terminate())?;
    let scripts = serde_json::from_slice(&std::fs::read(std::env::var("STEPLANE_SCRIPTS")?)?)?;
    let (stop, stopping) = watch::channel(false);
    tokio::spawn(async move {
        terminated.recv().await;
        stop.send_replace(true);
        std::future::pending::<()>().await;
    });
    session::Session::new(std::env::var("STEPLANE_ADDRESS")?, &scripts, stopping).run().await?;
    Ok(())
}

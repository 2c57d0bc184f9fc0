//! Serves the scripts of STEPLANE_SCRIPTS at STEPLANE_ADDRESS, until SIGTERM.

use std::env::var;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let scripts = serde_json::from_slice(&std::fs::read(var("STEPLANE_SCRIPTS")?)?)?;
    rust_worker::session::Session::new(&var("STEPLANE_ADDRESS")?, &scripts)?.run().await
}

//! Makes Rust of the contract, without a protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["function", "work"].map(|name| format!("../../proto/steplane/v1/{name}.proto"));
    println!("cargo:rerun-if-changed=../../proto/steplane");
    tonic_prost_build::configure().build_server(false).compile_fds(protox::compile(files, ["../../proto"])?)?;
    Ok(())
}

//! A worker, written from docs/write-an-sdk.md.

pub mod machine;
pub mod run;
pub mod session;
pub mod wire;

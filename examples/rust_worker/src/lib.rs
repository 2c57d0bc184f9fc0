//! A worker that serves the scripts of the conformance kit.

pub mod invocation;
pub mod machine;
pub mod script;
pub mod session;
pub mod steps;
pub mod trouble;
pub mod wire;

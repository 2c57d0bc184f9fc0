//! The contract as Rust, what code comes to, and values.

use serde_json::Value;

pub use contract::{report::Body, retry_directive::Directive, *};

#[allow(clippy::all)]
mod contract {
    tonic::include_proto!("steplane.v1");
}

/// An error in code, as it would end the run.
pub type Trouble = Box<RunFailed>;

pub type Outcome<T = Value> = Result<T, Trouble>;

/// An error, and what it wishes: to be tried again as the policy says, unless there is a directive.
pub fn trouble(name: &str, message: &str, directive: Option<Directive>) -> Trouble {
    let message = message[..message.floor_char_boundary(16 * 1024)].to_owned();
    let failure = Some(Failure { name: name.to_owned(), message, ..Default::default() });
    Box::new(RunFailed { failure, retry: directive.map(|directive| RetryDirective { directive: Some(directive) }) })
}

/// An error after which nothing is tried again.
pub fn never<T>(name: &str, message: &str) -> Outcome<T> {
    Err(trouble(name, message, Some(Directive::Never(true))))
}

/// Refuse what is too large. A limit of 0 is none.
pub fn check_size(what: &str, size: usize, most: u64) -> Outcome<()> {
    if most == 0 || size as u64 <= most { Ok(()) } else { never("TooLargeError", &format!("{what}: {size} of {most}")) }
}

pub fn payload(value: &Value) -> Option<Payload> {
    Some(Payload { data: value.to_string().into_bytes(), encoding: String::new() })
}

/// A value that came; without data it is null.
pub fn value(payload: Option<&Payload>) -> Value {
    payload.and_then(|payload| serde_json::from_slice(&payload.data).ok()).unwrap_or_default()
}

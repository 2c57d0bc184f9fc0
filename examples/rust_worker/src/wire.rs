//! The contract as Rust, and its words for what a script says.

use prost_types::{Duration, Timestamp};
use serde_json::Value;

#[allow(clippy::all)]
mod contract {
    tonic::include_proto!("steplane.v1");
}

pub use contract::*;

const DAY_MS: f64 = 86_400_000.0;

/// What the server tells the code of one lease about a step: its entry, or why the report was rejected.
pub struct Told {
    pub step_key: String,
    pub is_ack: bool,
    pub result: Result<JournalEntry, String>,
}

pub fn lease(run_id: &str, epoch: u32) -> Lease {
    Lease { run_id: run_id.to_owned(), epoch }
}

pub fn duration(milliseconds: i64) -> Duration {
    Duration { seconds: milliseconds / 1000, nanos: (milliseconds % 1000) as i32 * 1_000_000 }
}

pub fn now() -> Option<Timestamp> {
    Some(std::time::SystemTime::now().into())
}

pub fn payload(value: &Value) -> Option<Payload> {
    Some(Payload { data: value.to_string().into_bytes(), encoding: String::new() })
}

/// The value of some JSON; of nothing at all it is null.
pub fn value(payload: Option<&Payload>) -> Value {
    payload.and_then(|payload| serde_json::from_slice(&payload.data).ok()).unwrap_or_default()
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The retry policy of a function or a step: each wait is written down.
pub fn policy(said: &Value) -> Option<RetryPolicy> {
    let Some(attempts) = said["retry"]["attempts"].as_u64() else {
        let retries = Some(said["retries"].as_u64()? as u32);
        return Some(RetryPolicy { retries, ..Default::default() });
    };
    let retries = attempts.saturating_sub(1) as u32;
    let first = said["retry"]["first_delay_ms"].as_f64().unwrap_or_default();
    let factor = said["retry"]["factor"].as_f64().unwrap_or(1.0);
    let delay = |index| duration((first * factor.powi(index)).min(DAY_MS) as i64);
    let delays = (0..retries as i32).map(delay).collect();
    Some(RetryPolicy { retries: Some(retries), delays, jitter: Some(duration(0)) })
}

pub fn definition(app_id: &str, function: &Value) -> FunctionDefinition {
    let trigger = |said: &Value| {
        let kind = if said["cron"].is_string() {
            trigger::Kind::Cron(CronTrigger { cron: text(&said["cron"]), time_zone: text(&said["tz"]) })
        } else {
            trigger::Kind::Event(EventTrigger { event: text(&said["event"]), expression: text(&said["expression"]) })
        };
        Trigger { kind: Some(kind) }
    };
    FunctionDefinition {
        app_id: app_id.to_owned(),
        function_id: text(&function["id"]),
        triggers: list(&function["triggers"]).iter().map(trigger).collect(),
        retry: policy(function),
        ..Default::default()
    }
}

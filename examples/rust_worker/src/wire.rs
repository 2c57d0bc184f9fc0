//! The contract as Rust, and its words for what a script says.

use serde_json::Value;

#[allow(clippy::all, clippy::pedantic)]
mod contract {
    tonic::include_proto!("steplane.v1");
}

pub use contract::*;

/// Run id and epoch.
pub type LeaseId = (String, u32);

/// What the server answers to steps of one invocation.
pub enum Told {
    Ack(Ack),
    Resolution(JournalEntry),
}

/// So many milliseconds.
pub fn duration(milliseconds: i64) -> prost_types::Duration {
    prost_types::Duration {
        seconds: milliseconds.div_euclid(1000),
        nanos: milliseconds.rem_euclid(1000) as i32 * 1_000_000,
    }
}

/// A duration of the wire.
pub fn std_duration(duration: Option<prost_types::Duration>) -> std::time::Duration {
    duration.and_then(|each| each.try_into().ok()).unwrap_or_default()
}

/// Now.
pub fn now() -> Option<prost_types::Timestamp> {
    Some(std::time::SystemTime::now().into())
}

/// A value as JSON.
pub fn payload(value: &Value) -> Option<Payload> {
    Some(Payload { data: value.to_string().into_bytes(), encoding: String::new() })
}

/// The value of some JSON; of nothing at all it is null.
pub fn value(payload: Option<&Payload>) -> Value {
    payload.and_then(|each| serde_json::from_slice(&each.data).ok()).unwrap_or_default()
}

/// A retry policy of the file: each wait is written down.
pub fn policy(retry: &Value) -> Option<RetryPolicy> {
    let retries = retry["attempts"].as_u64()?.saturating_sub(1) as u32;
    let factor = retry["factor"].as_f64().unwrap_or(2.0);
    let first = retry["first_delay_ms"].as_f64().unwrap_or(0.0);
    let delay = |index| duration((first * factor.powi(index)).min(86_400_000.0) as i64);
    let delays = (0..retries as i32).map(delay).collect();
    Some(RetryPolicy { retries: Some(retries), delays, jitter: Some(duration(0)) })
}

/// A function of the file.
pub fn definition(app_id: &str, function: &Value) -> FunctionDefinition {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let trigger = |said: &Value| match said.get("cron") {
        Some(cron) => trigger::Kind::Cron(CronTrigger { cron: text(cron), time_zone: text(&said["tz"]) }),
        None => {
            trigger::Kind::Event(EventTrigger { event: text(&said["event"]), expression: text(&said["expression"]) })
        }
    };
    let triggers = function["triggers"].as_array().into_iter().flatten();
    let retries = function["retries"].as_u64().map(|retries| retries as u32);
    FunctionDefinition {
        app_id: app_id.to_owned(),
        function_id: text(&function["id"]),
        triggers: triggers.map(|said| Trigger { kind: Some(trigger(said)) }).collect(),
        retry: policy(&function["retry"])
            .or(retries.map(|retries| RetryPolicy { retries: Some(retries), ..Default::default() })),
        ..Default::default()
    }
}

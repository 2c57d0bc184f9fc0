//! The worker under test: it serves the scripts of STEPLANE_SCRIPTS at STEPLANE_ADDRESS, until SIGTERM.

mod script;

use std::env::var;
use std::rc::Rc;

use futures::FutureExt;
use rust_worker::run::Code;
use rust_worker::session::serve;
use rust_worker::wire::*;
use serde_json::Value;

use script::{duration, execute, list, text};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let file: Value = serde_json::from_slice(&std::fs::read(var("STEPLANE_SCRIPTS")?)?)?;
    let functions = list(&file["functions"]).iter().map(|said| (definition(&file["app_id"], said), code(said)));
    serve(&var("STEPLANE_ADDRESS")?, file["slots"].as_u64().unwrap_or(100), functions.collect()).await
}

fn code(said: &Value) -> Code {
    let script = Rc::new(said["script"].clone());
    Rc::new(move |run| execute(run, script.clone()).boxed_local())
}

fn definition(app_id: &Value, said: &Value) -> FunctionDefinition {
    let trigger = |said: &Value| {
        let (event, expression) = (text(&said["event"]), text(&said["expression"]));
        let kind = match said["cron"].as_str() {
            Some(cron) => trigger::Kind::Cron(CronTrigger { cron: cron.to_owned(), time_zone: text(&said["tz"]) }),
            None => trigger::Kind::Event(EventTrigger { event, expression }),
        };
        Trigger { kind: Some(kind) }
    };
    let triggers = list(&said["triggers"]).iter().map(trigger).collect();
    let (app_id, function_id) = (text(app_id), text(&said["id"]));
    FunctionDefinition { app_id, function_id, triggers, retry: policy(said), ..Default::default() }
}

/// The retry policy of a function or a step: each wait is written down.
fn policy(said: &Value) -> Option<RetryPolicy> {
    if let Some(retries) = said["retries"].as_u64() {
        return Some(RetryPolicy { retries: Some(retries as u32), ..Default::default() });
    }
    let retries = said["retry"]["attempts"].as_u64()? as u32 - 1;
    let (first, factor) = (said["retry"]["first_delay_ms"].as_f64()?, said["retry"]["factor"].as_f64()?);
    let delays = (0..retries as i32).map(|index| duration((first * factor.powi(index)).min(86_400_000.0) as i64));
    Some(RetryPolicy { retries: Some(retries), delays: delays.collect(), jitter: Some(duration(0)) })
}

//! The script language of the kit: the code of users.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, SystemTime};

use chrono::DateTime;
use futures::future::{FutureExt, LocalBoxFuture, MaybeDone, maybe_done};
use futures::{pending, poll};
use rust_worker::run::Run;
use rust_worker::wire::{sleep_started::Until, wait_started::Past, *};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::policy;

/// How often this process began the body of a step of a run.
static BEGUN: LazyLock<Mutex<HashMap<(String, String), usize>>> = LazyLock::new(Mutex::default);

/// Execute the script of a function.
pub async fn execute(run: Rc<Run>, script: Rc<Value>) -> Outcome {
    let Invocation { run_id, attempt, traceparent, events, .. } = &run.message;
    let event = |event: &Event| {
        let ts = event.ts.map_or(0, |ts| ts.seconds * 1000 + i64::from(ts.nanos) / 1_000_000);
        let data = Some(value(event.data.as_ref())).filter(|data| !data.is_null()).unwrap_or_else(|| json!({}));
        json!({"id": event.id, "name": event.name, "data": data, "ts": ts})
    };
    let (event, events): (_, Value) = (event(&events[0]), events.iter().map(event).collect());
    let scope = json!({
        "event": event, "events": events, "run_id": run_id, "attempt": attempt, "traceparent": traceparent,
    });
    returned(&run, scope, &script).await
}

/// What a script, a branch or a body returns.
async fn returned(run: &Run, mut scope: Value, statements: &Value) -> Outcome {
    Ok(all(run, &mut scope, statements).await?.unwrap_or_default())
}

/// Execute statements; a value if one of them returned.
fn all<'a>(run: &'a Run, scope: &'a mut Value, statements: &'a Value) -> LocalBoxFuture<'a, Outcome<Option<Value>>> {
    let execution = async move {
        for said in list(statements) {
            if let Some(returned) = statement(run, scope, said).await? {
                return Ok(Some(returned));
            }
        }
        Ok(None)
    };
    execution.boxed_local()
}

async fn statement(run: &Run, scope: &mut Value, statement: &Value) -> Outcome<Option<Value>> {
    let said = resolve(scope, statement);
    let has = |name: &str| said.get(name).is_some();
    let result = if has("run") {
        run_step(run, &said).await?
    } else if let Some((id, body)) = request(&said)? {
        run.ask(&id, body).await?
    } else if has("parallel") || has("race") {
        branches(run, scope, statement).await?
    } else if has("pause_ms") {
        run.outside(sleep(milliseconds(&said["pause_ms"]))).await;
        Value::Null
    } else if has("try") {
        match all(run, scope, &statement["try"]).await {
            Err(trouble) => scope["error"] = caught(*trouble),
            end => return end,
        }
        return all(run, scope, &statement["catch"]).await;
    } else if has("do") {
        let is_so = ![json!(null), json!(false), json!(0), json!("")].contains(&said["when"]);
        for _ in 0..said["repeat"].as_u64().unwrap_or(is_so.into()) {
            if let Some(returned) = all(run, scope, &statement["do"]).await? {
                return Ok(Some(returned));
            }
        }
        return Ok(None);
    } else if has("throw") {
        return Err(thrown(&said["throw"]));
    } else {
        return Ok(Some(said["return"].clone()));
    };
    scope[text(&said["as"])] = result;
    Ok(None)
}

/// What all branches return, which go on in their order; one that fails, or the first of a race, ends the others.
async fn branches(run: &Run, scope: &Value, said: &Value) -> Outcome {
    let (race, begin) = (said.get("race"), |each| maybe_done(returned(run, scope.clone(), each).boxed_local()));
    let mut branches: Vec<_> = list(race.unwrap_or(&said["parallel"])).iter().map(begin).collect();
    loop {
        let mut outcomes = Vec::new();
        for branch in &mut branches {
            let _ = poll!(&mut *branch);
            outcomes.push(if let MaybeDone::Done(outcome) = branch { Some(outcome.clone()) } else { None });
        }
        let first = outcomes.iter().flatten().find(|outcome| race.is_some() || outcome.is_err()).cloned();
        match first.or_else(|| outcomes.into_iter().collect()) {
            Some(outcome) => return outcome,
            None => pending!(),
        }
    }
}

/// A body has no steps to call, as a run is not Send: what tries it in a script fails as it does elsewhere.
async fn run_step(run: &Run, said: &Value) -> Outcome {
    let body = |key: &str| {
        let step = (run.message.run_id.clone(), key.to_owned());
        let number = *BEGUN.lock().unwrap().entry(step).and_modify(|number| *number += 1).or_default();
        let said = said.clone();
        async move {
            if !said["fails"][number].is_null() {
                return Err(thrown(&said["fails"][number]));
            } else if said["body"].is_array() {
                return never("NestedStepError", "a step is called in the body of another");
            } else if said["unserializable"] == true {
                return never("NotSerializableError", "what the body returned is no JSON");
            }
            sleep(milliseconds(&said["takes_ms"])).await;
            tokio::task::block_in_place(|| std::thread::sleep(milliseconds(&said["blocks_ms"])));
            Ok(said["returns"].clone())
        }
    };
    run.run(&text(&said["run"]), policy(said), body).await
}

/// A step that the server does: its id, and what is reported of it.
fn request(said: &Value) -> Outcome<Option<(String, Body)>> {
    let (timeout, signal) = (said["timeout_ms"].as_i64().map(duration), text(&said["signal"]));
    let (name, body) = if said.get("sleep").is_some() {
        let until = match said["until"].as_str().map(DateTime::parse_from_rfc3339) {
            Some(Ok(moment)) => Until::DueTime(SystemTime::from(moment).into()),
            Some(Err(problem)) => return never("ArgumentError", &problem.to_string()),
            None => Until::Duration(duration(said["ms"].as_i64().unwrap_or_default())),
        };
        ("sleep", Body::SleepStarted(SleepStarted { until: Some(until) }))
    } else if said.get("send").is_some() {
        let event = |said: &Value| {
            let ts = said["ts"].as_i64().and_then(DateTime::from_timestamp_millis);
            let (id, name, data) = (text(&said["id"]), text(&said["name"]), payload(&said["data"]));
            Event { id, name, data, ts: ts.map(|ts| SystemTime::from(ts).into()), ..Default::default() }
        };
        ("send", Body::EventsSent(EventsSent { events: list(&said["events"]).iter().map(event).collect() }))
    } else if said.get("wait").is_some() {
        let event = |said: &Value| {
            let [event, r#match, expression] = ["event", "match", "expression"].map(|name| text(&said[name]));
            WaitedEvent { event, r#match, expression }
        };
        let events = list(&said["events"]).iter().map(event).collect();
        let past = (said["since_run"] == true).then_some(Past::SinceRun(true));
        ("wait", Body::WaitStarted(WaitStarted { events, all_of: said["all_of"] == true, timeout, past }))
    } else if said.get("invoke").is_some() {
        let (function, data) = (text(&said["function"]), payload(&said["data"]));
        let (app_id, function_id) = function.split_once('/').unwrap_or(("", &function));
        let (app_id, function_id) = (app_id.to_owned(), function_id.to_owned());
        ("invoke", Body::InvokeStarted(InvokeStarted { app_id, function_id, data, timeout }))
    } else if said.get("wait_signal").is_some() {
        let is_replacing = said["on_conflict"] == "replace";
        let on_conflict = if is_replacing { SignalConflict::Replace } else { SignalConflict::Fail }.into();
        ("wait_signal", Body::SignalWaitStarted(SignalWaitStarted { signal, timeout, on_conflict }))
    } else if said.get("send_signal").is_some() {
        ("send_signal", Body::SignalSent(SignalSent { signal, data: payload(&said["data"]) }))
    } else {
        return Ok(None);
    };
    Ok(Some((text(&said[name]), body)))
}

/// An error that a script throws.
fn thrown(said: &Value) -> Trouble {
    let (class, directive) = match &said["retry"] {
        Value::Null => ("Error", None),
        Value::String(_) => ("NonRetriableError", Some(Directive::Never(true))),
        retry => ("RetryAfterError", retry["after_ms"].as_i64().map(|after| Directive::After(duration(after)))),
    };
    trouble(said["name"].as_str().unwrap_or(class), &text(&said["message"]), directive)
}

/// An error as a script has it that catches it.
fn caught(trouble: RunFailed) -> Value {
    let Failure { name, message, reason, step_key, .. } = trouble.failure.unwrap_or_default();
    let step_id = step_key.rsplit_once('#').map_or("", |(id, _)| id);
    json!({"name": name, "message": message, "reason": reason, "step_id": step_id})
}

/// A value of a script, with what its references refer to.
fn resolve(scope: &Value, said: &Value) -> Value {
    match (said, said.get("$"), said.get("$repeat").map_or(&[][..], list)) {
        (_, Some(Value::String(path)), _) => {
            scope.pointer(&format!("/{}", path.replace('.', "/"))).cloned().unwrap_or_default()
        }
        (_, _, [Value::String(text), count]) => text.repeat(count.as_u64().unwrap_or_default() as usize).into(),
        (Value::Array(items), ..) => items.iter().map(|each| resolve(scope, each)).collect(),
        (Value::Object(members), ..) => {
            members.iter().map(|(name, each)| (name.clone(), resolve(scope, each))).collect()
        }
        _ => said.clone(),
    }
}

pub fn text(said: &Value) -> String {
    said.as_str().unwrap_or_default().to_owned()
}

pub fn list(said: &Value) -> &[Value] {
    said.as_array().map_or(&[], Vec::as_slice)
}

pub fn duration(milliseconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds: milliseconds / 1000, nanos: (milliseconds % 1000) as i32 * 1_000_000 }
}

fn milliseconds(said: &Value) -> Duration {
    Duration::from_millis(said.as_u64().unwrap_or_default())
}

//! The steps: what each reports, and what its caller gets.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, SystemTime};

use chrono::DateTime;
use prost::Message;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::invocation::{Outcome, check_size};
use crate::machine::Turn;
use crate::script::Execution;
use crate::trouble::Trouble;
use crate::wire::{report::Body, *};

const TIME_MAX_MS: i64 = 366 * 24 * 3600 * 1000;

/// What a script calls the steps.
pub const STEPS: [(&str, StepKind); 7] = [
    ("run", StepKind::Run),
    ("sleep", StepKind::Sleep),
    ("send", StepKind::SendEvents),
    ("wait", StepKind::WaitForEvent),
    ("invoke", StepKind::Invoke),
    ("wait_signal", StepKind::WaitForSignal),
    ("send_signal", StepKind::SendSignal),
];

/// How often this process began the body of a step, by run and key.
static BEGUN: LazyLock<Mutex<HashMap<(String, String), usize>>> = LazyLock::new(Mutex::default);

impl Execution {
    /// Call a step, and do what its turns say until it is over.
    pub async fn step(&self, id: &Value, kind: StepKind, said: &Value, body: &Value) -> Outcome {
        if let Some(outer) = &self.inside {
            return Err(Trouble::never(
                "NestedStepError",
                format!("step {id} is called in the body of step '{outer}'"),
            ));
        }
        if kind == StepKind::SendEvents && list(&said["events"]).is_empty() {
            return Ok(json!([]));
        }
        let key = self.run.machine().begin(&text(id), kind)?;
        scopeguard::defer! { self.run.machine().live.remove(&key); }
        loop {
            match self.run.turn(&key).await {
                Turn::Execute(tries) if kind == StepKind::Run => {
                    self.run.sure().await;
                    let start = now();
                    let body = self.attempt(said, body, &key, tries + 1).await;
                    self.run.report(&key, start, body);
                }
                Turn::Execute(_) => self.run.report(&key, now(), self.request(kind, said)?),
                Turn::Over(Err(problem)) => return Err(Trouble::rejected(&format!("step '{key}'"), &problem)),
                Turn::Over(Ok(entry)) if entry.state() == StepState::Failed => {
                    return Err(Trouble::of_step(&key, entry.failure.unwrap_or_default()));
                }
                Turn::Over(Ok(entry)) if kind == StepKind::SendEvents => return Ok(entry.event_ids.into()),
                Turn::Over(Ok(entry)) => return Ok(value(entry.output.as_ref())),
            }
        }
    }

    /// One try of a run step.
    async fn attempt(&self, said: &Value, body: &Value, key: &str, attempt: u32) -> Body {
        let result = if body.is_null() { self.body(said, key).await } else { self.nested(key, body).await };
        match result.and_then(|value| self.run.output(&format!("the result of step '{key}'"), &value)) {
            Ok(output) => Body::StepCompleted(StepCompleted { output, attempt }),
            Err(trouble) => {
                let (failure, retry) = trouble.reported(key);
                Body::StepFailed(StepFailed { failure, attempt, retry, policy: policy(said) })
            }
        }
    }

    async fn body(&self, said: &Value, key: &str) -> Outcome {
        let number = {
            let mut begun = BEGUN.lock().unwrap();
            let count = begun.entry((self.run.message.run_id.clone(), key.to_owned())).or_default();
            *count += 1;
            *count - 1
        };
        if let Some(failure) = list(&said["fails"]).get(number).filter(|failure| !failure.is_null()) {
            return Err(Trouble::thrown(failure));
        }
        sleep(Duration::from_millis(said["takes_ms"].as_u64().unwrap_or_default())).await;
        if let Some(blocks) = said["blocks_ms"].as_u64() {
            tokio::task::block_in_place(|| std::thread::sleep(Duration::from_millis(blocks)));
        }
        if said["unserializable"] == true {
            return Err(Trouble::never("NotSerializableError", format!("the result of step '{key}' is no JSON")));
        }
        Ok(said["returns"].clone())
    }

    /// The report of a step that the server does.
    fn request(&self, kind: StepKind, said: &Value) -> Result<Body, Trouble> {
        let timeout = || match said["timeout_ms"].as_i64() {
            Some(length) if !(0..=TIME_MAX_MS).contains(&length) => Err(argument("a time-out is 0 to 366 days")),
            length => Ok(length.map(duration)),
        };
        Ok(match kind {
            StepKind::Sleep => Body::SleepStarted(SleepStarted { until: Some(until(said)?) }),
            StepKind::SendEvents => Body::EventsSent(self.events(list(&said["events"]))?),
            StepKind::WaitForEvent => {
                let events: Vec<_> = list(&said["events"]).iter().map(waited).collect::<Result<_, _>>()?;
                if !(1..=10).contains(&events.len()) {
                    return Err(argument("1 to 10 events can be waited for"));
                }
                let past = (said["since_run"] == true).then_some(wait_started::Past::SinceRun(true));
                Body::WaitStarted(WaitStarted { events, all_of: said["all_of"] == true, timeout: timeout()?, past })
            }
            StepKind::Invoke => {
                let name = text(&said["function"]);
                let (app_id, function_id) = name.split_once('/').unwrap_or(("", &name));
                let (app_id, function_id) = (app_id.to_owned(), named(function_id)?);
                let data = if said["data"].is_null() { &json!({}) } else { &said["data"] };
                let data = self.data("an invocation", data, true)?;
                Body::InvokeStarted(InvokeStarted { app_id, function_id, data, timeout: timeout()? })
            }
            StepKind::WaitForSignal => {
                let conflict =
                    if said["on_conflict"] == "replace" { SignalConflict::Replace } else { SignalConflict::Fail };
                let (signal, on_conflict) = (named(&text(&said["signal"]))?, conflict.into());
                Body::SignalWaitStarted(SignalWaitStarted { signal, timeout: timeout()?, on_conflict })
            }
            _ => {
                let data = self.data("a signal", &said["data"], false)?;
                Body::SignalSent(SignalSent { signal: named(&text(&said["signal"]))?, data })
            }
        })
    }

    fn events(&self, said: &[Value]) -> Result<EventsSent, Trouble> {
        let Limits { batch_events_max, batch_bytes_max, .. } = self.run.limits;
        let event = |said: &Value| {
            Ok(Event {
                id: text(&said["id"]),
                name: named(&text(&said["name"]))?,
                data: self.data("an event", &said["data"], true)?,
                ts: said["ts"].as_i64().and_then(DateTime::from_timestamp_millis).map(|ts| SystemTime::from(ts).into()),
                ..Default::default()
            })
        };
        let sent = EventsSent { events: said.iter().map(event).collect::<Result<_, _>>()? };
        check_size("the list of a step's events", sent.encoded_len(), batch_bytes_max)?;
        if batch_events_max > 0 && said.len() > batch_events_max as usize {
            return Err(Trouble::never("TooLargeError", format!("a step sends {batch_events_max} events at the most")));
        }
        Ok(sent)
    }

    fn data(&self, of: &str, data: &Value, is_object: bool) -> Result<Option<Payload>, Trouble> {
        if is_object && !data.is_object() {
            return Err(Trouble::never("NotSerializableError", format!("the data of {of} is no object")));
        }
        check_size(&format!("the data of {of}"), data.to_string().len(), self.run.limits.event_bytes_max)?;
        Ok(payload(data))
    }
}

fn argument(message: &str) -> Trouble {
    Trouble::never("ArgumentError", message.to_owned())
}

fn named(name: &str) -> Result<String, Trouble> {
    if name.is_empty() { Err(argument("a name is empty")) } else { Ok(name.to_owned()) }
}

fn until(said: &Value) -> Result<sleep_started::Until, Trouble> {
    if let Some(moment) = said["until"].as_str() {
        let moment =
            DateTime::parse_from_rfc3339(moment).map_err(|_| argument("that is no moment with a time zone"))?;
        return Ok(sleep_started::Until::DueTime(SystemTime::from(moment).into()));
    }
    let length = said["ms"].as_i64().unwrap_or_default();
    if length > TIME_MAX_MS {
        return Err(argument("a sleep has 366 days at the most"));
    }
    Ok(sleep_started::Until::Duration(duration(length.max(0))))
}

fn waited(said: &Value) -> Result<WaitedEvent, Trouble> {
    let (event, r#match, expression) = (named(&text(&said["event"]))?, text(&said["match"]), text(&said["expression"]));
    if !r#match.is_empty() && !expression.is_empty() {
        return Err(argument("an event is waited for by match or by expression"));
    }
    Ok(WaitedEvent { event, r#match, expression })
}

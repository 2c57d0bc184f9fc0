//! The script language of the conformance kit, executed with steps.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock, Mutex};
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, poll_fn};
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use crate::invocation::{Invocation, Outcome, check_size};
use crate::machine::Turn;
use crate::trouble::Trouble;
use crate::wire::{self, *};
use report::Body;

const TIME_MAX: i64 = 366 * 24 * 3600 * 1000;

/// How often this process executed the body of a step of a run.
static EXECUTIONS: LazyLock<Mutex<HashMap<(String, String), usize>>> = LazyLock::new(Mutex::default);

/// The execution of statements in one scope.
#[derive(Clone)]
pub struct Execution {
    run: Arc<Invocation>,
    scope: Map<String, Value>,
    /// The step whose body this is.
    inside: Option<String>,
}

impl Execution {
    /// Begin an invocation's script.
    pub fn begin(run: &Arc<Invocation>, script: Vec<Value>) {
        let Invocation { message, .. } = run.as_ref();
        let events: Vec<Value> = message.events.iter().map(event_value).collect();
        let mut scope = Map::new();
        scope.insert("event".to_owned(), events[0].clone());
        scope.insert("events".to_owned(), events.into());
        scope.insert("run_id".to_owned(), message.run_id.clone().into());
        scope.insert("attempt".to_owned(), message.attempt.into());
        scope.insert("traceparent".to_owned(), message.traceparent.clone().into());
        let (mut root, run) = (Self { run: run.clone(), scope, inside: None }, run.clone());
        run.clone().begun.lock().unwrap().push(Box::pin(async move {
            let outcome = root.value(&script).await;
            *run.outcome.lock().unwrap() = Some(outcome);
        }));
    }

    /// What a script or a branch returns.
    async fn value(&mut self, statements: &[Value]) -> Outcome {
        Ok(self.all(statements).await?.unwrap_or_default())
    }

    /// Execute statements; a value if one of them returned.
    fn all<'a>(&'a mut self, statements: &'a [Value]) -> BoxFuture<'a, Result<Option<Value>, Trouble>> {
        async move {
            for statement in statements {
                let end = self.statement(statement).await?;
                if end.is_some() {
                    return Ok(end);
                }
            }
            Ok(None)
        }
        .boxed()
    }

    async fn statement(&mut self, statement: &Value) -> Result<Option<Value>, Trouble> {
        let has = |name: &str| statement.get(name).is_some();
        if has("try") {
            match self.all(list(&statement["try"])).await {
                Err(trouble) => self.scope.insert("error".to_owned(), trouble.value()),
                end => return end,
            };
            return self.all(list(&statement["catch"])).await;
        } else if has("repeat") {
            for _ in 0..self.resolved(&statement["repeat"]).as_u64().unwrap_or_default() {
                let end = self.all(list(&statement["do"])).await?;
                if end.is_some() {
                    return Ok(end);
                }
            }
            return Ok(None);
        } else if has("when") {
            let value = self.resolved(&statement["when"]);
            let is_so = ![Value::Null, json!(false), json!(0), json!("")].contains(&value);
            return if is_so { self.all(list(&statement["do"])).await } else { Ok(None) };
        } else if has("return") {
            return Ok(Some(self.resolved(&statement["return"])));
        } else if has("throw") {
            return Err(Trouble::of(&self.resolved(&statement["throw"])));
        }
        let value = if has("parallel") {
            self.branches(list(&statement["parallel"]), false).await?
        } else if has("race") {
            self.branches(list(&statement["race"]), true).await?
        } else if has("body") {
            self.step_run(&json!({"run": self.resolved(&statement["run"])}), Some(list(&statement["body"]))).await?
        } else {
            self.step(self.resolved(statement)).await?
        };
        if let Some(name) = statement["as"].as_str() {
            self.scope.insert(name.to_owned(), value);
        }
        Ok(None)
    }

    /// Begin all branches, and wait for all, or for the first. Those that nobody waits for go on.
    async fn branches(&self, branches: &[Value], is_race: bool) -> Outcome {
        let ended: Arc<Mutex<Vec<(usize, Outcome)>>> = Arc::default();
        for (index, branch) in branches.iter().cloned().enumerate() {
            let (mut execution, ended) = (self.clone(), ended.clone());
            self.run.begun.lock().unwrap().push(Box::pin(async move {
                let outcome = execution.value(list(&branch)).await;
                ended.lock().unwrap().push((index, outcome));
            }));
        }
        poll_fn(|_| {
            let mut ended = ended.lock().unwrap();
            let first = ended.iter().find(|(_, outcome)| is_race || outcome.is_err());
            if let Some((_, outcome)) = first {
                return Poll::Ready(outcome.clone());
            } else if ended.len() < branches.len() || is_race {
                return Poll::Pending;
            }
            ended.sort_by_key(|(index, _)| *index);
            Poll::Ready(ended.drain(..).map(|(_, outcome)| outcome).collect())
        })
        .await
    }

    async fn step(&mut self, said: Value) -> Outcome {
        let text = |name: &str| said[name].as_str().unwrap_or_default();
        if said.get("run").is_some() {
            return self.step_run(&said, None).await;
        } else if let Some(pause) = said["pause_ms"].as_u64() {
            self.run.pauses.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_millis(pause)).await;
            self.run.pauses.fetch_sub(1, Ordering::Relaxed);
            return Ok(Value::Null);
        } else if said.get("sleep").is_some() {
            self.ask(text("sleep"), StepKind::Sleep, || sleep_of(&said)).await?;
            return Ok(Value::Null);
        } else if said.get("send").is_some() {
            let events = list(&said["events"]);
            if events.is_empty() {
                return Ok(json!([]));
            }
            let entry = self.ask(text("send"), StepKind::SendEvents, || self.events_sent(events)).await?;
            return Ok(entry.event_ids.into());
        }
        let entry = if said.get("wait").is_some() {
            self.ask(text("wait"), StepKind::WaitForEvent, || wait_of(&said)).await?
        } else if said.get("invoke").is_some() {
            let (app_id, function_id) = text("function").split_once('/').unwrap_or(("", text("function")));
            let make = || {
                let data = if said["data"].is_null() { json!({}) } else { said["data"].clone() };
                self.check_data("the data", &data, true)?;
                let (app_id, function_id) = (app_id.to_owned(), named(function_id)?);
                let (data, timeout) = (wire::payload(&data), timeout_of(&said)?);
                Ok(Body::InvokeStarted(InvokeStarted { app_id, function_id, data, timeout }))
            };
            self.ask(text("invoke"), StepKind::Invoke, make).await?
        } else if said.get("wait_signal").is_some() {
            let make = || {
                let is_replacing = said["on_conflict"] == "replace";
                let on_conflict = if is_replacing { SignalConflict::Replace } else { SignalConflict::Fail } as i32;
                let (signal, timeout) = (named(text("signal"))?, timeout_of(&said)?);
                Ok(Body::SignalWaitStarted(SignalWaitStarted { signal, timeout, on_conflict }))
            };
            self.ask(text("wait_signal"), StepKind::WaitForSignal, make).await?
        } else if said.get("send_signal").is_some() {
            let make = || {
                self.check_data("the data", &said["data"], false)?;
                Ok(Body::SignalSent(SignalSent { signal: named(text("signal"))?, data: wire::payload(&said["data"]) }))
            };
            self.ask(text("send_signal"), StepKind::SendSignal, make).await?
        } else {
            return Err(Trouble::never("Error", format!("a statement without a known name: {said}")));
        };
        Ok(wire::value(entry.output.as_ref()))
    }

    fn begin_step(&self, id: &str, kind: StepKind) -> Result<String, Trouble> {
        if let Some(outer) = &self.inside {
            let message = format!("step '{id}' is called inside the body of step '{outer}'");
            return Err(Trouble::never("NestedStepError", message));
        }
        self.run.machine.lock().unwrap().begin(id, kind)
    }

    /// Do a step that the server does.
    async fn ask(
        &self,
        id: &str,
        kind: StepKind,
        make: impl Fn() -> Result<Body, Trouble>,
    ) -> Result<JournalEntry, Trouble> {
        let key = self.begin_step(id, kind)?;
        loop {
            match self.run.turn(&key).await {
                Turn::Execute(_) => match make() {
                    Ok(body) => self.run.report(&key, wire::now(), body),
                    Err(trouble) => {
                        self.run.machine.lock().unwrap().abandon(&key);
                        return Err(trouble);
                    }
                },
                Turn::Over(entry) => return result_of(&key, entry.unwrap_or_default()),
                Turn::Rejected(problem) => return Err(rejected(&format!("step '{key}'"), &problem)),
            }
        }
    }

    async fn step_run(&mut self, said: &Value, statements: Option<&[Value]>) -> Outcome {
        let key = self.begin_step(said["run"].as_str().unwrap_or_default(), StepKind::Run)?;
        let mut value = Value::Null;
        loop {
            match self.run.turn(&key).await {
                Turn::Execute(attempts) => {
                    self.run.sure().await;
                    let (start, attempt) = (wire::now(), attempts + 1);
                    self.inside = Some(key.clone());
                    let result = match statements {
                        Some(statements) => self.value(statements).await,
                        None => self.body(said, &key).await,
                    };
                    self.inside = None;
                    let what = format!("step '{key}'");
                    let body = match result.and_then(|value| self.run.check_output(&what, &value).map(|()| value)) {
                        Ok(result) => {
                            value = result;
                            Body::StepCompleted(StepCompleted { output: wire::payload(&value), attempt })
                        }
                        Err(trouble) => {
                            let (failure, retry) = trouble.reported(&key);
                            let policy = wire::policy(&said["retry"]);
                            Body::StepFailed(StepFailed { failure, attempt, retry, policy })
                        }
                    };
                    self.run.report(&key, start, body);
                }
                Turn::Over(None) => return Ok(value),
                Turn::Over(Some(entry)) => return Ok(wire::value(result_of(&key, entry)?.output.as_ref())),
                Turn::Rejected(problem) => return Err(rejected(&format!("step '{key}'"), &problem)),
            }
        }
    }

    async fn body(&self, said: &Value, key: &str) -> Outcome {
        let execution = (self.run.message.run_id.clone(), key.to_owned());
        let number = {
            let mut executions = EXECUTIONS.lock().unwrap();
            let count = executions.entry(execution).or_default();
            *count += 1;
            *count - 1
        };
        if let Some(failure) = list(&said["fails"]).get(number).filter(|failure| !failure.is_null()) {
            return Err(Trouble::of(failure));
        }
        sleep(Duration::from_millis(said["takes_ms"].as_u64().unwrap_or_default())).await;
        if let Some(blocks) = said["blocks_ms"].as_u64() {
            tokio::task::block_in_place(|| std::thread::sleep(Duration::from_millis(blocks)));
        }
        if said["unserializable"] == true {
            return Err(Trouble::never("NotSerializableError", format!("the result of step '{key}' is not JSON")));
        }
        Ok(said["returns"].clone())
    }

    fn events_sent(&self, events: &[Value]) -> Result<Body, Trouble> {
        let Limits { batch_events_max, batch_bytes_max, .. } = self.run.limits;
        let event = |said: &Value| {
            self.check_data("the data of an event", &said["data"], true)?;
            Ok(Event {
                id: said["id"].as_str().unwrap_or_default().to_owned(),
                name: said["name"].as_str().unwrap_or_default().to_owned(),
                data: wire::payload(&said["data"]),
                ts: said["ts"].as_i64().map(|ts| timestamp(duration(ts))),
                ..Default::default()
            })
        };
        let events: Vec<Event> = events.iter().map(event).collect::<Result<_, _>>()?;
        let size = events.iter().map(prost::Message::encoded_len).sum();
        check_size("all events of the step: that", size, batch_bytes_max)?;
        if batch_events_max > 0 && events.len() > batch_events_max as usize {
            let message = format!("a step sends {} events; {batch_events_max} are the most", events.len());
            return Err(Trouble::never("TooLargeError", message));
        }
        Ok(Body::EventsSent(EventsSent { events }))
    }

    fn check_data(&self, what: &str, data: &Value, has_to_be_object: bool) -> Result<(), Trouble> {
        if has_to_be_object && !data.is_object() {
            return Err(Trouble::never("NotSerializableError", format!("{what} is no object")));
        }
        check_size(what, data.to_string().len(), self.run.limits.event_bytes_max)
    }

    /// A value of the script, with what its references refer to.
    fn resolved(&self, value: &Value) -> Value {
        match value {
            Value::Array(items) => items.iter().map(|each| self.resolved(each)).collect(),
            Value::Object(members) => match (members.len(), members.get("$"), members.get("$repeat")) {
                (1, Some(Value::String(path)), _) => self.found(path),
                (1, _, Some(said)) => {
                    said[0].as_str().unwrap_or_default().repeat(said[1].as_u64().unwrap_or_default() as usize).into()
                }
                _ => members.iter().map(|(name, each)| (name.clone(), self.resolved(each))).collect(),
            },
            _ => value.clone(),
        }
    }

    fn found(&self, path: &str) -> Value {
        let mut names = path.split('.');
        let first = names.next().and_then(|name| self.scope.get(name));
        let found = first.and_then(|first| {
            names.try_fold(first, |value, name| match value {
                Value::Array(items) => name.parse::<usize>().ok().and_then(|index| items.get(index)),
                _ => value.get(name),
            })
        });
        found.cloned().unwrap_or_default()
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn event_value(event: &Event) -> Value {
    let ts = event.ts.map_or(0, |ts| ts.seconds * 1000 + i64::from(ts.nanos) / 1_000_000);
    let data = wire::value(event.data.as_ref());
    let data = if data.is_null() { json!({}) } else { data };
    json!({"id": event.id, "name": event.name, "data": data, "ts": ts})
}

/// What a step came to.
fn result_of(key: &str, entry: JournalEntry) -> Result<JournalEntry, Trouble> {
    if entry.state() == StepState::Failed { Err(Trouble::of_step(key, entry.failure)) } else { Ok(entry) }
}

/// What the server will never take.
pub fn rejected(what: &str, problem: &str) -> Trouble {
    Trouble::never("RejectedError", format!("the server refused {what}: {problem}"))
}

fn argument(message: &str) -> Trouble {
    Trouble::never("ArgumentError", message.to_owned())
}

fn named(name: &str) -> Result<String, Trouble> {
    if name.is_empty() { Err(argument("a name is empty")) } else { Ok(name.to_owned()) }
}

fn timestamp(since_1970: prost_types::Duration) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: since_1970.seconds, nanos: since_1970.nanos }
}

fn sleep_of(said: &Value) -> Result<Body, Trouble> {
    let until = match said["until"].as_str() {
        Some(text) if !text.contains(['Z', 'z', '+']) && !text.get(10..).is_some_and(|rest| rest.contains('-')) => {
            return Err(argument("a moment has no time zone"));
        }
        Some(text) => sleep_started::Until::DueTime(text.parse().map_err(|_| argument("that is no moment"))?),
        None => match said["ms"].as_i64().unwrap_or_default() {
            TIME_MAX.. => return Err(argument("a sleep has 366 days at the most")),
            length => sleep_started::Until::Duration(duration(length.max(0))),
        },
    };
    Ok(Body::SleepStarted(SleepStarted { until: Some(until) }))
}

fn timeout_of(said: &Value) -> Result<Option<prost_types::Duration>, Trouble> {
    match said["timeout_ms"].as_i64() {
        Some(length) if !(0..=TIME_MAX).contains(&length) => Err(argument("a time-out has 0 to 366 days")),
        length => Ok(length.map(duration)),
    }
}

fn wait_of(said: &Value) -> Result<Body, Trouble> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let event = |each: &Value| {
        let (match_, expression) = (text(&each["match"]), text(&each["expression"]));
        if !match_.is_empty() && !expression.is_empty() {
            return Err(argument("an event has match and expression"));
        }
        Ok(WaitedEvent { event: named(&text(&each["event"]))?, r#match: match_, expression })
    };
    let events: Vec<WaitedEvent> = list(&said["events"]).iter().map(event).collect::<Result<_, _>>()?;
    if !(1..=10).contains(&events.len()) {
        return Err(argument("1 to 10 events can be waited for"));
    }
    let past = (said["since_run"] == true).then_some(wait_started::Past::SinceRun(true));
    let (all_of, timeout) = (said["all_of"] == true, timeout_of(said)?);
    Ok(Body::WaitStarted(WaitStarted { events, all_of, timeout, past }))
}

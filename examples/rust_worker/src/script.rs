//! The script language of the conformance kit: this is the code of users.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, select_all, try_join_all};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::invocation::{Invocation, Outcome};
use crate::steps::STEPS;
use crate::trouble::Trouble;
use crate::wire::{Event, list, text, value};

/// The execution of statements in one scope.
#[derive(Clone)]
pub struct Execution {
    pub run: Arc<Invocation>,
    scope: Value,
    /// The step whose body this is.
    pub inside: Option<String>,
}

/// Execute the script of a function.
pub async fn execute(run: Arc<Invocation>, script: Value) -> Outcome {
    let message = &run.message;
    let events: Vec<Value> = message.events.iter().map(event_value).collect();
    let scope = json!({
        "event": events[0], "events": events, "run_id": message.run_id, "attempt": message.attempt,
        "traceparent": message.traceparent,
    });
    Execution { run, scope, inside: None }.value(&script).await
}

impl Execution {
    /// What a script, a branch or a body returns.
    async fn value(mut self, statements: &Value) -> Outcome {
        Ok(self.all(statements).await?.unwrap_or_default())
    }

    /// The body of a step that has statements.
    pub async fn nested(&self, key: &str, statements: &Value) -> Outcome {
        Self { inside: Some(key.to_owned()), ..self.clone() }.value(statements).await
    }

    /// Execute statements; a value if one of them returned.
    fn all<'a>(&'a mut self, statements: &'a Value) -> BoxFuture<'a, Result<Option<Value>, Trouble>> {
        async move {
            for statement in list(statements) {
                let returned = self.statement(statement).await?;
                if returned.is_some() {
                    return Ok(returned);
                }
            }
            Ok(None)
        }
        .boxed()
    }

    async fn statement(&mut self, said: &Value) -> Result<Option<Value>, Trouble> {
        let has = |name: &str| said.get(name).is_some();
        let result = if let Some((name, kind)) = STEPS.iter().find(|(name, _)| has(name)) {
            let resolved = self.resolve(said);
            self.step(&resolved[name], *kind, &resolved, &said["body"]).await?
        } else if has("parallel") {
            try_join_all(self.branches(&said["parallel"])).await?.into()
        } else if has("race") {
            select_all(self.branches(&said["race"])).await.0?
        } else if has("try") {
            match self.all(&said["try"]).await {
                Err(trouble) => self.scope["error"] = trouble.value(),
                returned => return returned,
            }
            return self.all(&said["catch"]).await;
        } else if has("repeat") {
            for _ in 0..self.resolve(&said["repeat"]).as_u64().unwrap_or_default() {
                let returned = self.all(&said["do"]).await?;
                if returned.is_some() {
                    return Ok(returned);
                }
            }
            Value::Null
        } else if has("when") {
            let is_so = ![json!(null), json!(false), json!(0), json!("")].contains(&self.resolve(&said["when"]));
            return if is_so { self.all(&said["do"]).await } else { Ok(None) };
        } else if has("pause_ms") {
            let _outside = self.run.outside.clone();
            sleep(Duration::from_millis(said["pause_ms"].as_u64().unwrap_or_default())).await;
            Value::Null
        } else if has("throw") {
            return Err(Trouble::thrown(&self.resolve(&said["throw"])));
        } else {
            return Ok(Some(self.resolve(&said["return"])));
        };
        if has("as") {
            self.scope[text(&said["as"])] = result;
        }
        Ok(None)
    }

    /// Futures that are polled in their order, so that they call their first steps in it.
    fn branches<'a>(&self, branches: &'a Value) -> Vec<BoxFuture<'a, Outcome>> {
        list(branches).iter().map(|branch| self.clone().value(branch).boxed()).collect()
    }

    /// A value of the script, with what its references refer to.
    fn resolve(&self, said: &Value) -> Value {
        match said {
            Value::Array(items) => items.iter().map(|each| self.resolve(each)).collect(),
            Value::Object(members) => {
                if let Some(path) = said["$"].as_str() {
                    return self.scope.pointer(&format!("/{}", path.replace('.', "/"))).cloned().unwrap_or_default();
                } else if let [text, count] = list(&said["$repeat"]) {
                    return text
                        .as_str()
                        .unwrap_or_default()
                        .repeat(count.as_u64().unwrap_or_default() as usize)
                        .into();
                }
                members.iter().map(|(name, each)| (name.clone(), self.resolve(each))).collect()
            }
            _ => said.clone(),
        }
    }
}

fn event_value(event: &Event) -> Value {
    let ts = event.ts.map_or(0, |ts| ts.seconds * 1000 + i64::from(ts.nanos) / 1_000_000);
    let data = Some(value(event.data.as_ref())).filter(|data| !data.is_null()).unwrap_or_else(|| json!({}));
    json!({"id": event.id, "name": event.name, "data": data, "ts": ts})
}

//! What goes wrong in a script: errors of the user's, of steps and of the worker itself.

use serde_json::{Value, json};

use crate::wire::{Failure, RetryDirective, duration, retry_directive::Directive};

/// An error that a script raised.
#[derive(Clone, Default)]
pub struct Trouble {
    /// As the server is told it; its reason is that of a step that failed.
    failure: Failure,
    directive: Option<Directive>,
}

impl Trouble {
    /// An error after which nothing is tried again.
    pub fn never(name: &str, message: String) -> Self {
        let failure = Failure { name: name.to_owned(), message, ..Default::default() };
        Self { failure, directive: Some(Directive::Never(true)) }
    }

    /// An error as scripts have it.
    pub fn of(said: &Value) -> Self {
        let (name, directive) = match &said["retry"] {
            Value::String(_) => ("NonRetriableError", Some(Directive::Never(true))),
            Value::Object(retry) => {
                let after = retry["after_ms"].as_i64().unwrap_or_default();
                ("RetryAfterError", Some(Directive::After(duration(after))))
            }
            _ => ("Error", None),
        };
        let name = said["name"].as_str().unwrap_or(name);
        let mut trouble = Self::never(name, said["message"].as_str().unwrap_or_default().to_owned());
        trouble.directive = directive;
        trouble
    }

    /// What a step failed with for good.
    pub fn of_step(step_key: &str, failure: Option<Failure>) -> Self {
        let failure = Failure { step_key: step_key.to_owned(), ..failure.unwrap_or_default() };
        Self { failure, directive: Some(Directive::Never(true)) }
    }

    /// As a report has it: of a step, if it has a key.
    pub fn reported(&self, step_key: &str) -> (Option<Failure>, Option<RetryDirective>) {
        let mut failure = Failure { reason: String::new(), ..self.failure.clone() };
        if !step_key.is_empty() {
            failure.step_key = step_key.to_owned();
        }
        let directive = self.directive.map(|directive| RetryDirective { directive: Some(directive) });
        (Some(failure), directive)
    }

    /// As a script that caught it has it.
    pub fn value(&self) -> Value {
        let Failure { name, message, reason, step_key, .. } = &self.failure;
        let step_id = step_key.rsplit_once('#').map_or("", |(id, _)| id);
        json!({"name": name, "message": message, "reason": reason, "step_id": step_id})
    }
}

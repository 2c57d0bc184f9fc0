//! What goes wrong in a function: errors of the user's, of steps, and of the worker itself.

use serde_json::{Value, json};

use crate::wire::{Failure, RetryDirective, duration, retry_directive::Directive, text};

const MESSAGE_BYTES_MAX: usize = 16 * 1024;

#[derive(Clone, Debug)]
pub struct Trouble {
    /// With the step's key if it is that of a step that failed.
    failure: Failure,
    directive: Option<Directive>,
}

impl Trouble {
    /// An error after which nothing is tried again.
    pub fn never(name: &str, message: String) -> Self {
        let failure = Failure { name: name.to_owned(), message, ..Default::default() };
        Self { failure, directive: Some(Directive::Never(true)) }
    }

    /// What the server will never take.
    pub fn rejected(what: &str, problem: &str) -> Self {
        Self::never("RejectedError", format!("the server refused {what}: {problem}"))
    }

    /// What a script raises.
    pub fn thrown(said: &Value) -> Self {
        let (name, directive) = match &said["retry"] {
            Value::Null => ("Error", None),
            Value::String(_) => ("NonRetriableError", Some(Directive::Never(true))),
            retry => {
                let after = duration(retry["after_ms"].as_i64().unwrap_or_default());
                ("RetryAfterError", Some(Directive::After(after)))
            }
        };
        let name = said["name"].as_str().unwrap_or(name);
        Self { directive, ..Self::never(name, text(&said["message"])) }
    }

    /// What a step failed with for good.
    pub fn of_step(step_key: &str, failure: Failure) -> Self {
        let failure = Failure { step_key: step_key.to_owned(), ..failure };
        Self { failure, directive: Some(Directive::Never(true)) }
    }

    /// As the report of a try has it, or with an empty key that of an outcome.
    pub fn reported(self, step_key: &str) -> (Option<Failure>, Option<RetryDirective>) {
        let mut failure = Failure { reason: String::new(), ..self.failure };
        failure.message.truncate(failure.message.floor_char_boundary(MESSAGE_BYTES_MAX));
        if !step_key.is_empty() {
            failure.step_key = step_key.to_owned();
        }
        (Some(failure), self.directive.map(|directive| RetryDirective { directive: Some(directive) }))
    }

    /// As a script has it that caught it.
    pub fn value(&self) -> Value {
        let Failure { name, message, reason, step_key, .. } = &self.failure;
        let step_id = step_key.rsplit_once('#').map_or("", |(id, _)| id);
        json!({"name": name, "message": message, "reason": reason, "step_id": step_id})
    }
}

//! One lease of one run while it is worked on: its branches, polled in their order, and what each is told when.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use futures_util::future::poll_fn;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::machine::{Machine, Turn};
use crate::trouble::Trouble;
use crate::wire::report::Body;
use crate::wire::{self, Limits, Report, RunCompleted, RunFailed, RunParked, Told};

pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;
pub type Outcome = Result<Value, Trouble>;

/// One invocation, as its branches share it.
pub struct Invocation {
    pub message: wire::Invocation,
    pub limits: Limits,
    pub machine: Mutex<Machine>,
    /// Branches that were begun in this round.
    pub begun: Mutex<Vec<Task>>,
    pub outcome: Mutex<Option<Outcome>>,
    /// How many branches wait for something that is no step.
    pub pauses: AtomicUsize,
    pub outbox: UnboundedSender<Report>,
    /// Until when all leases are surely held.
    pub sure_until: watch::Receiver<Option<Instant>>,
}

impl Invocation {
    /// Wait until a called step can go on.
    pub async fn turn(&self, key: &str) -> Turn {
        poll_fn(|_| self.machine.lock().unwrap().turn(key).map_or(Poll::Pending, Poll::Ready)).await
    }

    /// Wait until nobody else was given the run.
    pub async fn sure(&self) {
        let is_sure = |until: &Option<Instant>| until.is_some_and(|until| Instant::now() < until);
        let _ = self.sure_until.clone().wait_for(is_sure).await;
    }

    /// Report a step, or with an empty key an outcome.
    pub fn report(&self, key: &str, start_time: Option<prost_types::Timestamp>, body: Body) {
        self.machine.lock().unwrap().reported(key);
        let (run_id, step_key) = (self.message.run_id.clone(), key.to_owned());
        let report = Report { run_id, epoch: self.message.epoch, step_key, start_time, body: Some(body) };
        let _ = self.outbox.send(report); // nobody listens any more once the worker ends
    }

    /// Work until the script has ended, or is parked, or the lease is lost: then nobody tells anything any more.
    pub async fn work(self: Arc<Self>, mut told: UnboundedReceiver<Told>) {
        let start = wire::now();
        let mut tasks: Vec<Task> = Vec::new();
        poll_fn(|context| {
            loop {
                while let Poll::Ready(news) = told.poll_recv(context) {
                    let Some(news) = news else { return Poll::Ready(()) };
                    self.machine.lock().unwrap().told(news);
                }
                loop {
                    let before = self.machine.lock().unwrap().changes;
                    tasks.append(&mut self.begun.lock().unwrap());
                    let count = tasks.len();
                    tasks.retain_mut(|task| task.as_mut().poll(context).is_pending());
                    let is_changed = self.machine.lock().unwrap().changes > before || tasks.len() < count;
                    if !is_changed && self.begun.lock().unwrap().is_empty() {
                        break;
                    }
                }
                if let Some(outcome) = self.outcome.lock().unwrap().take() {
                    self.report("", start, self.outcome_body(outcome));
                    return Poll::Ready(());
                }
                if self.machine.lock().unwrap().deliver() {
                    continue;
                }
                let blocked_by = self.machine.lock().unwrap().blocked_by();
                let Some(blocked_by) = blocked_by.filter(|_| self.pauses.load(Ordering::Relaxed) == 0) else {
                    return Poll::Pending;
                };
                self.report("", None, Body::RunParked(RunParked { blocked_by }));
                return Poll::Ready(());
            }
        })
        .await;
    }

    /// What is larger than the server takes.
    pub fn check_output(&self, what: &str, value: &Value) -> Result<(), Trouble> {
        let Limits { step_output_bytes_max, frame_bytes_max, .. } = self.limits;
        let most = step_output_bytes_max.min(frame_bytes_max.saturating_sub(1024));
        check_size(&format!("the result of {what}"), value.to_string().len(), most)
    }

    fn outcome_body(&self, outcome: Outcome) -> Body {
        let checked = outcome.and_then(|value| self.check_output("the function", &value).map(|()| value));
        match checked {
            Ok(value) => Body::RunCompleted(RunCompleted { output: wire::payload(&value) }),
            Err(trouble) => {
                let (failure, retry) = trouble.reported("");
                Body::RunFailed(RunFailed { failure, retry })
            }
        }
    }
}

/// Refuse what is too large; a limit of 0 is none.
pub fn check_size(what: &str, size: usize, most: u64) -> Result<(), Trouble> {
    if most == 0 || size as u64 <= most {
        return Ok(());
    }
    Err(Trouble::never("TooLargeError", format!("{what} has {size} bytes; {most} are the most")))
}

//! One lease of one run while its code is worked on: when the code goes on, and what it reports.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};

use futures::future::poll_fn;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::machine::{Machine, Turn};
use crate::trouble::Trouble;
use crate::wire::{self, Limits, Report, RunCompleted, RunFailed, RunParked, Told, report::Body};

pub type Outcome = Result<Value, Trouble>;

pub struct Invocation {
    pub message: wire::Invocation,
    pub limits: Limits,
    machine: Mutex<Machine>,
    /// Of branches that wait at a step.
    wakers: Mutex<Vec<Waker>>,
    /// Each clone is a branch that waits for something that is no step.
    pub outside: Arc<()>,
    outbox: UnboundedSender<Report>,
    /// Until when nobody else can have been given the run.
    sure_until: watch::Receiver<Option<Instant>>,
}

impl Invocation {
    pub fn new(
        mut message: wire::Invocation,
        limits: Limits,
        outbox: UnboundedSender<Report>,
        sure_until: watch::Receiver<Option<Instant>>,
    ) -> Self {
        let machine = Mutex::new(Machine::new(std::mem::take(&mut message.journal)));
        Self { message, limits, machine, wakers: Mutex::default(), outside: Arc::default(), outbox, sure_until }
    }

    pub fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().expect("no code panics while it has the machine")
    }

    /// Wait until a called step can go on.
    pub async fn turn(&self, key: &str) -> Turn {
        poll_fn(|context| {
            self.wakers.lock().unwrap().push(context.waker().clone());
            self.machine().turn(key).map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Wait until a body can be begun: nobody else was given the run.
    pub async fn sure(&self) {
        let is_sure = |until: &Option<Instant>| until.is_some_and(|until| Instant::now() < until);
        let _ = self.sure_until.clone().wait_for(is_sure).await;
    }

    /// Report a step, or with an empty key an outcome.
    pub fn report(&self, key: &str, start_time: Option<prost_types::Timestamp>, body: Body) {
        self.machine().reported(key);
        let (run_id, step_key) = (self.message.run_id.clone(), key.to_owned());
        let report = Report { run_id, epoch: self.message.epoch, step_key, start_time, body: Some(body) };
        let _ = self.outbox.send(report); // nobody listens any more once the worker ends
    }

    /// Work until the code has ended, or is parked, or the lease is lost: then nobody tells anything any more.
    pub async fn work(self: Arc<Self>, mut told: UnboundedReceiver<Told>, code: impl Future<Output = Outcome>) {
        let (start, mut code, mut news) = (wire::now(), pin!(code), VecDeque::new());
        poll_fn(|context| {
            loop {
                while let Poll::Ready(each) = told.poll_recv(context) {
                    let Some(each) = each else { return Poll::Ready(()) };
                    news.push_back(each);
                }
                if let Poll::Ready(outcome) = code.as_mut().poll(context) {
                    self.report("", start, self.outcome(outcome));
                    return Poll::Ready(());
                }
                let mut machine = self.machine(); // the code is at rest: give it one result
                if machine.deliver() || news.pop_front().map(|each| machine.told(each)).is_some() || machine.proceed() {
                    self.wakers.lock().unwrap().drain(..).for_each(Waker::wake);
                    continue;
                }
                let blocked_by = machine.blocked_by().filter(|_| Arc::strong_count(&self.outside) == 1);
                let Some(blocked_by) = blocked_by else { return Poll::Pending };
                drop(machine);
                self.report("", None, Body::RunParked(RunParked { blocked_by }));
                return Poll::Ready(());
            }
        })
        .await;
    }

    /// The JSON of an output, unless it is too large.
    pub fn output(&self, what: &str, value: &Value) -> Result<Option<wire::Payload>, Trouble> {
        let output = wire::payload(value);
        let size = output.as_ref().map_or(0, |output| output.data.len());
        check_size(what, size, self.limits.step_output_bytes_max)?;
        check_size(what, size, self.limits.frame_bytes_max.saturating_sub(1024))?;
        Ok(output)
    }

    fn outcome(&self, outcome: Outcome) -> Body {
        match outcome.and_then(|value| self.output("the result of the function", &value)) {
            Ok(output) => Body::RunCompleted(RunCompleted { output }),
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

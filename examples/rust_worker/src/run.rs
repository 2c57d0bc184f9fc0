//! One lease of one run: when its code goes on, the steps that it calls, and what is reported.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::rc::Rc;
use std::task::Poll;
use std::time::SystemTime;

use futures::future::{LocalBoxFuture, poll_fn};
use prost::Message;
use prost_types::Duration;
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use crate::machine::Machine;
use crate::wire::{sleep_started::Until, *};

/// The code of a function.
pub type Code = Rc<dyn Fn(Rc<Run>) -> LocalBoxFuture<'static, Outcome>>;

pub struct Run {
    pub message: Invocation,
    pub limits: Limits,
    /// How many entries of the journal are still to come.
    pub missing: Cell<u32>,
    pub machine: RefCell<Machine>,
    /// Each clone is code that waits for something that is no step.
    outside: Rc<()>,
}

impl Run {
    pub fn new(mut message: Invocation, limits: Limits) -> Rc<Self> {
        let (missing, machine) = (Cell::new(message.journal_remaining), RefCell::<Machine>::default());
        machine.borrow_mut().add(std::mem::take(&mut message.journal));
        Rc::new(Self { message, limits, missing, machine, outside: Rc::default() })
    }

    /// Work until the code has ended or is parked, and the server knows it.
    pub async fn work(self: Rc<Self>, code: Code) {
        poll_fn(|_| if self.missing.get() > 0 { Poll::Pending } else { Poll::Ready(()) }).await;
        let (start, mut code) = (SystemTime::now(), code(self.clone()));
        let go_on = poll_fn(|context| {
            loop {
                if let Poll::Ready(outcome) = code.as_mut().poll(context) {
                    return Poll::Ready(match outcome.and_then(|value| self.output(&value)) {
                        Ok(output) => Body::RunCompleted(RunCompleted { output }),
                        Err(trouble) => failed(*trouble),
                    });
                }
                let mut machine = self.machine.borrow_mut(); // the code is at rest
                if !machine.deliver() && !machine.proceed() {
                    let blocked_by = machine.blocked_by().filter(|_| Rc::strong_count(&self.outside) == 1);
                    let park = |blocked_by| Poll::Ready(Body::RunParked(RunParked { blocked_by }));
                    return blocked_by.map_or(Poll::Pending, park);
                }
            }
        });
        self.report("", start, go_on.await);
        if let ControlFlow::Break(Err(refusal)) = self.turn("").await {
            self.report("", start, failed(*refusal));
            let _ = self.turn("").await;
        }
    }

    /// Wait until it is a step's turn: to be executed, for the n-th time, or to be over.
    pub async fn turn(&self, key: &str) -> ControlFlow<Outcome, u32> {
        let entry = poll_fn(|_| self.machine.borrow_mut().turn(key).map_or(Poll::Pending, Poll::Ready)).await;
        ControlFlow::Break(match entry.state() {
            StepState::Completed if entry.kind() == StepKind::SendEvents => Ok(entry.event_ids.into()),
            StepState::Completed => Ok(value(entry.output.as_ref())),
            StepState::Failed => {
                let failure = Failure { step_key: entry.step_key, ..entry.failure.unwrap_or_default() };
                never("", "").map_err(|trouble| RunFailed { failure: Some(failure), ..*trouble }.into())
            }
            _ => return ControlFlow::Continue(entry.attempts + 1),
        })
    }

    /// Execute a body as a step, until it succeeds or the server says that it has failed for good. It is given its key.
    pub async fn run<F>(&self, id: &str, policy: Option<RetryPolicy>, body: impl Fn(&str) -> F) -> Outcome
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let key = self.machine.borrow_mut().begin(id, StepKind::Run)?;
        scopeguard::defer! { self.machine.borrow_mut().live.shift_remove(&key); }
        loop {
            let attempt = match self.turn(&key).await {
                ControlFlow::Continue(attempt) => attempt,
                ControlFlow::Break(outcome) => return outcome,
            };
            let start = SystemTime::now();
            let task = AbortOnDropHandle::new(tokio::spawn(body(&key)));
            let outcome = self.outside(task).await.unwrap_or_else(|end| Err(trouble("Panic", &end.to_string(), None)));
            let report = match outcome.and_then(|value| self.output(&value)) {
                Ok(output) => Body::StepCompleted(StepCompleted { output, attempt }),
                Err(trouble) => {
                    let failure = Some(Failure { step_key: key.clone(), ..trouble.failure.unwrap_or_default() });
                    Body::StepFailed(StepFailed { failure, attempt, retry: trouble.retry, policy: policy.clone() })
                }
            };
            self.report(&key, start, report);
        }
    }

    /// Let the server do a step: a sleep, a wait, an invocation, events or a signal, by what is reported of it.
    pub async fn ask(&self, id: &str, mut body: Body) -> Outcome {
        let kind = match &mut body {
            Body::SleepStarted(SleepStarted { until: Some(Until::Duration(length)) }) => {
                *length = if (length.seconds, length.nanos) < (0, 0) { Default::default() } else { *length };
                StepKind::Sleep
            }
            Body::SleepStarted(_) => StepKind::Sleep,
            Body::EventsSent(EventsSent { events }) if events.is_empty() => return Ok(json!([])),
            Body::EventsSent(_) => StepKind::SendEvents,
            Body::WaitStarted(_) => StepKind::WaitForEvent,
            Body::InvokeStarted(_) => StepKind::Invoke,
            Body::SignalWaitStarted(_) => StepKind::WaitForSignal,
            _ => StepKind::SendSignal,
        };
        let key = self.machine.borrow_mut().begin(id, kind)?;
        scopeguard::defer! { self.machine.borrow_mut().live.shift_remove(&key); }
        loop {
            if let ControlFlow::Break(outcome) = self.turn(&key).await {
                return outcome;
            }
            self.check(&body)?;
            self.report(&key, SystemTime::now(), body.clone());
        }
    }

    /// Refuse what the server would.
    fn check(&self, body: &Body) -> Outcome<()> {
        let Limits { event_bytes_max, batch_events_max, batch_bytes_max, .. } = self.limits;
        let data = |data: &Option<Payload>, is_object: bool| match data {
            Some(Payload { data, .. }) if is_object && !data.starts_with(b"{") => {
                never("NotSerializableError", "the data of events and invocations are objects")
            }
            data => check_size("bytes of data", data.as_ref().map_or(0, |data| data.data.len()), event_bytes_max),
        };
        let argument = |is_fine: bool, wish: &str| if is_fine { Ok(()) } else { never("ArgumentError", wish) };
        let (names, time): (Vec<&String>, _) = match body {
            Body::SleepStarted(SleepStarted { until: Some(Until::Duration(length)) }) => (vec![], Some(length)),
            Body::EventsSent(sent) => {
                check_size("events", sent.events.len(), batch_events_max.into())?;
                check_size("bytes of events", sent.encoded_len(), batch_bytes_max)?;
                sent.events.iter().try_for_each(|event| data(&event.data, true))?;
                (sent.events.iter().map(|event| &event.name).collect(), None)
            }
            Body::WaitStarted(WaitStarted { events, timeout, .. }) => {
                let is_clear = |event: &WaitedEvent| event.r#match.is_empty() || event.expression.is_empty();
                argument((1..=10).contains(&events.len()), "1 to 10 events can be waited for")?;
                argument(events.iter().all(is_clear), "an event is waited for by match or by expression")?;
                (events.iter().map(|event| &event.event).collect(), timeout.as_ref())
            }
            Body::InvokeStarted(invoke) => {
                data(&invoke.data, true)?;
                (vec![&invoke.function_id], invoke.timeout.as_ref())
            }
            Body::SignalWaitStarted(wait) => (vec![&wait.signal], wait.timeout.as_ref()),
            Body::SignalSent(sent) => data(&sent.data, false).map(|()| (vec![&sent.signal], None))?,
            _ => (vec![], None),
        };
        let is_time = |time: &Duration| (0..=366 * 24 * 3600).contains(&time.seconds) && time.nanos >= 0;
        argument(time.is_none_or(is_time), "a sleep or a time-out is 0 to 366 days")?;
        argument(names.iter().all(|name| !name.is_empty()), "events, functions and signals have names")
    }

    /// Wait for something that is no step; meanwhile the run is not parked.
    pub async fn outside<T>(&self, something: impl Future<Output = T>) -> T {
        let _outside = self.outside.clone();
        something.await
    }

    /// Report a step, or with an empty key an outcome.
    pub fn report(&self, step_key: &str, start: SystemTime, body: Body) {
        let start_time = (!matches!(body, Body::RunParked(_))).then(|| start.into());
        let (run_id, step_key) = (self.message.run_id.clone(), step_key.to_owned());
        let report = Report { run_id, epoch: self.message.epoch, step_key, start_time, body: Some(body) };
        self.machine.borrow_mut().reported(report);
    }

    /// An output as it is reported, unless it is too large.
    pub fn output(&self, value: &Value) -> Outcome<Option<Payload>> {
        let most = [self.limits.step_output_bytes_max, self.limits.frame_bytes_max.saturating_sub(1024)];
        most.iter().try_for_each(|most| check_size("bytes of a result", value.to_string().len(), *most))?;
        Ok(payload(value))
    }
}

fn failed(mut trouble: RunFailed) -> Body {
    trouble.failure.get_or_insert_default().reason.clear(); // which is the server's to give
    Body::RunFailed(trouble)
}

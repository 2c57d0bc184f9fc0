//! One stream to the server, opened again for ever, and the leases that are held.

use std::collections::HashMap;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures::{FutureExt, channel::mpsc::unbounded, future::LocalBoxFuture, future::poll_fn};
use prost::Message;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::{Status, transport::Endpoint};

use crate::run::{Code, Run};
use crate::wire::{stream_work_request::Frame, stream_work_response::Frame as Answer, *};
use function_service_client::FunctionServiceClient;
use work_service_client::WorkServiceClient;

const CALL_MAX: Duration = Duration::from_secs(15);
const DRAIN_MAX: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Session {
    hello: Hello,
    functions: Vec<(FunctionDefinition, Code)>,
    slots: u64,
    held: HashMap<Lease, (Rc<Run>, LocalBoxFuture<'static, ()>)>,
    limits: Limits,
    /// Which stream this is, and how many failed since the last welcome.
    stream: u32,
    failures: i32,
    received: u64,
    granted: u64,
    /// Whether no more invocations come on this stream.
    is_drained: bool,
    drain_by: Option<Instant>,
    unsent: Vec<Frame>,
}

/// Be connected, until the process is to stop and holds nothing. The error is final.
pub async fn serve(address: &str, slots: u64, functions: Vec<(FunctionDefinition, Code)>) -> Result<()> {
    let mut session = Session { slots, functions, ..Default::default() };
    session.hello.instance_id = format!("rust-{:032x}", fastrand::u128(..));
    (session.hello.sdk, session.hello.language) = ("rust_worker/0.1.0".to_owned(), "rust".to_owned());
    for (definition, _) in &session.functions {
        session.hello.app_id.clone_from(&definition.app_id);
        session.hello.function_ids.push(definition.function_id.clone());
    }
    let mut terminated = signal(SignalKind::terminate())?;
    while session.drain_by.is_none_or(|by| by > Instant::now() && !session.held.is_empty()) {
        if let Err(problem) = session.connected(address, &mut terminated).await {
            eprintln!("not connected: {problem:#}");
            ensure!(problem.downcast_ref().map(Status::code) != Some(tonic::Code::InvalidArgument), problem);
        }
        let most = (0.5 * 2f64.powi(session.failures)).min(30.0);
        session.failures += 1;
        tokio::select! {
            () = sleep(Duration::from_secs_f64(most * fastrand::f64())) => {}
            _ = terminated.recv() => session.drain_by = Some(Instant::now() + DRAIN_MAX),
        }
    }
    Ok(())
}

impl Session {
    /// Register, say hello, and serve the stream until it ends.
    async fn connected(&mut self, address: &str, terminated: &mut Signal) -> Result<()> {
        let channel = Endpoint::from_shared(format!("http://{address}"))?.connect_timeout(CALL_MAX).connect().await?;
        for (definition, _) in self.functions.clone() {
            let request = RegisterFunctionRequest { definition: Some(definition), ..Default::default() };
            timeout(CALL_MAX, FunctionServiceClient::new(channel.clone()).register_function(request)).await??;
        }
        self.held.retain(|_, (run, _)| run.missing.get() == 0); // no new stream has the rest of a journal
        let (sender, requests) = unbounded();
        let send = |frame| drop(sender.unbounded_send(StreamWorkRequest { frame: Some(frame) })); // its end is read
        send(Frame::Hello(Hello { held: self.held.keys().cloned().collect(), ..self.hello.clone() }));
        let mut beaten = Instant::now();
        let mut client = WorkServiceClient::new(channel).max_decoding_message_size(usize::MAX);
        let mut answers = timeout(CALL_MAX, client.stream_work(requests)).await??.into_inner();
        let first = timeout(CALL_MAX, answers.message()).await??.and_then(|first| first.frame);
        let Some(Answer::Welcome(welcome)) = first else { bail!("the first answer is no welcome") };
        let interval: Duration = welcome.heartbeat_interval.unwrap_or_default().try_into()?;
        let silence: Duration = welcome.session_timeout.unwrap_or_default().try_into()?;
        self.held.retain(|lease, _| welcome.resumed.contains(lease));
        self.unsent = self.drain_by.map(|_| Frame::Drain(Drain {})).into_iter().collect();
        (self.limits, self.is_drained) = (welcome.limits.unwrap_or_default(), false);
        (self.stream, self.failures, self.received, self.granted) = (self.stream + 1, 0, 0, 0);
        let mut heard = Instant::now();
        loop {
            self.report();
            self.unsent.drain(..).for_each(send);
            if self.is_drained && self.held.is_empty() {
                sender.close_channel();
                while let Ok(Ok(Some(_))) = timeout(CALL_MAX, answers.message()).await {}
                return Ok(());
            }
            let (mut answer, moment) = (None, (beaten + interval).min(heard + silence));
            tokio::select! {
                biased; // so that nothing goes on in a process that stood still
                () = sleep_until(self.drain_by.map_or(moment, |by| by.min(moment))) => {}
                next = answers.message() => answer = Some(next?.context("the server ended the stream")?),
                () = poll_fn(|context| self.poll(context)) => {}
                _ = terminated.recv(), if self.drain_by.is_none() => {
                    self.drain_by = Some(Instant::now() + DRAIN_MAX);
                    self.unsent.push(Frame::Drain(Drain {}));
                    self.release(|run| run.missing.get() > 0);
                }
            }
            ensure!(beaten.elapsed() <= silence, "this process stood still: others may have been given its runs");
            if let Some(answer) = answer {
                heard = Instant::now();
                self.take(answer.frame);
            }
            ensure!(heard.elapsed() < silence, "the server is silent");
            if beaten.elapsed() >= interval {
                beaten = Instant::now();
                self.unsent.push(Frame::Heartbeat(Heartbeat { held: self.held.keys().cloned().collect() }));
            }
            if self.drain_by.is_some_and(|by| by <= Instant::now()) {
                self.release(|run| !run.machine.borrow().live.contains_key(""));
                self.held.clear();
                self.is_drained = true;
            }
        }
    }

    /// Report what is new, and grant credit for the slots that are free.
    fn report(&mut self) {
        let (mut busy, mut reports) = (0, Vec::new());
        for (run, _) in self.held.values() {
            let mut machine = run.machine.borrow_mut();
            busy += u64::from(!machine.live.contains_key(""));
            for call in machine.unsent(self.stream) {
                call.sent_on = self.stream;
                reports.push(call.report.clone());
            }
        }
        let size: usize = reports.iter().map(|report| report.encoded_len() + 16).sum();
        let together = if size as u64 <= self.limits.frame_bytes_max { reports.len().max(1) } else { 1 };
        self.unsent.extend(reports.chunks(together).map(|part| Frame::Reports(Reports { reports: part.to_vec() })));
        let invocation_limit = self.received + self.slots.saturating_sub(busy);
        if invocation_limit > self.granted && !self.is_drained && self.drain_by.is_none() {
            self.granted = invocation_limit;
            self.unsent.push(Frame::Credit(Credit { invocation_limit }));
        }
    }

    /// Let the code of all leases go on. Ready, if there is something to report, or a lease is over.
    fn poll(&mut self, context: &mut Context) -> Poll<()> {
        let count = self.held.len();
        self.held.retain(|_, (_, code)| code.as_mut().poll(context).is_pending());
        let is_unsent = |run: &Run| run.machine.borrow_mut().unsent(self.stream).next().is_some();
        let is_any = self.held.len() < count || self.held.values().any(|(run, _)| is_unsent(run));
        if is_any { Poll::Ready(()) } else { Poll::Pending }
    }

    fn take(&mut self, answer: Option<Answer>) {
        match answer {
            Some(Answer::Invocations(new)) => new.invocations.into_iter().for_each(|each| self.invoked(each)),
            Some(Answer::JournalPart(JournalPart { run_id, epoch, entries })) => {
                if let Some((run, _)) = self.held.get(&Lease { run_id, epoch }) {
                    run.missing.update(|missing| missing - entries.len() as u32);
                    run.machine.borrow_mut().add(entries);
                }
            }
            Some(Answer::Acks(acks)) => {
                for Ack { run_id, epoch, step_key, status, message, entry, .. } in acks.acks {
                    let lease = Lease { run_id, epoch };
                    match AckStatus::try_from(status) {
                        Ok(AckStatus::StaleEpoch | AckStatus::RunEnded) => drop(self.held.remove(&lease)),
                        Ok(AckStatus::Rejected) => {
                            let problem = format!("the server refused step '{step_key}': {message}");
                            let failure = trouble("RejectedError", &problem, None).failure;
                            let entry = JournalEntry { state: StepState::Failed.into(), failure, ..Default::default() };
                            self.tell(&lease, true, &step_key, Some(entry));
                        }
                        _ => self.tell(&lease, true, &step_key, entry),
                    }
                }
            }
            Some(Answer::Resolutions(told)) => {
                for Resolution { run_id, epoch, entry } in told.resolutions {
                    let key = entry.clone().unwrap_or_default().step_key;
                    self.tell(&Lease { run_id, epoch }, false, &key, entry);
                }
            }
            Some(Answer::Cancellations(cancelled)) => {
                for Cancellation { run_id, epoch, .. } in cancelled.cancellations {
                    self.held.remove(&Lease { run_id, epoch });
                }
            }
            Some(Answer::HeartbeatAck(ack)) => self.held.retain(|lease, _| !ack.stop.contains(lease)),
            Some(Answer::Drain(_) | Answer::DrainAck(_)) => self.is_drained = true,
            Some(Answer::Welcome(_)) | None => {} // newer servers may know more
        }
    }

    /// Tell the code of a lease one thing, and let it go on.
    fn tell(&mut self, lease: &Lease, is_ack: bool, key: &str, entry: Option<JournalEntry>) {
        if let Some((run, _)) = self.held.get(lease) {
            run.machine.borrow_mut().told(is_ack, key, entry);
            let _ = self.poll(&mut Context::from_waker(Waker::noop()));
        }
    }

    fn invoked(&mut self, message: Invocation) {
        self.received += 1;
        let lease = Lease { run_id: message.run_id.clone(), epoch: message.epoch };
        if self.drain_by.is_some() {
            self.unsent.push(Frame::Release(Release { leases: vec![lease] }));
        } else if !self.held.contains_key(&lease) {
            self.held.retain(|held, _| held.run_id != lease.run_id || held.epoch > lease.epoch);
            let function = self.functions.iter().find(|(definition, _)| definition.function_id == message.function_id);
            let Some((_, code)) = function.cloned() else { return };
            let run = Run::new(message, self.limits);
            self.held.insert(lease, (run.clone(), run.work(code).boxed_local()));
        }
    }

    /// Hand leases back.
    fn release(&mut self, is_due: impl Fn(&Run) -> bool) {
        let leases = self.held.extract_if(|_, (run, _)| is_due(run)).map(|(lease, _)| lease).collect();
        self.unsent.push(Frame::Release(Release { leases }));
    }
}

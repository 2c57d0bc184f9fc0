//! One stream to the server, opened again for ever, and all that is held: leases, and reports without an ack.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use futures::channel::mpsc as frames;
use prost::Message;
use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::transport::Endpoint;

use crate::invocation::Invocation;
use crate::script::execute;
use crate::trouble::Trouble;
use crate::wire::function_service_client::FunctionServiceClient;
use crate::wire::work_service_client::WorkServiceClient;
use crate::wire::{self, stream_work_request::Frame, stream_work_response::Frame as Answer, *};

const CALL_MAX: Duration = Duration::from_secs(10);
const WELCOME_MAX: Duration = Duration::from_secs(15);
const DRAIN_MAX: Duration = Duration::from_secs(30);
const CLOSE_MAX: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Held {
    /// Without an ack, in their order.
    reports: Vec<Report>,
    /// What came of it, while its journal is incomplete.
    partial: Option<wire::Invocation>,
    /// To its code, which stops when this is dropped.
    code: Option<UnboundedSender<Told>>,
    is_outcome_refused: bool,
}

struct Stream {
    frames: frames::UnboundedSender<StreamWorkRequest>,
    limits: Limits,
    received: u64,
    granted: u64,
    is_server_draining: bool,
    is_drained: bool,
}

pub struct Session {
    address: String,
    hello: Hello,
    slots: usize,
    definitions: Vec<FunctionDefinition>,
    scripts: HashMap<String, Value>,
    held: HashMap<Lease, Held>,
    outbox: UnboundedSender<Report>,
    reports: UnboundedReceiver<Report>,
    sure_until: watch::Sender<Option<Instant>>,
    terminated: Signal,
    drain_by: Option<Instant>,
    /// Since the last welcome.
    failures: i32,
}

impl Session {
    pub fn new(address: &str, scripts: &Value) -> anyhow::Result<Self> {
        let app_id = text(&scripts["app_id"]);
        let functions = list(&scripts["functions"]);
        let definitions: Vec<_> = functions.iter().map(|each| definition(&app_id, each)).collect();
        let (outbox, reports) = mpsc::unbounded_channel();
        Ok(Self {
            address: format!("http://{address}"),
            hello: Hello {
                app_id,
                function_ids: definitions.iter().map(|each| each.function_id.clone()).collect(),
                instance_id: format!("rust-{:032x}", fastrand::u128(..)),
                sdk: concat!("rust_worker/", env!("CARGO_PKG_VERSION")).to_owned(),
                language: "rust".to_owned(),
                ..Default::default()
            },
            slots: scripts["slots"].as_u64().unwrap_or(100) as usize,
            definitions,
            scripts: functions.iter().map(|each| (text(&each["id"]), each["script"].clone())).collect(),
            held: HashMap::new(),
            outbox,
            reports,
            sure_until: watch::Sender::new(None),
            terminated: signal(SignalKind::terminate())?,
            drain_by: None,
            failures: 0,
        })
    }

    /// Be connected, until the worker is to stop and holds nothing. The error is final.
    pub async fn run(mut self) -> anyhow::Result<()> {
        loop {
            let end = self.connected().await;
            self.sure_until.send_replace(None);
            if let Err(problem) = end {
                eprintln!("not connected: {problem:#}");
                let status = problem.downcast_ref::<tonic::Status>();
                ensure!(status.is_none_or(|status| status.code() != tonic::Code::InvalidArgument), problem);
            }
            let most = (0.5 * 2f64.powi(self.failures)).min(30.0);
            self.failures += 1;
            tokio::select! {
                () = sleep(Duration::from_secs_f64(most * fastrand::f64())) => {}
                _ = self.terminated.recv() => self.drain_by = Some(Instant::now() + DRAIN_MAX),
            }
            if self.drain_by.is_some_and(|by| self.held.is_empty() || by < Instant::now()) {
                return Ok(());
            }
        }
    }

    /// Register, open a stream, and serve it until it ends.
    async fn connected(&mut self) -> anyhow::Result<()> {
        let channel = Endpoint::from_shared(self.address.clone())?.connect_timeout(CALL_MAX).connect().await?;
        let mut functions = FunctionServiceClient::new(channel.clone());
        for definition in &self.definitions {
            let (namespace, definition) = (String::new(), Some(definition.clone()));
            let registering = functions.register_function(RegisterFunctionRequest { namespace, definition });
            timeout(CALL_MAX, registering).await??;
        }
        self.held.retain(|_, held| held.partial.is_none()); // their journals went on in the stream that is gone
        let (frames, requests) = frames::unbounded();
        let mut stream = Stream {
            frames,
            limits: Limits::default(),
            received: 0,
            granted: 0,
            is_server_draining: false,
            is_drained: false,
        };
        let beaten = Instant::now();
        stream.send(Frame::Hello(Hello { held: self.leases(), ..self.hello.clone() }));
        let mut client = WorkServiceClient::new(channel).max_decoding_message_size(usize::MAX);
        let opening = async {
            let mut answers = client.stream_work(requests).await?.into_inner();
            let first = answers.message().await?;
            Ok::<_, tonic::Status>((answers, first))
        };
        let (answers, first) = timeout(WELCOME_MAX, opening).await??;
        let Some(Answer::Welcome(welcome)) = first.and_then(|first| first.frame) else {
            bail!("the first answer is no welcome");
        };
        self.failures = 0;
        self.held.retain(|lease, _| welcome.resumed.contains(lease));
        stream.limits = welcome.limits.unwrap_or_default();
        self.held.values().for_each(|held| stream.send_reports(&held.reports));
        if self.drain_by.is_some() {
            stream.send(Frame::Drain(Drain {}));
        }
        let length = |said: Option<prost_types::Duration>| said.unwrap_or_default().try_into();
        self.serve(stream, answers, beaten, length(welcome.heartbeat_interval)?, length(welcome.session_timeout)?).await
    }

    async fn serve(
        &mut self,
        mut stream: Stream,
        mut answers: tonic::Streaming<StreamWorkResponse>,
        mut beaten: Instant,
        interval: Duration,
        silence: Duration,
    ) -> anyhow::Result<()> {
        let mut heard = Instant::now();
        loop {
            self.sure_until.send_replace(Some(beaten + silence));
            let is_draining = self.drain_by.is_some();
            if self.held.is_empty() && (stream.is_server_draining || is_draining && stream.is_drained) {
                stream.frames.close_channel();
                let rest = async { while let Ok(Some(_)) = answers.message().await {} };
                let _ = timeout(CLOSE_MAX, rest).await;
                return Ok(());
            }
            if !is_draining {
                stream.grant(self.slots.saturating_sub(self.held.values().filter(|held| !held.is_over()).count()));
            }
            let (mut answer, mut fresh) = (None, Vec::new());
            tokio::select! {
                next = answers.message() => answer = Some(next?.context("the server ended the stream")?),
                _ = self.reports.recv_many(&mut fresh, 256) => {}
                () = sleep_until(beaten + interval) => {}
                () = sleep_until(heard + silence) => bail!("the server is silent"),
                _ = self.terminated.recv(), if !is_draining => {
                    self.drain_by = Some(Instant::now() + DRAIN_MAX);
                    stream.send(Frame::Drain(Drain {}));
                    self.release(&stream, |held| held.partial.is_some());
                }
                () = sleep_until(self.drain_by.unwrap_or(heard)), if is_draining => {
                    self.release(&stream, |held| !held.is_over());
                    self.held.clear();
                    stream.is_drained = true;
                }
            }
            let kept = self.keep(fresh);
            ensure!(beaten.elapsed() <= silence, "this process stood still: its runs may have been given to others");
            stream.send_reports(&kept);
            if let Some(answer) = answer {
                heard = Instant::now();
                self.take(answer.frame, &mut stream);
            }
            if beaten.elapsed() >= interval {
                beaten = Instant::now();
                stream.send(Frame::Heartbeat(Heartbeat { held: self.leases() }));
            }
        }
    }

    /// Keep reports until their acks come, but for those of leases that are lost.
    fn keep(&mut self, mut reports: Vec<Report>) -> Vec<Report> {
        reports.retain(|report| {
            let held = self.held.get_mut(&lease(&report.run_id, report.epoch));
            held.map(|held| held.reports.push(report.clone())).is_some()
        });
        reports
    }

    fn take(&mut self, answer: Option<Answer>, stream: &mut Stream) {
        match answer {
            Some(Answer::Acks(acks)) => acks.acks.into_iter().for_each(|ack| self.acked(ack)),
            Some(Answer::Resolutions(resolutions)) => {
                for Resolution { run_id, epoch, entry } in resolutions.resolutions {
                    let entry = entry.unwrap_or_default();
                    let told = Told { step_key: entry.step_key.clone(), is_ack: false, result: Ok(entry) };
                    self.held.get(&lease(&run_id, epoch)).inspect(|held| held.tell(told));
                }
            }
            Some(Answer::Invocations(invocations)) => {
                stream.received += invocations.invocations.len() as u64;
                invocations.invocations.into_iter().for_each(|invocation| self.invoked(invocation, stream));
            }
            Some(Answer::JournalPart(part)) => {
                let lease = lease(&part.run_id, part.epoch);
                if let Some(mut invocation) = self.held.get_mut(&lease).and_then(|held| held.partial.take()) {
                    invocation.journal_remaining -= part.entries.len() as u32;
                    invocation.journal.extend(part.entries);
                    self.begin(lease, invocation, stream.limits);
                }
            }
            Some(Answer::Cancellations(cancellations)) => {
                for cancelled in cancellations.cancellations {
                    self.held.remove(&lease(&cancelled.run_id, cancelled.epoch));
                }
            }
            Some(Answer::HeartbeatAck(ack)) => self.held.retain(|lease, _| !ack.stop.contains(lease)),
            Some(Answer::Drain(_)) => stream.is_server_draining = true,
            Some(Answer::DrainAck(_)) => stream.is_drained = true,
            Some(Answer::Welcome(_)) | None => {} // newer servers may know more
        }
    }

    fn acked(&mut self, ack: Ack) {
        let lease = lease(&ack.run_id, ack.epoch);
        let Some(held) = self.held.get_mut(&lease) else { return };
        if matches!(ack.status(), AckStatus::StaleEpoch | AckStatus::RunEnded) {
            self.held.remove(&lease);
            return;
        }
        let tries = ack.entry.as_ref().filter(|entry| entry.state() == StepState::Retrying).map(|entry| entry.attempts);
        let mut reports = held.reports.iter();
        let answered = reports.position(|report| {
            report.step_key == ack.step_key && tries.is_none_or(|tries| tries >= attempt_of(report))
        });
        let Some(report) = answered.map(|place| held.reports.remove(place)) else { return };
        let is_refused = ack.status() == AckStatus::Rejected;
        if !ack.step_key.is_empty() {
            let entry = ack.entry.unwrap_or_else(|| recorded(report));
            let result = if is_refused { Err(ack.message) } else { Ok(entry) };
            held.tell(Told { step_key: ack.step_key, is_ack: true, result });
        } else if is_refused && !held.is_outcome_refused {
            held.is_outcome_refused = true;
            let (failure, retry) = Trouble::rejected("the outcome of the run", &ack.message).reported("");
            let body = Some(report::Body::RunFailed(RunFailed { failure, retry }));
            let _ = self.outbox.send(Report { body, start_time: now(), ..report }); // this session listens
        } else {
            self.held.remove(&lease);
        }
    }

    fn invoked(&mut self, invocation: wire::Invocation, stream: &Stream) {
        let lease = lease(&invocation.run_id, invocation.epoch);
        if self.held.contains_key(&lease) {
            return;
        }
        if self.drain_by.is_some() {
            return stream.send(Frame::Release(Release { leases: vec![lease] }));
        }
        self.held.retain(|held, _| held.run_id != lease.run_id || held.epoch > lease.epoch);
        self.held.insert(lease.clone(), Held::default());
        self.begin(lease, invocation, stream.limits);
    }

    /// Begin an invocation, if its journal is complete.
    fn begin(&mut self, lease: Lease, invocation: wire::Invocation, limits: Limits) {
        let Some(held) = self.held.get_mut(&lease) else { return };
        if invocation.journal_remaining > 0 {
            held.partial = Some(invocation);
            return;
        }
        let script = self.scripts.get(&invocation.function_id).cloned().unwrap_or_default();
        let (code, told) = mpsc::unbounded_channel();
        held.code = Some(code);
        let sure_until = self.sure_until.subscribe();
        let run = Arc::new(Invocation::new(invocation, limits, self.outbox.clone(), sure_until));
        tokio::spawn(run.clone().work(told, execute(run, script)));
    }

    /// Hand leases back.
    fn release(&mut self, stream: &Stream, is_due: impl Fn(&Held) -> bool) {
        let due = self.held.extract_if(|_, held| is_due(held));
        stream.send(Frame::Release(Release { leases: due.map(|(lease, _)| lease).collect() }));
    }

    fn leases(&self) -> Vec<Lease> {
        self.held.keys().cloned().collect()
    }
}

impl Held {
    /// Whether its outcome was reported, so that its slot is free.
    fn is_over(&self) -> bool {
        self.reports.last().is_some_and(|report| report.step_key.is_empty())
    }

    fn tell(&self, told: Told) {
        self.code.as_ref().map(|code| code.send(told)); // which may have ended
    }
}

impl Stream {
    fn send(&self, frame: Frame) {
        let _ = self.frames.unbounded_send(StreamWorkRequest { frame: Some(frame) }); // its end is seen where it is read
    }

    fn grant(&mut self, free: usize) {
        let invocation_limit = self.received + free as u64;
        if invocation_limit > self.granted && !self.is_server_draining {
            self.granted = invocation_limit;
            self.send(Frame::Credit(Credit { invocation_limit }));
        }
    }

    /// In as few frames as hold them.
    fn send_reports(&self, reports: &[Report]) {
        let mut frame = Reports::default();
        for report in reports {
            let size = frame.encoded_len() + report.encoded_len() + 16;
            if size > self.limits.frame_bytes_max as usize && !frame.reports.is_empty() {
                self.send(Frame::Reports(std::mem::take(&mut frame)));
            }
            frame.reports.push(report.clone());
        }
        if !frame.reports.is_empty() {
            self.send(Frame::Reports(frame));
        }
    }
}

/// What the server recorded that answers without an entry.
fn recorded(report: Report) -> JournalEntry {
    let output = match report.body {
        Some(report::Body::StepCompleted(completed)) => completed.output,
        _ => None,
    };
    JournalEntry { step_key: report.step_key, state: StepState::Completed.into(), output, ..Default::default() }
}

fn attempt_of(report: &Report) -> u32 {
    match &report.body {
        Some(report::Body::StepCompleted(step)) => step.attempt,
        Some(report::Body::StepFailed(step)) => step.attempt,
        _ => 0,
    }
}

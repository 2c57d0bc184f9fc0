//! One stream to the server, opened again for ever, and all that is held: leases, and reports without an ack.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::stream;
use prost::Message;
use serde_json::Value;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::transport::{Channel, Endpoint};

use crate::invocation::Invocation;
use crate::machine::Machine;
use crate::script::{Execution, rejected};
use crate::wire::function_service_client::FunctionServiceClient;
use crate::wire::work_service_client::WorkServiceClient;
use crate::wire::{self, stream_work_request::Frame, stream_work_response::Frame as Answer, *};

const CALL_MAX: Duration = Duration::from_secs(10);
const WELCOME_MAX: Duration = Duration::from_secs(15);
const DRAIN_MAX: Duration = Duration::from_secs(10);

type Problem = Box<dyn std::error::Error + Send + Sync>;

/// A lease.
#[derive(Default)]
struct Held {
    /// Reports without an ack, in their order.
    reports: Vec<Report>,
    /// Whether its outcome was reported, so that its slot is free.
    is_over: bool,
    /// Whether the server refused its outcome.
    is_refused: bool,
    /// What its journal has so far, while that is incomplete.
    partial: Option<wire::Invocation>,
    /// To its code, which stops when this is dropped.
    told: Option<UnboundedSender<Told>>,
}

/// One stream.
struct Stream {
    frames: UnboundedSender<StreamWorkRequest>,
    limits: Limits,
    received: u64,
    granted: u64,
    is_server_draining: bool,
}

/// The connection of the worker.
pub struct Session {
    address: String,
    hello: Hello,
    slots: usize,
    definitions: Vec<FunctionDefinition>,
    scripts: HashMap<String, Vec<Value>>,
    held: BTreeMap<LeaseId, Held>,
    outbox: UnboundedSender<Report>,
    reports: UnboundedReceiver<Report>,
    sure_until: watch::Sender<Option<Instant>>,
    stopping: watch::Receiver<bool>,
    drain_by: Option<Instant>,
    failures: i32,
}

enum Next {
    Told(Option<StreamWorkResponse>),
    Reports(Vec<Report>),
    Beat,
    Stop,
    Silence,
}

impl Session {
    pub fn new(address: String, scripts: &Value, stopping: watch::Receiver<bool>) -> Self {
        let app_id = scripts["app_id"].as_str().unwrap_or_default();
        let functions = scripts["functions"].as_array().map_or(&[][..], Vec::as_slice);
        let definitions: Vec<_> = functions.iter().map(|each| wire::definition(app_id, each)).collect();
        let script = |each: &Value| each["script"].as_array().cloned().unwrap_or_default();
        let ids = definitions.iter().map(|each| each.function_id.clone());
        let (outbox, reports) = mpsc::unbounded_channel();
        Self {
            address: format!("http://{address}"),
            hello: Hello {
                app_id: app_id.to_owned(),
                function_ids: ids.clone().collect(),
                instance_id: format!("rust-{}-{:x}", std::process::id(), chance()),
                sdk: concat!("rust_worker/", env!("CARGO_PKG_VERSION")).to_owned(),
                language: "rust".to_owned(),
                ..Default::default()
            },
            slots: scripts["slots"].as_u64().unwrap_or(100) as usize,
            scripts: ids.zip(functions.iter().map(script)).collect(),
            definitions,
            held: BTreeMap::new(),
            outbox,
            reports,
            sure_until: watch::Sender::new(None),
            stopping,
            drain_by: None,
            failures: 0,
        }
    }

    /// Be connected, until the worker is to stop and holds nothing. The error is final.
    pub async fn run(mut self) -> Result<(), tonic::Status> {
        loop {
            let mut stopping = self.stopping.clone();
            let is_late = async move {
                let _ = stopping.wait_for(|is_stopping| *is_stopping).await;
                sleep(DRAIN_MAX + WELCOME_MAX).await;
            };
            let problem = tokio::select! {
                end = self.connected() => end.err(),
                () = is_late => return Ok(()),
            };
            self.sure_until.send_replace(None);
            if *self.stopping.borrow() && self.held.is_empty() {
                return Ok(());
            }
            if let Some(problem) = problem {
                eprintln!("not connected: {problem}");
                match problem.downcast::<tonic::Status>() {
                    Ok(status) if status.code() == tonic::Code::InvalidArgument => return Err(*status),
                    _ => {}
                }
            }
            let most = (0.5 * 2f64.powi(self.failures)).min(30.0);
            self.failures += 1;
            sleep(Duration::from_secs_f64(most * (chance() as f64 / u64::MAX as f64))).await;
        }
    }

    /// Register, open a stream and serve it until it ends.
    async fn connected(&mut self) -> Result<(), Problem> {
        let channel = Endpoint::from_shared(self.address.clone())?.connect_timeout(CALL_MAX).connect().await?;
        let mut functions = FunctionServiceClient::new(channel.clone());
        for definition in &self.definitions {
            let definition = Some(definition.clone());
            let request = RegisterFunctionRequest { namespace: String::new(), definition };
            timeout(CALL_MAX, functions.register_function(request)).await??;
        }
        let (frames, mut outgoing) = mpsc::unbounded_channel();
        let held: Vec<Lease> = self.leases();
        send(&frames, Frame::Hello(Hello { held: held.clone(), ..self.hello.clone() }));
        let beaten = Instant::now();
        let mut client = WorkServiceClient::<Channel>::new(channel).max_decoding_message_size(usize::MAX);
        let requests = stream::poll_fn(move |context| outgoing.poll_recv(context));
        let opening = async {
            let mut answers = client.stream_work(requests).await?.into_inner();
            let first = answers.message().await?;
            Ok::<_, tonic::Status>((answers, first))
        };
        let (answers, first) = timeout(WELCOME_MAX, opening).await??;
        let Some(Answer::Welcome(welcome)) = first.and_then(|first| first.frame) else {
            return Err("the first answer is no welcome".into());
        };
        self.failures = 0;
        for lease in held.iter().filter(|lease| !welcome.resumed.contains(lease)) {
            self.held.remove(&id_of(lease));
        }
        let limits = welcome.limits.unwrap_or_default();
        let stream = Stream { frames, limits, received: 0, granted: 0, is_server_draining: false };
        for held in self.held.values() {
            stream.send_reports(held.reports.clone());
        }
        if self.drain_by.is_some() {
            send(&stream.frames, Frame::Drain(Drain {}));
        }
        let interval = wire::std_duration(welcome.heartbeat_interval);
        self.serve(stream, answers, beaten, interval, wire::std_duration(welcome.session_timeout)).await
    }

    async fn serve(
        &mut self,
        mut stream: Stream,
        mut answers: tonic::Streaming<StreamWorkResponse>,
        mut beaten: Instant,
        interval: Duration,
        silence: Duration,
    ) -> Result<(), Problem> {
        let mut heard = Instant::now();
        self.sure_until.send_replace(Some(beaten + silence));
        loop {
            let is_draining = self.drain_by.is_some();
            if (is_draining || stream.is_server_draining) && self.held.is_empty() {
                drop(stream);
                let _ =
                    timeout(Duration::from_secs(2), async { while let Ok(Some(_)) = answers.message().await {} }).await;
                return Ok(());
            }
            self.grant(&mut stream);
            let mut batch = Vec::new();
            let next = tokio::select! {
                answer = answers.message() => Next::Told(answer?),
                _ = self.reports.recv_many(&mut batch, 256) => Next::Reports(batch),
                () = sleep_until(beaten + interval) => Next::Beat,
                _ = self.stopping.wait_for(|is_stopping| *is_stopping), if !is_draining => Next::Stop,
                () = sleep_until(self.drain_by.unwrap_or(heard)), if is_draining => Next::Stop,
                () = sleep_until(heard + silence) => Next::Silence,
            };
            let batch = if let Next::Reports(batch) = &next { self.keep(batch) } else { Vec::new() };
            if beaten.elapsed() > silence {
                return Err("this process stood still, so its runs may have been given to others".into());
            }
            match next {
                Next::Told(None) => return Err("the server ended the stream".into()),
                Next::Told(Some(answer)) => {
                    heard = Instant::now();
                    self.take(answer.frame, &mut stream);
                }
                Next::Reports(_) => stream.send_reports(batch),
                Next::Beat => {
                    beaten = Instant::now();
                    self.sure_until.send_replace(Some(beaten + silence));
                    send(&stream.frames, Frame::Heartbeat(Heartbeat { held: self.leases() }));
                }
                Next::Stop => self.drain(&stream),
                Next::Silence => return Err("the server is silent".into()),
            }
        }
    }

    /// Keep reports until their acks come; those of leases that are lost are dropped.
    fn keep(&mut self, reports: &[Report]) -> Vec<Report> {
        let mut kept = Vec::new();
        for report in reports {
            if let Some(held) = self.held.get_mut(&(report.run_id.clone(), report.epoch)) {
                held.is_over |= report.step_key.is_empty();
                held.reports.push(report.clone());
                kept.push(report.clone());
            }
        }
        kept
    }

    fn take(&mut self, answer: Option<Answer>, stream: &mut Stream) {
        match answer {
            Some(Answer::Acks(acks)) => acks.acks.into_iter().for_each(|ack| self.acked(ack)),
            Some(Answer::Invocations(invocations)) => {
                for invocation in invocations.invocations {
                    stream.received += 1;
                    self.invoked(invocation, stream);
                }
            }
            Some(Answer::JournalPart(part)) => {
                let lease = (part.run_id, part.epoch);
                let partial = self.held.get_mut(&lease).and_then(|held| held.partial.take());
                if let Some(mut invocation) = partial {
                    invocation.journal_remaining -= part.entries.len() as u32;
                    invocation.journal.extend(part.entries);
                    self.begin(lease, invocation, &stream.limits);
                }
            }
            Some(Answer::Resolutions(resolutions)) => {
                for Resolution { run_id, epoch, entry } in resolutions.resolutions {
                    self.tell(&(run_id, epoch), entry.map(Told::Resolution));
                }
            }
            Some(Answer::Cancellations(cancellations)) => {
                for each in cancellations.cancellations {
                    self.held.remove(&(each.run_id, each.epoch));
                }
            }
            Some(Answer::HeartbeatAck(ack)) => {
                ack.stop.iter().for_each(|lease| drop(self.held.remove(&id_of(lease))));
            }
            Some(Answer::Drain(_)) => stream.is_server_draining = true,
            _ => {} // newer servers may know more
        }
    }

    fn acked(&mut self, ack: Ack) {
        let lease = (ack.run_id.clone(), ack.epoch);
        let Some(held) = self.held.get_mut(&lease) else { return };
        if matches!(ack.status(), AckStatus::StaleEpoch | AckStatus::RunEnded) {
            self.held.remove(&lease);
            return;
        }
        let tries = ack.entry.as_ref().filter(|entry| entry.state() == StepState::Retrying).map(|entry| entry.attempts);
        let is_answered = |report: &Report| {
            let is_earlier = tries.is_some_and(|tries| tries < attempt_of(report));
            report.step_key == ack.step_key && !is_earlier
        };
        let Some(place) = held.reports.iter().position(is_answered) else { return };
        held.reports.remove(place);
        if !ack.step_key.is_empty() {
            self.tell(&lease, Some(Told::Ack(ack)));
        } else if ack.status() == AckStatus::Rejected && !held.is_refused {
            held.is_refused = true;
            let (failure, retry) = rejected("the outcome of this run", &ack.message).reported("");
            let body = Some(report::Body::RunFailed(RunFailed { failure, retry }));
            let (run_id, epoch, start_time) = (ack.run_id, ack.epoch, wire::now());
            let _ = self.outbox.send(Report { run_id, epoch, start_time, body, step_key: String::new() });
        } else {
            self.held.remove(&lease);
        }
    }

    fn invoked(&mut self, invocation: wire::Invocation, stream: &Stream) {
        let lease = (invocation.run_id.clone(), invocation.epoch);
        if self.held.contains_key(&lease) {
            return;
        }
        if self.drain_by.is_some() {
            let leases = vec![Lease { run_id: lease.0, epoch: lease.1 }];
            send(&stream.frames, Frame::Release(Release { leases }));
            return;
        }
        self.held.retain(|(run_id, epoch), _| *run_id != lease.0 || *epoch > lease.1);
        self.held.insert(lease.clone(), Held::default());
        self.begin(lease, invocation, &stream.limits);
    }

    /// Begin an invocation, if its journal is complete.
    fn begin(&mut self, lease: LeaseId, mut message: wire::Invocation, limits: &Limits) {
        let Some(held) = self.held.get_mut(&lease) else { return };
        if message.journal_remaining > 0 {
            held.partial = Some(message);
            return;
        }
        let (told, news) = mpsc::unbounded_channel();
        held.told = Some(told);
        let journal = std::mem::take(&mut message.journal);
        let script = self.scripts.get(&message.function_id).cloned().unwrap_or_default();
        let invocation = Arc::new(Invocation {
            message,
            limits: *limits,
            machine: Mutex::new(Machine::new(journal)),
            begun: Mutex::default(),
            outcome: Mutex::default(),
            pauses: Default::default(),
            outbox: self.outbox.clone(),
            sure_until: self.sure_until.subscribe(),
        });
        Execution::begin(&invocation, script);
        tokio::spawn(invocation.work(news));
    }

    fn tell(&self, lease: &LeaseId, told: Option<Told>) {
        if let (Some(Held { told: Some(to), .. }), Some(told)) = (self.held.get(lease), told) {
            let _ = to.send(told); // its code may have ended
        }
    }

    /// Ask for no more, and hand back what has not begun; the second time, all that has not ended.
    fn drain(&mut self, stream: &Stream) {
        let is_late = self.drain_by.is_some();
        if is_late {
            self.drain_by = Some(Instant::now() + WELCOME_MAX);
        } else {
            self.drain_by = Some(Instant::now() + DRAIN_MAX);
            send(&stream.frames, Frame::Drain(Drain {}));
        }
        let is_due = |held: &Held| held.partial.is_some() || (is_late && !held.is_over);
        let due = self.held.iter().filter(|(_, held)| is_due(held));
        let leases: Vec<Lease> =
            due.map(|((run_id, epoch), _)| Lease { run_id: run_id.clone(), epoch: *epoch }).collect();
        self.held.retain(|_, held| !is_due(held));
        send(&stream.frames, Frame::Release(Release { leases }));
    }

    fn grant(&self, stream: &mut Stream) {
        let busy = self.held.values().filter(|held| !held.is_over).count();
        let limit = stream.received + self.slots.saturating_sub(busy) as u64;
        if limit > stream.granted && self.drain_by.is_none() && !stream.is_server_draining {
            stream.granted = limit;
            send(&stream.frames, Frame::Credit(Credit { invocation_limit: limit }));
        }
    }

    fn leases(&self) -> Vec<Lease> {
        self.held.keys().map(|(run_id, epoch)| Lease { run_id: run_id.clone(), epoch: *epoch }).collect()
    }
}

impl Stream {
    /// In as few frames as hold them.
    fn send_reports(&self, reports: Vec<Report>) {
        let (mut part, mut size) = (Vec::new(), 0);
        for report in reports {
            let length = report.encoded_len() + 16;
            if size + length > self.limits.frame_bytes_max as usize && !part.is_empty() {
                send(&self.frames, Frame::Reports(Reports { reports: std::mem::take(&mut part) }));
                size = 0;
            }
            size += length;
            part.push(report);
        }
        if !part.is_empty() {
            send(&self.frames, Frame::Reports(Reports { reports: part }));
        }
    }
}

fn send(frames: &UnboundedSender<StreamWorkRequest>, frame: Frame) {
    let _ = frames.send(StreamWorkRequest { frame: Some(frame) }); // a stream that is gone is noticed where it is read
}

fn id_of(lease: &Lease) -> LeaseId {
    (lease.run_id.clone(), lease.epoch)
}

fn attempt_of(report: &Report) -> u32 {
    match &report.body {
        Some(report::Body::StepCompleted(step)) => step.attempt,
        Some(report::Body::StepFailed(step)) => step.attempt,
        _ => 0,
    }
}

/// A number by chance.
fn chance() -> u64 {
    RandomState::new().hash_one(0)
}

//! The replay of one invocation: where each step stands, given the journal and the server's answers. Without I/O.

use std::collections::HashMap;

use indexmap::IndexMap;

use crate::wire::{Body, JournalEntry, Outcome, Report, StepKind, StepState, never};

#[derive(Debug, PartialEq)]
pub enum Stage {
    /// A result waits for its turn, or a body for the recorded results.
    Held,
    /// It is the code's turn: to execute the step, or to go on with its result.
    Ready,
    Reported,
    /// The server lets time pass.
    Blocked,
}

/// What the code waits for.
pub struct Call {
    pub stage: Stage,
    /// What is recorded of it, or will be once its report is.
    pub entry: JournalEntry,
    pub report: Report,
    /// The number of the stream on which the report was sent last.
    pub sent_on: u32,
}

#[derive(Default)]
pub struct Machine {
    /// What the code did not ask for yet.
    journal: HashMap<String, JournalEntry>,
    pub live: IndexMap<String, Call>,
    used: HashMap<String, u32>,
    has_proceeded: bool,
}

impl Machine {
    /// The journal, or a part of it.
    pub fn add(&mut self, entries: Vec<JournalEntry>) {
        self.journal.extend(entries.into_iter().map(|entry| (entry.step_key.clone(), entry)));
    }

    /// The code calls a step; its key.
    pub fn begin(&mut self, id: &str, kind: StepKind) -> Outcome<String> {
        if !(1..=251).contains(&id.len()) || id.chars().any(char::is_control) {
            return never("StepIdError", &format!("step id {id:?} is not 1 to 251 bytes of text"));
        }
        let uses = self.used.entry(id.to_owned()).or_default();
        let key = format!("{id}#{uses}");
        *uses += 1;
        let entry = self.journal.remove(&key).unwrap_or_default();
        if ![StepKind::Unspecified, kind].contains(&entry.kind()) {
            return never("NonDeterminismError", &format!("step '{key}' is recorded as {:?}", entry.kind()));
        }
        let is_left = !self.journal.is_empty() || self.live.values().any(|call| call.stage == Stage::Held);
        let is_early = kind == StepKind::Run && is_left && !self.has_proceeded;
        let stage = match stage_of(&entry) {
            Stage::Ready if is_early || entry.end_time.is_some() => Stage::Held,
            stage => stage,
        };
        self.live.insert(key.clone(), Call { stage, entry, report: Report::default(), sent_on: 0 });
        Ok(key)
    }

    /// What the code is to act on, if it is its turn.
    pub fn turn(&mut self, key: &str) -> Option<JournalEntry> {
        self.live.get(key).filter(|call| call.stage == Stage::Ready)?;
        self.live.shift_remove(key).map(|call| call.entry)
    }

    /// The code acted.
    pub fn reported(&mut self, report: Report) {
        let (output, attempts) = match &report.body {
            Some(Body::StepCompleted(done)) => (done.output.clone(), done.attempt),
            Some(Body::StepFailed(failed)) => (None, failed.attempt),
            _ => (None, 0),
        };
        let entry = JournalEntry { state: StepState::Completed.into(), output, attempts, ..Default::default() };
        self.live.insert(report.step_key.clone(), Call { stage: Stage::Reported, entry, report, sent_on: 0 });
    }

    /// Whose reports were not sent on a stream.
    pub fn unsent(&mut self, stream: u32) -> impl Iterator<Item = &mut Call> {
        self.live.values_mut().filter(move |call| call.stage == Stage::Reported && call.sent_on < stream)
    }

    /// The server answers a report, or resolves a blocked step; without an entry it is as it was reported.
    pub fn told(&mut self, is_ack: bool, key: &str, entry: Option<JournalEntry>) {
        let awaited = if is_ack { Stage::Reported } else { Stage::Blocked };
        let Some(call) = self.live.get_mut(key).filter(|call| call.stage == awaited) else { return };
        let entry = entry.unwrap_or(call.entry.clone());
        let is_earlier = entry.state() == StepState::Retrying && entry.attempts < call.entry.attempts;
        if !is_earlier {
            (call.stage, call.entry) = (stage_of(&entry), entry);
        }
    }

    /// The code is at rest: let it have the earliest of the recorded results. Whether there was one.
    pub fn deliver(&mut self) -> bool {
        let held = self.live.values_mut().filter(|call| call.stage == Stage::Held && call.entry.end_time.is_some());
        let first = held.min_by_key(|call| call.entry.end_time.map(|end| (end.seconds, end.nanos)));
        first.map(|call| call.stage = Stage::Ready).is_some()
    }

    /// There is none: let it begin all bodies that were postponed. Whether there was one.
    pub fn proceed(&mut self) -> bool {
        let held = self.live.values_mut().filter(|call| call.stage == Stage::Held);
        let count = held.map(|call| call.stage = Stage::Ready).count();
        self.has_proceeded |= count > 0;
        count > 0
    }

    /// The keys of all live steps, if there are any and each is blocked.
    pub fn blocked_by(&self) -> Option<Vec<String>> {
        let is_blocked = !self.live.is_empty() && self.live.values().all(|call| call.stage == Stage::Blocked);
        is_blocked.then(|| self.live.keys().cloned().collect())
    }
}

fn stage_of(entry: &JournalEntry) -> Stage {
    let is_due_later = entry.state() == StepState::Retrying && entry.due_time.is_some();
    if is_due_later || entry.state() == StepState::Pending { Stage::Blocked } else { Stage::Ready }
}

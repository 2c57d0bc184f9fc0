//! The replay of one invocation: where each step stands, given the journal and the server's answers. Without I/O.

use std::collections::{BTreeMap, HashMap};

use crate::trouble::Trouble;
use crate::wire::{JournalEntry, StepKind, StepState, Told};

const STEP_ID_BYTES_MAX: usize = 251;

/// What the code that called a step is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Turn {
    /// The step, after so many tries.
    Execute(u32),
    /// Go on, with what is recorded, or with the server's objection.
    Over(Result<JournalEntry, String>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Status {
    Ready(Turn),
    Reported,
    Blocked,
}

/// A step whose result the code does not have.
pub struct Call {
    pub status: Status,
    /// Whether what it is ready for has to wait: a recorded result for its turn, a body for the recorded results.
    pub is_held: bool,
}

#[derive(Default)]
pub struct Machine {
    /// What the code did not ask for yet.
    journal: HashMap<String, JournalEntry>,
    used: HashMap<String, u32>,
    pub live: BTreeMap<String, Call>,
    has_proceeded: bool,
}

impl Machine {
    pub fn new(journal: Vec<JournalEntry>) -> Self {
        let journal = journal.into_iter().map(|entry| (entry.step_key.clone(), entry)).collect();
        Self { journal, ..Default::default() }
    }

    /// The code calls a step; its key.
    pub fn begin(&mut self, id: &str, kind: StepKind) -> Result<String, Trouble> {
        if id.is_empty() || id.len() > STEP_ID_BYTES_MAX || id.chars().any(char::is_control) {
            let message = format!("step id {id:?} has not 1 to {STEP_ID_BYTES_MAX} bytes without control characters");
            return Err(Trouble::never("StepIdError", message));
        }
        let uses = self.used.entry(id.to_owned()).or_default();
        let key = format!("{id}#{uses}");
        *uses += 1;
        let entry = self.journal.remove(&key);
        if let Some(recorded) = entry.as_ref().map(JournalEntry::kind).filter(|recorded| *recorded != kind) {
            let message =
                format!("step '{key}' is recorded as {recorded:?}, and called as {kind:?}: rename what is new");
            return Err(Trouble::never("NonDeterminismError", message));
        }
        let status = entry.map_or(Status::Ready(Turn::Execute(0)), status_of);
        let is_held = match status {
            Status::Ready(Turn::Over(_)) => true,
            Status::Ready(Turn::Execute(_)) => kind == StepKind::Run && self.has_results() && !self.has_proceeded,
            _ => false,
        };
        self.live.insert(key.clone(), Call { status, is_held });
        Ok(key)
    }

    /// What the caller of a step is to do now, if anything.
    pub fn turn(&self, key: &str) -> Option<Turn> {
        match self.live.get(key) {
            Some(Call { status: Status::Ready(turn), is_held: false }) => Some(turn.clone()),
            _ => None,
        }
    }

    pub fn reported(&mut self, key: &str) {
        self.live.entry(key.to_owned()).and_modify(|call| call.status = Status::Reported);
    }

    /// The server answers.
    pub fn told(&mut self, told: Told) {
        let awaited = if told.is_ack { Status::Reported } else { Status::Blocked };
        if let Some(call) = self.live.get_mut(&told.step_key).filter(|call| call.status == awaited) {
            call.status = told.result.map_or_else(|problem| Status::Ready(Turn::Over(Err(problem))), status_of);
        }
    }

    /// Let the step go on whose recorded result is the earliest. Whether there was one.
    pub fn deliver(&mut self) -> bool {
        let held = self.live.values_mut().filter(|call| call.is_held && call.end().is_some());
        held.min_by_key(|call| call.end()).map(|call| call.is_held = false).is_some()
    }

    /// Begin all bodies that were postponed. Whether there was one.
    pub fn proceed(&mut self) -> bool {
        let postponed = self.live.values_mut().filter(|call| call.is_held && call.end().is_none());
        let is_any = postponed.map(|call| call.is_held = false).count() > 0;
        self.has_proceeded |= is_any;
        is_any
    }

    /// The keys of all live steps, if there are any and each is blocked.
    pub fn blocked_by(&self) -> Option<Vec<String>> {
        let is_blocked = !self.live.is_empty() && self.live.values().all(|call| call.status == Status::Blocked);
        is_blocked.then(|| self.live.keys().cloned().collect())
    }

    /// Whether there are recorded results that the code does not have.
    fn has_results(&self) -> bool {
        self.journal.values().any(|entry| entry.end_time.is_some())
            || self.live.values().any(|call| call.is_held && call.end().is_some())
    }
}

impl Call {
    fn end(&self) -> Option<(i64, i32)> {
        match &self.status {
            Status::Ready(Turn::Over(Ok(entry))) => entry.end_time.map(|end| (end.seconds, end.nanos)),
            _ => None,
        }
    }
}

/// Where a call stands by its recorded step.
fn status_of(entry: JournalEntry) -> Status {
    match entry.state() {
        StepState::Completed | StepState::Failed => Status::Ready(Turn::Over(Ok(entry))),
        StepState::Retrying if entry.due_time.is_none() => Status::Ready(Turn::Execute(entry.attempts)),
        _ => Status::Blocked,
    }
}

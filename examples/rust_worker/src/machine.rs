//! The replay of one invocation: what each step means, given the journal and the server's answers. Without I/O.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::trouble::Trouble;
use crate::wire::{AckStatus, JournalEntry, StepKind, StepState, Told};

const STEP_ID_BYTES_MAX: usize = 251;

/// What the code that called a step is to do.
pub enum Turn {
    /// The step, after so many tries.
    Execute(u32),
    /// Go on. Without an entry, what was reported is what is recorded.
    Over(Option<JournalEntry>),
    /// Raise an error: the server refused the report.
    Rejected(String),
}

#[derive(PartialEq)]
enum Status {
    Execute,
    Postponed,
    Held,
    Reported,
    Blocked,
    Queued,
    Told,
}

struct Call {
    status: Status,
    entry: Option<JournalEntry>,
    problem: Option<String>,
}

/// All steps that the code called and has no result of, and the order in which it gets these.
#[derive(Default)]
pub struct Machine {
    journal: HashMap<String, JournalEntry>,
    used: HashMap<String, u32>,
    live: BTreeMap<String, Call>,
    /// How many recorded results the code does not have.
    left: usize,
    /// Whether bodies were begun though recorded results are left, since the code does not ask for these.
    has_proceeded: bool,
    /// What the server told, in its order, and the code has not heard.
    queue: VecDeque<String>,
    /// Grows with everything that the code does.
    pub changes: u64,
}

impl Machine {
    pub fn new(journal: Vec<JournalEntry>) -> Self {
        let left = journal.iter().filter(|entry| entry.end_time.is_some()).count();
        let journal = journal.into_iter().map(|entry| (entry.step_key.clone(), entry)).collect();
        Self { journal, left, ..Default::default() }
    }

    /// The code calls a step; its key.
    pub fn begin(&mut self, id: &str, kind: StepKind) -> Result<String, Trouble> {
        if let Some(problem) = id_problem(id) {
            return Err(Trouble::never("StepIdError", format!("step id '{id}' {problem}")));
        }
        let count = self.used.entry(id.to_owned()).or_default();
        let key = format!("{id}#{count}");
        *count += 1;
        self.changes += 1;
        let entry = self.journal.remove(&key);
        let mut status = entry.as_ref().map_or(Status::Execute, status_of);
        if entry.as_ref().is_some_and(|entry| entry.kind() != kind) {
            let message = format!("the code no longer matches the journal of this run at step '{key}'");
            return Err(Trouble::never("NonDeterminismError", message));
        }
        if status == Status::Told {
            status = Status::Held;
        } else if status == Status::Execute && kind == StepKind::Run && self.left > 0 && !self.has_proceeded {
            status = Status::Postponed;
        }
        self.live.insert(key.clone(), Call { status, entry, problem: None });
        Ok(key)
    }

    /// What a step's caller is to do now, if anything.
    pub fn turn(&mut self, key: &str) -> Option<Turn> {
        let call = self.live.get(key)?;
        match call.status {
            Status::Execute => Some(Turn::Execute(call.entry.as_ref().map_or(0, |entry| entry.attempts))),
            Status::Told => self.live.remove(key).map(|call| match call.problem {
                Some(problem) => Turn::Rejected(problem),
                None => Turn::Over(call.entry),
            }),
            _ => None,
        }
    }

    /// The step was done, and is reported.
    pub fn reported(&mut self, key: &str) {
        self.changes += 1;
        if let Some(call) = self.live.get_mut(key) {
            call.status = Status::Reported;
        }
    }

    /// The step is not done: what it was given is wrong.
    pub fn abandon(&mut self, key: &str) {
        self.live.remove(key);
    }

    /// The server answers. What comes of it waits until the code is at rest.
    pub fn told(&mut self, told: Told) {
        let (key, awaited, entry, problem) = match told {
            Told::Ack(ack) if ack.status() == AckStatus::Rejected => {
                (ack.step_key, Status::Reported, None, Some(ack.message))
            }
            Told::Ack(ack) => (ack.step_key, Status::Reported, ack.entry, None),
            Told::Resolution(entry) => (entry.step_key.clone(), Status::Blocked, Some(entry), None),
        };
        let Some(call) = self.live.get_mut(&key).filter(|call| call.status == awaited) else { return };
        call.status = match &entry {
            Some(entry) if status_of(entry) == Status::Blocked => Status::Blocked,
            _ => Status::Queued,
        };
        let ended = entry.as_ref().and_then(end_of);
        (call.entry, call.problem) = (entry, problem);
        if call.status == Status::Queued {
            let mut place = self.queue.len();
            while place > 0 && ended.is_some() && self.end(&self.queue[place - 1]) > ended {
                place -= 1;
            }
            self.queue.insert(place, key);
        }
    }

    /// The code is at rest: let one branch go on, or all bodies that waited. Whether there was any.
    pub fn deliver(&mut self) -> bool {
        let held = self.live.iter().filter(|(_, call)| call.status == Status::Held);
        let first = held.min_by_key(|(_, call)| call.entry.as_ref().and_then(end_of)).map(|(key, _)| key.clone());
        self.left -= usize::from(first.is_some());
        if let Some(call) = first.or_else(|| self.queue.pop_front()).and_then(|key| self.live.get_mut(&key)) {
            call.status = call.entry.as_ref().map_or(Status::Told, status_of);
            return true;
        }
        let postponed = self.live.values_mut().filter(|call| call.status == Status::Postponed);
        let begun = postponed.map(|call| call.status = Status::Execute).count();
        self.has_proceeded |= begun > 0;
        begun > 0
    }

    /// The keys of all live steps, if each is blocked.
    pub fn blocked_by(&self) -> Option<Vec<String>> {
        let is_blocked = !self.live.is_empty() && self.live.values().all(|call| call.status == Status::Blocked);
        is_blocked.then(|| self.live.keys().cloned().collect())
    }

    fn end(&self, key: &str) -> Option<(i64, i32)> {
        self.live.get(key)?.entry.as_ref().and_then(end_of)
    }
}

/// Where a call stands by its recorded step, once the code may hear of it.
fn status_of(entry: &JournalEntry) -> Status {
    match entry.state() {
        StepState::Completed | StepState::Failed => Status::Told,
        StepState::Retrying if entry.due_time.is_none() => Status::Execute,
        _ => Status::Blocked,
    }
}

fn end_of(entry: &JournalEntry) -> Option<(i64, i32)> {
    entry.end_time.map(|time| (time.seconds, time.nanos))
}

fn id_problem(id: &str) -> Option<String> {
    if id.is_empty() {
        return Some("is empty".to_owned());
    }
    if id.len() > STEP_ID_BYTES_MAX {
        return Some(format!("has {} bytes; {STEP_ID_BYTES_MAX} are the most", id.len()));
    }
    id.chars().any(char::is_control).then(|| "has control characters".to_owned())
}

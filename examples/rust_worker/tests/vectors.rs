//! What the vectors of the conformance kit say of step keys and of the replay machine.

use prost_types::Timestamp;
use rust_worker::machine::{Machine, Stage};
use rust_worker::wire::*;
use serde_json::Value;

fn vectors(name: &str) -> Value {
    let path = format!("../../conformance/vectors/{name}.json");
    serde_json::from_slice(&std::fs::read(path).expect("the vectors are there")).expect("they are JSON")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

#[test]
fn step_keys_count_the_uses_of_an_id() {
    for vector in list(&vectors("step_keys")["accepted"]) {
        let mut machine = Machine::default();
        let ids = list(&vector["ids"]).iter().map(text);
        let keys: Vec<_> = ids.map(|id| machine.begin(id, StepKind::Run).expect("it is an id")).collect();
        assert_eq!(Value::from(keys), vector["keys"]);
    }
}

#[test]
fn what_can_be_no_id_is_refused() {
    let vectors = vectors("step_keys");
    let refused = list(&vectors["refused"]);
    assert!(!refused.is_empty());
    for vector in refused {
        let trouble = Machine::default().begin(text(&vector["id"]), StepKind::Run).expect_err("it is no id");
        assert_eq!(trouble.failure.expect("there is one").name, "StepIdError");
    }
}

#[test]
fn histories_of_the_replay_machine() {
    let vectors = vectors("replay");
    let histories: Vec<_> = list(&vectors).iter().filter(|history| history["in_order"] == true).collect();
    assert!(histories.len() > 50);
    for (number, history) in histories.into_iter().enumerate() {
        let mut machine = Machine::default();
        machine.add(list(&history["journal"]).iter().map(entry).collect());
        for (place, told) in list(&history["script"]).iter().enumerate() {
            println!("history {number}, {place}: {told}");
            tell(&mut machine, told);
            let expect = &told["expect"];
            assert_eq!(machine.blocked_by().is_some(), expect["is_blocked"] == true);
            let mut held = machine.live.values().filter(|call| call.stage == Stage::Held);
            assert_eq!(held.any(|call| call.entry.end_time.is_some()), expect["has_held"] == true);
        }
    }
}

/// Tell the machine what happens, and compare what it makes of it.
fn tell(machine: &mut Machine, told: &Value) {
    let expect = &told["expect"];
    let key = [&told["key"], &told["entry"]["step_key"], &expect["key"]].into_iter().find_map(Value::as_str);
    let key = key.unwrap_or_default();
    match text(&told["do"]) {
        "begin" => match machine.begin(text(&told["id"]), kind(&told["kind"])) {
            Ok(begun) => assert_eq!(begun, key),
            Err(trouble) => {
                assert_eq!(trouble.failure.expect("there is one").name, expect["error"]);
                return;
            }
        },
        "deliver" => assert!(machine.deliver()),
        "proceed" => {
            let held = machine.live.iter().filter(|(_, call)| call.stage == Stage::Held);
            let keys: Vec<_> = held.map(|(key, _)| key.clone()).collect();
            assert!(machine.proceed());
            assert_eq!(Value::from(keys), expect["keys"]);
            return;
        }
        "reported" => {
            machine.reported(Report { step_key: key.to_owned(), ..Default::default() });
            if expect["status"] == "BLOCKED" {
                // This machine waits for the ack of each sleep.
                let pending = JournalEntry { state: StepState::Pending.into(), ..Default::default() };
                machine.told(true, key, Some(pending));
            }
        }
        "acked" if told["status"] == "REJECTED" => {
            let refused = JournalEntry { state: StepState::Failed.into(), ..Default::default() };
            machine.told(true, key, Some(refused));
        }
        "acked" => machine.told(true, key, told.get("entry").map(entry)),
        "resolved" => machine.told(false, key, told.get("entry").map(entry)),
        "abandon" => drop(machine.live.shift_remove(key)),
        "park" => {
            let mut keys = machine.blocked_by().expect("all are blocked");
            keys.sort();
            assert_eq!(Value::from(keys), expect["blocked_by"]);
            return;
        }
        unknown => panic!("the vectors tell of something new: {unknown}"),
    }
    if expect["key"].is_string() {
        let call = &machine.live[key];
        assert_eq!((status(&call.stage, &call.entry), call.stage == Stage::Held), {
            (text(&expect["status"]), expect["is_held"] == true)
        });
        if ["COMPLETED", "FAILED", "REJECTED"].contains(&text(&expect["status"])) {
            assert!(machine.turn(key).is_some()); // the code has its result
        }
    }
}

fn status(stage: &Stage, entry: &JournalEntry) -> &'static str {
    match (stage, entry.state()) {
        (Stage::Held | Stage::Blocked, _) => "BLOCKED",
        (Stage::Reported, _) => "REPORTED",
        (Stage::Ready, StepState::Completed) => "COMPLETED",
        (Stage::Ready, StepState::Failed) if entry.step_key.is_empty() => "REJECTED",
        (Stage::Ready, StepState::Failed) => "FAILED",
        (Stage::Ready, _) => "EXECUTE",
    }
}

fn kind(said: &Value) -> StepKind {
    StepKind::from_str_name(&format!("STEP_KIND_{}", text(said))).expect("it is in the contract")
}

fn entry(said: &Value) -> JournalEntry {
    let state = StepState::from_str_name(&format!("STEP_STATE_{}", text(&said["state"])));
    let moment = |seconds| Timestamp { seconds, nanos: 0 };
    JournalEntry {
        step_key: text(&said["step_key"]).to_owned(),
        kind: kind(&said["kind"]).into(),
        state: state.expect("it is in the contract").into(),
        attempts: said["attempts"].as_u64().expect("a number") as u32,
        due_time: (said["is_due_later"] == true).then(|| moment(i64::MAX / 2_000_000_000)),
        end_time: said["ended_at"].as_i64().filter(|ended| *ended > 0).map(moment),
        ..Default::default()
    }
}

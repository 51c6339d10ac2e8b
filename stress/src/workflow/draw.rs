//! Definitions of workflows, drawn at random.

use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use serde_json::{Map, Value, json};

use crate::run::SLOT_KEYS;

/// Items of a list, at most.
const ITEMS: usize = 12;

/// 1 to 4 keys with names, in any order.
pub fn slot_keys(rng: &mut SmallRng) -> Vec<String> {
    let mut keys: Vec<String> = SLOT_KEYS
        .iter()
        .map(|(key, ..)| (*key).to_owned())
        .collect();
    keys.shuffle(rng);
    keys.truncate(rng.random_range(1..=4));
    keys
}

/// 2 to 12 steps, in any order.
pub fn definition(rng: &mut SmallRng, queues: &[String]) -> String {
    let n = rng.random_range(2..=ITEMS);
    let mut steps: Vec<Value> = Vec::new();
    for i in 0..n {
        let step = step(rng, queues, &steps, i);
        steps.push(Value::Object(step));
    }
    steps.shuffle(rng);
    let mut definition = Map::new();
    definition.insert("steps".to_owned(), json!(steps));
    let on_error = ["fail", "pause", "pause", "continue", "continue"];
    let on_error = on_error[rng.random_range(0..on_error.len())];
    definition.insert("on_error".to_owned(), json!(on_error));
    if rng.random_bool(0.3) {
        let most = rng.random_range(1..5);
        definition.insert("max_parallel".to_owned(), json!(most));
    }
    Value::Object(definition).to_string()
}

fn step(rng: &mut SmallRng, queues: &[String], before: &[Value], i: usize) -> Map<String, Value> {
    let mut step = Map::new();
    let mut set = |key: &str, value: Value| {
        step.insert(key.to_owned(), value);
    };
    set("name", json!(format!("s{i}")));
    set("queue", json!(queues[rng.random_range(0..queues.len())]));
    let mut needs: Vec<&str> = Vec::new();
    if rng.random_bool(0.75) {
        for _ in 0..rng.random_range(1..4) {
            if i > 0 {
                let need = before[rng.random_range(0..i)]["name"].as_str();
                needs.extend(need.filter(|need| !needs.contains(need)));
            }
        }
    }
    if !needs.is_empty() {
        let when = ["completed", "completed", "completed", "failed", "done"];
        set("when", json!(when[rng.random_range(0..when.len())]));
        set("needs", json!(needs));
    }
    if rng.random_bool(0.15) {
        // True, false, null, and what is neither.
        let conditions = ["1 == 1", "1 == 1", "1 == 2", "null", "7"];
        set(
            "if",
            json!(conditions[rng.random_range(0..conditions.len())]),
        );
    }
    if rng.random_bool(0.45) {
        let of_input = ["$.input.items", "$.input.items[*] ? (@ > 3)"];
        let path = match needs.first() {
            Some(need) if rng.random_bool(0.6) => {
                let every = if rng.random_bool(0.5) { "[*]" } else { "" };
                format!("$.steps.{need}.result{every}")
            }
            _ => of_input[rng.random_range(0..of_input.len())].to_owned(),
        };
        set("with_items", json!(path));
        if rng.random_bool(0.5) {
            set("max_parallel", json!(rng.random_range(1..4)));
        }
        if rng.random_bool(0.3) {
            set(
                "payload",
                json!({"item": "$.item", "index": "$.item_index"}),
            );
        }
    } else if rng.random_bool(0.3) {
        set("payload", json!({"all": "$.input.items"}));
    }
    if rng.random_bool(0.1) {
        set("checkpoint", json!(format!("before s{i}")));
    }
    if rng.random_bool(0.3) {
        set("priority", json!(rng.random_range(-1..2)));
    }
    if rng.random_bool(0.1) {
        set("slot_keys", json!(slot_keys(rng)));
    }
    if rng.random_bool(0.2) {
        let mut compensate = json!({"queue": queues[rng.random_range(0..queues.len())]});
        let payloads = [
            Value::Null,
            json!({"what": "$.task.result", "where": "$.task.item_index"}),
            json!({"all": "$.input.items"}),
        ];
        let payload = &payloads[rng.random_range(0..payloads.len())];
        if !payload.is_null() {
            compensate["payload"] = payload.clone();
        }
        set("compensate", compensate);
    }
    if rng.random_bool(0.3) {
        set("max_attempts", json!(rng.random_range(1..4)));
    }
    step
}

pub fn input(rng: &mut SmallRng) -> String {
    format!(r#"{{"items": {}}}"#, list(rng))
}

/// As PostgreSQL prints it.
pub fn list(rng: &mut SmallRng) -> String {
    let numbers: Vec<String> = (0..rng.random_range(0..=ITEMS))
        .map(|i| i.to_string())
        .collect();
    format!("[{}]", numbers.join(", "))
}

/// The tasks that the detail of a checkpoint `on_error` names.
pub fn failed(json: &str) -> Vec<i64> {
    let all: Vec<Value> = serde_json::from_str(json).unwrap_or_default();
    all.iter()
        .filter_map(|failed| failed["task_id"].as_i64())
        .collect()
}

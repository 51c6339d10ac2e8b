//! Arguments, checked before anything is stored: an error names the argument and says what is allowed.

use crate::model::limits;
use crate::model::state::State;
use crate::pg::datum::{Elements, Instant, Jsonb, Text};
use crate::pg::error::Misuse;
use crate::pg::settings;
use pgrx::datum::{FromDatum, Interval};
use std::collections::BTreeSet;

pub type Checked<T> = Result<T, Misuse>;

/// The answer of a verb, or its error raised.
pub fn answer<T>(result: Checked<T>) -> T {
    result.unwrap_or_else(|misuse| misuse.raise())
}

pub fn required<T>(argument: &str, value: Option<T>) -> Checked<T> {
    value.ok_or_else(|| Misuse::null(argument))
}

/// A name, a key, an owner, a kind, a reason; longer ones are refused before they are copied.
pub fn word(argument: &str, value: Text) -> Checked<String> {
    fits(argument, value.bytes()).map(|()| value.copy())
}

fn fits(argument: &str, bytes: usize) -> Checked<()> {
    if (1..=limits::NAME_BYTES).contains(&bytes) {
        Ok(())
    } else {
        Err(
            Misuse::bad_value(format!("argument \"{argument}\" has {bytes} bytes"))
                .detail(format!("It must have 1 to {} bytes.", limits::NAME_BYTES)),
        )
    }
}

pub fn required_word(argument: &str, value: Option<Text>) -> Checked<String> {
    word(argument, required(argument, value)?)
}

pub fn optional_word(argument: &str, value: Option<Text>) -> Checked<Option<String>> {
    value.map(|value| word(argument, value)).transpose()
}

pub fn in_range(argument: &str, value: i32, min: i32, max: i32) -> Checked<i32> {
    if (min..=max).contains(&value) {
        Ok(value)
    } else {
        Err(
            Misuse::bad_value(format!("argument \"{argument}\" is {value}"))
                .detail(format!("It must be {min} to {max}.")),
        )
    }
}

/// A bound on rows: too small is a bad value, too large is over a limit.
pub fn max_rows(argument: &str, value: Option<i32>, max: i32) -> Checked<i32> {
    let value = required(argument, value)?;
    if value > max {
        return Err(
            Misuse::over_limit(format!("argument \"{argument}\" is {value}"))
                .detail(format!("It must be 1 to {max}.")),
        );
    }
    in_range(argument, value, 1, max)
}

pub fn priority(value: Option<i32>) -> Checked<i16> {
    let value = required("priority", value)?;
    in_range("priority", value, -limits::PRIORITY, limits::PRIORITY).map(|value| value as i16)
}

pub fn max_attempts(value: Option<i32>) -> Checked<Option<i32>> {
    value
        .map(|value| in_range("max_attempts", value, 1, limits::ATTEMPTS))
        .transpose()
}

/// An `interval` between two bounds in microseconds (a month counts 30 days, a day 24 hours).
pub fn interval(
    argument: &str,
    value: Interval,
    min: i64,
    max: i64,
    allowed: &str,
) -> Checked<Interval> {
    match i64::try_from(value.as_micros()) {
        Ok(micros) if (min..=max).contains(&micros) => Ok(Interval::from_micros(micros)),
        _ => Err(
            Misuse::bad_value(format!("argument \"{argument}\" is out of range"))
                .detail(format!("It must be {allowed}.")),
        ),
    }
}

pub fn ttl(argument: &str, value: Option<Interval>) -> Checked<Option<Interval>> {
    value
        .map(|value| {
            interval(
                argument,
                value,
                limits::TTL_MIN,
                limits::TTL_MAX,
                "100 ms to 24 hours",
            )
        })
        .transpose()
}

pub fn delay(argument: &str, value: Interval) -> Checked<Interval> {
    interval(argument, value, 0, limits::DELAY_MAX, "0 to 10 years")
}

pub fn run_at(value: Option<Instant>) -> Checked<Option<Instant>> {
    match value {
        Some(at) if !at.is_finite() => Err(Misuse::bad_value("argument \"run_at\" is infinite")
            .detail("It must be a finite time.")),
        value => Ok(value),
    }
}

/// A payload, result, error, event body or metadata.
pub fn json(argument: &str, value: Option<Jsonb>) -> Checked<Option<Jsonb>> {
    match value {
        Some(json) if json.bytes() > settings::max_payload_bytes() => Err(too_large(argument)
            .detail(format!(
                "It has {} bytes; at most {} are allowed (pg_baton.max_payload_bytes).",
                json.bytes(),
                settings::max_payload_bytes()
            ))),
        value => Ok(value),
    }
}

fn too_large(argument: &str) -> Misuse {
    Misuse::over_limit(format!("argument \"{argument}\" is too large"))
}

pub fn required_json(argument: &str, value: Option<Jsonb>) -> Checked<Jsonb> {
    Ok(json(argument, Some(required(argument, value)?))?.expect("a value stays a value"))
}

pub fn metadata(value: Option<Jsonb>) -> Checked<Jsonb> {
    let metadata = required_json("metadata", value)?;
    if metadata.is_object() {
        Ok(metadata)
    } else {
        Err(
            Misuse::bad_value("argument \"metadata\" is not a JSON object")
                .detail("It must be an object, such as {\"team\": \"billing\"}."),
        )
    }
}

/// Payloads, none of them NULL or too large.
pub fn payloads(value: Option<Elements<Jsonb>>, max: usize) -> Checked<Vec<Jsonb>> {
    elements("payloads", value, max)?
        .into_iter()
        .enumerate()
        .map(|(i, payload)| required_json(&format!("payloads[{}]", i + 1), payload))
        .collect()
}

/// The elements of an array, bounded in number before they are copied.
pub fn elements<T>(
    argument: &str,
    value: Option<Elements<T>>,
    max: usize,
) -> Checked<Vec<Option<T>>>
where
    Vec<Option<T>>: FromDatum,
{
    let elements = required(argument, value)?;
    if elements.dimensions() > 1 {
        return Err(Misuse::bad_value(format!(
            "argument \"{argument}\" has {} dimensions",
            elements.dimensions()
        ))
        .detail("It must have one."));
    }
    if elements.len() > max {
        return Err(Misuse::over_limit(format!(
            "argument \"{argument}\" has {} elements",
            elements.len()
        ))
        .detail(format!("At most {max} are allowed.")));
    }
    Ok(elements.copy())
}

/// The same for words: NULL, or 1 to 255 bytes each.
pub fn words(
    argument: &str,
    value: Option<Elements<String>>,
    max: usize,
) -> Checked<Vec<Option<String>>> {
    const ROOM: usize = 1_000_000; // an element's header, and more than the longest name
    if let Some(elements) = &value
        && elements.bytes() > ROOM + elements.len().min(max) * (limits::NAME_BYTES + 16)
    {
        return Err(
            Misuse::over_limit(format!("argument \"{argument}\" is too large")).detail(format!(
                "Each element must have 1 to {} bytes.",
                limits::NAME_BYTES
            )),
        );
    }
    let words = elements(argument, value, max)?;
    for (i, word) in words.iter().enumerate() {
        if let Some(word) = word {
            fits(&format!("{argument}[{}]", i + 1), word.len())?;
        }
    }
    Ok(words)
}

/// The elements of an array, none of them NULL.
pub fn not_null<T>(argument: &str, elements: Vec<Option<T>>) -> Checked<Vec<T>> {
    elements
        .into_iter()
        .enumerate()
        .map(|(i, element)| required(&format!("{argument}[{}]", i + 1), element))
        .collect()
}

pub fn same_length(first: (&str, usize), second: (&str, usize)) -> Checked<()> {
    if first.1 == second.1 {
        Ok(())
    } else {
        Err(Misuse::bad_value(format!(
            "arguments \"{}\" and \"{}\" have {} and {} elements",
            first.0, second.0, first.1, second.1
        ))
        .detail("They must have the same number of elements."))
    }
}

/// An optional array parallel to another one: NULL stands for as many NULLs.
pub fn parallel<T>(value: Option<Vec<Option<T>>>, length: usize) -> Vec<Option<T>> {
    value.unwrap_or_else(|| (0..length).map(|_| None).collect())
}

/// A state that a worker may report.
pub fn reported_state(argument: &str, value: Option<Text>) -> Checked<State> {
    state_named(argument, &required_word(argument, value)?)
}

/// The same for each element of an array.
pub fn reported_states(value: Option<Elements<String>>) -> Checked<Vec<State>> {
    let states = not_null(
        "states",
        words("states", value, limits::MAX_TASKS as usize)?,
    )?;
    let name = |i| format!("states[{}]", i + 1);
    states
        .iter()
        .enumerate()
        .map(|(i, state)| state_named(&name(i), state))
        .collect()
}

/// States, by name, live and terminal.
pub fn states(argument: &str, value: Elements<String>) -> Checked<Vec<State>> {
    some_states(argument, value, &State::ALL)
}

/// The codes of terminal states, all but `except`.
pub fn terminal_states(
    argument: &str,
    value: Elements<String>,
    except: Option<State>,
) -> Checked<Vec<i16>> {
    let terminal: Vec<State> = State::ALL
        .into_iter()
        .filter(|state| state.is_terminal() && Some(*state) != except)
        .collect();
    let states = some_states(argument, value, &terminal)?;
    Ok(states.into_iter().map(State::code).collect())
}

fn some_states(argument: &str, value: Elements<String>, allowed: &[State]) -> Checked<Vec<State>> {
    let names = not_null(
        argument,
        words(argument, Some(value), limits::MAX_TASKS as usize)?,
    )?;
    let mut states = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let state = one_of(&format!("{argument}[{}]", i + 1), name, allowed)?;
        if !states.contains(&state) {
            states.push(state);
        }
    }
    Ok(states)
}

fn state_named(argument: &str, value: &str) -> Checked<State> {
    one_of(argument, value, &State::REPORTABLE)
}

fn one_of(argument: &str, value: &str, allowed: &[State]) -> Checked<State> {
    State::parse(value)
        .filter(|state| allowed.contains(state))
        .ok_or_else(|| {
            let names: Vec<&str> = allowed.iter().map(|state| state.name()).collect();
            Misuse::bad_value(format!("argument \"{argument}\" is \"{value}\""))
                .detail(format!("It must be one of {}.", names.join(", ")))
        })
}

/// What the functions themselves write to a task's tape.
const TASK_KINDS: [&str; 8] = [
    "leased",
    "started",
    "lease_lost",
    "retry_scheduled",
    "released",
    "cancel_requested",
    "compensating",
    "final",
];
/// And to a run's.
const RUN_KINDS: [&str; 4] = ["step_dispatched", "step_finalized", "paused", "resumed"];

/// The kind of an event that a caller may write.
pub fn kind(kind: String) -> Checked<String> {
    unreserved(kind, &TASK_KINDS)
}

/// The same on a run's tape.
pub fn run_kind(kind: String) -> Checked<String> {
    unreserved(kind, &[&TASK_KINDS[..], &RUN_KINDS[..]].concat())
}

fn unreserved(kind: String, reserved: &[&str]) -> Checked<String> {
    if reserved.contains(&kind.as_str()) || kind.starts_with("baton.") {
        Err(
            Misuse::bad_value(format!("event kind \"{kind}\" is reserved")).detail(format!(
                "The functions themselves write {} and what starts with \"baton.\".",
                reserved.join(", ")
            )),
        )
    } else {
        Ok(kind)
    }
}

/// `slot_keys` names keys that an operator has set, each once.
pub fn slot_keys(value: Option<Elements<String>>) -> Checked<Vec<String>> {
    let Some(keys) = value else {
        return Ok(Vec::new());
    };
    let keys = not_null(
        "slot_keys",
        words("slot_keys", Some(keys), limits::SLOT_KEYS)?,
    )?;
    let mut seen = BTreeSet::new();
    match keys.iter().find(|key| !seen.insert(key.as_str())) {
        Some(key) => Err(Misuse::bad_value(format!(
            "argument \"slot_keys\" names \"{key}\" twice"
        ))
        .detail("A task holds one slot of each key.")),
        None => Ok(keys),
    }
}

/// Pairs of task and token, none of them NULL.
pub fn leases(
    task_ids: Option<Elements<i64>>,
    lease_tokens: Option<Elements<i64>>,
    max: usize,
) -> Checked<Vec<(i64, i64)>> {
    let task_ids = not_null("task_ids", elements("task_ids", task_ids, max)?)?;
    let tokens = not_null("lease_tokens", elements("lease_tokens", lease_tokens, max)?)?;
    same_length(("task_ids", task_ids.len()), ("lease_tokens", tokens.len()))?;
    Ok(task_ids.into_iter().zip(tokens).collect())
}

/// The positions of leases in the order in which their tasks are locked: by id. Unsorted batches deadlocked
/// on each other.
pub fn in_lock_order(leases: &[(i64, i64)]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..leases.len()).collect();
    order.sort_by_key(|i| (leases[*i].0, *i));
    order
}

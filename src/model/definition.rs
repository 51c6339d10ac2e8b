//! The definition of a workflow: read from JSON, checked whole, its steps put in order. Whoever runs it
//! asks nothing of it that could still be wrong, but for the syntax of its paths, which is PostgreSQL's.

use super::limits;
use super::reads::{Read, reads_of};
use super::run::{OnError, When};
use serde_json::{Map, Value};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::ops::RangeInclusive;

/// A definition that is right.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// Each after the steps it needs, else as written.
    pub steps: Vec<Step>,
    pub on_error: OnError,
    pub max_parallel: Option<i32>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub name: String,
    /// In the array of the definition.
    pub position: usize,
    pub queue: String,
    /// Indexes into `Definition::steps`, as written.
    pub needs: Vec<usize>,
    /// The same edges from the other end.
    pub needed_by: Vec<usize>,
    pub when: When,
    /// Its `if`.
    pub condition: Option<String>,
    pub with_items: Option<String>,
    pub payload: Option<Template>,
    pub max_parallel: Option<i32>,
    pub checkpoint: Option<String>,
    pub priority: i16,
    pub max_attempts: Option<i32>,
    pub max_runtime: Option<String>,
    pub slot_keys: Vec<String>,
    pub compensate: Option<Compensate>,
    /// The steps whose data its expressions may read: those named, or all ancestors if it cannot be told.
    pub reads: Vec<usize>,
}

/// Where the values of a payload come from, that are not there as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    pub places: Vec<Place>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// As `jsonb_set` wants it; empty: the whole payload is one string.
    pub path: Vec<String>,
    pub expression: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Compensate {
    pub queue: String,
    pub payload: Option<Template>,
    /// The steps whose data its payload may read: as `Step::reads`, and the step itself.
    pub reads: Vec<usize>,
}

/// What is wrong with a definition, in the server's style.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    pub message: String,
    pub detail: Option<String>,
    /// There is too much of something, rather than something wrong.
    pub over_limit: bool,
}

const KEYS: [&str; 3] = ["steps", "on_error", "max_parallel"];
const STEP_KEYS: [&str; 14] = [
    "name",
    "queue",
    "needs",
    "when",
    "if",
    "with_items",
    "payload",
    "max_parallel",
    "checkpoint",
    "priority",
    "max_attempts",
    "max_runtime",
    "slot_keys",
    "compensate",
];
const COMPENSATE_KEYS: [&str; 2] = ["queue", "payload"];

const COMPENSATE: &str = "compensate";
const DEFAULT_QUEUE: &str = "default";
/// The checkpoint of a run that paused because a task failed.
const ON_ERROR: &str = "on_error";
/// Characters of a wrong value that a message repeats.
const SHOWN: usize = 60;
/// Steps of a circle that a message names.
const CIRCLE_SHOWN: usize = 10;

pub fn parse(json: &str) -> Result<Definition, Problem> {
    let json: Value = serde_json::from_str(json).map_err(|error| {
        let message = format!("definition cannot be read: {error}");
        Problem::new(message)
            .detail("It must be JSON, at most 127 deep, with numbers that fit double precision.")
    })?;
    let top = Object::read("definition".into(), &json, &KEYS)?;
    let on_error = top.one_of("on_error", OnError::parse, "fail, pause or continue")?;
    let max_parallel = top.whole("max_parallel", 1..=limits::ITEMS as i32)?;
    let written = top.array("steps", limits::STEPS)?.unwrap_or_default();
    if written.is_empty() {
        return Err(Problem::new("definition has no steps").detail(format!(
            "Key \"steps\" must be an array of 1 to {} steps.",
            limits::STEPS
        )));
    }

    let positions = positions(written)?;
    let mut steps = Vec::with_capacity(written.len());
    for (position, value) in written.iter().enumerate() {
        steps.push(step(position, value, &positions)?);
    }
    let mut steps = in_order(steps)?;
    find_reads(&mut steps)?;
    Ok(Definition {
        steps,
        on_error: on_error.unwrap_or(OnError::Fail),
        max_parallel,
    })
}

impl Step {
    /// Its paths and predicates, each with the key it stands in.
    pub fn expressions(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let places = self.payload.iter().flat_map(|template| &template.places);
        let condition = self.condition.iter().map(|text| ("if", text.as_str()));
        let with_items = self.with_items.iter();
        let undoing = self.compensate.iter().filter_map(|c| c.payload.as_ref());
        let undoing = undoing.flat_map(|template| &template.places);
        condition
            .chain(with_items.map(|text| ("with_items", text.as_str())))
            .chain(places.map(|place| ("payload", place.expression.as_str())))
            .chain(undoing.map(|place| (COMPENSATE, place.expression.as_str())))
    }
}

impl Problem {
    fn new(message: impl Into<String>) -> Problem {
        Problem {
            message: message.into(),
            detail: None,
            over_limit: false,
        }
    }

    fn detail(self, detail: impl Into<String>) -> Problem {
        Problem {
            detail: Some(detail.into()),
            ..self
        }
    }
}

// Reading a step.

/// Where each name stands, once every step has one of its own.
fn positions(written: &[Value]) -> Result<HashMap<&str, usize>, Problem> {
    let mut positions = HashMap::with_capacity(written.len());
    for (position, value) in written.iter().enumerate() {
        let Value::Object(map) = value else {
            return Err(
                Problem::new(format!("steps[{position}] is {}", shown(value)))
                    .detail("A step must be an object."),
            );
        };
        let of_name = Object {
            owner: format!("steps[{position}]"),
            map,
        };
        let Some(name) = of_name.word("name")? else {
            return Err(Problem::new(format!("steps[{position}] has no name"))
                .detail("A step must have a name of its own: others need it by that name."));
        };
        if positions.insert(name, position).is_some() {
            return Err(Problem::new(format!(
                "step \"{name}\": key \"name\" is that of another step"
            ))
            .detail("A step must have a name of its own: others need it by that name."));
        }
    }
    Ok(positions)
}

/// The step as written: `needs` are positions still.
fn step(position: usize, value: &Value, positions: &HashMap<&str, usize>) -> Result<Step, Problem> {
    let name = value["name"].as_str().unwrap_or_default().to_string();
    let object = Object::read(format!("step \"{name}\""), value, &STEP_KEYS)?;
    let needs = needs(&object, position, positions)?;
    let when = object.one_of("when", When::parse, "completed, failed or done")?;
    if when == Some(When::Failed) && needs.is_empty() {
        return Err(object.wrong(
            "when",
            &object.map["when"],
            "A step that needs no other is never told that one failed: it must have \"needs\".",
        ));
    }
    let with_items = object.text("with_items")?;
    let max_parallel = object.whole("max_parallel", 1..=limits::ITEMS as i32)?;
    if max_parallel.is_some() && with_items.is_none() {
        return Err(object
            .problem("max_parallel", "stands without \"with_items\"")
            .detail("Only a step with items has tasks that could run side by side."));
    }
    let checkpoint = object.word("checkpoint")?;
    if checkpoint == Some(ON_ERROR) {
        return Err(object.wrong(
            "checkpoint",
            &object.map["checkpoint"],
            "That name is reserved for runs that pause because a task failed.",
        ));
    }
    Ok(Step {
        position,
        queue: object.word("queue")?.unwrap_or(DEFAULT_QUEUE).to_string(),
        needs,
        needed_by: Vec::new(),
        when: when.unwrap_or(When::Completed),
        condition: object.text("if")?,
        with_items,
        // Unlike elsewhere, null is a value here.
        payload: object.map.get("payload").map(template),
        max_parallel,
        checkpoint: checkpoint.map(str::to_string),
        priority: object
            .whole("priority", -limits::PRIORITY..=limits::PRIORITY)?
            .unwrap_or(0) as i16,
        max_attempts: object.whole("max_attempts", 1..=limits::ATTEMPTS)?,
        max_runtime: object.text("max_runtime")?,
        slot_keys: object
            .words("slot_keys", limits::SLOT_KEYS)?
            .into_iter()
            .map(str::to_string)
            .collect(),
        compensate: compensate(&object)?,
        reads: Vec::new(),
        name,
    })
}

fn needs(
    object: &Object,
    position: usize,
    positions: &HashMap<&str, usize>,
) -> Result<Vec<usize>, Problem> {
    let mut needs = Vec::new();
    for name in object.words("needs", limits::NEEDS)? {
        match positions.get(name) {
            None => {
                return Err(object
                    .problem("needs", format!("names \"{name}\", which is no step"))
                    .detail("It must hold names of other steps of the definition."));
            }
            Some(at) if *at == position => {
                return Err(object
                    .problem("needs", "names the step itself")
                    .detail("It must hold names of other steps of the definition."));
            }
            Some(at) => needs.push(*at),
        }
    }
    Ok(needs)
}

fn compensate(step: &Object) -> Result<Option<Compensate>, Problem> {
    let Some(value) = step.get("compensate") else {
        return Ok(None);
    };
    if !value.is_object() {
        return Err(step.wrong(
            "compensate",
            value,
            "It must be an object with a \"queue\" and a \"payload\".",
        ));
    }
    let owner = format!("{}: key \"compensate\"", step.owner);
    let object = Object::read(owner, value, &COMPENSATE_KEYS)?;
    Ok(Some(Compensate {
        queue: object.word("queue")?.unwrap_or(DEFAULT_QUEUE).to_string(),
        payload: object.map.get("payload").map(template),
        reads: Vec::new(),
    }))
}

fn template(payload: &Value) -> Template {
    let mut places = Vec::new();
    find_places(payload, &mut Vec::new(), &mut places);
    Template { places }
}

/// As deep as the reader of JSON lets values be, which is not deep.
fn find_places(value: &Value, path: &mut Vec<String>, places: &mut Vec<Place>) {
    let mut inside = |key: String, value| {
        path.push(key);
        find_places(value, path, places);
        path.pop();
    };
    match value {
        Value::String(text) if text.starts_with("$.") => places.push(Place {
            path: path.clone(),
            expression: text.clone(),
        }),
        Value::Array(values) => {
            for (at, value) in values.iter().enumerate() {
                inside(at.to_string(), value);
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                inside(key.clone(), value);
            }
        }
        _ => {}
    }
}

/// A JSON object, and what messages call it.
struct Object<'a> {
    owner: String,
    map: &'a Map<String, Value>,
}

impl<'a> Object<'a> {
    fn read(owner: String, value: &'a Value, keys: &[&str]) -> Result<Object<'a>, Problem> {
        let Value::Object(map) = value else {
            return Err(Problem::new(format!("{owner} is {}", shown(value)))
                .detail("It must be an object."));
        };
        match map.keys().find(|key| !keys.contains(&key.as_str())) {
            Some(key) => Err(Problem::new(format!("{owner}: unknown key \"{key}\""))
                .detail(format!("It may have {}.", keys.join(", ")))),
            None => Ok(Object { owner, map }),
        }
    }

    fn problem(&self, key: &str, what: impl std::fmt::Display) -> Problem {
        Problem::new(format!("{}: key \"{key}\" {what}", self.owner))
    }

    fn wrong(&self, key: &str, value: &Value, allowed: impl Into<String>) -> Problem {
        self.problem(key, format!("is {}", shown(value)))
            .detail(allowed)
    }

    /// null is as good as absent.
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn text(&self, key: &str) -> Result<Option<String>, Problem> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(value) => Err(self.wrong(key, value, "It must be a string.")),
        }
    }

    fn word(&self, key: &str) -> Result<Option<&'a str>, Problem> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => match word(value) {
                Some(word) => Ok(Some(word)),
                None => {
                    let max = limits::NAME_BYTES;
                    let allowed = format!("It must be a string of 1 to {max} bytes.");
                    Err(self.wrong(key, value, allowed))
                }
            },
        }
    }

    fn whole(&self, key: &str, range: RangeInclusive<i32>) -> Result<Option<i32>, Problem> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let whole = value.as_i64().and_then(|whole| i32::try_from(whole).ok());
        match whole.filter(|whole| range.contains(whole)) {
            Some(whole) => Ok(Some(whole)),
            None => {
                let allowed = format!("It must be {} to {}.", range.start(), range.end());
                Err(self.wrong(key, value, allowed))
            }
        }
    }

    fn one_of<T>(
        &self,
        key: &str,
        parse: fn(&str) -> Option<T>,
        allowed: &str,
    ) -> Result<Option<T>, Problem> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => match value.as_str().and_then(parse) {
                Some(word) => Ok(Some(word)),
                None => Err(self.wrong(key, value, format!("It must be {allowed}."))),
            },
        }
    }

    fn array(&self, key: &str, max: usize) -> Result<Option<&'a [Value]>, Problem> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Array(values)) if values.len() <= max => Ok(Some(values)),
            Some(Value::Array(values)) => Err(Problem {
                over_limit: true,
                ..self
                    .problem(key, format!("has {} elements", values.len()))
                    .detail(format!("It may have at most {max}."))
            }),
            Some(value) => Err(self.wrong(key, value, "It must be an array.")),
        }
    }

    /// Strings of which none stands there twice.
    fn words(&self, key: &str, max: usize) -> Result<Vec<&'a str>, Problem> {
        let values = self.array(key, max)?.unwrap_or_default();
        let mut seen = BTreeSet::new();
        let mut words = Vec::with_capacity(values.len());
        for value in values {
            let Some(word) = word(value) else {
                let bytes = limits::NAME_BYTES;
                return Err(self
                    .problem(key, format!("holds {}", shown(value)))
                    .detail(format!("It must hold strings of 1 to {bytes} bytes.")));
            };
            if !seen.insert(word) {
                return Err(self
                    .problem(key, format!("names \"{word}\" twice"))
                    .detail("Each name may stand there once."));
            }
            words.push(word);
        }
        Ok(words)
    }
}

fn word(value: &Value) -> Option<&str> {
    value
        .as_str()
        .filter(|word| (1..=limits::NAME_BYTES).contains(&word.len()))
}

/// A value as a message repeats it: its beginning, where it is long.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

// The graph.

/// Puts each step after those it needs, and turns positions into indexes.
fn in_order(mut steps: Vec<Step>) -> Result<Vec<Step>, Problem> {
    let mut needed_by = vec![Vec::new(); steps.len()];
    let mut missing: Vec<usize> = steps.iter().map(|step| step.needs.len()).collect();
    for step in &steps {
        for need in &step.needs {
            needed_by[*need].push(step.position);
        }
    }
    // Of those that could stand here, the one that was written first.
    let mut free: BinaryHeap<Reverse<usize>> = (0..steps.len())
        .filter(|at| missing[*at] == 0)
        .map(Reverse)
        .collect();
    let mut order = Vec::with_capacity(steps.len());
    while let Some(Reverse(at)) = free.pop() {
        order.push(at);
        for waiting in &needed_by[at] {
            missing[*waiting] -= 1;
            if missing[*waiting] == 0 {
                free.push(Reverse(*waiting));
            }
        }
    }
    if order.len() < steps.len() {
        return Err(circle(&steps, &missing));
    }

    let mut index = vec![0; steps.len()];
    for (at, position) in order.iter().enumerate() {
        index[*position] = at;
    }
    for (step, needed_by) in steps.iter_mut().zip(needed_by) {
        step.needs.iter_mut().for_each(|need| *need = index[*need]);
        step.needed_by = needed_by.into_iter().map(|at| index[at]).collect();
        step.needed_by.sort_unstable();
    }
    steps.sort_by_key(|step| index[step.position]);
    Ok(steps)
}

/// Some steps are missing something for ever: whoever follows a need of theirs that is missing, too, comes round.
fn circle(steps: &[Step], missing: &[usize]) -> Problem {
    let mut path = Vec::new();
    let mut seen_at = vec![None; steps.len()];
    let mut at = missing.iter().position(|missing| *missing > 0);
    while let Some(step) = at {
        if let Some(start) = seen_at[step] {
            path.drain(..start);
            break;
        }
        seen_at[step] = Some(path.len());
        path.push(step);
        let needs = steps[step].needs.iter().copied();
        at = needs.into_iter().find(|need| missing[*need] > 0);
    }
    let first = (0..path.len()).min_by_key(|at| path[*at]).unwrap_or(0);
    path.rotate_left(first);
    let names: Vec<String> = path
        .iter()
        .take(CIRCLE_SHOWN)
        .map(|at| format!("\"{}\"", steps[*at].name))
        .collect();
    let more = match path.len() - names.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Problem::new(format!(
        "steps need each other in a circle: {}{more}",
        names.join(", ")
    ))
    .detail(
        "Each key \"needs\" names the step that follows here, that of the last names the first.",
    )
}

/// A set of steps: a bit each, because 1,000 steps have up to half a million ancestors.
#[derive(Clone)]
struct Steps(Vec<u64>);

impl Steps {
    fn none(of: usize) -> Steps {
        Steps(vec![0; of.div_ceil(64)])
    }

    fn add(&mut self, step: usize) {
        self.0[step / 64] |= 1 << (step % 64);
    }

    fn add_all(&mut self, other: &Steps) {
        for (bits, more) in self.0.iter_mut().zip(&other.0) {
            *bits |= more;
        }
    }

    fn has(&self, step: usize) -> bool {
        self.0[step / 64] & (1 << (step % 64)) != 0
    }
}

// What expressions read.

/// Fills in `reads`, and refuses paths to what is not there when they are evaluated.
fn find_reads(steps: &mut [Step]) -> Result<(), Problem> {
    let mut ancestors: Vec<Steps> = Vec::with_capacity(steps.len());
    for step in steps.iter() {
        let mut own = Steps::none(steps.len());
        for need in &step.needs {
            own.add(*need);
            own.add_all(&ancestors[*need]);
        }
        ancestors.push(own);
    }
    let index: HashMap<&str, usize> = steps
        .iter()
        .enumerate()
        .map(|(at, step)| (step.name.as_str(), at))
        .collect();
    let mut reads = Vec::with_capacity(steps.len());
    for (at, (step, ancestors)) in steps.iter().zip(&ancestors).enumerate() {
        let mut of_step = Steps::none(steps.len());
        // What undoes a step may read what that has come to.
        let mut of_undoing = Steps::none(steps.len());
        let mut with_itself = ancestors.clone();
        with_itself.add(at);
        for (key, expression) in step.expressions() {
            let refuse = |what: String, detail: &str| {
                let name = &step.name;
                Problem::new(format!("step \"{name}\": key \"{key}\" reads {what}")).detail(detail)
            };
            let (own, ancestors) = if key == COMPENSATE {
                (&mut of_undoing, &with_itself)
            } else {
                (&mut of_step, ancestors)
            };
            let readable = if key == COMPENSATE {
                "It may read its own step, those that it needs, and those that they need."
            } else {
                "It may read the steps that it needs, and those that they need."
            };
            for read in reads_of(expression) {
                match read {
                    Read::AnyStep => own.add_all(ancestors),
                    Read::Step(name) => match index.get(name) {
                        Some(at) if ancestors.has(*at) => own.add(*at),
                        Some(_) => {
                            return Err(refuse(
                                format!("\"{name}\", which the step does not need"),
                                readable,
                            ));
                        }
                        None => {
                            return Err(refuse(format!("\"{name}\", which is no step"), readable));
                        }
                    },
                    Read::Item(_) if key == "payload" && step.with_items.is_some() => {}
                    Read::Item(name) => {
                        let detail = if key == COMPENSATE {
                            "What undoes a task may read \"$.task\": its task_id, item_index, payload and result."
                        } else {
                            "Only the payload of a step with \"with_items\" has an item."
                        };
                        return Err(refuse(format!("\"$.{name}\""), detail));
                    }
                }
            }
        }
        let all = |of: Steps| {
            (0..steps.len())
                .filter(|at| of.has(*at))
                .collect::<Vec<_>>()
        };
        reads.push((all(of_step), all(of_undoing)));
    }
    for (step, (reads, of_undoing)) in steps.iter_mut().zip(reads) {
        step.reads = reads;
        if let Some(compensate) = &mut step.compensate {
            compensate.reads = of_undoing;
        }
    }
    Ok(())
}

//! Looks at every state that small models of the extension can reach. See README.md beside Cargo.toml.

mod check;
mod join;
mod lifecycle;
#[allow(dead_code, reason = "roles, floors and backoff have no part in it")]
#[path = "../../src/model/mod.rs"]
mod model;
mod runs;
mod slots;
mod words;

use check::{Expected, Report};
use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;
use words::{Heard, Verb, Word};

const USAGE: &str = "\
usage: cargo model-check [-- [--quick] [--paths] [NAME]]

  --quick  smaller configurations, all faults: under 20 s
  --paths  print the counterexamples that were expected, too
  NAME     only configurations whose name contains this";

/// Configurations run side by side, each on one thread.
const THREADS: usize = 2;

struct Arguments {
    quick: bool,
    paths: bool,
    name: Option<String>,
}

fn main() -> ExitCode {
    let mut arguments = Arguments {
        quick: false,
        paths: false,
        name: None,
    };
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--" => {} // the alias has one of its own
            "--quick" => arguments.quick = true,
            "--paths" => arguments.paths = true,
            name if !name.starts_with('-') && arguments.name.is_none() => {
                arguments.name = Some(argument)
            }
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    if check_all(&arguments) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// A configuration, ready to run.
struct Check {
    order: usize,
    name: String,
    expected: Expected,
    run: Box<dyn FnOnce() -> Report + Send>,
}

fn check_all(arguments: &Arguments) -> bool {
    let since = Instant::now();
    let (heard_of_lifecycles, heard_of_joins) = (Heard::default(), Heard::default());
    let (heard_of_runs, heard_of_slots) = (Heard::default(), Heard::default());
    let mut checks = Vec::new();
    for (name, model, expected) in
        lifecycle::configurations::configurations(arguments.quick, &heard_of_lifecycles)
    {
        let run = Box::new(move || check::run(&model, expected));
        checks.push((
            format!("lifecycle: {name}"),
            expected,
            run as Box<dyn FnOnce() -> Report + Send>,
        ));
    }
    for (name, model, expected) in
        join::configurations::configurations(arguments.quick, &heard_of_joins)
    {
        let run = Box::new(move || check::run(&model, expected));
        checks.push((format!("join: {name}"), expected, run));
    }
    for (name, model, expected) in
        runs::configurations::configurations(arguments.quick, &heard_of_runs)
    {
        let run = Box::new(move || check::run(&model, expected));
        checks.push((format!("runs: {name}"), expected, run));
    }
    for (name, model, expected) in
        slots::configurations::configurations(arguments.quick, &heard_of_slots)
    {
        let run = Box::new(move || check::run(&model, expected));
        checks.push((format!("slots: {name}"), expected, run));
    }
    let wanted = |name: &str| {
        arguments
            .name
            .as_ref()
            .is_none_or(|part| name.contains(part))
    };
    let checks: VecDeque<Check> = checks
        .into_iter()
        .filter(|(name, ..)| wanted(name))
        .enumerate()
        .map(|(order, (name, expected, run))| Check {
            order,
            name,
            expected,
            run,
        })
        .collect();

    let table = Table::new(arguments.paths);
    table.head();
    let checks = Mutex::new(checks);
    let table = Mutex::new(table);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let first = checks
                        .lock()
                        .expect("no thread panics with them")
                        .pop_front();
                    let Some(check) = first else { return };
                    let report = (check.run)();
                    let mut table = table.lock().expect("no thread panics with the table");
                    table.done(check.order, check.name, check.expected, report);
                }
            });
        }
    });
    let mut table = table.into_inner().expect("all threads have ended");
    if arguments.name.is_none() {
        table.heard(
            "lifecycle",
            &heard_of_lifecycles,
            lifecycle::configurations::EXPECTED,
        );
        table.heard("join", &heard_of_joins, join::configurations::EXPECTED);
        table.heard("runs", &heard_of_runs, runs::configurations::EXPECTED);
        table.heard("slots", &heard_of_slots, slots::configurations::EXPECTED);
    }
    table.sum(since.elapsed().as_secs_f64())
}

/// What is printed: a row per configuration, in their order, as soon as those before it are done.
struct Table {
    paths: bool,
    printed: usize,
    waiting: Vec<(usize, String)>,
    states: usize,
    passed: usize,
    failed: usize,
}

impl Table {
    fn new(paths: bool) -> Table {
        Table {
            paths,
            printed: 0,
            waiting: Vec::new(),
            states: 0,
            passed: 0,
            failed: 0,
        }
    }

    fn head(&self) {
        println!(
            "{:<52} {:>10} {:>6} {:>8}  verdict",
            "configuration", "states", "depth", "seconds"
        );
    }

    fn done(&mut self, order: usize, name: String, expected: Expected, report: Report) {
        let good = report.as_expected(expected);
        self.count(good);
        self.states += report.states;
        let verdict = match (&report.violation, expected) {
            (None, Expected::Holds) => "holds".to_owned(),
            (None, Expected::Violates(property)) => {
                format!("FAILED: no counterexample to {property}")
            }
            (Some((property, path)), Expected::Violates(_)) => {
                format!("violates {property}, as expected, in {} steps", path.len())
            }
            (Some((property, path)), Expected::Holds) => {
                format!("FAILED: violates {property} in {} steps", path.len())
            }
        };
        let mut row = format!(
            "{name:<52} {:>10} {:>6} {:>8.1}  {verdict}\n",
            report.states, report.depth, report.seconds
        );
        if let Some((_, path)) = &report.violation
            && (self.paths || !good)
        {
            for (number, step) in path.iter().enumerate() {
                row += &format!("    {:>2}. {step}\n", number + 1);
            }
        }
        self.waiting.push((order, row));
        while let Some(at) = self
            .waiting
            .iter()
            .position(|(order, _)| *order == self.printed)
        {
            print!("{}", self.waiting.swap_remove(at).1);
            self.printed += 1;
        }
    }

    /// A model that never gets anywhere proves nothing: all that can be heard must have been.
    fn heard(&mut self, model: &str, heard: &Heard, expected: &[(Verb, &[Word])]) {
        let mut all = 0;
        let mut missing = Vec::new();
        for (verb, words) in expected {
            for &word in *words {
                all += 1;
                if !heard.has(*verb, word) {
                    missing.push((*verb, word));
                }
            }
        }
        let beyond = heard.beyond(expected);
        let good = missing.is_empty() && beyond.is_empty();
        self.count(good);
        println!(
            "{model}: {} of {all} outcomes and states are reached",
            all - missing.len()
        );
        for (verb, word) in missing {
            println!(
                "    FAILED: {} {} is never reached",
                verb.name(),
                word.name()
            );
        }
        for (verb, word) in beyond {
            println!(
                "    FAILED: {} {} is reached, and nobody knows of it",
                verb.name(),
                word.name()
            );
        }
    }

    fn count(&mut self, good: bool) {
        if good {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
    }

    fn sum(&self, seconds: f64) -> bool {
        println!("{} distinct states in {seconds:.1} s", self.states);
        println!("{} passed, {} failed", self.passed, self.failed);
        self.failed == 0
    }
}

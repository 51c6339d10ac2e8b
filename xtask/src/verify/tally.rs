//! Counts what passed and what failed, and says so while it happens.

use std::time::{Duration, Instant};

#[derive(Default)]
pub struct Tally {
    passed: usize,
    failures: Vec<String>,
}

impl Tally {
    pub fn passed(&mut self, what: &str, took: Duration) {
        self.passed += 1;
        println!("    ok      {what}  {}", seconds(took));
    }

    /// `count` tests of one program that reported for itself.
    pub fn passed_many(&mut self, count: usize) {
        self.passed += count;
    }

    /// The reason is printed here, in full, and the name once more at the end.
    pub fn failed(&mut self, what: &str, why: &str) {
        println!("    FAILED  {what}");
        for line in why.trim_end().lines() {
            println!("      | {line}");
        }
        self.failures.push(what.to_string());
    }

    pub fn failures(&self) -> &[String] {
        &self.failures
    }

    /// The end of a run: what failed, and the counts in the last line. A run in which something failed ends here.
    pub fn conclude(&self, begun: Instant) {
        println!();
        for failure in &self.failures {
            println!("failed: {failure}");
        }
        println!("{} in all", seconds(begun.elapsed()));
        println!("{} passed, {} failed", self.passed, self.failures.len());
        // Not an error value: the line above has to be the last one.
        if !self.failures.is_empty() {
            std::process::exit(1);
        }
    }
}

pub fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

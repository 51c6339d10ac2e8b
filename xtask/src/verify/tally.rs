//! Counts what passed and what failed, and says so while it happens.

use std::time::Duration;

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

    /// The last line of every run.
    pub fn line(&self) -> String {
        format!("{} passed, {} failed", self.passed, self.failures.len())
    }
}

pub fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

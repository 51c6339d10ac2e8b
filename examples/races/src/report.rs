//! The table of what was counted, and what of it passes.

use crate::arena::Line;
use anyhow::Result;
use std::time::Duration;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    Plain,
    Baton,
}

impl Telling {
    pub fn name(self) -> &'static str {
        match self {
            Telling::Plain => "plain SQL",
            Telling::Baton => "pg_baton",
        }
    }
}

pub struct Report {
    pub passed: usize,
    pub failed: usize,
    /// Rows that baton_check(true) has returned.
    pub check_rows: usize,
    told: bool,
}

struct Kind {
    name: String,
    own: bool,
    contests: i64,
    first: i32,
}

impl Report {
    pub fn new(told: bool) -> Report {
        Report {
            passed: 0,
            failed: 0,
            check_rows: 0,
            told,
        }
    }

    pub fn heading(&self) {
        println!(
            "{:<12} {:<10} {:>9} {:>11} {:>10} {:>8}",
            "race", "telling", "contests", "violations", "own table", ""
        );
    }

    /// Counts what a telling has left behind: contests with a violation, those with one in the adopter's own table, and
    /// of which kinds they are.
    pub fn count(
        &mut self,
        race: &str,
        telling: Telling,
        contests: usize,
        both: [(&str, &str); 2],
        took: Duration,
        line: &mut Line,
    ) -> Result<()> {
        line.script("ANALYZE")?;
        line.script("CREATE TEMPORARY TABLE found AS SELECT contest, kind, own FROM violation")?;
        let mut broken = 0;
        let mut own = 0;
        for row in line.rows("SELECT own, count(DISTINCT contest) FROM found GROUP BY own")? {
            *(if row.get(0) { &mut own } else { &mut broken }) = row.get::<_, i64>(1);
        }
        let kinds: Vec<Kind> = line
            .rows(
                "SELECT kind, own, count(*), min(contest) FROM found GROUP BY kind, own ORDER BY own, count(*) DESC, kind",
            )?
            .iter()
            .map(|row| Kind {
                name: row.get(0),
                own: row.get(1),
                contests: row.get(2),
                first: row.get(3),
            })
            .collect();
        println!(
            "{race:<12} {:<10} {:>9} {:>11} {:>10} {:>6.1} s",
            telling.name(),
            thousands(contests as i64),
            thousands(broken),
            thousands(own),
            took.as_secs_f64()
        );
        for kind in &kinds {
            let (in_scheduler, in_own) = match kind.own {
                false => (thousands(kind.contests), String::new()),
                true => (String::new(), thousands(kind.contests)),
            };
            println!(
                "{:33} {in_scheduler:>11} {in_own:>10}   {} (first: {})",
                "", kind.name, kind.first
            );
        }
        if self.told {
            for row in
                line.rows("SELECT call, outcome, count(*) FROM told GROUP BY 1, 2 ORDER BY 1, 2")?
            {
                let (call, outcome): (&str, &str) = (row.get(0), row.get(1));
                println!(
                    "{:13}told: {:>7} {call}: {outcome}",
                    "",
                    thousands(row.get(2))
                );
            }
        }
        match telling {
            Telling::Plain => {
                self.passes(broken > 0 && own > 0, || {
                    format!("{race} in plain SQL shows no violation, so that it proves nothing")
                });
            }
            Telling::Baton => {
                self.passes(broken == 0 && own == 0, || format!("{race} on pg_baton"));
                let told = line.rows("SELECT DISTINCT call, outcome FROM told")?;
                let never = both.into_iter().find(|(call, outcome)| {
                    !told
                        .iter()
                        .any(|row| (row.get(0), row.get(1)) == (*call, *outcome))
                });
                let never = never.map(|(call, outcome)| {
                    format!("{race} on pg_baton: nobody was told {outcome} by {call}, so that it proves nothing")
                });
                self.passes(never.is_none(), || never.clone().unwrap_or_default());
                let check = line.rows(
                    "SELECT invariant, object, object_id::text, detail FROM baton_check(true)",
                )?;
                for row in &check {
                    let [invariant, object, id, detail] =
                        [0, 1, 2, 3].map(|n| row.get::<_, Option<&str>>(n).unwrap_or_default());
                    println!("{:13}baton_check: {invariant} {object} {id} {detail}", "");
                }
                self.check_rows += check.len();
                self.passes(check.is_empty(), || format!("{race}: baton_check(true)"));
            }
        }
        Ok(())
    }

    fn passes(&mut self, so: bool, what: impl Fn() -> String) {
        if so {
            self.passed += 1;
        } else {
            self.failed += 1;
            println!("failed: {}", what());
        }
    }
}

fn thousands(n: i64) -> String {
    let digits = n.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

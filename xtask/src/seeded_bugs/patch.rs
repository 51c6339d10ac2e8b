//! A seeded bug as it is written down: a unified diff below some lines that say what it is, what it stands
//! for, and which tests catch it. Nothing but text in and text out, so that the rules of the house can read
//! the same files (tests/tidy.rs).

/// What stands before the diff, and the diff.
#[derive(Debug)]
pub struct Bug {
    /// What is broken, as a sentence.
    pub what: String,
    /// The race it is one of, or whose bug it was.
    pub stands_for: String,
    pub caught_by: Vec<Test>,
    /// Statements for the database of the tests: where a constraint would hold what the code no longer does.
    pub sql: Vec<String>,
    pub files: Vec<Change>,
}

/// A test by its driver (`regress`, `isolation`) and its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Test {
    pub driver: String,
    pub name: String,
}

/// What is changed in one file.
#[derive(Debug)]
pub struct Change {
    pub path: String,
    hunks: Vec<Hunk>,
}

#[derive(Debug)]
struct Hunk {
    /// Where the old lines were when the patch was made, from 0.
    at: usize,
    old: Vec<String>,
    new: Vec<String>,
}

impl Bug {
    pub fn parse(text: &str) -> Result<Bug, String> {
        let at = text
            .find("\n--- a/")
            .ok_or("there is no line `--- a/FILE`")?;
        let (header, diff) = (&text[..at], &text[at + 1..]);
        let mut bug = Bug {
            what: String::new(),
            stands_for: String::new(),
            caught_by: Vec::new(),
            sql: Vec::new(),
            files: Vec::new(),
        };
        for line in header.lines() {
            if let Some(race) = line.strip_prefix("Stands for: ") {
                bug.stands_for = race.trim().to_string();
            } else if let Some(test) = line.strip_prefix("Caught by: ") {
                bug.caught_by.push(Test::parse(test)?);
            } else if let Some(statement) = line.strip_prefix("SQL: ") {
                bug.sql.push(statement.trim().to_string());
            } else if bug.what.is_empty() {
                bug.what = line.trim().to_string();
            } else {
                bug.what = format!("{} {}", bug.what, line.trim());
            }
        }
        if !bug.what.ends_with('.') {
            return Err("it does not begin with a sentence that says what is broken".into());
        }
        if bug.stands_for.is_empty() {
            return Err("there is no line `Stands for: …`".into());
        }
        if bug.caught_by.is_empty() {
            return Err("there is no line `Caught by: DRIVER TEST`".into());
        }
        bug.files = changes(diff)?;
        Ok(bug)
    }
}

impl Test {
    fn parse(text: &str) -> Result<Test, String> {
        match text.split_whitespace().collect::<Vec<_>>()[..] {
            [driver @ ("regress" | "isolation"), name] => Ok(Test {
                driver: driver.into(),
                name: name.into(),
            }),
            _ => Err(format!("`Caught by: {text}` is not a driver and a test")),
        }
    }

    /// Its input, in the checkout.
    pub fn path(&self) -> String {
        match self.driver.as_str() {
            "regress" => format!("tests/pg_regress/sql/{}.sql", self.name),
            _ => format!("tests/isolation/specs/{}.spec", self.name),
        }
    }
}

impl std::fmt::Display for Test {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.driver, self.name)
    }
}

fn changes(diff: &str) -> Result<Vec<Change>, String> {
    let mut files: Vec<Change> = Vec::new();
    let mut lines = diff.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(path) = line.strip_prefix("--- a/") {
            if lines.next() != Some(&format!("+++ b/{path}")) {
                return Err(format!("`--- a/{path}` is not followed by `+++ b/{path}`"));
            }
            files.push(Change {
                path: path.into(),
                hunks: Vec::new(),
            });
            continue;
        }
        let (at, olds, news) = ranges(line).ok_or_else(|| format!("`{line}` is no hunk"))?;
        let mut hunk = Hunk {
            at,
            old: Vec::new(),
            new: Vec::new(),
        };
        while hunk.old.len() < olds || hunk.new.len() < news {
            let line = lines.next().ok_or("the last hunk is not whole")?;
            match line.split_at_checked(1) {
                Some(("-", text)) => hunk.old.push(text.into()),
                Some(("+", text)) => hunk.new.push(text.into()),
                Some((" ", text)) => {
                    hunk.old.push(text.into());
                    hunk.new.push(text.into());
                }
                // An editor may have taken the blank of an empty line.
                None => {
                    hunk.old.push(String::new());
                    hunk.new.push(String::new());
                }
                _ => return Err(format!("`{line}` is no line of a hunk")),
            }
        }
        if (hunk.old.len(), hunk.new.len()) != (olds, news) {
            return Err(format!("the hunk `{line}` has other lines than it says"));
        }
        let file = files
            .last_mut()
            .ok_or("a hunk comes before its `--- a/FILE`")?;
        file.hunks.push(hunk);
    }
    Ok(files)
}

/// Of `@@ -4,7 +4,6 @@`: the place of the old lines from 0, and how many lines are old and new.
fn ranges(line: &str) -> Option<(usize, usize, usize)> {
    let (old, rest) = line.strip_prefix("@@ -")?.split_once(" +")?;
    let (new, _) = rest.split_once(" @@")?;
    let range = |text: &str| -> Option<(usize, usize)> {
        match text.split_once(',') {
            Some((at, count)) => Some((at.parse().ok()?, count.parse().ok()?)),
            None => Some((text.parse().ok()?, 1)),
        }
    };
    let ((at, olds), (_, news)) = (range(old)?, range(new)?);
    Some((at.saturating_sub(1), olds, news))
}

impl Change {
    /// The file with the change made. The old lines must be there word for word, if not in their old place.
    pub fn apply(&self, text: &str) -> Result<String, String> {
        let lines: Vec<&str> = text.lines().collect();
        let mut changed = String::with_capacity(text.len());
        let mut done = 0;
        let mut keep = |line: &str| {
            changed.push_str(line);
            changed.push('\n');
        };
        for hunk in &self.hunks {
            let last = (lines.len() + 1).saturating_sub(hunk.old.len());
            let at = (done..last)
                .filter(|at| lines[*at..].iter().zip(&hunk.old).all(|(a, b)| a == b))
                .min_by_key(|at| at.abs_diff(hunk.at))
                .ok_or_else(|| {
                    format!(
                        "the lines of its hunk at line {} are not there",
                        hunk.at + 1
                    )
                })?;
            lines[done..at].iter().for_each(|line| keep(line));
            hunk.new.iter().for_each(|line| keep(line));
            done = at + hunk.old.len();
        }
        lines[done..].iter().for_each(|line| keep(line));
        Ok(changed)
    }
}

//! Documentation is executed: what README.md and docs/*.md show is what happens.
//!
//! - The `sql` blocks of a page run in order in one psql session, in a database made for that page. The
//!   extension is there, unless the page has a `CREATE EXTENSION pg_baton` of its own.
//! - `python`, `js` and `go` blocks run in their place, as programs of their own, against the same database: they
//!   connect by the environment (PGHOST, PGUSER, PGDATABASE). If the runtime is missing, they are left out with
//!   the rest of their section (`##`), which may stand on what they do, and the page's line says so.
//! - A block that is directly followed by a `text` or `console` block must print exactly that. Where the
//!   expected output says `…`, anything may stand on that line; a line that is nothing but `…` stands for any
//!   lines. Blank lines, and how many spaces or dashes a column is wide, do not count.
//! - A block without expected output must not print an error.
//! - A block marked `norun` (```` ```sql norun ````) is shown, not run.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::spawn;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cluster::{Cluster, TEMPLATE};
use crate::setup::{self, Pg, output};
use crate::verify::process;
use crate::verify::tally::Tally;

/// No block takes longer than this.
const LIMIT: Duration = Duration::from_secs(60);

/// The first Go block compiles the parts of the standard library that it uses; later ones find them.
const COMPILE_LIMIT: Duration = Duration::from_secs(5 * 60);

/// The languages whose blocks are run.
const RUNNABLE: [&str; 4] = ["sql", "python", "js", "go"];

/// Printed by psql after each block, so that we know where its output ends.
const END: &str = "-- end of block --";

#[derive(Debug, Clone, PartialEq, Eq)]
struct Block {
    language: String,
    norun: bool,
    /// Of the opening fence, from 1.
    line: usize,
    /// How many `##` headings stand before it.
    section: usize,
    text: String,
    /// The `text` or `console` block that follows with nothing but blank lines between.
    expected: Option<String>,
}

/// Runs README.md and every page of docs/.
pub fn run(pg: &Pg, cluster: &Cluster, out: &Path, tally: &mut Tally) -> Result<()> {
    let root = setup::root();
    fs::create_dir_all(out)?;
    let mut pages = vec![root.join("README.md")];
    if let Ok(docs) = fs::read_dir(root.join("docs")) {
        let mut docs: Vec<_> = docs.flatten().map(|entry| entry.path()).collect();
        docs.sort();
        pages.extend(
            docs.into_iter()
                .filter(|p| p.extension().is_some_and(|e| e == "md")),
        );
    }
    for path in pages {
        let page = path
            .strip_prefix(&root)
            .unwrap_or(&path)
            .display()
            .to_string();
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {page}"))?;
        let blocks = match blocks_of(&text) {
            Ok(blocks) => blocks,
            Err(error) => {
                tally.failed(&page, &error.to_string());
                continue;
            }
        };
        let runnable = |b: &Block| !b.norun && RUNNABLE.contains(&b.language.as_str());
        if !blocks.iter().any(runnable) {
            continue;
        }
        let begun = Instant::now();
        match run_page(pg, cluster, out, &page, &blocks)? {
            Outcome::AsWritten { ran, left_out } => {
                let mut label = format!("{page}: {ran} blocks");
                if !left_out.is_empty() {
                    let count = blocks.iter().filter(|b| runnable(b)).count() - ran;
                    let languages = left_out.join(", ");
                    label.push_str(&format!(" ({count} left out, no runtime: {languages})"));
                }
                tally.passed(&label, begun.elapsed());
            }
            Outcome::Differs { line, why } => tally.failed(&format!("{page}:{line}"), &why),
        }
    }
    Ok(())
}

enum Outcome {
    AsWritten { ran: usize, left_out: Vec<String> },
    Differs { line: usize, why: String },
}

fn run_page(
    pg: &Pg,
    cluster: &Cluster,
    out: &Path,
    page: &str,
    blocks: &[Block],
) -> Result<Outcome> {
    let database = "docs";
    let creates = |b: &Block| {
        b.language == "sql" && !b.norun && b.text.to_lowercase().contains("create extension")
    };
    let template = if blocks.iter().any(creates) {
        "template0"
    } else {
        TEMPLATE
    };
    cluster.fresh_database(database, template)?;

    let mut session = Session::open(pg, cluster, database)?;
    let mut ran = 0;
    let mut left_out = Vec::new();
    let mut skipped = None;
    for block in blocks.iter().filter(|b| !b.norun) {
        if skipped == Some(block.section) {
            continue;
        }
        let (actual, success) = match block.language.as_str() {
            "sql" => match session.run(&block.text) {
                Ok(actual) => {
                    let success = !actual.lines().any(is_error);
                    (actual, success)
                }
                Err(error) => {
                    return Ok(Outcome::Differs {
                        line: block.line,
                        why: error.to_string(),
                    });
                }
            },
            "python" | "js" | "go" => match program(block, cluster, out, database)? {
                Some(finished) => (finished.output, finished.success),
                None => {
                    skipped = Some(block.section);
                    if !left_out.contains(&block.language) {
                        left_out.push(block.language.clone());
                    }
                    continue;
                }
            },
            _ => continue,
        };
        ran += 1;
        let why = match &block.expected {
            Some(expected) if !matches(expected, &actual) => {
                format!("the page says:\n{expected}\nit printed:\n{actual}")
            }
            None if !success => format!(
                "this block of {page} failed:\n{}\nit printed:\n{actual}",
                block.text
            ),
            _ => continue,
        };
        return Ok(Outcome::Differs {
            line: block.line,
            why,
        });
    }
    Ok(Outcome::AsWritten { ran, left_out })
}

fn is_error(line: &str) -> bool {
    ["ERROR:", "FATAL:", "PANIC:", "psql: error:"]
        .iter()
        .any(|word| line.starts_with(word))
        || line.starts_with("invalid command \\")
}

/// One psql that stays open for a whole page.
struct Session {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl Session {
    fn open(pg: &Pg, cluster: &Cluster, database: &str) -> Result<Self> {
        let mut child = Command::new("sh")
            .args([
                "-c",
                r#"exec "$0" -X -q -d "$1" -v SHOW_CONTEXT=never 2>&1"#,
            ])
            .arg(pg.bin("psql"))
            .arg(database)
            .envs(cluster.env())
            .env("PGTZ", "UTC")
            .env("PGCLIENTENCODING", "UTF8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start psql")?;
        let stdin = child.stdin.take().context("psql has no input")?;
        let stdout = child.stdout.take().context("psql has no output")?;
        let (sender, lines) = channel();
        spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            child,
            stdin,
            lines,
        })
    }

    fn run(&mut self, block: &str) -> Result<String> {
        // A write fails only when psql is gone, and then the loop below says so.
        let _ = writeln!(self.stdin, "{block}\n\\echo {END}").and_then(|()| self.stdin.flush());
        let mut output = String::new();
        loop {
            match self.lines.recv_timeout(LIMIT) {
                Ok(line) if line == END => return Ok(output),
                Ok(line) => {
                    output.push_str(&line);
                    output.push('\n');
                }
                Err(error) => bail!(
                    "psql did not come to the end of this block ({error}; is a quote or semicolon missing?):\n\
                     {block}\nit printed:\n{output}"
                ),
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a block of another language, or nothing if this machine cannot.
fn program(
    block: &Block,
    cluster: &Cluster,
    out: &Path,
    database: &str,
) -> Result<Option<process::Finished>> {
    let (name, command) = match block.language.as_str() {
        "python" => ("block.py", python()),
        "go" => ("block.go", setup::go()),
        _ => ("block.mjs", node(out)?),
    };
    let Some(mut command) = command else {
        return Ok(None);
    };
    let (file, log) = (out.join(name), out.join("block.log"));
    fs::write(&file, &block.text)?;
    if block.language == "go" {
        let compiled = out.join("block");
        command.args(["build", "-o"]).arg(&compiled).arg(&file);
        let built = process::run(&mut command, &log, COMPILE_LIMIT)?;
        if !built.success {
            return Ok(Some(built));
        }
        command = Command::new(compiled);
    } else {
        command.arg(&file);
    }
    command
        .envs(cluster.env())
        .env("PGDATABASE", database)
        .env("PGTZ", "UTC");
    process::run(&mut command, &log, LIMIT).map(Some)
}

/// A Python that has psycopg: the demo's, or one that came with the machine.
pub fn python() -> Option<Command> {
    let demo = setup::target_dir().join("demo");
    let places = [
        (demo.join("venv/bin/python3"), None),
        ("python3".into(), Some(demo.join("python"))),
        ("python3".into(), None),
    ];
    places.into_iter().find_map(|(python, packages)| {
        let command = || {
            let mut command = Command::new(&python);
            command.envs(packages.as_ref().map(|path| ("PYTHONPATH", path)));
            command
        };
        output(command().args(["-c", "import psycopg"]))
            .is_ok()
            .then(command)
    })
}

/// Node, with the packages of the examples in reach of a program in `out`.
pub fn node(out: &Path) -> Result<Option<Command>> {
    let packages = setup::root().join("examples/node_modules");
    if !packages.join("pg").is_dir() || setup::which(Path::new("node")).is_none() {
        return Ok(None);
    }
    let link = out.join("node_modules");
    if !link.exists() {
        std::os::unix::fs::symlink(packages, link)?;
    }
    Ok(Some(Command::new("node")))
}

/// The fenced blocks of a page.
fn blocks_of(page: &str) -> Result<Vec<Block>> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut lines = page.lines().enumerate();
    // Whether the last block could still get an expected output.
    let mut adjacent = false;
    let mut section = 0;
    while let Some((number, line)) = lines.next() {
        let Some((indent, fence, info)) = opening(line) else {
            section += usize::from(line.starts_with("## "));
            adjacent &= line.trim().is_empty();
            continue;
        };
        let mut text = String::new();
        loop {
            let Some((_, line)) = lines.next() else {
                bail!("the block that begins on line {} has no end", number + 1);
            };
            let bare = line.trim();
            if bare.len() >= fence.len()
                && bare.starts_with(&fence)
                && bare.chars().all(|c| fence.starts_with(c))
            {
                break;
            }
            text.push_str(line.strip_prefix(indent).unwrap_or(line));
            text.push('\n');
        }
        let mut words = info.split_whitespace();
        let language = words.next().unwrap_or_default().to_lowercase();
        match blocks.last_mut() {
            Some(before) if adjacent && matches!(language.as_str(), "text" | "console") => {
                before.expected = Some(text);
                adjacent = false;
            }
            _ => {
                blocks.push(Block {
                    language,
                    norun: words.any(|word| word == "norun"),
                    line: number + 1,
                    section,
                    text,
                    expected: None,
                });
                adjacent = true;
            }
        }
    }
    Ok(blocks)
}

/// Indentation, fence and info string of a line that opens a block.
fn opening(line: &str) -> Option<(&str, String, &str)> {
    let bare = line.trim_start();
    let indent = &line[..line.len() - bare.len()];
    let mark = bare.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let rest = bare.trim_start_matches(mark);
    let length = bare.len() - rest.len();
    // Inline code may begin a line, but its info would hold the mark again.
    (length >= 3 && !rest.contains('`')).then(|| (indent, bare[..length].to_string(), rest.trim()))
}

/// Whether `actual` is what `expected` says, `…` standing for anything.
fn matches(expected: &str, actual: &str) -> bool {
    let lines = |text: &str| -> Vec<String> {
        text.lines()
            .map(same_width)
            .filter(|line| !line.is_empty())
            .collect()
    };
    lines_match(&lines(expected), &lines(actual))
}

fn lines_match(expected: &[String], actual: &[String]) -> bool {
    match expected.split_first() {
        None => actual.is_empty(),
        Some((first, rest)) if first == "…" => {
            (0..=actual.len()).any(|n| lines_match(rest, &actual[n..]))
        }
        Some((first, rest)) => actual
            .split_first()
            .is_some_and(|(line, others)| line_matches(first, line) && lines_match(rest, others)),
    }
}

fn line_matches(expected: &str, actual: &str) -> bool {
    let Some((head, tail)) = expected.split_once('…') else {
        return expected == actual;
    };
    let Some(mut left) = actual.strip_prefix(head.trim_end()) else {
        return false;
    };
    let mut parts: Vec<&str> = tail.split('…').map(str::trim).collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.ends_with(last)
}

/// How wide a column is depends on values that differ from run to run.
fn same_width(line: &str) -> String {
    let mut narrow = String::new();
    for c in line.trim().chars() {
        let repeated = matches!(c, ' ' | '-') && narrow.ends_with(c);
        if !repeated {
            narrow.push(c);
        }
    }
    narrow
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expected_output_belongs_to_the_block_directly_before_it() {
        let page = "a\n```sql\nSELECT 1;\n```\n\n```text\n1\n```\n```sql norun\nx\n```\nwords\n```text\nfree\n```\n";
        let blocks = blocks_of(page).unwrap();
        assert_eq!(blocks.len(), 3);
        assert_eq!(blocks[0].expected.as_deref(), Some("1\n"));
        assert_eq!((blocks[0].line, blocks[0].norun), (2, false));
        assert!(blocks[1].norun && blocks[1].expected.is_none());
        assert_eq!(blocks[2].language, "text");
    }

    #[test]
    fn a_block_belongs_to_the_section_above_it() {
        let page = "```sql\n## 0\n```\n## One\n```go\n1\n```\n### More\n```sql\n1\n```\n## Two\n```sql\n2\n```\n";
        let sections: Vec<usize> = blocks_of(page).unwrap().iter().map(|b| b.section).collect();
        assert_eq!(sections, [0, 1, 1, 2]);
    }

    #[test]
    fn a_block_must_end() {
        assert!(blocks_of("```sql\nSELECT 1;\n").is_err());
    }

    #[test]
    fn an_ellipsis_stands_for_anything_on_its_line() {
        assert!(matches("a | …\n", "a | 2026-01-01 00:00:00\n"));
        assert!(matches(" at … | done", " at 12:00 | done"));
        assert!(!matches("a | …\n", "b | 2026\n"));
        assert!(!matches("a\n", "a\nb\n"));
        assert!(!matches("… | done", "12:00 | lost"));
    }

    #[test]
    fn a_line_that_is_an_ellipsis_stands_for_any_lines() {
        assert!(matches("a\n…\nz\n", "a\nb\nc\nz\n"));
        assert!(matches("a\n…\nz\n", "a\nz\n"));
        assert!(!matches("a\n…\nz\n", "a\nb\n"));
    }

    #[test]
    fn the_width_of_a_column_does_not_count() {
        assert!(matches(
            "id | at\n----+----\n",
            " id |   at\n----+---------\n\n"
        ));
        assert!(!matches("id | at", "id | on"));
    }
}

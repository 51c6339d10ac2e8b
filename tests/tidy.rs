//! The rules of the house, as tests: who may import whom, where SQL and `unsafe` live, what must have a
//! comment, a test or a heading, and which words are not ours. A rule that is not tested here is a wish.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[allow(dead_code, reason = "only some of what a bug says is looked at here")]
#[path = "../xtask/src/seeded_bugs/patch.rs"]
mod patch;

/// Where the versions of PostgreSQL differ.
const COMPAT: &str = "src/pg/compat.rs";

/// One violation: where, and what is there.
type Found = Vec<String>;

#[test]
fn there_is_something_to_look_at() {
    let versions = read(COMPAT).matches("feature = \"pg").count();
    let counts = [
        ("versions in src/pg/compat.rs", versions),
        ("functions with #[pg_extern]", functions().len()),
        ("files in src/model", rust_files("src/model").len()),
        ("files in src/store", rust_files("src/store").len()),
        (
            "statements in sql/queries",
            files("sql/queries", "sql").len(),
        ),
        ("files in sql/install", files("sql/install", "sql").len()),
        ("regress tests", files("tests/pg_regress/sql", "sql").len()),
        (
            "isolation specs",
            files("tests/isolation/specs", "spec").len(),
        ),
        ("seeded bugs", files("tests/seeded_bugs", "patch").len()),
    ];
    let found = counts
        .into_iter()
        .filter(|(_, count)| *count == 0)
        .map(|(what, _)| what.to_string())
        .collect();
    accept(
        found,
        "a rule about nothing always holds: these were not found where the other tests look for them",
    );
}

#[test]
fn lib_rs_is_a_table_of_contents() {
    let lines = read("src/lib.rs").lines().count();
    let found = if lines > 100 {
        vec![format!("src/lib.rs has {lines} lines")]
    } else {
        vec![]
    };
    accept(
        found,
        "lib.rs says what this is and lists what there is, in at most 100 lines; code lives in modules",
    );
}

#[test]
fn the_model_is_pure() {
    let mut found = Found::new();
    for file in rust_files("src/model") {
        let code = Code::of(&file.text);
        for word in [
            "pgrx",
            "pg_sys",
            "Spi",
            "SystemTime",
            "Instant",
            "include_str",
            "extension_sql",
        ] {
            for line in code.lines_with_word(word) {
                found.push(format!("{}:{line}: {word}", file.path));
            }
        }
        for (line, krate) in code.crates_used() {
            if ![
                "std",
                "core",
                "alloc",
                "serde",
                "serde_json",
                "self",
                "super",
                "crate",
            ]
            .contains(&krate.as_str())
            {
                found.push(format!("{}:{line}: use {krate}", file.path));
            }
        }
    }
    accept(
        found,
        "src/model knows no server, no SQL and no clock, so that its rules can be tested without them",
    );
}

/// Each part of src/ and the parts it may name.
const MAY_IMPORT: [(&str, &[&str]); 5] = [
    ("model", &["model"]),
    ("pg", &["pg", "model"]),
    ("store", &["store", "pg", "model"]),
    ("verbs", &["verbs", "store", "pg", "model"]),
    ("worker", &["worker", "verbs", "store", "pg", "model"]),
];

#[test]
fn imports_point_downwards() {
    let mut found = Found::new();
    for (part, allowed) in MAY_IMPORT {
        for file in part_files(part) {
            for (line, other) in imports(&file) {
                if MAY_IMPORT.iter().any(|(known, _)| *known == other)
                    && !allowed.contains(&other.as_str())
                {
                    found.push(format!("{}:{line}: {part} imports {other}", file.path));
                }
            }
        }
    }
    accept(
        found,
        "lib and worker → verbs → store, and all of them may use pg and model: \
         a lower part that knows a higher one can no longer be read by itself",
    );
}

#[test]
fn only_pg_is_unsafe() {
    let mut found = Found::new();
    for file in rust_files("src").into_iter().filter(|f| !is_in(f, "pg")) {
        for line in Code::of(&file.text).lines_with_word("unsafe") {
            found.push(format!("{}:{line}", file.path));
        }
    }
    accept(
        found,
        "what the compiler cannot prove is kept in src/pg, where somebody has to look for it",
    );
}

#[test]
fn only_compat_knows_versions() {
    let mut found = Found::new();
    for file in rust_files("src") {
        let code = Code::of(&file.text);
        let features = code.literals.iter().filter(|(_, literal)| {
            literal
                .strip_prefix("pg")
                .is_some_and(|version| version.parse::<u32>().is_ok())
        });
        let lines = features.map(|(line, _)| *line).chain(
            ["PG_VERSION_NUM", "PG_MAJORVERSION_NUM"]
                .into_iter()
                .flat_map(|word| code.lines_with_word(word)),
        );
        for line in lines.filter(|_| file.path != COMPAT) {
            found.push(format!("{}:{line}", file.path));
        }
    }
    accept(
        found,
        "what differs between the versions of PostgreSQL is in one file, to be read when the next one comes",
    );
}

#[test]
fn sql_lives_in_sql() {
    let mut found = Found::new();
    for file in source_files().into_iter().filter(|f| !is_in(f, "pg")) {
        let code = Code::of(without_tests(&file.text));
        for (line, literal) in &code.literals {
            if is_sql(literal) {
                found.push(format!(
                    "{}:{line}: {}",
                    file.path,
                    literal.lines().next().unwrap_or_default()
                ));
            }
        }
        if is_in(&file, "verbs") {
            for word in ["Spi", "include_str", "extension_sql"] {
                for line in code.lines_with_word(word) {
                    found.push(format!("{}:{line}: {word}", file.path));
                }
            }
        }
    }
    accept(
        found,
        "a statement is a file in sql/queries that can be pasted into psql and explained; verbs hold none",
    );
}

#[test]
fn every_statement_says_what_it_locks_and_is_used() {
    let mut found = Found::new();
    let store: String = rust_files("src/store")
        .into_iter()
        .map(|f| f.text)
        .collect();
    for file in files("sql/queries", "sql") {
        let header: String = file
            .text
            .lines()
            .take_while(|line| line.starts_with("--"))
            .collect::<Vec<_>>()
            .join("\n");
        if header.is_empty() {
            found.push(format!("{}:1: does not begin with a comment", file.path));
        } else if !header.to_lowercase().contains("lock") {
            found.push(format!(
                "{}:1: its comment does not say which lock it takes",
                file.path
            ));
        }
        let name = file.path.strip_prefix("sql/queries/").unwrap_or(&file.path);
        if !store.contains(&format!("\"{name}\""))
            && !store.contains(&format!("sql/queries/{name}\""))
        {
            found.push(format!("{}: no file in src/store includes it", file.path));
        }
        let statements = blank_sql(&file.text)
            .split(';')
            .filter(|s| !s.trim().is_empty())
            .count();
        if statements > 1 {
            found.push(format!("{}: {statements} statements", file.path));
        }
    }
    accept(
        found,
        "one statement a file, under a comment that names its locks, run by src/store",
    );
}

#[test]
fn modules_are_named_for_what_they_hold() {
    let vague = [
        "util", "utils", "types", "common", "helper", "helpers", "misc",
    ];
    let mut found = Found::new();
    for file in ["src", "xtask/src", "tests"]
        .into_iter()
        .flat_map(rust_files)
    {
        for part in Path::new(&file.path).with_extension("").components() {
            if vague.contains(&part.as_os_str().to_str().unwrap_or_default()) {
                found.push(file.path.clone());
            }
        }
        let code = Code::of(&file.text);
        for (number, line) in code.text.lines().enumerate() {
            let mut words = line.split_whitespace().skip_while(|w| w.starts_with("pub"));
            if words.next() == Some("mod") {
                let name = words
                    .next()
                    .unwrap_or_default()
                    .trim_end_matches([';', '{']);
                if vague.contains(&name) {
                    found.push(format!("{}:{}: mod {name}", file.path, number + 1));
                }
            }
        }
    }
    accept(found, "a module that may hold anything will");
}

#[test]
fn every_function_has_a_comment() {
    let mut found = Found::new();
    for function in functions() {
        let words = function.comment.split_whitespace().count();
        if words < 5 {
            found.push(format!(
                "{}:{}: {}",
                function.path, function.line, function.name
            ));
        }
    }
    accept(
        found,
        "the doc comment of a #[pg_extern] becomes its COMMENT ON FUNCTION: it says what the function does",
    );
}

#[test]
fn every_function_has_a_heading() {
    let page = read_if_there("docs/sql-api.md");
    let headings: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .map(str::trim)
        .collect();
    let mut found = Found::new();
    for function in functions() {
        if !headings.contains(function.name.as_str()) {
            found.push(format!(
                "{}:{}: {}",
                function.path, function.line, function.name
            ));
        }
    }
    accept(
        found,
        "docs/sql-api.md has a heading `### name` for every function; `cargo xtask generate` writes it",
    );
}

#[test]
fn invariants_name_tests_that_exist() {
    let page = read("docs/invariants.md");
    let tests: BTreeSet<String> = files("tests/pg_regress/sql", "sql")
        .into_iter()
        .chain(files("tests/isolation/specs", "spec"))
        .chain(files("sql/queries", "sql"))
        .chain(files("sql/install", "sql"))
        .filter_map(|file| Some(file.path.rsplit_once('/')?.1.to_string()))
        .collect();
    let found = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| !word.contains(' ') && (word.ends_with(".spec") || word.ends_with(".sql")))
        .filter_map(|word| word.rsplit('/').next())
        .filter(|name| !tests.contains(*name))
        .map(|name| format!("docs/invariants.md: {name}"))
        .collect();
    accept(
        found,
        "a promise rests on tests and statements that are there",
    );
}

#[test]
fn the_page_of_the_races_shows_their_code() {
    let statement = |line: &str| {
        line.split("-- ")
            .next()
            .unwrap_or_default()
            .trim()
            .to_string()
    };
    let code: BTreeSet<String> = files("examples/races/sql", "sql")
        .iter()
        .flat_map(|file| file.text.lines().map(statement).collect::<Vec<_>>())
        .collect();
    let page = read("docs/races.md");
    let mut shown = false;
    let mut found = Found::new();
    for (number, line) in page.lines().enumerate() {
        if line.starts_with("```") {
            shown = line == "```sql norun";
        } else if shown && !code.contains(&statement(line)) {
            found.push(format!("docs/races.md:{}: {line}", number + 1));
        }
    }
    accept(found, "an excerpt is a line of examples/races/sql");
}

#[test]
fn every_function_asks_who_calls() {
    let table = read("src/model/access.rs");
    let mut found = Found::new();
    for function in functions() {
        if !table.contains(&format!("(\"{}\", ", function.name)) {
            found.push(format!(
                "{}:{}: {} is not in src/model/access.rs",
                function.path, function.line, function.name
            ));
        }
    }
    for file in part_files("verbs") {
        let code = Code::of(&file.text);
        for opening in ["verb", "reader"] {
            for line in code.lines_with_word(opening) {
                let text = file.text.lines().nth(line - 1).unwrap_or_default();
                if text.contains(&format!("Session::{opening}("))
                    && !file.path.ends_with("verbs/access.rs")
                {
                    found.push(format!("{}:{line}: {}", file.path, text.trim()));
                }
            }
        }
    }
    accept(
        found,
        "a function begins in src/verbs/access.rs, which confines it to what the caller may touch, \
         and stands in src/model/access.rs, which says who may execute it",
    );
}

#[test]
fn every_function_is_called_by_a_regress_test() {
    let tests: String = files("tests/pg_regress/sql", "sql")
        .into_iter()
        .map(|f| f.text)
        .collect();
    let mut found = Found::new();
    for function in functions() {
        if !tests.contains(&format!("{}(", function.name)) {
            found.push(format!(
                "{}:{}: {}",
                function.path, function.line, function.name
            ));
        }
    }
    accept(
        found,
        "the SQL face of every function is pinned down by a file in tests/pg_regress/sql",
    );
}

#[test]
fn every_regress_test_has_expected_output() {
    let found = without_expected("tests/pg_regress", "sql", "sql");
    accept(
        found,
        "a test without expected output proves nothing; `cargo verify -- --bless` keeps what it printed",
    );
}

#[test]
fn every_isolation_spec_has_expected_output() {
    let found = without_expected("tests/isolation", "specs", "spec");
    accept(
        found,
        "a spec without expected output proves nothing; `cargo verify -- --bless` keeps what it printed",
    );
}

#[test]
fn seeded_bugs_apply_and_name_their_tests() {
    let mut found = Found::new();
    for file in files("tests/seeded_bugs", "patch") {
        let bug = match patch::Bug::parse(&file.text) {
            Ok(bug) => bug,
            Err(why) => {
                found.push(format!("{}: {why}", file.path));
                continue;
            }
        };
        for test in &bug.caught_by {
            if !root().join(test.path()).is_file() {
                found.push(format!("{}: there is no test {test}", file.path));
            }
        }
        for change in &bug.files {
            let text = read_if_there(&change.path);
            let is_ours = change.path.starts_with("src/") && change.path.ends_with(".rs")
                || change.path.starts_with("sql/queries/") && change.path.ends_with(".sql");
            if !is_ours {
                found.push(format!(
                    "{}: {} is neither in src nor in sql/queries",
                    file.path, change.path
                ));
            }
            match change.apply(&text) {
                Ok(changed) if changed == text => {
                    found.push(format!("{}: {} stays as it is", file.path, change.path));
                }
                Ok(_) => {}
                Err(why) => found.push(format!("{}: {}: {why}", file.path, change.path)),
            }
        }
    }
    accept(
        found,
        "a seeded bug is a patch to src or sql/queries as they stand, below a sentence that says what it is, \
         what it stands for and which tests catch it; else `cargo seeded-bugs` can put nothing in",
    );
}

#[test]
fn nothing_is_left_for_later() {
    // In two pieces, so that this file does not find itself.
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("X", "XX"),
        concat!("#[ig", "nore"),
        concat!("to", "do!("),
        concat!("unimpl", "emented!("),
        concat!("db", "g!("),
    ];
    let mut found = Found::new();
    let places = [
        "src",
        "sql",
        "tests",
        "xtask/src",
        "examples",
        "benches",
        "docs",
    ];
    let names = ["rs", "sql", "md", "py", "mjs", "js", "sh", "spec"];
    let mut all: Vec<File> = places
        .into_iter()
        .flat_map(|dir| names.into_iter().flat_map(move |ext| files(dir, ext)))
        .collect();
    all.extend(["README.md", "CHANGELOG.md"].map(|path| File {
        path: path.into(),
        text: read_if_there(path),
    }));
    for file in all {
        for (number, line) in file.text.lines().enumerate() {
            for mark in marks {
                let is_word = mark.chars().all(char::is_alphanumeric);
                if if is_word {
                    has_word(line, mark)
                } else {
                    line.contains(mark)
                } {
                    found.push(format!("{}:{}: {mark}", file.path, number + 1));
                }
            }
        }
    }
    accept(
        found,
        "what is not done is written down where work is planned, not where the code is read",
    );
}

/// Words that other systems use for what has a name of its own here.
const NOT_OUR_WORDS: [(&str, &str); 13] = [
    ("job", "task"),
    ("jobs", "tasks"),
    ("claim", "acquire"),
    ("claimed", "acquired"),
    ("ack", "finalize"),
    ("nack", "fail_attempt"),
    ("visibility", "lease"),
    ("status", "state"),
    ("next", "successor"),
    ("child", "item"),
    ("epoch", "lease_token"),
    ("nonce", "lease_token"),
    ("dlq", "on_final_queue"),
];

#[test]
fn public_names_use_our_words() {
    let mut found = Found::new();
    let mut look = |place: String, name: &str| {
        for word in name.split('_') {
            if let Some((_, ours)) = NOT_OUR_WORDS
                .iter()
                .find(|(theirs, _)| *theirs == word.to_lowercase())
            {
                found.push(format!("{place}: {name}: say {ours}"));
            }
        }
    };
    for function in functions() {
        let place = format!("{}:{}", function.path, function.line);
        look(place.clone(), &function.name);
        for name in function
            .arguments()
            .into_iter()
            .chain(function.columns().into_iter().map(|(name, _)| name))
        {
            look(place.clone(), &name);
        }
    }
    for file in files("sql/install", "sql") {
        for (number, line) in file.text.lines().enumerate() {
            if let Some(name) = created_object(line).filter(|name| !name.starts_with('_')) {
                look(format!("{}:{}", file.path, number + 1), name);
            }
        }
    }
    for file in rust_files("src/model")
        .iter()
        .filter(|f| f.path.ends_with("outcome.rs"))
    {
        for (line, literal) in Code::of(&file.text).literals {
            look(format!("{}:{line}", file.path), &literal);
        }
    }
    accept(
        found,
        "one thing has one name, in SQL, Rust, tests and documentation",
    );
}

#[test]
fn timestamps_end_in_at() {
    let mut found = Found::new();
    let is_right = |name: &str| name == "at" || name.ends_with("_at");
    for function in functions() {
        for (name, kind) in function.columns() {
            let is_time = kind.contains("TimestampWithTimeZone") || has_word(&kind, "Instant");
            if is_time && !is_right(&name) {
                found.push(format!("{}:{}: {name}", function.path, function.line));
            }
        }
    }
    for file in files("sql/install", "sql") {
        for (number, line) in blank_sql(&file.text).lines().enumerate() {
            let words: Vec<&str> = line
                .split(|c: char| !(c.is_alphanumeric() || c == '_'))
                .collect();
            // A column: its name, then its type, at the beginning of a line.
            let words: Vec<&str> = words.into_iter().filter(|w| !w.is_empty()).collect();
            if words.len() > 1
                && words[1] == "timestamptz"
                && line.starts_with(char::is_whitespace)
                && !is_right(words[0])
            {
                found.push(format!("{}:{}: {}", file.path, number + 1, words[0]));
            }
        }
    }
    accept(
        found,
        "a point in time is called something_at; a duration is an interval",
    );
}

#[test]
fn constraints_are_sentences() {
    let mut found = Found::new();
    for file in files("sql/install", "sql") {
        let text = blank_sql(&file.text);
        let mut before = ["", ""];
        let mut line = 1;
        for word in text.split_inclusive(|c: char| c.is_whitespace() || c == '(') {
            let bare = word.trim_end_matches(|c: char| c.is_whitespace() || c == '(');
            let upper = bare.to_uppercase();
            if before[0].eq_ignore_ascii_case("CONSTRAINT") {
                let vague = ["_check", "_chk", "_ck", "_constraint"]
                    .iter()
                    .any(|end| before[1].ends_with(end));
                if !before[1].contains('_') || vague {
                    found.push(format!("{}:{line}: {} says nothing", file.path, before[1]));
                }
            } else if upper == "CHECK" && !before[1].eq_ignore_ascii_case("WITH") {
                found.push(format!("{}:{line}: a CHECK without a name", file.path));
            }
            line += word.matches('\n').count();
            if !bare.is_empty() {
                before = [before[1], bare];
            }
        }
    }
    accept(
        found,
        "who breaks a constraint reads its name: running_iff_leased says what was broken, task_check does not",
    );
}

#[test]
fn errors_are_in_the_servers_style() {
    let mut found = Found::new();
    for file in files("tests/pg_regress/expected", "out") {
        for (number, line) in file.text.lines().enumerate() {
            let wrong = if let Some((code, message)) = line
                .strip_prefix("ERROR:  ")
                .and_then(|l| l.split_once(": "))
            {
                if code == "XX000" {
                    Some("an internal error is a bug")
                } else if message.ends_with('.') || message.starts_with(char::is_uppercase) {
                    Some("a message is in lower case and has no full stop")
                } else {
                    None
                }
            } else if let Some(sentence) = ["DETAIL:  ", "HINT:  "]
                .iter()
                .find_map(|word| line.strip_prefix(word))
            {
                let is_sentence =
                    !sentence.starts_with(char::is_lowercase) && sentence.ends_with('.');
                (!is_sentence).then_some("a detail or hint is a sentence")
            } else {
                None
            };
            if let Some(wrong) = wrong {
                found.push(format!("{}:{}: {wrong}: {line}", file.path, number + 1));
            }
        }
    }
    accept(
        found,
        "errors read like the server's own: that is what callers, logs and translators expect",
    );
}

// What the rules above are made of.

struct File {
    /// Relative to the checkout, with forward slashes.
    path: String,
    text: String,
}

fn accept(found: Found, why: &str) {
    assert!(found.is_empty(), "\n{why}:\n  {}\n", found.join("\n  "));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path))
        .unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
}

fn read_if_there(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_default()
}

fn files(dir: &str, extension: &str) -> Vec<File> {
    let mut paths = Vec::new();
    collect(&root().join(dir), &mut paths);
    paths.sort();
    let wanted = paths
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == extension));
    wanted
        .map(|path| File {
            text: fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display())),
            path: path
                .strip_prefix(root())
                .unwrap_or(&path)
                .display()
                .to_string(),
        })
        .collect()
}

fn collect(dir: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            if !path.ends_with("node_modules") {
                collect(&path, paths);
            }
        } else {
            paths.push(path);
        }
    }
}

fn rust_files(dir: &str) -> Vec<File> {
    files(dir, "rs")
}

/// The files of src/ that hold no tests only.
fn source_files() -> Vec<File> {
    rust_files("src")
        .into_iter()
        .filter(|file| !is_in(file, "server_tests"))
        .collect()
}

/// The files of `src/part.rs` and `src/part/`.
fn part_files(part: &str) -> Vec<File> {
    rust_files("src")
        .into_iter()
        .filter(|file| is_in(file, part))
        .collect()
}

fn is_in(file: &File, part: &str) -> bool {
    file.path == format!("src/{part}.rs") || file.path.starts_with(&format!("src/{part}/"))
}

fn without_expected(dir: &str, inputs: &str, extension: &str) -> Found {
    let mut found = Found::new();
    for file in files(&format!("{dir}/{inputs}"), extension) {
        let stem = Path::new(&file.path)
            .file_stem()
            .and_then(|s| s.to_str())
            .unwrap_or_default();
        let expected = format!("{dir}/expected/{stem}.out");
        if read_if_there(&expected).trim().is_empty() {
            found.push(format!("{}: {expected} is not there or empty", file.path));
        }
    }
    found
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(is_name) && !text[at + word.len()..].starts_with(is_name)
    })
}

/// Whether a literal is a statement: messages are in lower case and do not begin like this.
fn is_sql(literal: &str) -> bool {
    let begins = [
        "SELECT ",
        "INSERT INTO ",
        "UPDATE ",
        "DELETE FROM ",
        "WITH ",
        "CREATE ",
        "ALTER ",
        "DROP ",
        "LOCK ",
        "GRANT ",
        "REVOKE ",
        "TRUNCATE ",
        "MERGE ",
        "CALL ",
        "SET ",
    ];
    let one_line = literal.split_whitespace().collect::<Vec<_>>().join(" ");
    begins.iter().any(|begin| one_line.starts_with(begin))
}

/// Rust source with comments and literals blanked out, and the literals beside it.
struct Code {
    text: String,
    /// Line and content.
    literals: Vec<(usize, String)>,
}

impl Code {
    fn of(source: &str) -> Code {
        let chars: Vec<char> = source.chars().collect();
        let mut text = String::with_capacity(source.len());
        let mut literals = Vec::new();
        let mut at = 0;
        let blank = |text: &mut String, c: char| text.push(if c == '\n' { '\n' } else { ' ' });
        while at < chars.len() {
            let rest = &chars[at..];
            let length = if rest.starts_with(&['/', '/']) {
                rest.iter().position(|c| *c == '\n').unwrap_or(rest.len())
            } else if rest.starts_with(&['/', '*']) {
                block_comment(rest)
            } else if let Some((length, content)) = literal(rest, chars[..at].last().copied()) {
                let line = text.matches('\n').count() + 1;
                literals.push((line, content));
                length
            } else if rest[0] == '\'' {
                char_literal(rest)
            } else {
                text.push(rest[0]);
                at += 1;
                continue;
            };
            for c in &rest[..length] {
                blank(&mut text, *c);
            }
            at += length;
        }
        Code { text, literals }
    }

    fn lines_with_word(&self, word: &str) -> Vec<usize> {
        let lines = self.text.lines().enumerate();
        lines
            .filter(|(_, line)| has_word(line, word))
            .map(|(number, _)| number + 1)
            .collect()
    }

    /// The first name of each `use`.
    fn crates_used(&self) -> Vec<(usize, String)> {
        let lines = self.text.lines().enumerate();
        lines
            .filter_map(|(number, line)| {
                let line = line.trim_start().trim_start_matches("pub ");
                let path = line.strip_prefix("use ")?.trim_start_matches("::");
                let name = path.chars().take_while(|c| is_name(*c)).collect::<String>();
                // A name in capitals is an item of the module: `use Event::*`.
                (!name.starts_with(char::is_uppercase)).then_some((number + 1, name))
            })
            .collect()
    }
}

fn block_comment(rest: &[char]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with(&['/', '*']) {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(&['*', '/']) {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// The length and content of a string literal that begins here.
fn literal(rest: &[char], before: Option<char>) -> Option<(usize, String)> {
    if before.is_some_and(is_name) {
        return None;
    }
    let prefix = rest
        .iter()
        .take_while(|c| ['b', 'c', 'r'].contains(c))
        .count();
    let raw = rest[..prefix].contains(&'r');
    let hashes = if raw {
        rest[prefix..].iter().take_while(|c| **c == '#').count()
    } else {
        0
    };
    let begin = prefix + hashes;
    if rest.get(begin) != Some(&'"') {
        return None;
    }
    let mut at = begin + 1;
    while at < rest.len() {
        if rest[at] == '\\' && !raw {
            at += 2;
        } else if rest[at] == '"'
            && rest[at + 1..]
                .iter()
                .take(hashes)
                .filter(|c| **c == '#')
                .count()
                == hashes
        {
            return Some((at + 1 + hashes, rest[begin + 1..at].iter().collect()));
        } else {
            at += 1;
        }
    }
    None
}

/// `'a'` is a literal, `'a` a lifetime.
fn char_literal(rest: &[char]) -> usize {
    match rest {
        ['\'', '\\', ..] => rest
            .iter()
            .skip(3)
            .position(|c| *c == '\'')
            .map_or(1, |at| at + 4),
        ['\'', _, '\'', ..] => 3,
        _ => 1,
    }
}

/// A file up to the first module of tests.
fn without_tests(source: &str) -> &str {
    let marks = ["#[cfg(test)]", "#[cfg(any(test"];
    let end = marks.iter().filter_map(|mark| source.find(mark)).min();
    &source[..end.unwrap_or(source.len())]
}

/// The parts of src/ that a file names, by `crate::`, `super::` or `use crate::{…}`.
fn imports(file: &File) -> Vec<(usize, String)> {
    let code = Code::of(&file.text);
    let path = file
        .path
        .trim_start_matches("src/")
        .trim_end_matches(".rs")
        .trim_end_matches("/mod");
    let depth = path.split('/').count();
    let mut found = Vec::new();
    let ups = "super::".repeat(depth);
    for start in ["crate::", &ups] {
        for (at, _) in code.text.match_indices(start) {
            if code.text[..at].ends_with(|c: char| is_name(c) || c == ':') {
                continue;
            }
            let line = code.text[..at].matches('\n').count() + 1;
            let rest = &code.text[at + start.len()..];
            found.extend(first_names(rest).into_iter().map(|name| (line, name)));
        }
    }
    found
}

/// `a` of `a::b`, or `a` and `c` of `{a::{b, d}, c::e}`.
fn first_names(rest: &str) -> Vec<String> {
    let name = |text: &str| {
        text.trim_start()
            .chars()
            .take_while(|c| is_name(*c))
            .collect::<String>()
    };
    let Some(group) = rest.strip_prefix('{') else {
        return vec![name(rest)];
    };
    let mut depth = 0;
    let mut names = vec![name(group)];
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(name(&group[at + 1..])),
            _ => {}
        }
    }
    names
}

/// A `#[pg_extern]` function.
struct Function {
    path: String,
    line: usize,
    name: String,
    comment: String,
    /// From the name to the body.
    signature: String,
}

fn functions() -> Vec<Function> {
    let mut functions = Vec::new();
    for file in source_files().into_iter().filter(|f| !is_in(f, "pg")) {
        let text = without_tests(&file.text);
        let mut offset = 0;
        let mut comment = String::new();
        let mut attributes = String::new();
        let mut open = 0;
        for (number, line) in text.split_inclusive('\n').enumerate() {
            let bare = line.trim();
            if open > 0 || bare.starts_with("#[") {
                attributes.push_str(bare);
                open += bare.matches('[').count();
                open -= bare.matches(']').count().min(open);
            } else if let Some(doc) = bare.strip_prefix("///") {
                comment.push_str(doc);
            } else if !bare.is_empty() && !bare.starts_with("//") {
                if attributes.contains("#[pg_extern") && !attributes.contains("sql = false") {
                    let signature = text[offset..]
                        .split_once("fn ")
                        .map_or("", |(_, rest)| rest);
                    let name: String = signature.chars().take_while(|c| is_name(*c)).collect();
                    let name = match attributes.split_once("name = \"") {
                        Some((_, rest)) => rest.split('"').next().unwrap_or_default().to_string(),
                        None => name,
                    };
                    functions.push(Function {
                        path: file.path.clone(),
                        line: number + 1,
                        name,
                        comment: std::mem::take(&mut comment),
                        signature: signature
                            .split_once(" {\n")
                            .map_or(signature, |(head, _)| head)
                            .to_string(),
                    });
                }
                comment.clear();
                attributes.clear();
            }
            offset += line.len();
        }
    }
    // Private functions are promised to nobody.
    functions.retain(|function| !function.name.starts_with('_'));
    functions
}

impl Function {
    /// The names before a single colon, outside of the result.
    fn arguments(&self) -> Vec<String> {
        let arguments = self.signature.split("->").next().unwrap_or_default();
        let (mut depth, mut names, mut word) = (0, Vec::new(), String::new());
        let chars: Vec<char> = arguments.chars().collect();
        for (at, c) in chars.iter().enumerate() {
            match c {
                '(' | '<' | '[' => depth += 1,
                ')' | '>' | ']' => depth -= 1,
                ':' if depth == 1 && chars.get(at + 1) != Some(&':') && chars[at - 1] != ':' => {
                    names.push(word.trim_start_matches("mut ").to_string());
                }
                _ => {}
            }
            if is_name(*c) {
                word.push(*c);
            } else {
                word.clear();
            }
        }
        names
    }

    /// Name and Rust type of each `name!(…)` column.
    fn columns(&self) -> Vec<(String, String)> {
        let mut columns = Vec::new();
        for (at, start) in self.signature.match_indices("name!(") {
            let inside = &self.signature[at + start.len()..];
            let name: String = inside
                .trim_start()
                .chars()
                .take_while(|c| is_name(*c))
                .collect();
            let kind: String = inside
                .chars()
                .skip_while(|c| *c != ',')
                .skip(1)
                .take_while(|c| *c != ')')
                .collect();
            columns.push((name, kind.trim().to_string()));
        }
        columns
    }
}

/// The name of what `CREATE …` on this line makes, without its schema.
fn created_object(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("CREATE ")?;
    let kinds = [
        "TABLE", "VIEW", "SEQUENCE", "FUNCTION", "TYPE", "DOMAIN", "INDEX", "TRIGGER",
    ];
    let fillers = [
        "OR",
        "REPLACE",
        "UNIQUE",
        "UNLOGGED",
        "IF",
        "NOT",
        "EXISTS",
        "CONSTRAINT",
    ];
    let mut words = rest
        .split(|c: char| c.is_whitespace() || c == '(')
        .filter(|w| !w.is_empty());
    let kind = words.find(|word| !fillers.contains(word))?;
    if !kinds.contains(&kind) {
        return None;
    }
    let name = words.find(|word| !fillers.contains(word))?;
    Some(name.rsplit('.').next().unwrap_or(name))
}

/// SQL without comments and literals, line by line as before.
fn blank_sql(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = if rest.starts_with("--") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if c == '\'' {
            rest[1..].find('\'').map_or(rest.len(), |at| at + 2)
        } else if let Some(tag) = dollar_tag(rest) {
            rest[tag.len()..]
                .find(tag)
                .map_or(rest.len(), |at| at + 2 * tag.len())
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        out.extend(
            rest[..length]
                .chars()
                .map(|c| if c == '\n' { '\n' } else { ' ' }),
        );
        rest = &rest[length..];
    }
    out
}

/// `$$` or `$word$` at the beginning of the text.
fn dollar_tag(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('$')?;
    let end = inside.find(|c: char| !is_name(c))?;
    // A parameter ($1) is not a tag.
    let is_tag =
        inside[end..].starts_with('$') && !inside.starts_with(|c: char| c.is_ascii_digit());
    is_tag.then(|| &text[..end + 2])
}

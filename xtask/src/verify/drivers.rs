//! Five drivers live the life of tasks, directly and through PgBouncer, and tell the same of it: see tests/drivers. Then the
//! examples work through PgBouncer.

use std::collections::BTreeSet;
use std::fs;
use std::io::copy;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::spawn;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::process::{self, Finished};
use super::tally::Tally;
use super::{examples, timed};
use crate::cluster::{Cluster, TEMPLATE};
use crate::demo::runtimes::Runtimes;
use crate::pooler::{self, POOL_SIZE, Pooler};
use crate::setup::{self, Pg, output, run_quietly, which};
use crate::{demo, doc_blocks};

const DATABASE: &str = "drivers";
const ROLE: &str = "driver";
/// A life takes two seconds.
const LIMIT: Duration = Duration::from_secs(60);
const JAVA: [&str; 2] = ["default-jdk-headless", "libpostgresql-jdbc-java"];
const JDBC: &str = "/usr/share/java/postgresql.jar";
/// asyncpg's own name for it, and the versions that these programs are written for.
const ASYNCPG: &str = "asyncpg>=0.30,<1";
/// PgBouncer keeps statements for its clients from this version on; what happens then was not seen here.
const KEEPS_STATEMENTS: (u32, u32) = (1, 21);

/// How a program gets to the server, and whether its statements have names.
struct Route {
    way: Way,
    prepared: bool,
    /// What adds little to the others.
    full_only: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Direct,
    /// Through PgBouncer, the name of a pool.
    Pool(&'static str),
}

const SESSION: Way = Way::Pool("session");
const TRANSACTION: Way = Way::Pool("transaction");
/// In transaction mode, too, but apart: the statements that clients leave behind there are found by other clients.
const NAMED: Way = Way::Pool("named");

/// PgBouncer's names for the database. A session has a backend for itself, so that there must be enough of them.
const POOLS: [(&str, &str); 3] = [
    ("session", "dbname=drivers pool_mode=session pool_size=10"),
    ("transaction", "dbname=drivers"),
    ("named", "dbname=drivers"),
];

/// What works: a name needs the backend that knows it.
const ROUTES: [Route; 5] = [
    route(Way::Direct, true, false),
    route(Way::Direct, false, true),
    route(SESSION, true, false),
    route(SESSION, false, true),
    route(TRANSACTION, false, false),
];

const fn route(way: Way, prepared: bool, full_only: bool) -> Route {
    Route {
        way,
        prepared,
        full_only,
    }
}

/// A program in tests/drivers that prints one line.
struct Driver {
    name: &'static str,
    /// Puts there what it needs, or says what is missing: then it is left out.
    prepare: fn(&Path) -> Result<()>,
    /// Makes it ready to run in this directory; if that fails, something is wrong.
    build: fn(&Pg, &Path) -> Result<()>,
    command: fn(&Path) -> Result<Command>,
}

const DRIVERS: [Driver; 5] = [
    Driver {
        name: "psycopg",
        prepare: |_| python().map(drop),
        build: |_, _| Ok(()),
        command: |_| Ok(with_program(python()?, "life_psycopg.py")),
    },
    Driver {
        name: "asyncpg",
        prepare: prepare_asyncpg,
        build: |_, _| Ok(()),
        command: |_| Ok(with_program(asyncpg()?, "life_asyncpg.py")),
    },
    Driver {
        name: "node-postgres",
        prepare: |out| node(out).map(drop),
        build: |_, out| {
            // Node looks for packages beside the program.
            fs::copy(tests().join("life.mjs"), out.join("life.mjs"))?;
            Ok(())
        },
        command: node,
    },
    Driver {
        name: "JDBC",
        prepare: prepare_jdbc,
        build: |_, out| {
            let mut compile = Command::new("javac");
            compile
                .args(["-encoding", "UTF-8", "-cp", JDBC, "-d"])
                .arg(out)
                .arg(tests().join("Life.java"));
            run_quietly(&mut compile, "compiling Life.java")
        },
        command: |out| {
            let mut java = Command::new("java");
            java.arg("-cp").arg(format!("{}:{JDBC}", out.display()));
            java.arg("Life");
            Ok(java)
        },
    },
    Driver {
        name: "tokio-postgres",
        prepare: |_| Ok(()),
        build: |pg, _| {
            let mut build = pg.cargo();
            build.args(["build", "--profile=proof", "--package=life"]);
            run_quietly(&mut build, "building the program of tokio-postgres")
        },
        command: |_| Ok(Command::new(setup::target_dir().join("proof/life"))),
    },
];

/// What is missing is left out, and that is said.
pub fn run(pg: &Pg, cluster: &Cluster, out: &Path, full: bool, tally: &mut Tally) -> Result<()> {
    let out = out.join("drivers");
    fs::create_dir_all(&out)?;
    Runtimes::find(&setup::target_dir().join("demo"))?;
    prepare_database(cluster)?;
    let pgbouncer = pooler::program();
    let mut pooler = match &pgbouncer {
        Ok(program) => {
            let log = out.join("pgbouncer.log");
            Some(Pooler::start(
                program,
                cluster,
                &["postgres", ROLE],
                &POOLS,
                &log,
            )?)
        }
        Err(why) => {
            println!("    left out, all that goes through PgBouncer: {why:#}");
            None
        }
    };
    let lives = Lives {
        cluster,
        pooler: pooler.as_ref(),
        by_tcp: forward(cluster.socket())?,
        pooler_by_tcp: pooler.as_ref().map(|p| forward(p.socket())).transpose()?,
        expected: serde_json::from_str(&fs::read_to_string(tests().join("expected.json"))?)?,
        out: &out,
    };
    for driver in &DRIVERS {
        if let Err(why) = (driver.prepare)(&out) {
            println!("    left out, {}: {why:#}", driver.name);
            continue;
        }
        (driver.build)(pg, &out)?;
        for route in &ROUTES {
            let possible = route.way == Way::Direct || pgbouncer.is_ok();
            if possible && (full || !route.full_only) {
                lives.live(driver, route, tally)?;
            }
        }
        if let Ok(program) = &pgbouncer
            && pooler::version(program)? < KEEPS_STATEMENTS
        {
            lives.refused(driver, tally)?;
        }
    }
    lives.check(tally)?;
    if let Some(pooler) = &mut pooler {
        pooler.check()?;
        backends(pg, cluster, pooler, &out, tally)?;
        let groups = if full { "100" } else { "20" };
        examples::executor(cluster, pooler.env(), &out, groups, tally)?;
        demos(full, tally)?;
    }
    Ok(())
}

/// What one backend knows while others change it.
fn backends(
    pg: &Pg,
    cluster: &Cluster,
    pooler: &Pooler,
    out: &Path,
    tally: &mut Tally,
) -> Result<()> {
    const DATABASE: &str = "backends";
    let label = "tests/drivers/backends.sql";
    cluster.fresh_database(DATABASE, TEMPLATE)?;
    cluster.psql(
        DATABASE,
        "DROP ROLE IF EXISTS driver_guest; CREATE ROLE driver_guest",
    )?;
    let begun = Instant::now();
    let psql = |shell: &str| {
        let mut sh = Command::new("sh");
        sh.args(["-c", shell])
            .arg(pg.bin("psql"))
            .arg(setup::root().join(label));
        sh.envs(pooler.env()).env("PGDATABASE", DATABASE);
        sh
    };
    // PgBouncer opens the connections that a pool must have in its own time, and only while there is a client.
    loop {
        let ask = " -c 'SELECT pg_backend_pid()'".repeat(POOL_SIZE);
        let stay = "-c 'DO $$ BEGIN PERFORM pg_sleep(0.5); END $$'";
        let told = output(&mut psql(&format!("exec \"$0\" -XAtq {stay}{ask}")))?;
        if told.lines().collect::<BTreeSet<_>>().len() == POOL_SIZE {
            break;
        }
        ensure!(
            begun.elapsed() < Duration::from_secs(20),
            "the pool stays smaller than {POOL_SIZE} connections"
        );
    }
    let run = "exec \"$0\" -XaAtq -v VERBOSITY=sqlstate <\"$1\"";
    let finished = process::run(&mut psql(run), &out.join("backends.out"), LIMIT)?;
    let expected = fs::read_to_string(tests().join("backends.out"))?;
    let differs = expected
        .lines()
        .zip(finished.output.lines())
        .find(|(expected, told)| expected != told);
    match differs {
        None if expected == finished.output => tally.passed(label, begun.elapsed()),
        None => tally.failed(label, &finished.output),
        Some((expected, told)) => tally.failed(
            label,
            &format!(
                "expected: {expected}\ntold: {told}\nin: {}",
                finished.output
            ),
        ),
    }
    Ok(())
}

/// The workers of the examples through PgBouncer: the demos judge them as they do without it.
fn demos(full: bool, tally: &mut Tally) -> Result<()> {
    let demo = |what: &[&str]| {
        let args: Vec<String> = what.iter().map(|word| word.to_string()).collect();
        move || demo::run(&args)
    };
    timed(
        tally,
        "demo --pooler",
        demo(&["--files", "100", "--pooler"]),
    )?;
    if full && doc_blocks::python().is_some() {
        let workflow = ["workflow", "--files", "60", "--pooler"];
        timed(tally, "demo workflow --pooler", demo(&workflow))?;
        timed(tally, "demo saga --pooler", demo(&["saga", "--pooler"]))?;
    }
    Ok(())
}

/// A database in which ids and tokens are greater than what 32 bits, or a float of 4 bytes, can hold.
fn prepare_database(cluster: &Cluster) -> Result<()> {
    cluster.fresh_database(DATABASE, TEMPLATE)?;
    cluster.psql(
        DATABASE,
        &format!(
            "DROP ROLE IF EXISTS {ROLE};
             CREATE ROLE {ROLE} LOGIN;
             SELECT setval('baton.id_seq', 4503599627370497), setval('baton.token_seq', 4503599627370497);
             SELECT baton_grant('{ROLE}', 'produce'), baton_grant('{ROLE}', 'work');
             SELECT slot_set('driver', 100)"
        ),
    )?;
    Ok(())
}

struct Lives<'a> {
    cluster: &'a Cluster,
    pooler: Option<&'a Pooler>,
    /// Ports on the loopback address, for JDBC, which knows no Unix sockets.
    by_tcp: u16,
    pooler_by_tcp: Option<u16>,
    expected: Value,
    out: &'a Path,
}

impl Lives<'_> {
    /// One program on one route tells what is expected of all.
    fn live(&self, driver: &Driver, route: &Route, tally: &mut Tally) -> Result<()> {
        let label = route.label(driver);
        let begun = Instant::now();
        let finished = self.run(driver, route, &label)?;
        match self.judge(route, &finished) {
            Ok(who) => tally.passed(&format!("{label} ({who})"), begun.elapsed()),
            Err(why) => tally.failed(&label, &format!("{why:#}")),
        }
        Ok(())
    }

    /// Names in transaction mode: the documentation says that this fails, and how.
    fn refused(&self, driver: &Driver, tally: &mut Tally) -> Result<()> {
        let route = route(NAMED, true, false);
        let label = route.label(driver);
        let begun = Instant::now();
        let finished = self.run(driver, &route, &label)?;
        let told = finished.output.lines().find(|line| {
            let of_names = ["does not exist", "already exists"];
            line.contains("prepared statement") && of_names.iter().any(|end| line.contains(end))
        });
        match told {
            Some(told) if !finished.success => {
                let told = told
                    .split_once("prepared statement")
                    .map_or("", |(_, end)| end);
                tally.passed(
                    &format!("{label} fails: prepared statement{told}"),
                    begun.elapsed(),
                );
            }
            _ => tally.failed(
                &label,
                &format!("is not refused: {}\n{}", finished.ending, finished.output),
            ),
        }
        Ok(())
    }

    fn run(&self, driver: &Driver, route: &Route, label: &str) -> Result<Finished> {
        let queue = label.replace(' ', "-");
        self.cluster.psql(
            DATABASE,
            &format!("SELECT queue_create('{queue}'), queue_create('{queue}.after')"),
        )?;
        let mut command = (driver.command)(self.out)?;
        let (env, port, database) = match (route.way, self.pooler, self.pooler_by_tcp) {
            (Way::Pool(name), Some(pooler), Some(port)) => (pooler.env(), port, name),
            _ => (self.cluster.env(), self.by_tcp, DATABASE),
        };
        command
            .envs(env)
            .env("PGDATABASE", database)
            .env("PGUSER", ROLE)
            .env("QUEUE", &queue)
            .env("PREPARED", if route.prepared { "on" } else { "off" });
        if driver.name == "JDBC" {
            command
                .env("PGHOST", "127.0.0.1")
                .env("PGPORT", port.to_string());
        }
        process::run(&mut command, &self.out.join(format!("{queue}.log")), LIMIT)
    }

    /// Returns the driver's version.
    fn judge(&self, route: &Route, finished: &Finished) -> Result<String> {
        let told = || format!("{}\n{}", finished.ending, finished.output);
        ensure!(finished.success, "{}", told());
        let last = finished.output.trim_end().lines().next_back();
        let line: Value = serde_json::from_str(last.unwrap_or_default()).with_context(told)?;
        let mut differences = Vec::new();
        compare("life", &self.expected, &line["life"], &mut differences);
        ensure!(differences.is_empty(), "{}", differences.join("\n"));
        let backends = line["backends"].as_u64().unwrap_or_default();
        ensure!(
            if route.way == TRANSACTION {
                backends > 1
            } else {
                backends == 1
            },
            "statements of one connection ran on {backends} backends"
        );
        let named = line["named"].as_u64().unwrap_or_default();
        ensure!(
            (named > 0) == route.prepared,
            "{named} statements have a name on the server"
        );
        Ok(line["driver"].as_str().unwrap_or_default().to_owned())
    }

    /// After all of them the database is as it has to be.
    fn check(&self, tally: &mut Tally) -> Result<()> {
        let begun = Instant::now();
        let broken = self
            .cluster
            .psql(DATABASE, "SELECT * FROM baton_check(true)")?;
        if broken.is_empty() {
            tally.passed("baton_check(true) after them", begun.elapsed());
        } else {
            tally.failed("baton_check(true) after them", &broken);
        }
        Ok(())
    }
}

impl Route {
    fn label(&self, driver: &Driver) -> String {
        let way = match self.way {
            Way::Direct => "direct",
            Way::Pool(name) => name,
        };
        let prepared = if self.prepared {
            "prepared"
        } else {
            "unprepared"
        };
        format!("{} {way} {prepared}", driver.name)
    }
}

/// Where two values differ.
fn compare(place: &str, expected: &Value, told: &Value, differences: &mut Vec<String>) {
    match (expected, told) {
        (Value::Object(wanted), Value::Object(found)) => {
            for name in wanted
                .keys()
                .chain(found.keys().filter(|name| !wanted.contains_key(*name)))
            {
                compare(
                    &format!("{place}.{name}"),
                    &expected[name],
                    &told[name],
                    differences,
                );
            }
        }
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => {
            for (n, (wanted, found)) in wanted.iter().zip(found).enumerate() {
                compare(&format!("{place}[{n}]"), wanted, found, differences);
            }
        }
        _ if expected == told => {}
        _ => differences.push(format!("{place}: expected {expected}, told {told}")),
    }
}

/// A port on the loopback address whose connections end at this Unix socket, for as long as this program runs.
fn forward(socket: PathBuf) -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = UnixStream::connect(&socket) else {
                continue; // which closes the client's connection
            };
            let _ = pass_on(client, server);
        }
    });
    Ok(port)
}

fn pass_on(client: TcpStream, server: UnixStream) -> Result<()> {
    client.set_nodelay(true)?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    spawn(move || {
        let _ = copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let (mut from_server, mut to_client) = (server, client);
    spawn(move || {
        let _ = copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Write);
    });
    Ok(())
}

fn tests() -> PathBuf {
    setup::root().join("tests/drivers")
}

fn python() -> Result<Command> {
    doc_blocks::python().context("there is no Python with psycopg")
}

/// The same with asyncpg, which lies in a place of its own.
fn asyncpg() -> Result<Command> {
    let mut python = python()?;
    python.env("PYTHONPATH", asyncpg_packages());
    Ok(python)
}

fn asyncpg_packages() -> PathBuf {
    setup::target_dir().join("drivers/python")
}

fn prepare_asyncpg(_: &Path) -> Result<()> {
    if output(asyncpg()?.args(["-c", "import asyncpg"])).is_err() {
        let mut install = asyncpg()?;
        install.args(["-m", "pip", "install", "--quiet", "--target"]);
        install.arg(asyncpg_packages()).arg(ASYNCPG);
        run_quietly(&mut install, "installing asyncpg")?;
    }
    Ok(())
}

fn with_program(mut python: Command, program: &str) -> Command {
    python.arg(tests().join(program));
    python
}

fn node(out: &Path) -> Result<Command> {
    let mut node = doc_blocks::node(out)?.context("there is no Node with pg")?;
    node.arg(out.join("life.mjs"));
    Ok(node)
}

fn prepare_jdbc(_: &Path) -> Result<()> {
    let missing = |there: bool, package: &str| (!there).then(|| package.to_string());
    let missing: Vec<String> = missing(which(Path::new("javac")).is_some(), JAVA[0])
        .into_iter()
        .chain(missing(Path::new(JDBC).is_file(), JAVA[1]))
        .collect();
    if !missing.is_empty() {
        setup::apt_get(&missing)?;
    }
    for there in [which(Path::new("javac")), which(Path::new(JDBC))] {
        there.context("the JDK or the driver was installed but is not found")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_has_a_place() {
        let differences = |expected: &str, told: &str| {
            let mut differences = Vec::new();
            let parse = |text: &str| serde_json::from_str(text).expect("it is JSON");
            compare("life", &parse(expected), &parse(told), &mut differences);
            differences
        };
        let life = r#"{"one": [1, {"two": null}]}"#;
        assert!(differences(life, life).is_empty());
        let other = r#"{"one": [1, {"two": "2"}], "more": 3}"#;
        assert_eq!(
            differences(life, other),
            [
                "life.one[1].two: expected null, told \"2\"",
                "life.more: expected null, told 3"
            ]
        );
        assert_eq!(differences("[1]", "[1.0]").len(), 1);
        assert_eq!(differences("[1]", "[]").len(), 1);
    }

    #[test]
    fn the_page_shows_lines_of_the_programs() {
        let page = fs::read_to_string(setup::root().join("docs/drivers.md")).expect("the page");
        let programs = [
            ("python norun", "life_asyncpg.py"),
            ("java", "Life.java"),
            ("rust", "tokio/src/main.rs"),
        ];
        for (language, program) in programs {
            let code = fs::read_to_string(tests().join(program)).expect("the program");
            let lines: BTreeSet<&str> = code.lines().map(str::trim).collect();
            let block = page.split(&format!("```{language}\n")).nth(1);
            let block = block.and_then(|rest| rest.split("```").next());
            for line in block.expect("a block of its language").lines() {
                assert!(lines.contains(line.trim()), "{program} has no line {line}");
            }
        }
    }
}

//! Who has installed an earlier release goes on with this one: with this library on the schema that is there, and with the schema of a
//! fresh install after `ALTER EXTENSION pg_baton UPDATE`, while workers work. See docs/upgrade.md.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use postgres::error::SqlState;
use postgres::{Client, NoTls};

use super::SERVER;
use super::package::{self, Scratch};
use super::regress::{self, Chosen};
use super::tally::Tally;
use crate::cluster::{Cluster, TEMPLATE, installed_library};
use crate::package::{default_version, upgrades};
use crate::setup::{self, Pg};

const UPDATE: &str = "ALTER EXTENSION pg_baton UPDATE";

const DATABASE: &str = "upgraded";

/// SQL tests that call every function between them, in a few seconds; with `--full` all are run on the schema of each release.
const ESSENTIAL: [&str; 10] = [
    "access",
    "baton_purge",
    "capability_roles",
    "durable_calls",
    "quarantine",
    "slot_set",
    "task_redrive",
    "transactions",
    "workflow_compensations",
    "workflow_on_error",
];

/// Tests of what is not in the schema of a release, and cannot be without it.
const LACKED: [(&str, &str); 1] = [("0.1.0", "another_server")];

/// Releases of which the upgrade locks what calls use: `baton.capability` and `baton.slot`.
const LOCKS: [&str; 1] = ["0.1.0"];

/// Where libraries of earlier releases are, `pg_baton-0.1.0.so`: they take a build each, so nobody has to have them.
const EARLIER: &str = "EARLIER_LIBRARIES";

/// How long workers work before what happens to them, and after it.
const WHILE: Duration = Duration::from_secs(2);
/// The same in pgbench's words, with a second more, for three such times.
const IN_ALL: &str = "7";

pub fn run(pg: &Pg, out: &Path, full: bool, chosen: &Chosen, tally: &mut Tally) -> Result<()> {
    let scratch = Scratch::new("upgrade")?;
    let ours = scratch.dir("ours")?;
    let installed = pg.sharedir.join("extension");
    let version = default_version(&installed.join("pg_baton.control"))?;
    let mut files = upgrades()?;
    files.push(installed_library(pg));
    files.push(installed.join("pg_baton.control"));
    files.push(installed.join(format!("pg_baton--{version}.sql")));
    for file in files {
        put(&file, &ours)?;
    }
    let pg = &package::server(pg, &scratch.dir("server")?, &ours)?;
    let cluster = Cluster::start(pg, "upgrade", SERVER)?;
    cluster.fresh_database(DATABASE, "template0")?;
    cluster.psql(DATABASE, "CREATE EXTENSION pg_baton")?;
    let fresh = Schema::of(&cluster)?;

    for script in released()? {
        put(&script, &pg.sharedir.join("extension"))?;
        let name = script.file_stem().unwrap_or_default().to_string_lossy();
        let release = name.trim_start_matches("pg_baton--").to_owned();
        let library = name.replacen("--", "-", 1) + ".so";
        let upgrade = Upgrade {
            pg,
            cluster: &cluster,
            library: installed_library(pg),
            earlier: env::var_os(EARLIER).map(|dir| Path::new(&dir).join(library)),
            out: out.join("upgrade").join(&release),
            release,
            version: &version,
        };
        fs::create_dir_all(&upgrade.out)?;
        upgrade.all(&fresh, full, chosen, tally)?;
    }
    Ok(())
}

/// What is done for each release.
struct Upgrade<'a> {
    pg: &'a Pg,
    cluster: &'a Cluster,
    library: PathBuf,
    /// The library of the release.
    earlier: Option<PathBuf>,
    out: PathBuf,
    release: String,
    version: &'a str,
}

impl Upgrade<'_> {
    fn all(&self, fresh: &Schema, full: bool, chosen: &Chosen, tally: &mut Tally) -> Result<()> {
        if chosen.tests.is_empty() {
            self.part(tally, "this library has its functions", || {
                self.functions(fresh)
            });
            self.part(tally, "upgraded, it is as installed anew", || {
                self.schema(fresh)
            });
            self.part(tally, "differences are seen", || self.planted());
            if LOCKS.contains(&self.release.as_str()) {
                self.part(tally, "who waits for whom", || self.waits());
            }
            self.part(tally, "workers work on", || self.rolling());
            self.part(tally, "a dump goes on in this version", || self.dump());
        }
        self.made_by_release(TEMPLATE)?;
        regress::upgrade(self.pg, self.cluster, &self.out, chosen, tally)?;
        if let Some(earlier) = &self.earlier {
            self.cluster.replace_library(earlier)?;
            println!(
                "    and with the library of {} from beginning to end:",
                self.release
            );
            regress::upgrade(self.pg, self.cluster, &self.out, chosen, tally)?;
            self.cluster.replace_library(&self.library)?;
        } else {
            println!(
                "    left out, as {EARLIER} names no directory with them: sessions with the library of {}",
                self.release
            );
        }
        if chosen.tests.is_empty() {
            let tests = self.tests_on_old_schema(full)?;
            for test in &tests {
                self.part(
                    tally,
                    &format!("not upgraded, regress {test}"),
                    || match regress::one(self.pg, self.cluster, &self.out, "regress", test)? {
                        None => Ok(()),
                        Some(why) => bail!(why),
                    },
                );
            }
        }
        Ok(())
    }

    fn part(&self, tally: &mut Tally, what: &str, done: impl FnOnce() -> Result<()>) {
        let begun = Instant::now();
        let label = format!("from {}: {what}", self.release);
        match done() {
            Ok(()) => tally.passed(&label, begun.elapsed()),
            Err(error) => tally.failed(&label, &format!("{error:#}")),
        }
    }

    /// A database as the release made it.
    fn made_by_release(&self, database: &str) -> Result<()> {
        self.cluster.fresh_database(database, "template0")?;
        let create = format!("CREATE EXTENSION pg_baton VERSION '{}'", self.release);
        self.cluster.psql(database, &create).map(drop)
    }

    /// A symbol that was released stays, and with it what it is called with: databases refer to it by name. (That it is there,
    /// the server looks when a function is created.)
    fn functions(&self, fresh: &Schema) -> Result<()> {
        self.made_by_release(DATABASE)?;
        let released = Schema::of(self.cluster)?;
        ensure!(!released.symbols.is_empty(), "the release has no functions");
        let mut changed = Vec::new();
        for (symbol, signature) in &released.symbols {
            match fresh.symbols.get(symbol) {
                Some(now) if now != signature => {
                    changed.push(format!("{symbol}: {signature} was released, it is {now}"));
                }
                _ => {}
            }
        }
        ensure!(changed.is_empty(), changed.join("\n"));
        Ok(())
    }

    fn schema(&self, fresh: &Schema) -> Result<()> {
        self.made_by_release(DATABASE)?;
        self.cluster.psql(DATABASE, UPDATE)?;
        let upgraded = Schema::of(self.cluster)?;
        ensure!(upgraded.lines == fresh.lines, upgraded.compared_with(fresh));
        Ok(())
    }

    /// An examination of the comparison itself, on the upgraded database.
    fn planted(&self) -> Result<()> {
        let catalog = catalog()?;
        let planted = read("planted.sql")?;
        let planted: Vec<&str> = planted
            .lines()
            .filter(|line| !line.starts_with("--"))
            .collect();
        const NEXT: &str = "-- next";
        let mut script = catalog.clone();
        for statement in &planted {
            script += &format!(
                "DISCARD TEMP; RESET ALL;\n\\echo {NEXT}\nBEGIN;\n{statement};\n{catalog}\nROLLBACK;\n"
            );
        }
        let printed = self.cluster.psql(DATABASE, &script)?;
        let mut printed = printed.split(NEXT).map(str::trim);
        let as_it_is = printed.next().unwrap_or_default();
        let unseen: Vec<&str> = planted
            .iter()
            .zip(printed)
            .filter(|(_, printed)| *printed == as_it_is)
            .map(|(statement, _)| *statement)
            .collect();
        ensure!(
            as_it_is.lines().count() > 100 && unseen.is_empty(),
            "the comparison does not see:\n{}",
            unseen.join("\n")
        );
        Ok(())
    }

    /// The upgrade waits for open transactions that have changed slots, or in which a session has looked for the first time what its role
    /// may do; whoever is about to do that waits for the upgrade. With a lock_timeout it gives up, and nothing has happened.
    fn waits(&self) -> Result<()> {
        const LIFE: &str = "
            SELECT task_create('rolling');
            SELECT task_heartbeat(task_id, lease_token), task_append_event(task_id, 'seen', lease_token => lease_token), task_finalize(task_id, lease_token, 'completed')
            FROM task_acquire_lease('rolling', 'worker')";
        const SLOT: &str = "
            SELECT task_finalize(t.task_id, l.lease_token, 'completed')
            FROM task_create('rolling', slot_keys => '{narrow}') t, task_acquire_lease_by_id(t.task_id, 'worker') l";
        self.made_by_release(DATABASE)?;
        self.cluster.psql(DATABASE, &read("rolling/setup.sql")?)?;
        let session = |user: &str| -> Result<Client> {
            let mut config = self.cluster.client_config(DATABASE)?;
            let mut client = config.user(user).connect(NoTls)?;
            client.batch_execute("SET lock_timeout = '300ms'")?;
            Ok(client)
        };
        let mut upgrader = session("postgres")?;
        let mut worker = session("rolling_worker")?;
        let mut other = session("rolling_worker")?;
        let mut newcomer = session("rolling_worker")?;
        for client in [&mut worker, &mut other] {
            client.batch_execute(LIFE)?;
            client.batch_execute(SLOT)?;
        }

        worker.batch_execute("BEGIN")?;
        worker.batch_execute(LIFE)?;
        upgrader.batch_execute("BEGIN")?;
        upgrader
            .batch_execute(UPDATE)
            .context("it waits for a life without slots")?;
        worker
            .batch_execute(LIFE)
            .context("a life without slots, in a transaction, waits for it")?;
        other
            .batch_execute(LIFE)
            .context("a life without slots waits for it")?;
        waited(other.batch_execute(SLOT))?;
        waited(newcomer.batch_execute(LIFE))?;
        upgrader.batch_execute("ROLLBACK")?;

        worker.batch_execute(SLOT)?;
        waited(upgrader.batch_execute(UPDATE))?;
        let unchanged = self.cluster.psql(
            DATABASE,
            "SELECT extversion FROM pg_extension WHERE extname = 'pg_baton'",
        )?;
        ensure!(
            unchanged == self.release,
            "an upgrade that gave up leaves version {unchanged}"
        );
        other
            .batch_execute(SLOT)
            .context("an upgrade that gave up leaves a lock")?;
        worker.batch_execute("COMMIT")?;
        upgrader.batch_execute(UPDATE)?;
        for client in [&mut worker, &mut other, &mut newcomer] {
            client.batch_execute(LIFE)?;
            client.batch_execute(SLOT)?;
        }
        Ok(())
    }

    /// Workers that work all the while: with the library as it was, then with a new file in its place, then with the new schema. Some keep
    /// their sessions, and with them the library and the plans they began with, others begin one for each transaction.
    fn rolling(&self) -> Result<()> {
        let sql = |sql: &str| self.cluster.psql(DATABASE, sql);
        let happened = |what: &str| {
            sql(&format!(
                "INSERT INTO happened SELECT '{what}', clock_timestamp(), last_value FROM baton.token_seq"
            ))
        };
        self.made_by_release(DATABASE)?;
        if let Some(earlier) = &self.earlier {
            self.cluster.replace_library(earlier)?;
        }
        sql(&read("rolling/setup.sql")?)?;
        let workers = [
            self.workers("stay", &["-T", IN_ALL, "-c", "3"])?,
            self.workers("come and go", &["-T", IN_ALL, "-C"])?,
        ];
        sleep(WHILE);
        self.cluster.replace_library(&self.library)?;
        happened("the library was replaced")?;
        sleep(WHILE);
        sql(UPDATE)?;
        happened("the schema was upgraded")?;
        for worker in workers {
            worker.done()?;
        }
        self.at_the_end(DATABASE)
    }

    /// A dump does not say of which version the extension was: it is restored into the schema of this one.
    fn dump(&self) -> Result<()> {
        const RESTORED: &str = "restored";
        self.made_by_release(DATABASE)?;
        self.cluster.psql(DATABASE, &read("rolling/setup.sql")?)?;
        self.workers("stop", &["-t", "20"])?.done()?;
        self.cluster.psql(
            DATABASE,
            "INSERT INTO made
             SELECT (SELECT max(run_id) FROM task_create_items('rolling', 'item', ARRAY[to_jsonb(n), to_jsonb(n)], successor => 'sum')),
                    (SELECT task_id FROM task_create('rolling', to_jsonb(n), slot_keys => '{narrow}'))
             FROM generate_series(1, 10) n;
             SELECT task_acquire_lease('rolling', 'last', '100 ms', 5);
             INSERT INTO happened SELECT 'it was dumped', clock_timestamp(), last_value FROM baton.token_seq",
        )?;
        let file = self.out.join("dump.sql");
        let mut dump = Command::new(self.pg.bin("pg_dump"));
        dump.envs(self.cluster.env()).arg("-f").arg(&file);
        setup::output(dump.arg(DATABASE))?;
        self.cluster.fresh_database(RESTORED, "template0")?;
        self.cluster.psql(RESTORED, &fs::read_to_string(file)?)?;
        self.at_the_end(RESTORED)?;
        self.cluster
            .psql("postgres", &format!("DROP DATABASE {RESTORED}"))
            .map(drop)
    }

    /// Nothing was lost, and nothing was done twice.
    fn at_the_end(&self, database: &str) -> Result<()> {
        let sql = |sql: &str| self.cluster.psql(database, sql);
        sql("CALL work_off()")?;
        sql("ANALYZE")?; // the server does not, and the check reads whole tables
        let wrong = sql("SELECT what FROM wrong LIMIT 20")?;
        ensure!(wrong.is_empty(), wrong);
        let now = sql("SELECT extversion FROM pg_extension WHERE extname = 'pg_baton'")?;
        ensure!(now == self.version, "it is version {now}");
        Ok(())
    }

    fn workers(&self, name: &'static str, how: &[&str]) -> Result<Workers> {
        let script = setup::root().join("tests/upgrade/rolling/worker.pgb");
        let log = self.out.join(format!("{}.log", name.replace(' ', "-")));
        let file = fs::File::create(&log)?;
        let pgbench = Command::new(self.pg.bin("pgbench"))
            .envs(self.cluster.env())
            .args(["-n", "-M", "prepared", "-U", "rolling_worker"])
            .args(how)
            .arg("-f")
            .arg(script)
            .arg(DATABASE)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .context("cannot run pgbench")?;
        Ok(Workers { name, log, pgbench })
    }

    /// The SQL tests that say the same of the schema as the release made it.
    fn tests_on_old_schema(&self, full: bool) -> Result<BTreeSet<String>> {
        if full {
            let mut all = regress::names("regress")?;
            all.retain(|test| !LACKED.contains(&(self.release.as_str(), test)));
            return Ok(all);
        }
        let mut text = String::new();
        for test in ESSENTIAL {
            let path = format!("tests/pg_regress/sql/{test}.sql");
            text += &fs::read_to_string(setup::root().join(&path)).context(path)?;
        }
        let functions = self.cluster.psql(
            TEMPLATE,
            "SELECT DISTINCT proname FROM pg_proc p JOIN pg_extension e ON e.extnamespace = p.pronamespace
             JOIN pg_depend d ON d.objid = p.oid AND d.refobjid = e.oid AND d.deptype = 'e' WHERE e.extname = 'pg_baton'",
        )?;
        let uncalled: Vec<&str> = functions
            .lines()
            .filter(|name| !text.contains(&format!("{name}(")))
            .collect();
        ensure!(
            uncalled.is_empty(),
            "no test in ESSENTIAL calls {}",
            uncalled.join(", ")
        );
        Ok(ESSENTIAL.map(String::from).into())
    }
}

/// A call that has waited for a lock until its lock_timeout had passed.
fn waited(answer: std::result::Result<(), postgres::Error>) -> Result<()> {
    match answer {
        Ok(()) => bail!("it does not wait, or the documentation says too much"),
        Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Workers under way.
struct Workers {
    name: &'static str,
    log: PathBuf,
    pgbench: Child,
}

impl Workers {
    /// None of them may have met an error.
    fn done(mut self) -> Result<()> {
        let status = self.pgbench.wait()?;
        let printed = fs::read_to_string(&self.log)?;
        ensure!(
            status.success() && printed.contains("number of failed transactions: 0 "),
            "workers that {}: {status}\n{printed}",
            self.name
        );
        Ok(())
    }
}

/// What the catalogs say of the extension in [`DATABASE`].
struct Schema {
    lines: BTreeSet<String>,
    /// The functions in the library: what each is called with, and returns.
    symbols: BTreeMap<String, String>,
}

impl Schema {
    fn of(cluster: &Cluster) -> Result<Schema> {
        let symbols = cluster.psql(
            DATABASE,
            "SELECT p.prosrc, format('(%s) -> %s %s, strict %s', p.proargtypes::regtype[], CASE WHEN p.proretset THEN 'setof' END,
                 coalesce(p.proallargtypes::regtype[]::text, p.prorettype::regtype::text), p.proisstrict)
             FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
             JOIN pg_extension e ON e.oid = d.refobjid JOIN pg_language l ON l.oid = p.prolang
             WHERE e.extname = 'pg_baton' AND l.lanname = 'c'",
        )?;
        let lines: BTreeSet<String> = cluster
            .psql(DATABASE, &catalog()?)?
            .lines()
            .map(str::to_owned)
            .collect();
        ensure!(lines.len() > 100, "the catalogs say next to nothing");
        Ok(Schema {
            lines,
            symbols: symbols
                .lines()
                .filter_map(|line| line.split_once('|'))
                .map(|(symbol, signature)| (symbol.to_owned(), signature.to_owned()))
                .collect(),
        })
    }

    fn compared_with(&self, fresh: &Schema) -> String {
        let only = |what: &str, one: &Schema, other: &Schema| {
            one.lines
                .difference(&other.lines)
                .fold(String::new(), |all, line| format!("{all}{what}: {line}\n"))
        };
        only("only upgraded", self, fresh) + &only("only installed anew", fresh, self)
    }
}

/// The query for it.
fn catalog() -> Result<String> {
    read("catalog.sql")
}

/// A file of tests/upgrade.
fn read(name: &str) -> Result<String> {
    let path = setup::root().join("tests/upgrade").join(name);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// The install scripts of the releases, in order.
fn released() -> Result<BTreeSet<PathBuf>> {
    let mut scripts = BTreeSet::new();
    for entry in fs::read_dir(setup::root().join("tests/upgrade"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("pg_baton--") {
            scripts.insert(path.clone());
        }
    }
    Ok(scripts)
}

fn put(file: &Path, dir: &Path) -> Result<()> {
    fs::copy(file, dir.join(file.file_name().unwrap_or_default()))
        .with_context(|| format!("cannot copy {}", file.display()))?;
    Ok(())
}

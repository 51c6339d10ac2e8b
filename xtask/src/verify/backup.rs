//! A database with everything in it (tests/backup/make.sql), copied by every program that makes copies: dumps, base backups, pg_upgrade. A copy must
//! be the same to the last row, sequence and privilege, must honour what the original has promised, and its work must go on to the end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::process;
use super::tally::Tally;
use crate::cluster::Cluster;
use crate::setup::{self, Pg, output};

/// The one with everything in it, and one where the functions are in a schema of their own.
const DATABASE: &str = "work";
const PLACED: &str = "placed";

/// What is durable is tested elsewhere; here a flush only costs time.
const SERVER: [(&str, &str); 4] = [
    ("fsync", "off"),
    ("wal_level", "logical"),
    ("max_prepared_transactions", "10"),
    ("jit", "off"),
];

/// How long a lease lives that nobody prolongs: long enough to make a copy and look at it, on a slow machine too.
const SOON: &str = "30 s";
/// The same for what takes longer; in the copy it ends, and another one is taken, which lives a moment only.
const LATER: &str = "1 hour";
const AT_ONCE: &str = "1 s";

/// Rows have arrived long before, on a slow machine too.
const ARRIVAL: Duration = Duration::from_secs(2 * 60);

/// Sessions that work while copies are made, and how many copies there are of each kind.
const WORKERS: usize = 3;
const TIMES: usize = 1;
const TIMES_FULL: usize = 8;

/// Of what differs, so many lines are shown.
const MOST_LINES: usize = 40;

/// No program takes longer, with two slow cores.
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// The version that servers of an older one are upgraded to by a full run.
const NEWER: u32 = 17;

/// How a copy within the server is made, of a database at rest: its name, and the commands.
const AT_REST: [(&str, &str); 6] = [
    ("cloned", "createdb -T work cloned"),
    (
        "plain",
        "pg_dump -f plain.sql work; createdb -T template0 plain; psql -Xq1 -v ON_ERROR_STOP=1 -o printed -f plain.sql plain",
    ),
    (
        "custom",
        "pg_dump -Fc -f custom.dump work; createdb -T template0 custom; pg_restore --exit-on-error -d custom custom.dump",
    ),
    (
        "parallel",
        "pg_dump -Fd -j 2 -f parallel.dir work; createdb -T template0 parallel; pg_restore --exit-on-error -j 2 -d parallel parallel.dir",
    ),
    (
        "parts",
        "pg_dump --schema-only -f schema.sql work; pg_dump --data-only --disable-triggers -f data.sql work; createdb -T template0 parts; \
         psql -Xq -v ON_ERROR_STOP=1 -o printed -f schema.sql -f data.sql parts",
    ),
    (
        "reader",
        "pg_dump -U backup_reader --inserts -f reader.sql work; createdb -T template0 reader; psql -Xq1 -v ON_ERROR_STOP=1 -o printed -f reader.sql reader",
    ),
];

/// The same, of a database at work. `{}` is its name.
const AT_WORK: [(&str, &str); 2] = [
    (
        "custom",
        "pg_dump -Fc -f {}.dump work; createdb -T template0 {}; pg_restore --exit-on-error -d {} {}.dump",
    ),
    (
        "parallel",
        "pg_dump -Fd -j 2 -f {}.dir work; createdb -T template0 {}; pg_restore --exit-on-error -j 2 -d {} {}.dir",
    ),
];

pub fn run(pg: &Pg, out: &Path, full: bool, bless: bool, tally: &mut Tally) -> Result<()> {
    let dumps = out.join("backup");
    let _ = fs::remove_dir_all(&dumps);
    fs::create_dir_all(&dumps)?;
    let backup = Backup {
        pg,
        dumps,
        full,
        bless,
    };
    let source = Cluster::start(pg, "backup", &SERVER)?;
    for database in [DATABASE, PLACED] {
        source.fresh_database(database, "template0")?;
    }
    source.psql(DATABASE, "CREATE EXTENSION pg_baton")?;
    script(&source, DATABASE, "make")?;
    script(&source, PLACED, "placed")?;
    let other = backup.at_rest(&source, tally)?;
    let copies = backup.at_work(&source, tally)?;

    backup.goes_on(&other, DATABASE, true, "pg_dumpall", tally)?;
    for (database, _) in AT_REST
        .iter()
        .filter(|(database, _)| backup.is_kept(database))
    {
        backup.goes_on(&source, database, true, database, tally)?;
    }
    for database in copies {
        backup.goes_on(&source, &database, false, &database, tally)?;
    }
    Ok(())
}

struct Backup<'a> {
    pg: &'a Pg,
    /// Where the dumps are.
    dumps: PathBuf,
    full: bool,
    bless: bool,
}

impl Backup<'_> {
    /// Nobody works, so that every copy is the same. Returns the one in another cluster.
    fn at_rest(&self, source: &Cluster, tally: &mut Tally) -> Result<Cluster> {
        let begun = Instant::now();
        let before = self.before(source, "all")?;
        let placed = self.whole(source, PLACED)?;
        self.commands(source, "pg_dumpall -f all.sql")?;
        without_own_role(&self.dumps.join("all.sql"))?;
        let other = Cluster::start(self.pg, "backup-all", &SERVER)?;
        let restore = "psql -Xq -v ON_ERROR_STOP=1 -o printed -f all.sql postgres";
        self.commands(&other, restore)?;
        let mut complaints = differences(&before, &self.whole(&other, DATABASE)?);
        complaints += &differences(&placed, &self.whole(&other, PLACED)?);
        complaints += &self.answers(&other, DATABASE, "restored")?;
        complaints += &self.answers(&other, PLACED, "placed_restored")?;
        conclude(
            tally,
            "pg_dumpall; psql into an empty cluster",
            &complaints,
            begun,
        );

        for (database, commands) in AT_REST {
            let begun = Instant::now();
            let before = self.before(source, database)?;
            self.commands(source, commands)?;
            let mut complaints = differences(&before, &self.whole(source, database)?);
            complaints += &self.answers(source, database, "restored")?;
            conclude(tally, commands, &complaints, begun);
            if !self.is_kept(database) {
                self.commands(source, &format!("dropdb {database}"))?;
            }
        }
        self.restored_over_itself(source, tally)?;
        Ok(other)
    }

    /// Whether the work of a copy of a database at rest is gone on with. (They are the same: one is enough.)
    fn is_kept(&self, database: &str) -> bool {
        self.full || database == "parallel"
    }

    /// A dump that is restored into the very database it is of, which had gone on: what was handed out meanwhile is not handed out again.
    fn restored_over_itself(&self, source: &Cluster, tally: &mut Tally) -> Result<()> {
        let begun = Instant::now();
        self.commands(source, "createdb -T work over")?;
        let lease = |key: &str| -> Result<i64> {
            let sql = format!("SELECT lease_token FROM leased('again', '{key}')");
            Ok(source.psql("over", &sql)?.parse()?)
        };
        lease("before")?;
        let before = self.whole(source, "over")?;
        self.commands(source, "pg_dump -Fc -f over.dump over")?;
        let lost = lease("lost")?;
        let restore = "pg_restore --exit-on-error --clean --if-exists -d over over.dump";
        self.commands(source, restore)?;
        let mut complaints = differences(&before, &self.whole(source, "over")?);
        let first = lease("after")?;
        if first <= lost {
            writeln!(
                complaints,
                "token {first} after the restore, {lost} was handed out before it"
            )?;
        }
        conclude(tally, restore, &complaints, begun);
        self.commands(source, "dropdb over")
    }

    /// Copies of a server at work: what was there when the copy began is in it, and it is whole. Returns those within the server.
    fn at_work(&self, source: &Cluster, tally: &mut Tally) -> Result<Vec<String>> {
        script(source, DATABASE, "load")?;
        let load = Load::start(self.pg, source)?;
        let times = if self.full { TIMES_FULL } else { TIMES };
        let mut copies = Vec::new();
        for (kind, commands) in AT_WORK {
            copies.extend((0..times).map(|n| (format!("{kind}_{n}"), commands)));
        }
        let begun = Instant::now();
        let ended = self.know(source, "base")?;
        let mut base = self.base_backup(source, "backup-base")?;
        let mut complaints = self.answers_at_work(&base, DATABASE)?;
        complaints += &self.idle_since(source, ended)?;
        complaints += &differences(&self.whole(source, PLACED)?, &self.whole(&base, PLACED)?);
        conclude(tally, "at work: pg_basebackup", &complaints, begun);
        for (database, commands) in &copies {
            let begun = Instant::now();
            let commands = commands.replace("{}", database);
            let ended = self.know(source, database)?;
            self.commands(source, &commands)?;
            let mut complaints = self.answers_at_work(source, database)?;
            complaints += &self.idle_since(source, ended)?;
            conclude(tally, &format!("at work: {commands}"), &complaints, begun);
        }
        let begun = Instant::now();
        let subscriber = self.subscriber(source)?;
        load.stop()?;
        self.moved_to(&subscriber, source, begun, tally)?;
        drop(subscriber);

        self.upgrade(&mut base, self.pg, self.pg, &[], tally)?;
        drop(base);

        if !self.full {
            println!("    left out without --full: pg_upgrade to another version");
        } else if self.pg.version >= NEWER {
            println!("    left out, this is one: pg_upgrade to PostgreSQL {NEWER}");
        } else {
            self.upgrade_to_newer(source, tally)?;
        }
        Ok(copies.into_iter().map(|(database, _)| database).collect())
    }

    fn base_backup(&self, source: &Cluster, name: &str) -> Result<Cluster> {
        Cluster::start_on(self.pg, name, &SERVER, |copy| {
            let mut program = copy.command("pg_basebackup");
            program.args(["-X", "stream", "-c", "fast", "--no-sync"]);
            program.arg("-D").arg(copy.data_dir());
            output(program.envs(source.env())).map(drop)
        })
    }

    /// From this major version to another. An old server whose minor release is later than the new one's may not be upgraded at all (15.20 notes in its
    /// catalog what 17.11 cannot read), and the system's often is: so both are from the same place.
    fn upgrade_to_newer(&self, source: &Cluster, tally: &mut Tally) -> Result<()> {
        let newer = setup::ensure_version(NEWER)?;
        setup::install(&newer)?;
        let older = setup::ensure_unpacked(self.pg.version)?;
        for (from, to) in [
            (
                self.pg.sharedir.join("extension"),
                older.sharedir.join("extension"),
            ),
            (self.pg.pkglibdir.clone(), older.pkglibdir.clone()),
        ] {
            for entry in fs::read_dir(&from)?.flatten() {
                if from != to && entry.file_name().to_string_lossy().starts_with("pg_baton") {
                    fs::copy(entry.path(), to.join(entry.file_name()))?;
                }
            }
        }
        let mut old = Cluster::start(&older, "backup-old", &SERVER)?;
        self.commands(
            source,
            "pg_dumpall --roles-only -f roles.sql; pg_dump -Fc -f work.dump work; pg_dump -Fc -f placed.dump placed",
        )?;
        without_own_role(&self.dumps.join("roles.sql"))?;
        self.commands(
            &old,
            "psql -Xq -v ON_ERROR_STOP=1 -o printed -f roles.sql postgres; createdb -T template0 work; createdb -T template0 placed; \
             pg_restore --exit-on-error -d work work.dump; pg_restore --exit-on-error -d placed placed.dump",
        )?;
        self.upgrade(&mut old, &older, &newer, &[], tally)?;
        old.recover()?;
        self.upgrade(&mut old, &older, &newer, &["--link"], tally)
    }

    /// The server stops, and a new one goes on with what it left.
    fn upgrade(
        &self,
        old: &mut Cluster,
        from: &Pg,
        to: &Pg,
        how: &[&str],
        tally: &mut Tally,
    ) -> Result<()> {
        let begun = Instant::now();
        let options = how.join(" ");
        let label = format!("pg_upgrade {} to {} {options}", from.version, to.version);
        let label = label.trim_end();
        self.lease(old, label, LATER)?;
        let print = |cluster: &Cluster| -> Result<String> {
            Ok(script(cluster, DATABASE, "print")? + "\n" + &script(cluster, PLACED, "print")?)
        };
        let before = print(old)?;
        old.stop()?;
        finds_library(old)?;
        let new = Cluster::start_on(to, "backup-new", &SERVER, |new| {
            new.init()?;
            finds_library(new)?;
            let mut program = new.command("pg_upgrade");
            program
                .arg("-b")
                .arg(&from.bindir)
                .arg("-B")
                .arg(&to.bindir);
            program
                .arg("-d")
                .arg(old.data_dir())
                .arg("-D")
                .arg(new.data_dir());
            program
                .arg("-s")
                .arg(new.socket_dir())
                .args(["-U", "postgres", "--no-sync"]);
            // What is wrong it says on its standard output.
            let log = self.dumps.join("pg_upgrade.log");
            let finished = process::run(program.args(how), &log, LIMIT)?;
            ensure!(
                finished.success,
                "{label}: {}\n{}",
                finished.ending,
                finished.output
            );
            Ok(())
        })?;
        let mut complaints = differences(&before, &print(&new)?);
        complaints += &self.answers_at_work(&new, DATABASE)?;
        complaints += &self.answers(&new, PLACED, "placed_restored")?;
        conclude(tally, label, &complaints, begun);
        self.lease(&new, "upgraded", AT_ONCE)?;
        self.goes_on(&new, DATABASE, false, label, tally)
    }

    /// A server to which all rows are replicated, beginning now.
    fn subscriber(&self, source: &Cluster) -> Result<Cluster> {
        let publish = "CREATE PUBLICATION all_rows FOR TABLES IN SCHEMA baton, TABLE kept, known";
        source.psql(DATABASE, publish)?;
        self.commands(
            source,
            "pg_dumpall --roles-only -f roles.sql; pg_dump --schema-only --no-publications -f rowless.sql work",
        )?;
        without_own_role(&self.dumps.join("roles.sql"))?;
        let subscriber = Cluster::start(self.pg, "backup-subscriber", &SERVER)?;
        self.commands(
            &subscriber,
            "psql -Xq -v ON_ERROR_STOP=1 -o printed -f roles.sql postgres; createdb -T template0 work; \
             psql -Xq -v ON_ERROR_STOP=1 -o printed -f rowless.sql work",
        )?;
        let from: Vec<String> = [("host", "PGHOST"), ("port", "PGPORT"), ("user", "PGUSER")]
            .iter()
            .filter_map(|(word, name)| {
                let value = source.env().into_iter().find(|(n, _)| n == name)?.1;
                Some(format!("{word}=''{value}''"))
            })
            .collect();
        let subscribe = format!(
            "CREATE SUBSCRIPTION all_rows CONNECTION '{} dbname={DATABASE}' PUBLICATION all_rows",
            from.join(" ")
        );
        subscriber.psql(DATABASE, &subscribe)?;
        Ok(subscriber)
    }

    /// Nobody works any more; when all rows have arrived and the sequences are copied, the subscriber is a copy like others.
    fn moved_to(
        &self,
        subscriber: &Cluster,
        source: &Cluster,
        begun: Instant,
        tally: &mut Tally,
    ) -> Result<()> {
        let label = "at work: logical replication";
        self.lease(source, "subscriber", LATER)?;
        source.psql(DATABASE, "CALL know()")?;
        let end = source.psql(DATABASE, "SELECT pg_current_wal_insert_lsn()")?;
        let arrived = format!(
            "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'all_rows' AND replay_lsn >= '{end}'"
        );
        let copying = "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'";
        let waiting = Instant::now();
        while subscriber.psql(DATABASE, copying)? != "0" || source.psql(DATABASE, &arrived)? != "1"
        {
            if waiting.elapsed() > ARRIVAL {
                tally.failed(label, "the rows do not arrive");
                return Ok(());
            }
            thread::sleep(Duration::from_millis(100));
        }
        self.commands(
            source,
            "pg_dump --data-only -t baton.*_seq -f sequences.sql work",
        )?;
        let set = "psql -Xq -v ON_ERROR_STOP=1 -o printed -f sequences.sql work";
        self.commands(subscriber, set)?;
        subscriber.psql(DATABASE, "DROP SUBSCRIPTION all_rows")?;
        source.psql(DATABASE, "DROP PUBLICATION all_rows")?;

        let print = |cluster| script(cluster, DATABASE, "print");
        let mut complaints = differences(&print(source)?, &print(subscriber)?);
        complaints += &self.answers_at_work(subscriber, DATABASE)?;
        conclude(tally, label, &complaints, begun);
        self.lease(subscriber, "moved", AT_ONCE)?;
        self.goes_on(subscriber, DATABASE, false, "logical replication", tally)
    }

    /// The lease that was to run out soon is somebody else's then, once; all the others were honoured; and everything can be done to its end.
    fn goes_on(
        &self,
        cluster: &Cluster,
        database: &str,
        at_rest: bool,
        copy: &str,
        tally: &mut Tally,
    ) -> Result<()> {
        let begun = Instant::now();
        let race = || cluster.psql(database, "CALL raced(NULL)");
        let (one, another) = thread::scope(|scope| {
            let another = scope.spawn(race);
            (race(), another.join().expect("it does not panic"))
        });
        let mut complaints = String::new();
        let (one, another) = (one?, another?);
        if !matches!((&*one, &*another), ("1", "0") | ("0", "1")) {
            writeln!(
                complaints,
                "a lease that had run out was acquired {one} times by one, and {another} times by another"
            )?;
        }
        complaints += &self.answers(cluster, database, "drain")?;
        complaints += &self.answers(cluster, database, "ended")?;
        if at_rest {
            complaints += &self.answers(cluster, database, "ends")?;
        }
        let what = format!("the work goes on: {copy}");
        conclude(tally, &what, &complaints, begun);
        Ok(())
    }

    /// Takes the lease that is to run out soon, and says what is to be copied.
    fn before(&self, source: &Cluster, copy: &str) -> Result<String> {
        self.lease(source, copy, SOON)?;
        self.whole(source, DATABASE)
    }

    /// Writes down what has ended before a copy of a server at work begins, and returns how much that is.
    fn know(&self, source: &Cluster, copy: &str) -> Result<u64> {
        self.lease(source, copy, SOON)?;
        Ok(source
            .psql(
                DATABASE,
                "CALL know(); SELECT count(*) FROM baton.task_done",
            )?
            .parse()?)
    }

    /// A complaint, unless something has ended meanwhile.
    fn idle_since(&self, source: &Cluster, before: u64) -> Result<String> {
        let now: u64 = source
            .psql(DATABASE, "SELECT count(*) FROM baton.task_done")?
            .parse()?;
        Ok(if now > before {
            String::new()
        } else {
            String::from("nobody has worked meanwhile\n")
        })
    }

    /// Takes the lease that runs out soon, and ends the one before.
    fn lease(&self, source: &Cluster, key: &str, ttl: &str) -> Result<()> {
        let keep = format!("SELECT keep_soon('{key}', '{ttl}')");
        source.psql(DATABASE, &keep).map(drop)
    }

    /// A database in text: what is in the tables of the extension, and what a dump has of all.
    fn whole(&self, cluster: &Cluster, database: &str) -> Result<String> {
        let print = script(cluster, database, "print")?;
        let mut dump = self.program(cluster, "pg_dump");
        Ok(print + "\n" + &output(dump.arg(database))?)
    }

    /// What is wrong with the answers to one of the scripts.
    fn answers(&self, cluster: &Cluster, database: &str, name: &str) -> Result<String> {
        let answers = script(cluster, database, name)? + "\n";
        let expected = tests().join(name).with_extension("out");
        if self.bless {
            fs::write(&expected, &answers)?;
        }
        let expected = fs::read_to_string(&expected)
            .with_context(|| format!("cannot read {}", expected.display()))?;
        Ok(differences(&expected, &answers))
    }

    fn answers_at_work(&self, cluster: &Cluster, database: &str) -> Result<String> {
        Ok(self.answers(cluster, database, "restored")?
            + &self.answers(cluster, database, "at_work")?)
    }

    /// Runs commands that are parted by semicolons. (No word of them has a blank in it.)
    fn commands(&self, cluster: &Cluster, commands: &str) -> Result<()> {
        for command in commands.split(';') {
            let mut words = command.split_whitespace();
            let program = words.next().context("an empty command")?;
            output(self.program(cluster, program).args(words))
                .with_context(|| command.trim().to_owned())?;
        }
        Ok(())
    }

    fn program(&self, cluster: &Cluster, name: &str) -> Command {
        let mut program = Command::new(self.pg.bin(name));
        program.envs(cluster.env()).current_dir(&self.dumps);
        program
    }
}

/// Sessions that work, until they are told to stop.
struct Load<'a> {
    source: &'a Cluster,
    workers: Vec<Child>,
}

impl<'a> Load<'a> {
    fn start(pg: &Pg, source: &'a Cluster) -> Result<Load<'a>> {
        let start = |who| {
            Command::new(pg.bin("psql"))
                .args(["-Xq", "-v", "ON_ERROR_STOP=1", "-d", DATABASE, "-c"])
                .arg(format!("CALL loaded({who})"))
                .envs(source.env())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .context("cannot run psql")
        };
        let workers = (1..=WORKERS).map(start).collect::<Result<_>>()?;
        thread::sleep(Duration::from_secs(1));
        Ok(Load { source, workers })
    }

    fn stop(self) -> Result<()> {
        self.source.psql(DATABASE, "DELETE FROM loading")?;
        for worker in self.workers {
            let ended = worker.wait_with_output()?;
            let error = String::from_utf8_lossy(&ended.stderr).into_owned();
            ensure!(ended.status.success(), "a worker ended: {error}");
        }
        Ok(())
    }
}

fn tests() -> PathBuf {
    setup::root().join("tests/backup")
}

/// Runs a script of tests/backup, and returns what it printed.
fn script(cluster: &Cluster, database: &str, name: &str) -> Result<String> {
    let sql = fs::read_to_string(tests().join(name).with_extension("sql"))?;
    cluster
        .psql(database, &sql)
        .with_context(|| format!("{name}.sql in {database}"))
}

/// The lines that only one of two texts has, whatever their order. (A dump's key for psql is drawn anew each time.)
fn differences(expected: &str, printed: &str) -> String {
    let lines = |text: &str| -> BTreeMap<String, usize> {
        let mut counted = BTreeMap::new();
        for line in text.lines().filter(|line| !line.contains("restrict ")) {
            *counted.entry(line.to_owned()).or_default() += 1;
        }
        counted
    };
    let (expected, printed) = (lines(expected), lines(printed));
    let mut all = String::new();
    for (sign, of, other) in [('-', &expected, &printed), ('+', &printed, &expected)] {
        for (line, count) in of {
            if other.get(line) != Some(count) && all.lines().count() < MOST_LINES {
                all += &format!("{sign}{line}\n");
            }
        }
    }
    all
}

fn conclude(tally: &mut Tally, what: &str, complaints: &str, begun: Instant) {
    if complaints.is_empty() {
        tally.passed(what, begun.elapsed());
    } else {
        tally.failed(what, complaints);
    }
}

/// Every cluster has this one.
fn without_own_role(dump: &Path) -> Result<()> {
    let text = fs::read_to_string(dump)?.replace("CREATE ROLE postgres;\n", "");
    Ok(fs::write(dump, text)?)
}

/// pg_upgrade starts servers itself: where they find the library goes into their file of settings.
fn finds_library(cluster: &Cluster) -> Result<()> {
    let path = cluster.data_dir().join("postgresql.conf");
    let mut file = fs::File::options().append(true).open(&path)?;
    let library = cluster.library_dir();
    writeln!(
        file,
        "dynamic_library_path = '{}:$libdir'",
        library.display()
    )?;
    Ok(())
}

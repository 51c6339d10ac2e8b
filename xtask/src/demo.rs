//! `cargo demo`: the extension's main job on real input, on a server of its own. A group of real
//! files is hashed by workers in several languages while one of them is killed and one falls
//! asleep; whatever happens, every file must be counted exactly once. `cargo demo -- workflow` is `workflow.rs`, `cargo demo -- saga` is
//! `saga.rs`.

mod files;
mod fold;
pub mod runtimes;
mod saga;
mod summary;
mod workers;
mod workflow;

use crate::cluster::Cluster;
use crate::pooler::{self, Pooler};
use crate::setup;
use anyhow::{Context, Result, bail, ensure};
use files::Input;
use runtimes::Runtimes;
use std::io::{IsTerminal, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use workers::{Crew, Hand, Lease, Reach};

const DATABASE: &str = "postgres";
const QUEUE: &str = "hash";
const GROUP: &str = "hash_file";
const FOLD_QUEUE: &str = "fold";
/// How many tasks of the group may be in line or at work at once.
const MAX_PARALLEL: u32 = 8;
/// Seconds a lease lasts: of the two workers that get into trouble, and of the others.
const SHORT_TTL: u32 = 2;
const TTL: u32 = 10;
/// Seconds the killed worker would sit on its task: longer than it lives.
const HELD_TO_DEATH: u32 = 60;
/// Without any progress for so long, something is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// Somebody wants the demo to end: then workers and server are ended first, in order.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// What is shown.
#[derive(Clone, Copy, PartialEq)]
enum Show {
    Files,
    Workflow,
    Saga,
}

struct Options {
    show: Show,
    files: usize,
    keep: bool,
    /// The workers go through PgBouncer in transaction mode.
    pooler: bool,
}

/// The group as it was created.
struct Group {
    run_id: i64,
    total: usize,
}

/// What a look at the group shows while the workers are at it.
struct Progress {
    completed: usize,
    ended: usize,
}

/// What was done to the workers, for the summary.
struct Trouble {
    victim: Hand,
    killed: Lease,
    sleeper: Hand,
    late: Lease,
    slept: Duration,
    /// What the sleeper was told when it reported at last.
    told: String,
}

pub fn run(args: &[String]) -> Result<()> {
    let options = Options::parse(args)?;
    let begun = Instant::now();
    let pg = setup::ensure()?;
    setup::install(&pg)?;
    let scratch = setup::target_dir().join("demo");
    let runtimes = Runtimes::find(&scratch)?;
    let input = match options.show {
        Show::Saga => None,
        _ => Some(Input::choose(options.files)?),
    };

    // `cargo verify` runs all demos in one process, and a process has one handler.
    static HANDLED: Once = Once::new();
    let mut handled = Ok(());
    HANDLED
        .call_once(|| handled = ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Relaxed)));
    handled?;
    let mut cluster = Cluster::start(&pg, "demo", &[])?;
    let version = cluster.psql(
        DATABASE,
        "CREATE EXTENSION pg_baton;
         SELECT format('PostgreSQL %s with pg_baton %s', current_setting('server_version'), extversion)
           FROM pg_extension WHERE extname = 'pg_baton'",
    )?;
    println!(
        "{version}, ready after {:.1} s",
        begun.elapsed().as_secs_f32()
    );
    if let Some(input) = &input {
        println!(
            "{} files, {:.1} MB, from {}",
            input.files.len(),
            input.megabytes(),
            input.source()
        );
    }

    if options.keep {
        cluster.keep();
    }
    let pooler = if options.pooler {
        let log = scratch.join("pgbouncer.log");
        let program = pooler::program()?;
        Some(Pooler::start(&program, &cluster, &["postgres"], &[], &log)?)
    } else {
        None
    };
    let env = pooler.as_ref().map_or_else(|| cluster.env(), Pooler::env);
    let reach = Reach::new(env, &pg.bindir)?;
    let done = match (options.show, &input) {
        (Show::Workflow, Some(input)) => {
            workflow::demo(&cluster, &reach, &scratch, &runtimes, input)
        }
        (Show::Files, Some(input)) => Crew::new("worker", &reach, &scratch)
            .and_then(|crew| workload(&cluster, &runtimes, input, crew)),
        _ => saga::demo(&cluster, &reach, &scratch, &runtimes),
    };
    if options.keep {
        let env: Vec<String> = cluster
            .env()
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        println!(
            "\nThe server keeps running:\n  {} {} -d {DATABASE}",
            env.join(" "),
            pg.bin("psql").display()
        );
        println!("and ends with:\n  {}", cluster.stop_command());
    }
    done?;
    println!(
        "\nAll of it holds. {:.0} s in all.",
        begun.elapsed().as_secs_f32()
    );
    Ok(())
}

fn workload(cluster: &Cluster, runtimes: &Runtimes, input: &Input, mut crew: Crew) -> Result<()> {
    let group = create_group(cluster, input)?;

    // The two that get into trouble come first, so that each surely holds a task.
    let victim = crew.hire_holding(runtimes.to_kill(), "killed", SHORT_TTL, HELD_TO_DEATH)?;
    let sleeper = crew.hire_holding(runtimes.to_pause(), "late", SHORT_TTL, SHORT_TTL + 1)?;
    let (killed, late) = (crew.held_by(victim)?, crew.held_by(sleeper)?);
    crew.pause(sleeper)?;
    let paused_at = Instant::now();
    for (runtime, count) in runtimes.others() {
        for n in 1..=count {
            crew.hire(runtime, &format!("{}-{n}", runtime.name()), TTL)?;
        }
    }
    let folder = runtimes
        .folder()
        .map(|runtime| crew.hire_folder(runtime))
        .transpose()?;
    println!(
        "{} workers: {}",
        crew.names().len(),
        crew.names().join(", ")
    );

    let begun = Instant::now();
    let mut line = ProgressLine::new();
    let mut moved = (0, Instant::now());
    let mut slept = None;
    let mut fold = None;
    let told = loop {
        check_interrupted()?;
        let look = Instant::now();
        let progress = Progress::look(cluster, &group)?;
        line.show(&progress, group.total, begun.elapsed());
        if progress.ended != moved.0 {
            moved = (progress.ended, Instant::now());
        }
        if crew.is_alive(victim) && progress.ended * 10 >= group.total {
            crew.kill(victim)?;
            line.say(&format!(
                "killed {} with -9 in the middle of task {}",
                crew.name(victim),
                killed.task_id
            ));
        }
        if slept.is_none() && !holds(cluster, &late)? {
            slept = Some(paused_at.elapsed());
            line.say(&format!(
                "waking {}: it has slept through its lease of task {}",
                crew.name(sleeper),
                late.task_id
            ));
            crew.resume(sleeper)?;
        }
        if fold.is_none() {
            fold = match folder {
                Some(folder) => crew.last_told(folder)?,
                None if progress.ended == group.total => fold::here(cluster)?,
                None => None,
            };
        }
        let told = crew.told(sleeper, &late)?;
        if let Some(told) = told
            && fold.is_some()
            && !crew.is_alive(victim)
        {
            break told;
        }
        crew.check_health()?;
        ensure!(
            moved.1.elapsed() < PATIENCE,
            "no progress for {} s: see {} and {}",
            PATIENCE.as_secs(),
            crew.output_dir().display(),
            cluster.log().display()
        );
        // A look costs what the group is long: never spend more than a fifth of the time on it.
        std::thread::sleep(Duration::from_millis(150).max(look.elapsed() * 4));
    };
    line.end(
        &Progress::look(cluster, &group)?,
        group.total,
        begun.elapsed(),
    );
    crew.dismiss()?;

    let slept = slept.context("the late worker reported before it was woken")?;
    let trouble = Trouble {
        victim,
        killed,
        sleeper,
        late,
        slept,
        told,
    };
    let (fold, _) = fold.context("nobody folded")?;
    summary::print(cluster, &group, input, &crew, &trouble, fold.task_id)
}

fn check_interrupted() -> Result<()> {
    ensure!(!INTERRUPTED.load(Ordering::Relaxed), "interrupted");
    Ok(())
}

/// One task a file, and one successor for the report, in one call.
fn create_group(cluster: &Cluster, input: &Input) -> Result<Group> {
    let answer = cluster.psql(
        DATABASE,
        &format!(
            "SELECT queue_create('{QUEUE}', lease_ttl => '10 s');
             SELECT queue_create('{FOLD_QUEUE}');
             SELECT 'group', min(run_id), count(*) FILTER (WHERE outcome = 'created')
               FROM task_create_items(queue => '{QUEUE}', name => '{GROUP}', max_parallel => {MAX_PARALLEL},
                      payloads => ARRAY(SELECT jsonb_build_object('path', path)
                        FROM jsonb_array_elements_text({}) WITH ORDINALITY AS file (path, n) ORDER BY n),
                      successor => 'fold', successor_queue => '{FOLD_QUEUE}',
                      successor_payload => '{{\"items\": \"{GROUP}\"}}')",
            literal(&serde_json::to_string(&input.paths())?),
        ),
    )?;
    let row = answer
        .lines()
        .find(|line| line.starts_with("group|"))
        .context("no group was created")?;
    let mut columns = row.split('|').skip(1);
    let mut next = || columns.next().unwrap_or_default().parse::<i64>();
    let (run_id, created) = (next()?, next()?);
    ensure!(
        created == input.files.len() as i64,
        "{created} tasks were created for {} files",
        input.files.len()
    );
    Ok(Group {
        run_id,
        total: input.files.len(),
    })
}

/// Whether the task is still leased under this token.
fn holds(cluster: &Cluster, lease: &Lease) -> Result<bool> {
    let Lease { task_id, token } = lease;
    let sql = format!(
        "SELECT count(*) FROM task_get({task_id}) WHERE state = 'running' AND lease_token = {token}"
    );
    Ok(cluster.psql(DATABASE, &sql)? == "1")
}

/// All rows of the group, a page of 1,000 at a time, as something to select from.
fn items(group: &Group) -> String {
    format!(
        "generate_series(-1, {} - 1, 1000) AS page (after), \
         LATERAL task_items({}, '{GROUP}', page.after, 1000) AS item",
        group.total, group.run_id
    )
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl Options {
    fn parse(args: &[String]) -> Result<Options> {
        let (show, args) = match args.split_first() {
            Some((word, rest)) if word == "workflow" => (Show::Workflow, rest),
            Some((word, rest)) if word == "saga" => (Show::Saga, rest),
            _ => (Show::Files, args),
        };
        // The payload of one task bears a line for each file in a workflow.
        let (files, most) = match show {
            Show::Workflow => (200, 500),
            _ => (2000, 100_000),
        };
        let mut options = Options {
            show,
            files,
            keep: false,
            pooler: false,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--keep" => options.keep = true,
                "--pooler" => options.pooler = true,
                "--files" if show != Show::Saga => {
                    let number = args.next().and_then(|number| number.parse().ok());
                    options.files = number
                        .filter(|n| (20..=most).contains(n))
                        .with_context(|| format!("--files takes a number from 20 to {most}"))?;
                }
                _ => bail!(
                    "unknown option {arg}: the demo takes --files N, --keep and --pooler, after `workflow` or without it, and after `saga` --keep and --pooler"
                ),
            }
        }
        Ok(options)
    }
}

impl Progress {
    fn look(cluster: &Cluster, group: &Group) -> Result<Progress> {
        let sql = format!(
            "SELECT count(*) FILTER (WHERE state = 'completed'),
                    count(*) FILTER (WHERE state IN ('completed', 'failed', 'cancelled', 'compensated', 'quarantined'))
               FROM {}",
            items(group)
        );
        let row = cluster.psql(DATABASE, &sql)?;
        let (completed, ended) = row.split_once('|').context("the group shows no counts")?;
        Ok(Progress {
            completed: completed.parse()?,
            ended: ended.parse()?,
        })
    }
}

/// One line that is written over on a terminal, and a line every other second elsewhere.
struct ProgressLine {
    terminal: bool,
    shown: Option<Instant>,
}

impl ProgressLine {
    fn new() -> ProgressLine {
        ProgressLine {
            terminal: std::io::stdout().is_terminal(),
            shown: None,
        }
    }

    fn show(&mut self, progress: &Progress, total: usize, elapsed: Duration) {
        if !self.terminal
            && self
                .shown
                .is_some_and(|shown| shown.elapsed() < Duration::from_secs(2))
        {
            return;
        }
        self.shown = Some(Instant::now());
        let filled = 30 * progress.ended / total.max(1);
        let seconds = elapsed.as_secs_f64();
        print!(
            "{}[{}{}] {} of {total} completed, {:.1} s, {:.0} a second{}",
            if self.terminal { "\r\x1b[K" } else { "" },
            "#".repeat(filled),
            ".".repeat(30 - filled),
            progress.completed,
            seconds,
            progress.completed as f64 / seconds.max(0.1),
            if self.terminal { "" } else { "\n" },
        );
        let _ = std::io::stdout().flush();
    }

    fn say(&mut self, what: &str) {
        println!("{}{what}", if self.terminal { "\r\x1b[K" } else { "" });
    }

    fn end(&mut self, progress: &Progress, total: usize, elapsed: Duration) {
        self.shown = None;
        self.show(progress, total, elapsed);
        if self.terminal {
            println!();
        }
    }
}

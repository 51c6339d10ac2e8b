//! `cargo demo -- workflow`: a run of `examples/files.workflow.json` over a folder of real files. One of
//! them is cut in half, so that its item fails and the run pauses; it is repaired, its task is driven
//! again, and the run goes on to its report. A worker is killed over another item on the way.

use super::files::{Input, hex};
use super::runtimes::Runtimes;
use super::summary::{Claims, check, compare, done_again, json_row, show, tape, text};
use super::workers::{Crew, Reach};
use super::{DATABASE, HELD_TO_DEATH, QUEUE, SHORT_TTL, TTL, literal};
use crate::cluster::Cluster;
use crate::setup::root;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const DEFINITION: &str = "files.workflow.json";
const EXAMPLE: &str = "workflow_worker";
/// The queue of all steps but that of the items, which is `QUEUE`.
const STEPS_QUEUE: &str = "files";
/// The step of the items, and the one that comes after.
const ITEMS: &str = "hash_file";
const AFTER_ITEMS: &str = "validate";
/// Steps with one task each: fetch, validate, report.
const SINGLES: usize = 3;
const HASHERS: usize = 3;
/// The whole takes a few seconds; nothing in it should take so long by itself.
const PATIENCE: Duration = Duration::from_secs(30);
/// The tape of the run, from its start to its end.
const RUN_TAPE: [&str; 12] = [
    "started",
    "step_dispatched fetch",
    "step_finalized fetch",
    "step_dispatched hash_file",
    "paused",
    "resumed",
    "step_finalized hash_file",
    "step_dispatched validate",
    "step_finalized validate",
    "step_dispatched report",
    "step_finalized report",
    "final",
];

/// Copies of real files, and the list of what they must hold.
struct Folder {
    path: PathBuf,
    copies: Input,
    /// Which of the files is cut in half, and what it held.
    broken: usize,
    whole: Vec<u8>,
}

/// A run, and what is asked about it.
struct Run<'a> {
    cluster: &'a Cluster,
    run_id: i64,
}

pub fn demo(
    cluster: &Cluster,
    reach: &Reach,
    scratch: &Path,
    runtimes: &Runtimes,
    input: &Input,
) -> Result<()> {
    let python = runtimes
        .python()
        .context("the workers of this demo are in Python, which cannot run here")?;
    let folder = Folder::fill(&scratch.join("files"), input)?;
    let report = scratch.join("report.json");
    let _ = fs::remove_file(&report); // an earlier demo's
    let mut crew = Crew::new(EXAMPLE, reach, scratch)?;
    let mut claims = Claims::default();
    println!(
        "copied into {}; {} is cut in half there",
        folder.path.display(),
        folder.name(folder.broken)
    );

    let run = Run::start(cluster, &folder, &report)?;
    crew.hire_for(STEPS_QUEUE, python, "python-steps", TTL)?;
    run.wait(&mut crew, "the items", |progress| {
        progress["tasks"].as_u64() > Some(1)
    })?;

    // Nobody else is there to take an item yet: the one that is killed surely holds the first.
    let victim = crew.hire_holding(python, "killed", SHORT_TTL, HELD_TO_DEATH)?;
    let killed = crew.held_by(victim)?;
    for n in 1..=HASHERS {
        crew.hire(python, &format!("python-{n}"), TTL)?;
    }
    println!(
        "run {} of examples/{DEFINITION}, {} workers: {}",
        run.run_id,
        crew.names().len(),
        crew.names().join(", ")
    );
    run.wait(&mut crew, "the first items", |progress| {
        progress["completed"].as_u64() > Some(1)
    })?;
    crew.kill(victim)?;
    println!(
        "killed {} with -9 in the middle of task {}",
        crew.name(victim),
        killed.task_id
    );

    // Who has an item when the run pauses may finish it; the killed worker's comes back when its lease is over.
    run.wait(&mut crew, "the pause", |progress| {
        progress["state"] == "paused" && progress["running"] == 0
    })?;
    let failed = paused(&mut claims, &run, &folder, scratch)?;
    let redriven = repair(&run, &folder, failed)?;
    let told = run.ask(&format!(
        "to_json(workflow_resume({}, 'on_error'))",
        run.run_id
    ))?;
    println!("  workflow_resume       {}", text(&told));
    run.wait(&mut crew, "the end", |progress| {
        progress["state"] == "completed"
    })?;
    crew.dismiss()?;

    run.draw("At the end", &scratch.join("completed.mmd"))?;
    println!("\nSummary");
    steps(&mut claims, &run, &folder, &crew)?;
    finals(&mut claims, &run, failed)?;
    done_again(&mut claims, cluster, crew.name(victim), killed)?;
    done_anew(&mut claims, &run, &folder, failed, redriven)?;
    run_tape(&mut claims, &run)?;
    let read = fs::read(&report).with_context(|| format!("no report in {}", report.display()))?;
    compare(
        &mut claims,
        "report",
        &serde_json::from_slice(&read)?,
        &folder.copies,
    )?;
    check(&mut claims, cluster)?;
    claims.end()
}

/// Shows what an operator sees of the paused run, and returns the task that failed.
fn paused(claims: &mut Claims, run: &Run, folder: &Folder, scratch: &Path) -> Result<i64> {
    let (id, broken) = (run.run_id, folder.broken);
    let progress = run.progress()?;
    let seen = run.ask(&format!(
        "json_build_array((SELECT json_build_array(checkpoint, checkpoint_detail) FROM workflow_get({id})),
                          (SELECT json_object_agg(step, state) FROM workflow_steps({id})))"
    ))?;
    let (checkpoint, detail, states) = (&seen[0][0], &seen[0][1], &seen[1]);
    println!("\nPaused");
    println!("  workflow_progress     {}", sentence(&progress));
    println!("  checkpoint_detail     {detail}");
    let failed = detail["failed"][0]["task_id"]
        .as_i64()
        .with_context(|| format!("checkpoint_detail names no failed task: {detail}"))?;
    let error = run.ask(&format!("(SELECT error FROM task_get({failed}))"))?;
    println!("  error of task {failed:<8}{}", text(&error["message"]));
    run.draw("The graph", &scratch.join("paused.mmd"))?;
    println!();
    let expected = json!({"failed": [{"task_id": failed, "step": ITEMS, "item_index": broken}]});
    claims.say(
        "paused",
        checkpoint == "on_error" && *detail == expected && progress["failed"] == 1,
        &format!(
            "at {}, over item {broken} of {ITEMS} and no other",
            text(checkpoint)
        ),
    );
    claims.say(
        "waiting",
        states[AFTER_ITEMS] == "waiting" && progress["steps_ended"] == 1,
        &format!(
            "{AFTER_ITEMS} is {}; nothing was skipped",
            text(&states[AFTER_ITEMS])
        ),
    );
    Ok(failed)
}

/// Puts the file in order, and then a new task in the place of the one that failed.
fn repair(run: &Run, folder: &Folder, failed: i64) -> Result<i64> {
    fs::write(&folder.copies.files[folder.broken], &folder.whole)?;
    let told = run.ask(&format!(
        "(SELECT json_build_array(outcome, task_id) FROM task_redrive({failed}))"
    ))?;
    let redriven = told[1]
        .as_i64()
        .filter(|_| told[0] == "redriven")
        .with_context(|| format!("task_redrive({failed}) answered {told}"))?;
    println!("\nRepaired {}", folder.name(folder.broken));
    println!(
        "  task_redrive          {}: task {redriven}",
        text(&told[0])
    );
    Ok(redriven)
}

fn steps(claims: &mut Claims, run: &Run, folder: &Folder, crew: &Crew) -> Result<()> {
    let files = folder.copies.files.len();
    let rows = run.ask(&format!(
        "(SELECT json_agg(json_build_array(step, state, total, completed, failed) ORDER BY started_at)
            FROM workflow_steps({}))",
        run.run_id
    ))?;
    let expected = json!([
        ["fetch", "completed", 1, 1, 0],
        [ITEMS, "completed", files, files, 0],
        [AFTER_ITEMS, "completed", 1, 1, 0],
        ["report", "completed", 1, 1, 0]
    ]);
    let counts: Vec<String> = rows
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| format!("{} {} of {}", text(&row[0]), row[3], row[2]))
        .collect();
    claims.say("steps", rows == expected, &counts.join(", "));
    let finalized = crew.finalized()?;
    let answers: usize = finalized.iter().map(|(_, count)| count).sum();
    claims.say(
        "finalized once",
        answers == files + SINGLES + 1, // and the one that failed
        &format!("{answers} answers `finalized`: one a task, the failed one included"),
    );
    let shares: Vec<String> = finalized
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    println!("{:24}{}", "", shares.join(", "));
    Ok(())
}

/// Of every task of the run, the failed one included, and of the run itself.
fn finals(claims: &mut Claims, run: &Run, failed: i64) -> Result<()> {
    const TELLS: &str = "count(*) FILTER (WHERE kind = 'final') = 1 AND max(seq) = count(*)
                         AND max(seq) = max(seq) FILTER (WHERE kind = 'final')";
    let row = run.ask(&format!(
        "(SELECT json_build_array(count(*), count(*) FILTER (WHERE tape.whole),
                                  (SELECT {TELLS} FROM workflow_events({id})))
            FROM (SELECT task_id FROM task_list(run_id => {id}, max_tasks => 1000) UNION SELECT {failed}) AS task,
         LATERAL (SELECT {TELLS} AS whole FROM task_events(task.task_id)) AS tape)",
        id = run.run_id
    ))?;
    claims.say(
        "one final",
        row[0] == row[1] && row[2] == true,
        &format!(
            "{} of {} tapes of tasks, and the run's, end with their only final event",
            row[1], row[0]
        ),
    );
    Ok(())
}

/// The failed task stays as it was; the new one is the item now.
fn done_anew(
    claims: &mut Claims,
    run: &Run,
    folder: &Folder,
    failed: i64,
    redriven: i64,
) -> Result<()> {
    let broken = folder.broken;
    let row = run.ask(&format!(
        "json_build_array((SELECT state FROM task_get({failed})),
                          (SELECT json_build_array(state, redrive_of, item_index) FROM task_get({redriven})),
                          (SELECT json_build_array(task_id, state) FROM task_items({}, '{ITEMS}', {broken} - 1, 1)))",
        run.run_id
    ))?;
    claims.say(
        "redriven",
        row == json!([
            "failed",
            ["completed", failed, broken],
            [redriven, "completed"]
        ]),
        &format!(
            "task {failed} stays {}; item {broken} is task {redriven} now, {}",
            text(&row[0]),
            text(&row[1][0])
        ),
    );
    Ok(())
}

fn run_tape(claims: &mut Claims, run: &Run) -> Result<()> {
    let events = tape(run.cluster, &format!("workflow_events({})", run.run_id))?;
    let kinds: Vec<String> = events
        .iter()
        .map(|event| match event.body["step"].as_str() {
            Some(step) => format!("{} {step}", event.kind),
            None => event.kind.clone(),
        })
        .collect();
    claims.say(
        "tape of the run",
        kinds == RUN_TAPE,
        "each step dispatched once and in turn, none while it was paused:",
    );
    show(&events);
    Ok(())
}

/// A row of workflow_progress in words.
fn sentence(progress: &Value) -> String {
    let [state, ended, steps] = ["state", "steps_ended", "steps"].map(|n| text(&progress[n]));
    let [tasks, completed, failed, running] =
        ["tasks", "completed", "failed", "running"].map(|n| text(&progress[n]));
    format!(
        "{state}, {ended} of {steps} steps ended; of {tasks} tasks {completed} completed, {failed} failed, {running} at work"
    )
}

impl Folder {
    /// Copies the files, lists their checksums as sha256sum does, and cuts one in half.
    fn fill(path: &Path, input: &Input) -> Result<Folder> {
        let _ = fs::remove_dir_all(path);
        fs::create_dir_all(path)?;
        let copies = input.copy_into(path)?;
        let mut folder = Folder {
            path: path.to_path_buf(),
            broken: 0,
            whole: Vec::new(),
            copies,
        };
        let mut sums = String::new();
        for (n, copy) in folder.copies.files.iter().enumerate() {
            let data = fs::read(copy)?;
            let digest = hex(&Sha256::digest(&data));
            sums += &format!("{digest}  {}\n", folder.name(n));
            // In the middle, so that there is something to do before the pause and after it.
            if n <= folder.copies.files.len() / 2 && data.len() > 1 {
                (folder.broken, folder.whole) = (n, data);
            }
        }
        ensure!(
            folder.broken > folder.copies.files.len() / 4,
            "the files have nothing in them"
        );
        fs::write(path.join("SHA256SUMS"), sums)?;
        let half = &folder.whole[..folder.whole.len() / 2];
        fs::write(&folder.copies.files[folder.broken], half)?;
        Ok(folder)
    }

    fn name(&self, n: usize) -> String {
        let name = self.copies.files[n].file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }
}

impl<'a> Run<'a> {
    fn start(cluster: &'a Cluster, folder: &Folder, report: &Path) -> Result<Run<'a>> {
        let definition = fs::read_to_string(root().join("examples").join(DEFINITION))?;
        let input = json!({"folder": folder.path, "report": report});
        let answer = cluster.psql(
            DATABASE,
            &format!(
                "SELECT queue_create('{STEPS_QUEUE}');
                 SELECT queue_create('{QUEUE}');
                 SELECT workflow_define('files', {});
                 SELECT outcome || ' ' || run_id FROM workflow_start('files', {}, key => 'demo')",
                literal(&definition),
                literal(&input.to_string())
            ),
        )?;
        let run_id = answer
            .lines()
            .find_map(|line| line.strip_prefix("started "));
        Ok(Run {
            cluster,
            run_id: run_id.context("no run was started")?.parse()?,
        })
    }

    /// The value of an expression.
    fn ask(&self, expression: &str) -> Result<Value> {
        json_row(self.cluster, &format!("SELECT {expression}"))
    }

    fn progress(&self) -> Result<Value> {
        self.ask(&format!(
            "(SELECT json_build_object('state', state, 'steps', steps, 'steps_ended', steps_ended, 'tasks', tasks,
                                       'running', running, 'completed', completed, 'failed', failed)
                FROM baton.workflow_progress WHERE run_id = {})",
            self.run_id
        ))
    }

    /// Looks until the progress is as wanted.
    fn wait(&self, crew: &mut Crew, what: &str, there: impl Fn(&Value) -> bool) -> Result<()> {
        let begun = Instant::now();
        loop {
            let progress = self.progress()?;
            if there(&progress) {
                return Ok(());
            }
            crew.check_health()?;
            let ended = !matches!(progress["state"].as_str(), Some("running" | "paused"));
            if ended || begun.elapsed() > PATIENCE {
                let errors = self.cluster.psql(
                    DATABASE,
                    &format!(
                        "SELECT format('task %s (%s) %s: %s', t.task_id, l.name, t.state, t.error)
                           FROM task_list(run_id => {}, states => '{{failed,quarantined}}') AS l, task_get(l.task_id) AS t",
                        self.run_id
                    ),
                )?;
                bail!(
                    "waited {:.0} s for {what} of run {}, which has come to: {}\n{errors}\nsee {} and {}",
                    begun.elapsed().as_secs_f32(),
                    self.run_id,
                    sentence(&progress),
                    crew.output_dir().display(),
                    self.cluster.log().display()
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Prints the graph but for its colours, and writes all of it to a file.
    fn draw(&self, title: &str, file: &Path) -> Result<()> {
        let graph = self.cluster.psql(
            DATABASE,
            &format!("SELECT workflow_mermaid({})", self.run_id),
        )?;
        fs::write(file, &graph)?;
        println!(
            "\n{title}, by workflow_mermaid (with its colours in {})",
            file.display()
        );
        graph
            .lines()
            .filter(|line| !line.trim_start().starts_with("classDef"))
            .for_each(|line| println!("  {line}"));
        Ok(())
    }
}

//! Runs a program to its end, keeps what it printed, and never waits for ever.

use std::fs::File;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// What a finished program left behind.
pub struct Finished {
    pub success: bool,
    pub timed_out: bool,
    /// Standard output and standard error, in the order they were written.
    pub output: String,
    pub ending: String,
}

/// Runs `command` without input. Its output goes to `log`, so that it can be read while it runs.
/// After `limit` it is killed: a program that waits for a lock must fail, not hang. It stays in our process
/// group, so that an interrupt from the terminal ends everything.
pub fn run(command: &mut Command, log: &Path, limit: Duration) -> Result<Finished> {
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;

    let begun = Instant::now();
    let mut timed_out = false;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begun.elapsed() > limit {
            timed_out = true;
            // What it started itself waits for a server, and ends when that drops the database or stops.
            let _ = child.kill();
            break child.wait()?;
        }
        // 10 ms: short beside any program run here, and two cores do not notice it.
        sleep(Duration::from_millis(10));
    };

    let mut bytes = Vec::new();
    File::open(log)?.read_to_end(&mut bytes)?;
    let ending = match (timed_out, status.code(), status.signal()) {
        (true, _, _) => format!("killed after {} s", limit.as_secs()),
        (_, Some(code), _) => format!("exit status {code}"),
        (_, _, Some(signal)) => format!("signal {signal}"),
        _ => String::from("ended"),
    };
    Ok(Finished {
        success: status.success() && !timed_out,
        timed_out,
        output: String::from_utf8_lossy(&bytes).into_owned(),
        ending,
    })
}

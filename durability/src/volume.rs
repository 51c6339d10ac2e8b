//! Small disks: file systems of its own for a server's data and its WAL, which can be filled, and one that can lose its power.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use xtask::cluster::Cluster;
use xtask::setup;

use crate::{Played, Setting};

/// Where the file systems are, in the program that has them.
const PLACE: &str = "DURABILITY_VOLUMES";
const MEGABYTE: u64 = 1 << 20;

/// Mounts what `names` says, and becomes the program with its arguments; as the user who began, if that is not root.
const MOUNT: &str = r#"
for volume in data wal; do mkdir -p "$0/$volume" && mount -t tmpfs -o size=400m tmpfs "$0/$volume" || exit; done
uid=$1 gid=$2; shift 2
if [ "$uid" = 0 ]; then exec "$@"; fi
exec unshare --user --map-user="$uid" --map-group="$gid" -- "$@""#;

/// A file system, and the file that fills it.
#[derive(Clone)]
pub struct Volume {
    pub path: PathBuf,
}

impl Volume {
    /// This one, in a program that has file systems of its own.
    fn named(name: &str) -> Option<Volume> {
        let place = std::env::var_os(PLACE)?;
        Some(Volume {
            path: PathBuf::from(place).join(name),
        })
    }

    /// Fills it, but for so many bytes.
    pub fn fill(&self, left: u64) -> Result<()> {
        let mut ballast = File::options()
            .create(true)
            .append(true)
            .open(self.path.join("ballast"))?;
        for size in [MEGABYTE as usize, 4096] {
            let zeros = vec![0; size];
            while ballast.write_all(&zeros).is_ok() {}
        }
        let length = ballast.metadata()?.len();
        ballast.set_len(length.saturating_sub(left))?;
        Ok(())
    }

    /// Leaves so many bytes of it for good.
    pub fn shrink(&self, left: u64) -> Result<()> {
        self.fill(left)?;
        Ok(fs::rename(
            self.path.join("ballast"),
            self.path.join("stays"),
        )?)
    }

    /// Gives back what fills it.
    pub fn give_back(&self) -> Result<()> {
        Ok(fs::remove_file(self.path.join("ballast"))?)
    }

    /// The server's data moves here.
    pub fn move_in(&self, cluster: &mut Cluster) -> Result<()> {
        cluster.stop()?;
        self.take(&cluster.data_dir())?;
        cluster.recover()
    }

    fn take(&self, part: &Path) -> Result<()> {
        let name = part.file_name().context("it has a name")?;
        setup::output(Command::new("cp").arg("-a").arg(part).arg(&self.path))?;
        fs::remove_dir_all(part)?;
        std::os::unix::fs::symlink(self.path.join(name), part)?;
        setup::output(Command::new("sync").arg("-f").arg(&self.path)).map(drop)
    }
}

pub struct Volumes {
    pub data: Volume,
    pub wal: Volume,
}

impl Volumes {
    pub fn given() -> Option<Volumes> {
        Some(Volumes {
            data: Volume::named("data")?,
            wal: Volume::named("wal")?,
        })
    }

    /// The server's data and its WAL, each on a small disk of its own.
    pub fn move_in(&self, cluster: &mut Cluster) -> Result<()> {
        cluster.stop()?;
        self.wal.take(&cluster.data_dir().join("pg_wal"))?;
        self.data.move_in(cluster)
    }
}

/// Plays the scenario in another process, which has file systems of its own that end with it.
pub fn with_volumes(setting: &Setting, part: &str, scenario: &str) -> Result<Played> {
    let place = std::env::temp_dir().join(format!("pg_baton-volumes-{}", std::process::id()));
    fs::create_dir(&place)?;
    let played = play_in(&place, setting, part, scenario);
    fs::remove_dir_all(&place)?;
    played
}

fn play_in(place: &Path, setting: &Setting, part: &str, scenario: &str) -> Result<Played> {
    if let Err(error) = setup::output(in_volumes(place)?.arg("true")) {
        return Ok(Played::left_out(&format!(
            "no file system can be mounted here: {error:#}"
        )));
    }
    let mut program = in_volumes(place)?;
    program.arg(std::env::current_exe()?);
    program.args([
        part,
        "--only",
        scenario,
        "--seed",
        &setting.seed.to_string(),
    ]);
    match &setting.library {
        Some(library) => program.arg("--library").arg(library),
        None => program.arg("--installed"),
    };
    if setting.quick {
        program.arg("--quick");
    }
    let done = program.env(PLACE, place).output()?;
    let text = String::from_utf8_lossy(&done.stdout);
    let what = text
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{part}, {scenario}: ")));
    let violations: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("  - "))
        .map(str::to_owned)
        .collect();
    ensure!(
        what.is_some() && done.status.success() == violations.is_empty(),
        "{}\n{text}\n{}",
        done.status,
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(Played {
        // (without the time, which our caller adds)
        what: what
            .and_then(|what| what.rsplit_once(" ("))
            .unwrap_or_default()
            .0
            .to_owned(),
        violations,
    })
}

/// What begins a program that has the file systems.
fn in_volumes(place: &Path) -> Result<Command> {
    let id = |flag| setup::output(Command::new("id").arg(flag));
    let mut program = Command::new("unshare");
    program.arg("--mount");
    if !setup::is_root() {
        program.args(["--user", "--map-root-user"]);
    }
    program
        .args(["sh", "-c", MOUNT])
        .arg(place)
        .args([id("-u")?, id("-g")?]);
    Ok(program)
}

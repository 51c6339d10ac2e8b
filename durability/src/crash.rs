//! A server that dies: its processes are killed, or its disk loses its power with all that was not flushed.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use xtask::cluster::{Cluster, Crash};
use xtask::setup;

use crate::disk::{connect, end, load, wait_until};
use crate::load::{Keeps, Load};
use crate::volume::{Volume, Volumes, with_volumes};
use crate::{Played, Scenario, Setting};

pub const SCENARIOS: &[(&str, Scenario)] = &[("kill -9", kills), ("power cut", power_cuts)];

/// What nobody waits for is flushed late; and the server stays down until what it has lost is looked at.
const SERVER: &[(&str, &str)] = &[
    ("wal_writer_delay", "10s"),
    ("max_connections", "40"),
    ("checkpoint_timeout", "30s"),
    ("restart_after_crash", "off"),
];

/// What came of many crashes.
#[derive(Default)]
struct Survived {
    kept: usize,
    lost: usize,
    /// How long after its start each server answered an acquire.
    answered: Vec<Duration>,
}

impl Survived {
    /// The server is started again, and looked at; the load goes on.
    fn start_again(&mut self, cluster: &mut Cluster, load: &Load) -> Result<()> {
        let begun = Instant::now();
        cluster.recover()?;
        let mut server = connect(cluster)?;
        server.batch_execute("SELECT task_acquire_lease('default', 'probe')")?;
        self.answered.push(begun.elapsed());
        let settled = load.ledger().settle(&mut server, Keeps::Durable)?;
        ensure!(settled.kept > 0, "nothing was going on");
        self.kept += settled.kept;
        self.lost += settled.lost;
        load.go_on();
        Ok(())
    }

    fn end(mut self, load: Load, cluster: &Cluster, what: String) -> Result<Played> {
        self.answered.sort();
        let median = self.answered[self.answered.len() / 2].as_millis();
        let longest = self.answered[self.answered.len() - 1].as_millis();
        let what = format!(
            "{what}; an acquire was answered {median} ms (at most {longest}) after the start; of what callers did not wait for {} kept, {} lost",
            self.kept, self.lost
        );
        end(load, cluster, what)
    }
}

/// `kill -9` of the first process, again and again; of any other; immediate stops. Flushes are real.
fn kills(setting: &Setting) -> Result<Played> {
    let mut cluster = setting.cluster("crash", SERVER)?;
    let load = load(setting, &cluster)?;
    let mut rng = SmallRng::seed_from_u64(setting.seed);
    let mut survived = Survived::default();
    let kills = setting.times(50, 5);
    let others = setting.times(10, 1);
    for kill in 0..kills + 2 * others {
        sleep(Duration::from_millis(rng.random_range(100..500)));
        if kill >= kills + others {
            kill_a_backend(&cluster)?;
        }
        cluster.crash(if (kills..kills + others).contains(&kill) {
            Crash::Immediate
        } else {
            Crash::Kill
        })?;
        load.hold();
        survived.start_again(&mut cluster, &load)?;
    }
    survived.end(load, &cluster, format!("kill -9 of the server {kills} times, of one process {others} times, {others} immediate stops"))
}

/// Returns when the server has gone down by it.
fn kill_a_backend(cluster: &Cluster) -> Result<()> {
    let mut server = connect(cluster)?;
    let victim: i32 = server
        .query_one("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1", &[])?
        .get(0);
    signal("-9", &victim.to_string())?;
    wait_until("the server ends", || connect(cluster).is_err()).map(drop)
}

fn signal(what: &str, process: &str) -> Result<()> {
    setup::output(Command::new("kill").args([what, process])).map(drop)
}

/// The file system under data and WAL is shut down as it is, as by a power cut: whatever was not flushed is gone.
fn power_cuts(setting: &Setting) -> Result<Played> {
    let Some(volumes) = Volumes::given() else {
        if !setup::is_root() {
            return Ok(Played::left_out(
                "only root can mount a disk that loses its power",
            ));
        }
        return with_volumes(setting, "crash", "power cut");
    };
    let Some(disk) = Disk::new(&volumes.data.path)? else {
        return Ok(Played::left_out(
            "no ext4 on a loop device can be mounted here",
        ));
    };
    let mut cluster = setting.cluster("power", SERVER)?;
    disk.volume.move_in(&mut cluster)?;
    let load = load(setting, &cluster)?;
    let mut rng = SmallRng::seed_from_u64(setting.seed);
    let mut survived = Survived::default();
    let cuts = setting.times(20, 3);
    for _ in 0..cuts {
        sleep(Duration::from_millis(rng.random_range(200..800)));
        disk.cut(&mut cluster)?;
        load.hold();
        disk.mount_again()?;
        survived.start_again(&mut cluster, &load)?;
    }
    survived.end(load, &cluster, format!("the power was cut {cuts} times"))
}

/// A file system in a file.
struct Disk {
    image: PathBuf,
    volume: Volume,
}

impl Disk {
    /// None: there is no ext4, or no loop device.
    fn new(place: &Path) -> Result<Option<Disk>> {
        let disk = Disk {
            image: place.join("image"),
            volume: Volume {
                path: place.join("disk"),
            },
        };
        File::create(&disk.image)?.set_len(300 << 20)?;
        fs::create_dir(&disk.volume.path)?;
        let made = setup::output(Command::new("mkfs.ext4").arg("-q").arg(&disk.image));
        Ok((made.is_ok() && disk.mount().is_ok()).then_some(disk))
    }

    fn mount(&self) -> Result<()> {
        setup::output(
            Command::new("mount")
                .args(["-o", "loop"])
                .arg(&self.image)
                .arg(&self.volume.path),
        )
        .map(drop)
    }

    /// Nothing reaches the disk from now on, not even what was written already; and no process goes on.
    fn cut(&self, cluster: &mut Cluster) -> Result<()> {
        nix::ioctl_read!(shutdown, b'X', 125, u32);
        const WITHOUT_FLUSH: u32 = 2;
        let lock = fs::read_to_string(cluster.data_dir().join("postmaster.pid"))?;
        let first = lock.lines().next().unwrap_or_default();
        // It starts no others while they are looked up.
        signal("-STOP", first)?;
        let others = fs::read_to_string(format!("/proc/{first}/task/{first}/children"))?;
        let top = File::open(&self.volume.path)?;
        // SAFETY: the call reads one number from where the pointer points.
        unsafe { shutdown(top.as_raw_fd(), &mut { WITHOUT_FLUSH }) }
            .context("shutting the file system down")?;
        for other in others.split_whitespace() {
            let _ = signal("-9", other); // it may have ended with an error from the disk
        }
        cluster.crash(Crash::Kill)
    }

    fn mount_again(&self) -> Result<()> {
        let begun = Instant::now();
        // The processes of the killed server take a moment to end.
        while let Err(error) = setup::output(Command::new("umount").arg(&self.volume.path)) {
            ensure!(begun.elapsed() < Duration::from_secs(60), error);
            sleep(Duration::from_millis(20));
        }
        self.mount()
    }
}

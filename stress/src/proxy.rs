//! A proxy in front of the server that now and then cuts a connection at the worst moment: after the server has
//! done what was asked, before the client learns of it.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use anyhow::{Context, Result};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// What is shared with whoever decides when to cut.
#[derive(Default)]
pub struct Plan {
    /// How many of 10,000 messages of clients are followed by a cut.
    pub per_10_000: AtomicU32,
    pub cuts: AtomicUsize,
}

/// How a connection is cut.
#[derive(Clone, Copy)]
enum Cut {
    /// The server never hears of it.
    Question,
    /// The server answers, and nobody hears it.
    Answer,
    /// The server is asked, and is left alone before it has answered.
    Both,
}

/// Listens in this directory, where the server's clients look for its socket.
pub fn start(dir: &Path, server: PathBuf, seed: u64, plan: Arc<Plan>) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    let socket = dir.join(".s.PGSQL.5432");
    let _ = std::fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket)
        .with_context(|| format!("cannot listen at {}", socket.display()))?;
    std::thread::spawn(move || {
        for (n, client) in listener.incoming().enumerate() {
            let (Ok(client), Ok(server)) = (client, UnixStream::connect(&server)) else {
                continue;
            };
            let rng = SmallRng::seed_from_u64(seed ^ n as u64);
            let plan = Arc::clone(&plan);
            std::thread::spawn(move || {
                // An end of either side is how every connection ends.
                let _ = connect(&client, &server, rng, &plan);
                let _ = client.shutdown(Shutdown::Both);
                let _ = server.shutdown(Shutdown::Both);
            });
        }
    });
    Ok(())
}

fn connect(
    client: &UnixStream,
    server: &UnixStream,
    mut rng: SmallRng,
    plan: &Plan,
) -> std::io::Result<()> {
    let deaf = Arc::new(AtomicBool::new(false));
    let back = {
        let (mut from, mut to) = (server.try_clone()?, client.try_clone()?);
        let deaf = Arc::clone(&deaf);
        std::thread::spawn(move || {
            let mut buffer = [0; 65536];
            while let Ok(n @ 1..) = from.read(&mut buffer) {
                if deaf.load(Ordering::SeqCst) || to.write_all(&buffer[..n]).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Both);
            let _ = from.shutdown(Shutdown::Both);
        })
    };
    let (mut from, mut to) = (client, server);
    let mut buffer = [0; 65536];
    let mut messages = 0;
    loop {
        let n = from.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        messages += 1;
        // Not before it has logged in.
        let cut =
            messages > 3 && rng.random_range(0..10_000) < plan.per_10_000.load(Ordering::Relaxed);
        if !cut {
            to.write_all(&buffer[..n])?;
            continue;
        }
        plan.cuts.fetch_add(1, Ordering::Relaxed);
        match [Cut::Question, Cut::Answer, Cut::Answer, Cut::Both][rng.random_range(0..4)] {
            Cut::Question => {}
            Cut::Both => to.write_all(&buffer[..n])?,
            Cut::Answer => {
                deaf.store(true, Ordering::SeqCst);
                to.write_all(&buffer[..n])?;
                let _ = back.join();
            }
        }
        break;
    }
    Ok(())
}

//! The languages the example workers are written in: which of them this machine can run, and the
//! client libraries they need, put where they disturb nobody.

use crate::setup::{output, root, run_quietly, which};
use anyhow::{Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Language {
    Python,
    Node,
    Bash,
}

pub struct Runtime {
    pub language: Language,
    program: PathBuf,
    /// Where Python finds psycopg, if not by itself.
    python_path: Option<PathBuf>,
}

pub struct Runtimes(Vec<Runtime>);

impl Runtimes {
    /// Finds what there is, and says what is left out and why.
    pub fn find(scratch: &Path) -> Result<Runtimes> {
        fs::create_dir_all(scratch)?;
        let mut there = Vec::new();
        for (language, found) in [
            (Language::Python, python(scratch)),
            (Language::Node, node()),
            (Language::Bash, bash()),
        ] {
            match found {
                Ok(runtime) => there.push(runtime),
                Err(why) => println!("No worker in {language:?}: {why:#}."),
            }
        }
        if there.is_empty() {
            bail!("no worker can run here: install Python 3, Node or bash");
        }
        Ok(Runtimes(there))
    }

    /// The one whose worker is killed.
    pub fn to_kill(&self) -> &Runtime {
        self.first_of([Language::Python, Language::Node, Language::Bash])
    }

    /// The one whose worker falls asleep: another language where there is one.
    pub fn to_pause(&self) -> &Runtime {
        self.first_of([Language::Node, Language::Python, Language::Bash])
    }

    /// Those that do the work, and how many of each.
    pub fn others(&self) -> impl Iterator<Item = (&Runtime, usize)> {
        self.0.iter().map(|runtime| {
            (
                runtime,
                if runtime.language == Language::Python {
                    2
                } else {
                    1
                },
            )
        })
    }

    /// The one that folds the report; without Python it is done by the demo itself.
    pub fn folder(&self) -> Option<&Runtime> {
        self.python()
    }

    pub fn python(&self) -> Option<&Runtime> {
        self.0
            .iter()
            .find(|runtime| runtime.language == Language::Python)
    }

    fn first_of(&self, order: [Language; 3]) -> &Runtime {
        let mut found = order
            .iter()
            .filter_map(|language| self.0.iter().find(|r| r.language == *language));
        found.next().expect("at least one runtime is there")
    }
}

impl Runtime {
    pub fn name(&self) -> &'static str {
        match self.language {
            Language::Python => "python",
            Language::Node => "node",
            Language::Bash => "bash",
        }
    }

    /// The command that runs one of the examples: `worker`, `fold`, `workflow_worker` or `saga_worker`.
    pub fn command(&self, example: &str) -> Command {
        let extension = match self.language {
            Language::Python => "py",
            Language::Node => "mjs",
            Language::Bash => "sh",
        };
        let mut command = Command::new(&self.program);
        command.arg(
            root()
                .join("examples")
                .join(format!("{example}.{extension}")),
        );
        if let Some(path) = &self.python_path {
            command.env("PYTHONPATH", path);
        }
        command
    }
}

/// Python with psycopg 3: its own, or from a virtual environment, or from a plain directory.
fn python(scratch: &Path) -> Result<Runtime> {
    const LOOK: &str = "import psycopg; assert psycopg.__version__.split('.')[0] == '3'";
    let Some(python) = which(Path::new("python3")) else {
        bail!("there is no python3")
    };
    let has_psycopg = |program: &Path, path: Option<&Path>| {
        let mut look = Command::new(program);
        look.args(["-c", LOOK])
            .envs(path.map(|path| ("PYTHONPATH", path)));
        output(&mut look).is_ok()
    };
    let runtime = |program: &Path, path: Option<&Path>| Runtime {
        language: Language::Python,
        program: program.to_path_buf(),
        python_path: path.map(Path::to_path_buf),
    };
    let (venv, plain) = (scratch.join("venv"), scratch.join("python"));
    let ours = venv.join("bin/python3");
    if has_psycopg(&ours, None) {
        return Ok(runtime(&ours, None));
    }
    if has_psycopg(&python, Some(&plain)) {
        return Ok(runtime(&python, Some(&plain)));
    }
    if has_psycopg(&python, None) {
        return Ok(runtime(&python, None));
    }
    let package = "psycopg[binary]>=3.1";
    let _ = fs::remove_dir_all(&venv); // half-made by a run that was stopped
    let made = output(Command::new(&python).args(["-m", "venv"]).arg(&venv));
    let mut install = Command::new(if made.is_ok() { &ours } else { &python });
    install.args(["-m", "pip", "install", "--quiet", package]);
    if made.is_err() {
        // Debian's Python comes without venv, sometimes with pip.
        let _ = fs::remove_dir_all(&venv);
        if output(Command::new(&python).args(["-m", "pip", "--version"])).is_err() {
            bail!("python3 has neither venv nor pip (apt-get install python3-venv)");
        }
        install.arg("--target").arg(&plain);
    }
    run_quietly(&mut install, "installing psycopg for the Python worker")?;
    let (program, path) = if made.is_ok() {
        (ours, None)
    } else {
        (python, Some(plain))
    };
    if !has_psycopg(&program, path.as_deref()) {
        bail!("psycopg was installed but python3 cannot import it");
    }
    Ok(runtime(&program, path.as_deref()))
}

/// Node with the package `pg` beside the examples, where Node looks for it.
fn node() -> Result<Runtime> {
    let Some(node) = which(Path::new("node")) else {
        bail!("there is no node")
    };
    let version = output(Command::new(&node).arg("--version"))?;
    let major = version
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < 18) {
        bail!("node {version} is older than 18");
    }
    let examples = root().join("examples");
    if !examples.join("node_modules/pg/package.json").is_file() {
        if which(Path::new("npm")).is_none() {
            bail!("there is no npm to install the package pg with");
        }
        let mut install = Command::new("npm");
        install
            .args(["install", "--no-package-lock", "--no-audit", "--no-fund"])
            .current_dir(&examples);
        run_quietly(&mut install, "installing pg for the Node worker")?;
    }
    Ok(Runtime {
        language: Language::Node,
        program: node,
        python_path: None,
    })
}

fn bash() -> Result<Runtime> {
    let Some(bash) = which(Path::new("bash")) else {
        bail!("there is no bash")
    };
    for tool in ["sha256sum", "tr", "wc"] {
        if which(Path::new(tool)).is_none() {
            bail!("there is no {tool}");
        }
    }
    Ok(Runtime {
        language: Language::Bash,
        program: bash,
        python_path: None,
    })
}

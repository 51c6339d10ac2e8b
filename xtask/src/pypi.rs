//! Programs that are had from PyPI: each in a place of its own under target/, in the version that is asked for.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::setup::{apt_get, output, run_quietly, target_dir};

/// The program of a package, installed if it is not there yet.
pub fn tool(package: &str, version: &str, program: &str) -> Result<Command> {
    let place = target_dir().join(format!("tools/{package}-{version}"));
    let tool = || {
        let mut tool = Command::new(place.join("bin").join(program));
        tool.env("PYTHONPATH", &place);
        tool
    };
    if output(tool().arg("--version")).is_err() {
        install(&place, &format!("{package}=={version}"))?;
        output(tool().arg("--version"))?;
    }
    Ok(tool())
}

/// Into a virtual environment, or a plain directory where Python comes without venv.
fn install(place: &Path, package: &str) -> Result<()> {
    // Debian's venv is there without what it needs to make one.
    if !has("ensurepip") && !has("pip") {
        let packages = ["python3", "python3-venv"].map(String::from);
        apt_get(&packages).context("python3 with venv or pip is not there")?;
    }
    let _ = fs::remove_dir_all(place); // half-made by a run that was stopped
    let python = place.join("bin/python3");
    let made = output(Command::new("python3").args(["-m", "venv"]).arg(place)).is_ok();
    let mut install = Command::new(if made {
        python.as_path()
    } else {
        Path::new("python3")
    });
    install.args(["-m", "pip", "install", "--quiet", package]);
    if !made {
        let _ = fs::remove_dir_all(place);
        install.arg("--target").arg(place);
    }
    run_quietly(&mut install, &format!("installing {package} from PyPI"))
}

fn has(module: &str) -> bool {
    output(Command::new("python3").args(["-c", &format!("import {module}")])).is_ok()
}

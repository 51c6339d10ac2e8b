//! The input: real text files of this machine, and a direct count of them to check the report by.

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

const LARGEST: u64 = 4 << 20;

pub struct Input {
    pub files: Vec<PathBuf>,
    sources: Vec<PathBuf>,
}

#[derive(PartialEq, Debug)]
pub struct Totals {
    pub files: u64,
    pub bytes: u64,
    pub lines: u64,
    pub words: u64,
    /// SHA-256 over the files' SHA-256, in order.
    pub digest: String,
}

impl Input {
    /// Takes `count` files, evenly from all there are: the sources that cargo has fetched, and where
    /// they do not suffice, what else has text in it.
    pub fn choose(count: usize) -> Result<Input> {
        let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        let cargo = env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
        let places = [
            (cargo.join("registry/src"), &["rs"][..]),
            (PathBuf::from("/usr/include"), &["h", "hpp"]),
            (
                PathBuf::from("/usr/share"),
                &["txt", "html", "py", "pm", "pl", "xml", "conf"],
            ),
            (PathBuf::from("/usr/lib"), &["py", "pm", "pl", "h", "sql"]),
        ];
        let mut files = Vec::new();
        let mut sources = Vec::new();
        for (place, extensions) in places {
            let found = text_files(&place, extensions);
            if found.is_empty() {
                continue;
            }
            let wanted = count - files.len();
            let step = (found.len() / wanted).max(1);
            files.extend(found.into_iter().step_by(step).take(wanted));
            sources.push(place);
            if files.len() == count {
                return Ok(Input { files, sources });
            }
        }
        ensure!(
            !files.is_empty(),
            "this machine has no text files to work on"
        );
        anyhow::bail!(
            "only {} files were found: ask for fewer with --files",
            files.len()
        )
    }

    /// Copies the files, numbered in their order, into a directory.
    pub fn copy_into(&self, directory: &Path) -> Result<Input> {
        let mut files = Vec::new();
        for (n, from) in self.files.iter().enumerate() {
            let mut to = directory.join(format!("{n:04}"));
            to.set_extension(from.extension().unwrap_or_default());
            // Not fs::copy: the copy is to be written to, whatever the permissions of the original.
            fs::read(from)
                .and_then(|data| fs::write(&to, data))
                .with_context(|| format!("cannot copy {}", from.display()))?;
            files.push(to);
        }
        let sources = vec![directory.to_path_buf()];
        Ok(Input { files, sources })
    }

    pub fn paths(&self) -> Vec<&str> {
        self.files
            .iter()
            .map(|path| path.to_str().expect("only UTF-8 paths are chosen"))
            .collect()
    }

    pub fn source(&self) -> String {
        let names: Vec<String> = self
            .sources
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        names.join(", ")
    }

    pub fn megabytes(&self) -> f64 {
        let bytes: u64 = self
            .files
            .iter()
            .filter_map(|path| fs::metadata(path).ok())
            .map(|m| m.len())
            .sum();
        bytes as f64 / 1e6
    }

    /// The totals, counted here and now without any task.
    pub fn count(&self) -> Result<Totals> {
        let mut totals = Totals {
            files: 0,
            bytes: 0,
            lines: 0,
            words: 0,
            digest: String::new(),
        };
        let mut digests = Sha256::new();
        for path in &self.files {
            let data = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            totals.files += 1;
            totals.bytes += data.len() as u64;
            totals.lines += data.iter().filter(|&&byte| byte == b'\n').count() as u64;
            totals.words += data
                .split(|&byte| is_space(byte))
                .filter(|word| !word.is_empty())
                .count() as u64;
            digests.update(Sha256::digest(&data));
        }
        totals.digest = hex(&digests.finalize());
        Ok(totals)
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_space(byte: u8) -> bool {
    byte == b' ' || (9..=13).contains(&byte)
}

/// Readable files with one of the extensions, in the order of their names.
fn text_files(place: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    WalkDir::new(place)
        .sort_by_file_name()
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .filter(|entry| {
            let extension = entry
                .path()
                .extension()
                .and_then(|extension| extension.to_str());
            extension.is_some_and(|extension| extensions.contains(&extension))
        })
        .filter(|entry| entry.metadata().is_ok_and(|meta| meta.len() <= LARGEST))
        .map(walkdir::DirEntry::into_path)
        .filter(|path| {
            path.to_str()
                .is_some_and(|path| !path.contains(char::is_control))
        })
        .filter(|path| fs::File::open(path).is_ok())
        .collect()
}

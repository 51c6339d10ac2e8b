//! The project's own commands: `cargo demo`, `cargo verify`, `cargo xtask …`. Everything that is not
//! the extension itself is done here, so that a Rust toolchain is all one needs to begin.

use std::process::ExitCode;

use xtask::{bench, demo, freeze, generate, package, seeded_bugs, setup, verify};

const HELP: &str = "\
usage: cargo xtask <command> [options]

  demo       run a real workload against a private cluster (also: cargo demo)
             --files N   how many files to hash (default 2000)
             --keep      leave the cluster running and print how to reach it
             --pooler    the workers go through PgBouncer in transaction mode
             workflow    another workload: a workflow that pauses over a broken file (--files: default 200)
             saga        another workload: trips that are undone when the payment fails
  verify     run every check (also: cargo verify)
             --only STEP[,STEP] [TEST …]   some steps, or single tests of them
             --pg N[,N]  with these versions of PostgreSQL, or all (15 to 18), one after the other
             --full      all there is, not a slice
             --bless     what the SQL tests print is expected from now on
  bench      measure beside the commit floor and the peers, into benches/results/ (also: cargo bench-sql)
             --quick     shorter rounds, smaller tables
             PART …      some parts only: lifecycle, batches, heartbeats, events, latency, wide, width, slots, buffers, storage,
                         purge, beside, finished, held
             --readme    measure nothing: copy the tables of benches/results/ into benches/README.md
  generate   write the generated comments and documentation
             --check     fail if one of them is stale
  freeze     keep the scripts of this version as they are released (docs/upgrade.md)
  seeded-bugs [NAME …]   put known bugs into a copy of the code: the tests catch them (also: cargo seeded-bugs)
             --list      what they are, and which tests catch them
             --all-tests run every SQL test on each, and print all that catch it
  package    make a Debian package of the extension, in target/package
             --pg VERSION  for another PostgreSQL than 15
  setup      install what is missing, build the extension and install it";

fn main() -> ExitCode {
    // `cargo demo -- --keep`: the alias has a `--` of its own, so that one arrives here.
    let mut args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--").collect();
    let command = if args.is_empty() {
        String::new()
    } else {
        args.remove(0)
    };
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let done = match command.as_str() {
        "demo" => demo::run(&args),
        "verify" => verify::run(&args),
        "generate" => generate::run(&args),
        "freeze" => freeze::run(),
        "bench" => bench::run(&args),
        "package" => package::run(&args),
        "seeded-bugs" => seeded_bugs::run(&args),
        "setup" => setup::ensure().and_then(|pg| setup::install(&pg)),
        "--help" | "-h" | "help" => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

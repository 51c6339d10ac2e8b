//! What a part has measured: printed, written into benches/results/ as JSON, as Markdown and as a chart, and copied from there
//! into the page that shows it.

use super::rounds::{Measured, Spread};
use super::{Bench, CLIENTS, ROUNDS, SETTINGS};
use crate::setup::{output, root};
use anyhow::{Context, Result, ensure};
use plotters::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Default)]
pub struct Report {
    /// What is a rate there is a median of.
    pub rounds: Option<String>,
    pub tables: Vec<Table>,
    /// What a reader must know beside the tables, a sentence each.
    pub notes: Vec<String>,
    pub chart: Option<Chart>,
}

pub struct Table {
    pub title: String,
    pub columns: Vec<String>,
    pub rows: Vec<(String, Vec<Cell>)>,
}

#[derive(Clone)]
pub enum Cell {
    Number(f64),
    /// Two figures after the point.
    Ratio(f64),
    Text(String),
    Nothing,
}

pub struct Chart {
    pub title: String,
    pub bars: Vec<(String, Spread)>,
}

/// A column of ratios: its heading, and its value for a row of the table, if it has one there.
pub type Ratio<'a> = (&'a str, &'a dyn Fn(&Measured) -> Option<f64>);

impl Report {
    /// Of what [`Bench::interleaved`] measured.
    pub fn of_rounds(bench: &Bench) -> Report {
        Report {
            rounds: Some(format!(
                "{ROUNDS} interleaved rounds of {} s",
                bench.seconds
            )),
            ..Report::default()
        }
    }

    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    pub fn write(&self, part: &str, bench: &Bench) -> Result<()> {
        let dir = results();
        fs::create_dir_all(&dir)?;
        let file = |ending: &str| dir.join(format!("{part}.{ending}"));
        let run = bench.describe_run()?;
        let page = self.markdown(&run);
        println!("{part}\n\n{page}");
        fs::write(file("md"), page)?;

        let mut told = run;
        told["part"] = json!(part);
        told["rounds"] = json!(self.rounds);
        told["notes"] = json!(self.notes);
        told["tables"] = self.tables.iter().map(Table::json).collect();
        fs::write(file("json"), serde_json::to_string_pretty(&told)? + "\n")?;
        match &self.chart {
            Some(chart) => chart.draw(&file("svg"), bench.quick),
            None => Ok(()),
        }
    }

    fn markdown(&self, run: &Value) -> String {
        let mut page = String::new();
        if run["quick"] == json!(true) {
            page += "A quick run: short rounds, small tables. ";
        }
        let text = |name: &str| run[name].as_str().unwrap_or_default();
        let _ = write!(
            page,
            "{}: PostgreSQL {}, {} cores of {}",
            text("date"),
            text("postgresql"),
            run["machine"]["cores"],
            run["machine"]["cpu"].as_str().unwrap_or("an unknown kind"),
        );
        if let Some(rounds) = &self.rounds {
            let _ = write!(page, ", medians of {rounds}");
        }
        page += ".\n";
        for table in &self.tables {
            page += "\n";
            page += &table.markdown();
        }
        for note in &self.notes {
            let _ = write!(page, "\n{note}\n");
        }
        page
    }
}

impl Table {
    pub fn new(title: impl Into<String>, columns: &[&str]) -> Table {
        Table {
            title: title.into(),
            columns: columns.iter().map(|column| column.to_string()).collect(),
            rows: Vec::new(),
        }
    }

    /// Rates with their minima and maxima, and what they are as shares of others.
    pub fn of_rates<'a>(
        title: impl Into<String>,
        rows: impl IntoIterator<Item = &'a Measured>,
        ratios: &[Ratio],
    ) -> Table {
        let mut table = Table::new(title, &["median", "min", "max"]);
        table
            .columns
            .extend(ratios.iter().map(|(heading, _)| heading.to_string()));
        for row in rows {
            let cells = match &row.rate {
                Ok(rate) => [rate.median, rate.min, rate.max]
                    .into_iter()
                    .map(Cell::Number)
                    .chain(ratios.iter().map(|(_, ratio)| Cell::ratio(ratio(row))))
                    .collect(),
                Err(why) => vec![Cell::Text(why.clone())],
            };
            table.rows.push((row.name.clone(), cells));
        }
        table
    }

    pub fn row(&mut self, name: impl Into<String>, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push((name.into(), cells.into_iter().collect()));
    }

    fn json(&self) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|(name, cells)| {
                let cells = self.columns.iter().zip(cells).map(|(column, cell)| {
                    let value = match cell {
                        Cell::Number(number) | Cell::Ratio(number) => json!(number),
                        Cell::Text(text) => json!(text),
                        Cell::Nothing => Value::Null,
                    };
                    (column.clone(), value)
                });
                let mut row: BTreeMap<String, Value> = cells.collect();
                row.insert("name".into(), json!(name));
                json!(row)
            })
            .collect();
        json!({ "title": self.title, "rows": rows })
    }

    fn markdown(&self) -> String {
        let mut lines = vec![
            format!("| {} | {} |", self.title, self.columns.join(" | ")),
            format!("|---|{}", "---|".repeat(self.columns.len())),
        ];
        for (name, cells) in &self.rows {
            let mut cells: Vec<String> = cells.iter().map(Cell::to_string).collect();
            cells.resize(self.columns.len(), String::new());
            lines.push(format!("| {name} | {} |", cells.join(" | ")));
        }
        lines.join("\n") + "\n"
    }
}

impl Cell {
    pub fn ratio(ratio: Option<f64>) -> Cell {
        ratio.map_or(Cell::Nothing, Cell::Ratio)
    }

    /// One count as a multiple of another, which may be zero.
    pub fn quotient(count: f64, of: f64) -> Cell {
        Cell::ratio((of != 0.0).then(|| count / of))
    }

    pub fn text(text: impl ToString) -> Cell {
        Cell::Text(text.to_string())
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Cell::Number(number) if number.abs() >= 100.0 || number.fract() == 0.0 => {
                let digits = format!("{:.0}", number.abs());
                let groups: Vec<&str> = digits
                    .as_bytes()
                    .rchunks(3)
                    .rev()
                    .map(|group| std::str::from_utf8(group).expect("digits"))
                    .collect();
                let sign = if *number <= -0.5 { "-" } else { "" };
                write!(f, "{sign}{}", groups.join(","))
            }
            Cell::Number(number) if number.abs() < 1.0 => write!(f, "{number:.3}"),
            Cell::Number(number) => write!(f, "{number:.1}"),
            Cell::Ratio(ratio) => write!(f, "{ratio:.2}"),
            // On one line, and in one cell.
            Cell::Text(text) => write!(f, "{}", text.replace('\n', " ").replace('|', "/")),
            Cell::Nothing => Ok(()),
        }
    }
}

impl Chart {
    /// What was measured as shares of one of them.
    pub fn of_shares<'a>(
        title: impl Into<String>,
        rows: impl IntoIterator<Item = &'a Measured>,
        whole: &Measured,
    ) -> Option<Chart> {
        let whole = whole.median()?;
        let bars = rows
            .into_iter()
            .filter_map(|row| Some((row.name.clone(), row.rate.as_ref().ok()?.times(1.0 / whole))))
            .collect();
        Some(Chart {
            title: title.into(),
            bars,
        })
    }

    /// A bar each, with a whisker from the smallest to the greatest.
    fn draw(&self, path: &Path, quick: bool) -> Result<()> {
        let height = 90 + 34 * self.bars.len() as u32;
        let widest = self
            .bars
            .iter()
            .map(|(_, bar)| bar.max)
            .fold(f64::MIN_POSITIVE, f64::max);
        let names: Vec<&str> = self.bars.iter().map(|(name, _)| name.as_str()).collect();
        let canvas = SVGBackend::new(path, (900, height)).into_drawing_area();
        canvas.fill(&WHITE)?;
        let quick = if quick { " (a quick run)" } else { "" };
        let mut chart = ChartBuilder::on(&canvas)
            .caption(format!("{}{quick}", self.title), ("sans-serif", 17))
            .margin(12)
            .x_label_area_size(28)
            .y_label_area_size(270)
            .build_cartesian_2d(0.0..widest * 1.08, (0..names.len() - 1).into_segmented())?;
        // The first one on top.
        let place = |row: usize| names.len() - 1 - row;
        let end_of = |at: usize| match at + 1 {
            end if end == names.len() => SegmentValue::Last,
            end => SegmentValue::Exact(end),
        };
        let name_at = |segment: &SegmentValue<usize>| match segment {
            SegmentValue::CenterOf(at) => names
                .get(names.len().wrapping_sub(1 + at))
                .map_or(String::new(), |name| name.to_string()),
            _ => String::new(),
        };
        chart
            .configure_mesh()
            .disable_y_mesh()
            .light_line_style(TRANSPARENT)
            .y_labels(names.len())
            .y_label_formatter(&name_at)
            .x_label_formatter(&|share| format!("{share:.2}"))
            .label_style(("sans-serif", 13))
            .draw()?;
        for (row, (name, bar)) in self.bars.iter().enumerate() {
            let at = place(row);
            let color = if name.contains("pg_baton") {
                RGBColor(46, 110, 180)
            } else {
                RGBColor(170, 178, 189)
            };
            let mut body = Rectangle::new(
                [(0.0, SegmentValue::Exact(at)), (bar.median, end_of(at))],
                color.filled(),
            );
            body.set_margin(6, 6, 0, 0);
            let whisker = ErrorBar::new_horizontal(
                SegmentValue::CenterOf(at),
                bar.min,
                bar.median,
                bar.max,
                BLACK.filled(),
                8,
            );
            chart.draw_series([body])?;
            chart.draw_series([whisker])?;
        }
        canvas.present()?;
        Ok(())
    }
}

impl Bench {
    /// Where, when and how it was measured.
    fn describe_run(&self) -> Result<Value> {
        let one_line = |file: &str, name: &str| -> Option<String> {
            let text = fs::read_to_string(file).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim_start_matches([' ', '\t', ':']).to_owned())
        };
        let cpu = one_line("/proc/cpuinfo", "model name").or_else(|| {
            output(Command::new("sysctl").args(["-n", "machdep.cpu.brand_string"])).ok()
        });
        let memory = one_line("/proc/meminfo", "MemTotal")
            .or_else(|| output(Command::new("sysctl").args(["-n", "hw.memsize"])).ok());
        let cores = std::thread::available_parallelism().map_or(0, |cores| cores.get());
        let settings: BTreeMap<&str, &str> = SETTINGS.into_iter().collect();
        Ok(json!({
            "quick": self.quick,
            "date": self.psql("postgres", "SELECT current_date")?,
            "machine": { "cpu": cpu, "cores": cores, "memory": memory },
            "kernel": output(Command::new("uname").arg("-sr"))?,
            "postgresql": self.psql("postgres", "SELECT split_part(current_setting('server_version'), ' ', 1)")?,
            "settings": settings,
            "clients": CLIENTS,
            "seconds": self.seconds,
        }))
    }
}

fn results() -> PathBuf {
    root().join("benches/results")
}

fn page() -> PathBuf {
    root().join("benches/README.md")
}

/// Copies the tables of benches/results/ into benches/README.md.
pub fn fill_readme() -> Result<()> {
    let text = fs::read_to_string(page()).context("benches/README.md")?;
    let filled = fill(&text, &results())?;
    if filled != text {
        fs::write(page(), filled)?;
    }
    Ok(())
}

/// The text with each region `<!-- results: part -->` to `<!-- end -->` as that part's file has it; empty where there is none.
fn fill(text: &str, results: &Path) -> Result<String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<!-- results: ") {
        let (part, after) = after
            .split_once(" -->")
            .context("a region's mark is open")?;
        let (_, after) = after
            .split_once("<!-- end -->")
            .with_context(|| format!("the region {part} has no end"))?;
        let table = fs::read_to_string(results.join(format!("{part}.md"))).unwrap_or_default();
        ensure!(
            !table.contains("<!--"),
            "a mark within the tables of {part}"
        );
        let chart = results.join(format!("{part}.svg"));
        let chart = match chart.is_file() {
            true => format!("\n![{part}](results/{part}.svg)\n"),
            false => String::new(),
        };
        let _ = write!(
            filled,
            "{before}<!-- results: {part} -->\n{table}{chart}<!-- end -->"
        );
        rest = after;
    }
    Ok(filled + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_what_was_measured() {
        let text = fs::read_to_string(page()).expect("benches/README.md");
        let filled = fill(&text, &results()).expect("regions");
        assert!(
            filled == text,
            "benches/README.md differs from benches/results/: run `cargo bench-sql -- --readme`"
        );
    }

    #[test]
    fn every_part_stands_on_the_page() {
        let text = fs::read_to_string(page()).expect("benches/README.md");
        for (part, _) in super::super::PARTS {
            assert!(
                text.contains(&format!("<!-- results: {part} -->")),
                "benches/README.md has no region for {part}"
            );
        }
    }

    #[test]
    fn numbers_are_readable() {
        let shown =
            [0.0123, 4.25, 31.0, 100.4, 1234567.0].map(|number| Cell::Number(number).to_string());
        assert_eq!(shown, ["0.012", "4.2", "31", "100", "1,234,567"]);
    }
}

//! Compares the model's constants with the tables of docs/performance.md.

use super::super::size::{Fleet, INVOCATION, MESSAGE};
use super::*;

/// Benchmarks of two days differ by 1.4 either way on the same code, and the fit by some percent more.
const CPU_BAND: f64 = 1.5;
/// Broker and endpoint share the two cores, so a replica reaches less than its CPU cost alone would allow.
const RATE_BAND: f64 = 1.8;

/// A row that was measured: of this batch size.
#[derive(Debug)]
struct Row {
    batch: f64,
    cpu: f64,
    /// None where several bridges share it.
    rate: Option<f64>,
}

/// The cells of the first table below this heading, its head first.
fn cells<'a>(page: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let missing = || panic!("docs/performance.md has no `## {heading}` any more: say here where its figures are now");
    let section = page.split_once(&format!("\n## {heading}\n")).unwrap_or_else(missing).1;
    let lines = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let rows = lines.filter(|line| !line.starts_with("|--"));
    rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

fn number(cell: &str) -> f64 {
    cell.replace(',', "").parse().unwrap_or_else(|_| panic!("docs/performance.md: `{cell}` is no figure"))
}

fn rows(page: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for row in &cells(page, "One message an invocation")[1..] {
        // The rows of the default client, and of HTTPS, which Lambda requires.
        if row[0].contains("\"lean\"") || row[0].contains("HTTPS") {
            rows.push(Row { batch: 1.0, cpu: number(row[2]), rate: Some(number(row[1])) });
        }
    }
    for row in &cells(page, "In batches")[1..] {
        // Without the row that has a filter, an id and a key.
        let Some(Ok(batch)) = row[0].strip_prefix("batches of ").map(|size| size.replace(',', "").parse()) else {
            continue;
        };
        rows.push(Row { batch, cpu: number(row[2]), rate: Some(number(row[1])) });
    }
    for row in &cells(page, "Several bridges on one subscription")[1..] {
        let rate = |cell| Some(number(cell)).filter(|_| row[0] == "1");
        rows.push(Row { batch: 1.0, cpu: number(row[2]), rate: rate(row[1]) });
        rows.push(Row { batch: 100.0, cpu: number(row[4]), rate: rate(row[3]) });
    }
    rows
}

/// The median.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    if figures.len().is_multiple_of(2) { f64::midpoint(figures[middle - 1], figures[middle]) } else { figures[middle] }
}

/// The constants that follow from the figures of one message and of a hundred.
fn fitted(rows: &[Row]) -> String {
    let cpu =
        |batch: f64| median(rows.iter().filter(|row| (row.batch - batch).abs() < 0.5).map(|row| row.cpu).collect());
    let invocation = (cpu(1.0) - cpu(100.0)) / 0.99;
    format!("MESSAGE = {:.1}, INVOCATION = {invocation:.1}", cpu(1.0) - invocation)
}

#[test]
fn the_constants_are_those_of_the_benchmark() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/performance.md")).unwrap();
    let rows = rows(&page);
    for batch in [1.0, 10.0, 100.0, 1_000.0] {
        let of: Vec<&Row> = rows.iter().filter(|row| (row.batch - batch).abs() < 0.5).collect();
        assert!(!of.is_empty(), "docs/performance.md has no row for batches of {batch} any more");
        let cpu = median(of.iter().map(|row| row.cpu).collect());
        let rate = median(of.iter().filter_map(|row| row.rate).collect());
        let advice = || {
            format!(
                "batches of {batch}: {cpu} µs and {rate}/s in docs/performance.md, {:.1} µs and {:.0}/s by the model of \
                 docs/scaling.md. Measure again when the machine is quiet; if the figures stay, write \
                 {} (now {MESSAGE}, {INVOCATION}) into sandbox/src/fleet/size.rs and run UPDATE_DOCS=1 cargo test -p sandbox --lib fleet",
                Fleet::cpu(batch),
                1e6 / Fleet::cpu(batch),
                fitted(&rows)
            )
        };
        let (of_cpu, of_rate) = (Fleet::cpu(batch) / cpu, 1e6 / Fleet::cpu(batch) / rate);
        assert!((1.0 / CPU_BAND..CPU_BAND).contains(&of_cpu), "{}", advice());
        assert!((1.0 / CPU_BAND..RATE_BAND).contains(&of_rate), "{}", advice());
    }
}

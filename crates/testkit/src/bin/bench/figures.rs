//! Figures: medians of what was measured, as a table and as JSON.

use std::fmt;
use std::time::Duration;

use serde_json::json;

use crate::Failure;

/// All that was measured, in order.
#[derive(Debug, Default)]
pub(crate) struct Figures(Vec<Series>);

/// One thing, measured again and again.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    name: String,
    unit: &'static str,
    values: Vec<f64>,
}

impl Series {
    pub(crate) fn new(name: impl Into<String>, unit: &'static str) -> Series {
        Series {
            name: name.into(),
            unit,
            values: Vec::new(),
        }
    }

    /// The same values under another name.
    pub(crate) fn named(self, name: String) -> Series {
        Series { name, ..self }
    }

    pub(crate) fn add(&mut self, value: f64) {
        self.values.push(value);
    }

    /// Adds a time to a series in `ms` or `s`.
    pub(crate) fn add_time(&mut self, time: Duration) {
        let scale = if self.unit == "ms" { 1e3 } else { 1.0 };
        self.add(time.as_secs_f64() * scale);
    }

    fn sorted(&self) -> Vec<f64> {
        let mut values = self.values.clone();
        values.sort_by(f64::total_cmp);
        values
    }

    fn median(&self) -> f64 {
        let sorted = self.sorted();
        match sorted.len() {
            0 => f64::NAN,
            n if n % 2 == 1 => sorted[n / 2],
            n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
        }
    }

    /// How much more this is than another, pair by pair as they were measured.
    pub(crate) fn ratio(&self, name: &str, to: &Series) -> Series {
        let pairs = self.values.iter().zip(&to.values);
        Series {
            name: name.to_owned(),
            unit: "x",
            values: pairs.map(|(a, b)| a / b).collect(),
        }
    }
}

impl Figures {
    pub(crate) fn add(&mut self, series: Series) {
        eprintln!("{}: {:.2} {}", series.name, series.median(), series.unit);
        self.0.push(series);
    }

    pub(crate) fn json(&self) -> Result<String, Failure> {
        let entry = |s: &Series| json!({"name": s.name, "unit": s.unit, "median": s.median(), "values": s.values});
        let all: Vec<_> = self.0.iter().map(entry).collect();
        Ok(serde_json::to_string_pretty(&json!({"figures": all}))?)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<68}{:>10}{:>10}{:>10}      runs",
            "", "median", "least", "most"
        )?;
        for s in &self.0 {
            let sorted = s.sorted();
            let (Some(least), Some(most)) = (sorted.first(), sorted.last()) else {
                continue;
            };
            let [median, least, most] = [s.median(), *least, *most].map(|v| digits(v, s.unit));
            let (name, unit, runs) = (&s.name, s.unit, s.values.len());
            writeln!(
                f,
                "{name:<68}{median:>10}{least:>10}{most:>10} {unit:<4}{runs:>5}"
            )?;
        }
        Ok(())
    }
}

fn digits(value: f64, unit: &str) -> String {
    match (unit, value) {
        ("/s", _) => format!("{value:.0}"),
        (_, v) if v >= 100.0 => format!("{v:.0}"),
        (_, v) => format!("{v:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        let mut series = Series::new("", "ms");
        series.add(3.0);
        series.add(1.0);
        assert_eq!(series.median(), 2.0);
        series.add_time(Duration::from_millis(50));
        assert_eq!(series.median(), 3.0);
    }
}

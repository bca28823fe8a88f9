//! The table of figures: each is printed when it is known, with its target and whether it is met.

/// What a figure must be.
#[derive(Clone, Copy)]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// It is for the reader's information.
    None,
}

#[derive(Default)]
pub struct Report {
    section: &'static str,
    /// Section and name of what missed its target.
    missed: Vec<String>,
    met: usize,
}

impl Report {
    pub fn begin(&mut self, section: &'static str) {
        self.section = section;
        println!("\n{:<58} {:>14} {:>14}", format!("== {section}"), "measured", "target");
    }

    /// A figure that is a fact.
    pub fn fact(&mut self, name: &str, value: f64, unit: &str) {
        self.figure(name, value, unit, Target::None);
    }

    pub fn figure(&mut self, name: &str, value: f64, unit: &str, target: Target) {
        let (is_met, target) = match target {
            Target::AtLeast(bound) => (Some(value >= bound), format!(">= {} {unit}", plain(bound))),
            Target::AtMost(bound) => (Some(value <= bound), format!("<= {} {unit}", plain(bound))),
            Target::None => (None, String::new()),
        };
        let verdict = match is_met {
            Some(true) => "PASS",
            Some(false) => "MISS",
            None => "",
        };
        let measured = format!("{} {unit}", plain(value));
        println!("{name:<58} {measured:>14} {target:>14} {verdict}");
        match is_met {
            Some(true) => self.met += 1,
            Some(false) => self.missed.push(format!("{}: {name}", self.section)),
            None => {}
        }
    }

    /// What a figure cannot say.
    pub fn note(&mut self, text: &str) {
        println!("   {text}");
    }

    pub fn conclude(&self) {
        println!("\n{} targets met, {} missed", self.met, self.missed.len());
        self.missed.iter().for_each(|name| println!("   MISS {name}"));
    }
}

/// A number with as many digits as are worth reading.
fn plain(value: f64) -> String {
    match value.abs() {
        size if size >= 1e15 => format!("{value:.3e}"),
        size if size >= 100.0 || size.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

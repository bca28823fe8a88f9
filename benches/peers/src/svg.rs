//! A small writer of SVG: rectangles, lines, dots and texts.

use std::fmt::Write as _;

pub struct Svg {
    width: f64,
    height: f64,
    body: String,
}

/// Where a text is hung up.
#[derive(Clone, Copy)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    pub fn new(width: f64, height: f64) -> Svg {
        Svg { width, height, body: String::new() }
    }

    pub fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, color: &str) {
        let size = format!(r#"width="{width:.1}" height="{height:.1}""#);
        let _ = writeln!(self.body, r#"<rect x="{x:.1}" y="{y:.1}" {size} fill="{color}"/>"#);
    }

    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), color: &str, width: f64) {
        let from = format!(r#"x1="{:.1}" y1="{:.1}""#, from.0, from.1);
        let to = format!(r#"x2="{:.1}" y2="{:.1}""#, to.0, to.1);
        let stroke = format!(r#"stroke="{color}" stroke-width="{width}""#);
        let _ = writeln!(self.body, "<line {from} {to} {stroke}/>");
    }

    pub fn dot(&mut self, x: f64, y: f64, radius: f64, color: &str) {
        let _ =
            writeln!(self.body, r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius}" fill="{color}"/>"#);
    }

    pub fn text(&mut self, x: f64, y: f64, anchor: Anchor, style: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let _ = writeln!(
            self.body,
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" {style}>{text}</text>"#
        );
    }

    pub fn document(&self) -> String {
        let (width, height) = (self.width, self.height);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             width=\"{width:.0}\" height=\"{height:.0}\" font-family=\"sans-serif\" \
             font-size=\"11\" fill=\"#222\">\n<rect width=\"100%\" height=\"100%\" \
             fill=\"#fff\"/>\n{}</svg>\n",
            self.body
        )
    }
}

/// A logarithmic axis between two powers of ten.
pub struct Log {
    from: i32,
    to: i32,
    start: f64,
    length: f64,
}

impl Log {
    /// Has room for all of these values, which are drawn from `start` on, over `length`.
    pub fn over(values: impl Iterator<Item = f64>, start: f64, length: f64) -> Log {
        let logs: Vec<f64> = values.filter(|value| *value > 0.0).map(f64::log10).collect();
        let least = logs.iter().copied().fold(f64::INFINITY, f64::min);
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (from, to) = if logs.is_empty() { (0.0, 1.0) } else { (least.floor(), most.ceil()) };
        Log { from: from as i32, to: (to as i32).max(from as i32 + 1), start, length }
    }

    pub fn at(&self, value: f64) -> f64 {
        let decades = f64::from(self.to - self.from);
        let log = value.max(f64::MIN_POSITIVE).log10().max(f64::from(self.from));
        self.start + self.length * (log - f64::from(self.from)) / decades
    }

    /// The powers of ten.
    pub fn marks(&self) -> impl Iterator<Item = f64> {
        (self.from..=self.to).map(|power| 10_f64.powi(power))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An axis has all values on it, powers of ten at equal distances.
    #[test]
    fn an_axis_is_logarithmic() {
        let axis = Log::over([3.0, 250.0].into_iter(), 100.0, 300.0);
        assert_eq!(axis.marks().collect::<Vec<f64>>(), [1.0, 10.0, 100.0, 1000.0]);
        let places: Vec<i64> = axis.marks().map(|mark| axis.at(mark).round() as i64).collect();
        assert_eq!(places, [100, 200, 300, 400]);
        assert!(Log::over(std::iter::empty(), 0.0, 1.0).at(0.0) == 0.0);
    }

    /// Texts cannot break the document.
    #[test]
    fn texts_are_escaped() {
        let mut svg = Svg::new(10.0, 10.0);
        svg.text(0.0, 0.0, Anchor::Middle, "", "a<b&c");
        assert!(svg.document().contains(">a&lt;b&amp;c</text>"));
    }
}

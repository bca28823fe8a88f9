//! A source file with all its mutants in it, each behind a switch.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::places::{Place, Places};
use crate::Mutant;

/// What stands before and behind the text of a mutant, so that the compiler's errors can be laid at
/// its door.
pub fn begin_of(number: usize) -> String {
    format!("/*<{number}*/")
}

pub fn end_of(number: usize) -> String {
    format!("/*{number}>*/")
}

/// A change of the text: of a range, or before a place.
struct Change {
    range: Range<usize>,
    /// Mutants with what stands in the place of the range then.
    instead: Vec<(usize, String)>,
    /// Text that goes around what was there.
    around: (String, String),
}

/// A file with its mutants in it.
pub struct Rewritten {
    pub text: String,
    /// Mutants that have no place in it.
    pub homeless: Vec<usize>,
    /// The number by which a mutant's place is known when it is passed.
    pub known_as: BTreeMap<usize, usize>,
}

/// The file that has this text, with these mutants in it.
pub fn rewritten(text: &str, mutants: &[(usize, &Mutant)]) -> Rewritten {
    let places = Places::of(text);
    let mut homeless = Vec::new();
    let mut changes: BTreeMap<(usize, std::cmp::Reverse<usize>, u8), Change> = BTreeMap::new();
    for &(number, mutant) in mutants {
        let start = places.at(mutant.start.0, mutant.start.1 - 1);
        let found = places.found.iter().find(|place| is_of(place, mutant, start));
        let Some(place) = found else {
            homeless.push(number);
            continue;
        };
        for change in changes_of(text, place, number, mutant) {
            let insertion = u8::from(!change.range.is_empty());
            // What is inserted comes before what begins there, and what is long before what is
            // short.
            let length = if insertion == 0 { usize::MAX } else { change.range.len() };
            let key = (change.range.start, std::cmp::Reverse(length), insertion);
            match changes.get_mut(&key) {
                None => drop(changes.insert(key, change)),
                Some(known) => {
                    known.instead.extend(change.instead);
                    known.around.0.push_str(&change.around.0);
                    known.around.1.push_str(&change.around.1);
                }
            }
        }
    }
    for word in &places.constant_words {
        let key = (word.start, std::cmp::Reverse(word.len()), 1);
        let around = ("/*".to_owned(), "*/".to_owned());
        changes.insert(key, Change { range: word.clone(), instead: Vec::new(), around });
    }
    let changes: Vec<Change> = changes.into_values().collect();
    let mut known_as = BTreeMap::new();
    for change in &changes {
        for (number, _) in &change.instead {
            known_as.insert(*number, change.instead[0].0);
        }
    }
    Rewritten { text: render(text, 0..text.len(), &changes), homeless, known_as }
}

fn is_of(place: &Place, mutant: &Mutant, start: usize) -> bool {
    match place {
        Place::Operator { operator, .. } => {
            ["BinaryOperator", "UnaryOperator"].contains(&&*mutant.genre) && operator.start == start
        }
        Place::Guard { whole } => mutant.genre == "MatchArmGuard" && whole.start == start,
        Place::Arm { start: own, .. } => mutant.genre == "MatchArm" && *own == start,
        Place::Body { start: own } => mutant.genre == "FnValue" && *own == start,
    }
}

fn changes_of(text: &str, place: &Place, number: usize, mutant: &Mutant) -> Vec<Change> {
    let (begin, end) = (begin_of(number), end_of(number));
    let insertion = |at: usize, before: String| Change {
        range: at..at,
        instead: Vec::new(),
        around: (before, String::new()),
    };
    match place {
        Place::Operator { operator, whole } => {
            let (before, behind) = (whole.start..operator.start, operator.end..whole.end);
            let changed = format!("{} {} {}", &text[before], mutant.replacement, &text[behind]);
            vec![Change {
                range: whole.clone(),
                instead: vec![(number, changed)],
                around: Default::default(),
            }]
        }
        Place::Guard { whole } => vec![Change {
            range: whole.clone(),
            instead: vec![(number, mutant.replacement.clone())],
            around: Default::default(),
        }],
        Place::Arm { pattern_end, guard, .. } => {
            let is_there = format!("{begin}!crate::mutant::is({number}){end}");
            match guard {
                None => vec![insertion(*pattern_end, format!(" if {is_there}"))],
                Some(guard) => vec![Change {
                    range: guard.clone(),
                    instead: Vec::new(),
                    around: (format!("{is_there} && ("), ")".to_owned()),
                }],
            }
        }
        Place::Body { start } => {
            let value = &mutant.replacement;
            let change =
                format!("{begin}if crate::mutant::is({number}) {{ return {value}; }}{end} ");
            vec![insertion(*start, change)]
        }
    }
}

/// A part of the text, with the changes that lie in it.
fn render(text: &str, part: Range<usize>, changes: &[Change]) -> String {
    let mut out = String::new();
    let mut at = part.start;
    let mut rest = changes;
    while let Some((change, behind)) = rest.split_first() {
        rest = behind;
        out.push_str(&text[at..change.range.start]);
        at = change.range.end;
        let inside = rest.iter().take_while(|inner| inner.range.start < change.range.end).count();
        let (inner, outside) = rest.split_at(inside);
        rest = outside;
        let unchanged = render(text, change.range.clone(), inner);
        out.push_str(&change.around.0);
        if change.instead.is_empty() {
            out.push_str(&unchanged);
        } else {
            out.push_str(&format!("(match crate::mutant::at({}) {{ ", change.instead[0].0));
            for (number, instead) in &change.instead {
                let (begin, end) = (begin_of(*number), end_of(*number));
                out.push_str(&format!("{number} => {{ {begin}{instead}{end} }}, "));
            }
            out.push_str(&format!("_ => {unchanged} }})"));
        }
        out.push_str(&change.around.1);
    }
    out.push_str(&text[at..part.end]);
    out
}

//! Where in a source file mutants are: found by its syntax, as ranges of bytes.

use std::ops::Range;

use proc_macro2::LineColumn;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// Functions that constants are made with.
const NEEDED_AS_CONSTANTS: [&str; 2] = ["align_up", "record_len"];

/// A place that a mutant may be of.
#[derive(Clone, Debug)]
pub enum Place {
    /// An operator, and the whole expression.
    Operator { operator: Range<usize>, whole: Range<usize> },
    /// The condition of a match arm.
    Guard { whole: Range<usize> },
    /// A match arm: where its pattern ends, and its condition.
    Arm { start: usize, pattern_end: usize, guard: Option<Range<usize>> },
    /// The statements of a function.
    Body { start: usize },
}

/// All places of a file, but for those whose value the compiler needs.
#[derive(Default)]
pub struct Places {
    pub found: Vec<Place>,
    /// The word `const` where it can be done without.
    pub constant_words: Vec<Range<usize>>,
    lines: Vec<usize>,
    text: String,
    constants: usize,
}

impl Places {
    /// Of the file with this text.
    pub fn of(text: &str) -> Places {
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(starts.map(|(at, _)| at + 1)).collect();
        let mut places = Places { lines, text: text.to_owned(), ..Places::default() };
        places.visit_file(&syn::parse_file(text).expect("the sources are Rust"));
        places
    }

    /// The byte at which the character `column` (from 0) of a line (from 1) begins.
    pub fn at(&self, line: usize, column: usize) -> usize {
        let start = self.lines[line - 1];
        let mut chars = self.text[start..].char_indices();
        start + chars.nth(column).map_or(0, |(at, _)| at)
    }

    fn range(&self, spanned: &impl Spanned) -> Range<usize> {
        let span = spanned.span();
        let at = |place: LineColumn| self.at(place.line, place.column);
        at(span.start())..at(span.end())
    }

    fn push(&mut self, place: Place) {
        if self.constants == 0 {
            self.found.push(place);
        }
    }

    /// A function that the compiler need not call itself is made an ordinary one: then a switch
    /// can be in it.
    fn constant(&mut self, signature: &syn::Signature) -> bool {
        let Some(word) = &signature.constness else { return false };
        let is_needed = NEEDED_AS_CONSTANTS.iter().any(|name| signature.ident == name);
        if !is_needed || signature.receiver().is_some() {
            let range = self.range(word);
            self.constant_words.push(range);
            return false;
        }
        true
    }

    fn body(&mut self, is_constant: bool, block: &syn::Block) {
        self.constants += usize::from(is_constant);
        if let Some(first) = block.stmts.first() {
            let start = self.range(first).start;
            self.push(Place::Body { start });
        }
        visit::visit_block(self, block);
        self.constants -= usize::from(is_constant);
    }
}

impl<'ast> Visit<'ast> for Places {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        let is_constant = self.constant(&item.sig);
        self.body(is_constant, &item.block);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        let is_constant = self.constant(&item.sig);
        self.body(is_constant, &item.block);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.body(false, block);
        }
    }

    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}

    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}

    fn visit_item_static(&mut self, _: &'ast syn::ItemStatic) {}

    fn visit_type_array(&mut self, _: &'ast syn::TypeArray) {}

    fn visit_pat(&mut self, _: &'ast syn::Pat) {}

    fn visit_expr_repeat(&mut self, repeat: &'ast syn::ExprRepeat) {
        self.visit_expr(&repeat.expr);
    }

    fn visit_expr_binary(&mut self, binary: &'ast syn::ExprBinary) {
        let place = Place::Operator { operator: self.range(&binary.op), whole: self.range(binary) };
        self.push(place);
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_unary(&mut self, unary: &'ast syn::ExprUnary) {
        let place = Place::Operator { operator: self.range(&unary.op), whole: self.range(unary) };
        self.push(place);
        visit::visit_expr_unary(self, unary);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        let guard = arm.guard.as_ref().map(|(_, condition)| self.range(condition));
        if let Some(whole) = guard.clone() {
            self.push(Place::Guard { whole });
        }
        let (start, pattern_end) = (self.range(arm).start, self.range(&arm.pat).end);
        self.push(Place::Arm { start, pattern_end, guard });
        visit::visit_arm(self, arm);
    }
}

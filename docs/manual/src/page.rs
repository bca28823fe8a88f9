//! The page of one function.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::examples::Examples;
use crate::header::{Header, Item, Kind};
use crate::roff::{marked, plain, verbatim, IsPage, Page};

/// All that a function's page says.
pub fn of_function(header: &Header, item: &Item, examples: &Examples) -> String {
    let is_page = |name: &str| {
        name != item.name && header.find(name).is_some_and(|found| found.kind == Kind::Function)
    };
    let mut page = Page::new(&item.name, &header.version);
    page.section("NAME");
    page.line(&format!("{} \\- {}", plain(&item.name), plain(&item.brief())));
    library_and_synopsis(&mut page, &item.code);
    page.section("DESCRIPTION");
    page.paragraphs(&item.comment.text, &is_page);
    parameters(&mut page, item, &is_page);
    returns(&mut page, item, &is_page);
    for (name, lines) in &item.comment.notes {
        page.section(&name.to_uppercase());
        let mut lines = lines.clone();
        if let Some(first) = lines.first_mut() {
            *first = capitalised(item, first);
        }
        page.paragraphs(&lines, &is_page);
    }
    let types = types_of(header, item);
    for found in &types {
        describe_type(&mut page, found, &is_page);
    }
    constants(&mut page, header, item, &types, &is_page);
    example(&mut page, &item.name, examples);
    see_also(&mut page, header, item);
    page.text
}

pub fn library_and_synopsis(page: &mut Page, code: &str) {
    page.section("LIBRARY");
    page.line("libkv, an embeddable key-value store (\\-lkv)");
    page.section("SYNOPSIS");
    page.line(".nf");
    page.line(".B #include <kv.h>");
    page.line(".PP");
    for line in code.lines() {
        page.line(&format!("\\fB{}\\fP", verbatim(line)));
    }
    page.line(".fi");
}

fn parameters(page: &mut Page, item: &Item, is_page: IsPage) {
    if !item.comment.params.is_empty() {
        page.section("PARAMETERS");
    }
    for (name, lines) in &item.comment.params {
        page.tagged(&format!(".I {}", plain(name)), lines, is_page);
    }
}

/// "- KV_A, KV_B: what that means", with lists in it set in.
fn returns(page: &mut Page, item: &Item, is_page: IsPage) {
    let lines = &item.comment.returns;
    page.section("RETURN VALUE");
    if lines.is_empty() {
        page.line("None.");
        return;
    }
    let mut depth = 0;
    for line in lines {
        let indent = line.len() - line.trim_start().len();
        let text = line.trim_start();
        let Some(entry) = text.strip_prefix("- ") else {
            let is_after_list = depth == 1 && indent >= 2 && !text.is_empty();
            if is_after_list && lines.iter().any(|line| line.is_empty()) && indent == 4 {
                continue_item(page, text, is_page);
            } else if !text.is_empty() {
                page.paragraphs(&[text.to_owned()], is_page);
            } else if depth == 1 {
                page.line(".RE");
                page.line(".IP");
                depth = 0;
            }
            continue;
        };
        let wanted = usize::from(indent > 2);
        match wanted.cmp(&depth) {
            std::cmp::Ordering::Greater => page.line(".RS"),
            std::cmp::Ordering::Less => page.line(".RE"),
            std::cmp::Ordering::Equal => {}
        }
        depth = wanted;
        let (statuses, text) = entry.split_once(": ").unwrap_or((entry, ""));
        page.tagged(&marked(statuses, is_page), &[capitalised(item, text)], is_page);
    }
    if depth > 0 {
        page.line(".RE");
    }
}

fn continue_item(page: &mut Page, text: &str, is_page: IsPage) {
    page.line(&marked(text, is_page));
}

/// A text as a sentence of its own; names of the interface stay as they are.
fn capitalised(item: &Item, text: &str) -> String {
    let word = text.split(' ').next().unwrap_or_default().trim_end_matches([',', ':', ';', '.']);
    let is_name = word.contains(|c: char| !c.is_ascii_lowercase())
        || item.comment.params.iter().any(|(name, _)| name == word);
    let mut chars = text.chars();
    match chars.next() {
        Some(first) if !is_name => first.to_uppercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}

/// The structs and callbacks that a declaration uses, and those that these use.
fn types_of<'a>(header: &'a Header, item: &Item) -> Vec<&'a Item> {
    let mut found: Vec<&Item> = Vec::new();
    let mut codes = vec![item.code.as_str()];
    while let Some(code) = codes.pop() {
        for word in words(code).filter(|word| *word != item.name) {
            let Some(used) = header.find(word).filter(|used| used.kind == Kind::Type) else {
                continue;
            };
            let is_told = used.name.ends_with("_t") || used.name.ends_with("_fn");
            if is_told && !found.iter().any(|other| other.name == used.name) {
                found.push(used);
                codes.push(&used.code);
            }
        }
    }
    found
}

/// What a struct is for and what each member means, or how a callback is declared.
fn describe_type(page: &mut Page, item: &Item, is_page: IsPage) {
    page.section(&format!("THE TYPE {}", plain(&item.name)));
    page.paragraphs(&item.comment.text, is_page);
    if !item.code.contains('{') {
        page.line(".PP");
        page.shown(&item.code.replace("struct ", ""));
        return;
    }
    let mut lines: Vec<String> = Vec::new();
    for line in item.code.lines().skip(1).map(str::trim) {
        if let Some(text) = line.strip_prefix("* ") {
            lines.push(text.to_owned());
        } else if line.ends_with(';') && !line.starts_with('}') {
            page.tagged(&format!("\\fB{}\\fP", verbatim(line)), &lines, is_page);
            lines.clear();
        }
    }
}

/// The constants that the page speaks of, statuses aside, with what they are.
fn constants(page: &mut Page, header: &Header, item: &Item, types: &[&Item], is_page: IsPage) {
    let mut text: String = item.comment.all().map(|line| format!("{line}\n")).collect();
    for used in types {
        let _ = writeln!(text, "{}\n{}", used.comment.text.join("\n"), used.code);
    }
    let said: BTreeSet<&str> = words(&text).filter(|word| word.starts_with("KV_")).collect();
    let is_said = |name: &str| {
        said.contains(name)
            || said
                .iter()
                .any(|said| said.ends_with('_') && said.len() > 3 && name.starts_with(*said))
    };
    let told: Vec<&Item> =
        header.of_kind(Kind::Constant).filter(|item| is_said(&item.name)).collect();
    if told.is_empty() {
        return;
    }
    page.section("CONSTANTS");
    for constant in told {
        let tag = format!("\\fB{}\\fP (%)", plain(&constant.name));
        let tag = tag.replace('%', &verbatim(constant.value()));
        page.tagged(&tag, &constant.comment.text, is_page);
    }
}

fn example(page: &mut Page, name: &str, examples: &Examples) {
    let Some(example) = examples.of(name) else { return };
    page.section("EXAMPLES");
    page.line(&format!("From {} of the sources:", plain(&example.file)));
    page.line(".PP");
    page.shown(&example.code);
    let helpers: Vec<&str> = ["must", "expect"]
        .into_iter()
        .filter(|name| words(&example.code).any(|w| w == *name))
        .collect();
    if !helpers.is_empty() {
        page.line(".PP");
    }
    for helper in helpers {
        page.line(match helper {
            "must" => "must() ends the program unless the status is \\fBKV_OK\\fP.",
            _ => "expect() ends the program unless its condition holds.",
        });
    }
}

fn see_also(page: &mut Page, header: &Header, item: &Item) {
    page.section("SEE ALSO");
    let text: String = item.comment.all().map(|line| format!("{line}\n")).collect();
    let mut names: BTreeSet<&str> = words(&text)
        .filter(|word| header.find(word).is_some_and(|found| found.kind == Kind::Function))
        .filter(|word| *word != item.name)
        .collect();
    // What is about failures is of use everywhere.
    for name in ["kv_error_message", "kv_strerror"] {
        if item.name != name {
            names.insert(name);
        }
    }
    for name in names {
        page.line(&format!(".BR {} (3),", plain(name)));
    }
    page.line(".BR libkv (3)");
}

/// The names in a text.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

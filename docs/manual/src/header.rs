//! include/kv.h, taken apart: every function, type and constant with its comment.

/// One thing that the header declares.
pub struct Item {
    pub name: String,
    pub kind: Kind,
    pub comment: Comment,
    /// The declaration, as it stands there.
    pub code: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Function,
    Type,
    Constant,
    Status,
}

/// A comment in its parts, each as lines.
#[derive(Default)]
pub struct Comment {
    pub text: Vec<String>,
    pub params: Vec<(String, Vec<String>)>,
    pub returns: Vec<String>,
    /// Ownership, Threads, Durability.
    pub notes: Vec<(String, Vec<String>)>,
}

const NOTES: [&str; 3] = ["Ownership", "Threads", "Durability"];

pub struct Header {
    /// The comment that opens the file.
    pub preamble: Vec<String>,
    pub version: String,
    pub items: Vec<Item>,
}

impl Header {
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut header = Header { preamble: vec![], version: String::new(), items: vec![] };
        let version = text.lines().find_map(|line| line.strip_prefix("#define KV_VERSION_STRING "));
        header.version = version.ok_or("there is no version")?.trim_matches('"').to_owned();
        for part in text.split("\n/**").skip(1) {
            header.add(part)?;
        }
        let preamble = text.split("*/").next().unwrap_or_default();
        header.preamble = comment_lines(preamble)
            .into_iter()
            .filter(|line| line != "@file" && line != "/**")
            .collect();
        if header.preamble.is_empty() || header.items.is_empty() {
            return Err("the header has no comment, or declares nothing".into());
        }
        Ok(header)
    }

    /// Takes what follows the beginning of a comment.
    fn add(&mut self, part: &str) -> Result<(), String> {
        let (comment, code) = part.split_once("*/").ok_or("a comment does not end")?;
        let lines = comment_lines(comment);
        let Some((name, kind)) = declared(code, self.items.last()) else { return Ok(()) };
        if kind == Kind::Constant && name.starts_with("KV_VERSION_") {
            return Ok(());
        }
        let comment = Comment::parse(&lines).map_err(|error| format!("{name}: {error}"))?;
        let code = declaration(code, kind);
        self.items.push(Item { name, kind, comment, code });
        Ok(())
    }

    pub fn find(&self, name: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.name == name)
    }

    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(move |item| item.kind == kind)
    }
}

impl Item {
    /// What it is, in a line: the first sentence of its comment, that of a function without capital
    /// and full stop.
    pub fn brief(&self) -> String {
        let text = self.comment.text.iter().take_while(|line| !line.is_empty());
        let text: Vec<&str> = text.map(String::as_str).collect();
        let text = text.join(" ");
        let sentence = text.split(". ").next().unwrap_or(&text).trim_end_matches('.');
        let mut chars = sentence.chars();
        let first = chars.next().map(|first| first.to_ascii_lowercase());
        first.into_iter().chain(chars).collect()
    }

    /// The value of a constant, as it is written.
    pub fn value(&self) -> &str {
        self.code.rsplit(' ').next().unwrap_or_default()
    }
}

impl Comment {
    fn parse(lines: &[String]) -> Result<Self, String> {
        let mut comment = Comment::default();
        let mut place = Place::Text;
        for line in lines {
            if let Some(param) = line.strip_prefix("@param ") {
                let (name, text) = param.split_once(' ').ok_or("a parameter without text")?;
                comment.params.push((name.to_owned(), vec![text.trim().to_owned()]));
                place = Place::Param;
            } else if let Some(text) = line.strip_prefix("@return") {
                comment.returns.push(text.trim().to_owned());
                place = Place::Return;
            } else if let Some(note) = NOTES.iter().find(|note| is_note(line, note)) {
                let text = line[note.len() + 1..].trim().to_owned();
                comment.notes.push(((*note).to_owned(), vec![text]));
                place = Place::Note;
            } else {
                comment.continue_with(place, line)?;
            }
        }
        Ok(comment)
    }

    fn continue_with(&mut self, place: Place, line: &str) -> Result<(), String> {
        let lines = match place {
            Place::Text => Some(&mut self.text),
            Place::Return => Some(&mut self.returns),
            Place::Param => self.params.last_mut().map(|(_, lines)| lines),
            Place::Note => self.notes.last_mut().map(|(_, lines)| lines),
        };
        lines.ok_or("text without a place")?.push(line.to_owned());
        Ok(())
    }

    /// All of its text.
    pub fn all(&self) -> impl Iterator<Item = &String> {
        let params = self.params.iter().flat_map(|(_, lines)| lines);
        let notes = self.notes.iter().flat_map(|(_, lines)| lines);
        self.text.iter().chain(params).chain(&self.returns).chain(notes)
    }
}

#[derive(Clone, Copy)]
enum Place {
    Text,
    Param,
    Return,
    Note,
}

fn is_note(line: &str, note: &str) -> bool {
    line.strip_prefix(note).is_some_and(|rest| rest.starts_with(": "))
}

/// The lines of a comment without its asterisks and the empty lines at both ends.
fn comment_lines(comment: &str) -> Vec<String> {
    let bare = comment.lines().map(|line| {
        let line = line.trim_start();
        let line = line.strip_prefix('*').unwrap_or(line);
        line.strip_prefix(' ').unwrap_or(line).trim_end().to_owned()
    });
    let mut lines: Vec<String> = bare.skip_while(String::is_empty).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// What a piece of code declares first; None for what is not part of the interface.
fn declared(code: &str, before: Option<&Item>) -> Option<(String, Kind)> {
    let code = code.trim_start();
    if let Some(define) = code.strip_prefix("#define ") {
        let name = define.split_whitespace().next()?;
        let follows = before.is_some_and(|item| item.kind == Kind::Status);
        let kind = if name == "KV_OK" || follows { Kind::Status } else { Kind::Constant };
        return Some((name.to_owned(), kind));
    }
    if code.starts_with('#') {
        return None;
    }
    if code.starts_with("typedef") {
        return Some((type_name(code)?, Kind::Type));
    }
    let name = code.split_once('(')?.0.rsplit([' ', '*', '\n']).next()?;
    Some((name.to_owned(), Kind::Function))
}

/// The name of a typedef: of a struct that of its end, of a function what stands in (*...).
fn type_name(code: &str) -> Option<String> {
    let name = if let Some((_, rest)) = code.split_once("(*") {
        if code.find('{').is_some_and(|at| at < code.find("(*").unwrap_or(0)) {
            return None;
        }
        rest.split_once(')')?.0
    } else if let Some((_, end)) = code.split_once("\n} ") {
        end.split_once(';')?.0
    } else {
        code.split_once(';')?.0.rsplit(' ').next()?
    };
    Some(name.trim().to_owned())
}

/// The declaration alone, without attributes.
fn declaration(code: &str, kind: Kind) -> String {
    let code = code.trim_start();
    let end = match kind {
        Kind::Constant | Kind::Status => code.find('\n').unwrap_or(code.len()),
        Kind::Type => code.find("\n} ").unwrap_or(0),
        Kind::Function => 0,
    };
    let end = match kind {
        Kind::Constant | Kind::Status => end,
        _ => code[end..].find(';').map_or(code.len(), |at| end + at + 1),
    };
    let code = code[..end].replace("KV_MUST_USE", "").replace("KV_NOEXCEPT", "");
    let code = if kind == Kind::Function { code.replace("struct ", "") } else { code };
    code.replace(")\n;", ");").replace(") ;", ");").trim().to_owned()
}

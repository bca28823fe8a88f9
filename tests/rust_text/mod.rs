//! Reading Rust as text: code without comments and strings, whole words, and the paths that are
//! imported.

/// The text with comments, strings and characters blanked out, line for line.
pub fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = token_to_blank(rest, code.ends_with(is_name_char));
        let taken = if skipped > 0 { skipped } else { first.len_utf8() };
        for c in rest[..taken].chars() {
            code.push(if skipped > 0 && c != '\n' { ' ' } else { c });
        }
        rest = &rest[taken..];
    }
    code
}

/// Bytes of the comment, string or character at the start of `text`; 0 if it is something else.
fn token_to_blank(text: &str, inside_name: bool) -> usize {
    let until = |from: usize, end: &str| {
        text[from..].find(end).map_or(text.len(), |at| from + at + end.len())
    };
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return until(2, "*/");
    }
    if let Some(raw) = text.strip_prefix('r').filter(|_| !inside_name) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            return until(2 + hashes, &format!("\"{}", "#".repeat(hashes)));
        }
    }
    if let Some(string) = text.strip_prefix('"') {
        let mut escaped = false;
        let end = string.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        return end.map_or(text.len(), |end| end + 2);
    }
    if text.starts_with("'\\") {
        return until(3, "'");
    }
    let mut chars = text.chars();
    match (chars.next(), chars.next(), chars.next()) {
        (Some('\''), Some(c), Some('\'')) => 2 + c.len_utf8(),
        _ => 0,
    }
}

pub fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where `word` stands in `text`, as a whole word.
pub fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let is_open = |c: Option<char>| c.is_none_or(|c| !is_name_char(c));
        is_open(text[..at].chars().next_back()) && is_open(text[at + word.len()..].chars().next())
    })
}

pub fn line_at(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// The module that a file of `src` is, from the root.
pub fn module_of(name: &str) -> Vec<String> {
    let path = name.trim_start_matches("src/").trim_end_matches(".rs");
    let mut module: Vec<String> = path.split('/').map(String::from).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
        module.pop();
    }
    module
}

/// Every path that begins with `crate::` or `super::`, from the root, and where it stands.
pub fn imports(code: &str, module: &[String]) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for start in ["crate", "super"] {
        for at in words(code, start).filter(|at| code[at + 5..].starts_with("::")) {
            // Not the start of a path, but a part of one that was met before.
            if code[..at].ends_with("::") {
                continue;
            }
            let mut path = if start == "crate" { Vec::new() } else { module.to_vec() };
            if start == "super" {
                path.pop();
            }
            let mut paths = Vec::new();
            expand(&code[at + 7..], path, &mut paths);
            found.extend(paths.into_iter().map(|path| (at, path)));
        }
    }
    found
}

/// Follows a path, and all branches of one with braces. Answers how many bytes it has.
fn expand(code: &str, mut path: Vec<String>, paths: &mut Vec<Vec<String>>) -> usize {
    let mut at = 0;
    loop {
        at += code[at..].len() - code[at..].trim_start().len();
        if code[at..].starts_with('{') {
            at += 1;
            loop {
                at += code[at..].len() - code[at..].trim_start_matches([' ', '\n', ',']).len();
                match code[at..].chars().next() {
                    Some('}') => return at + 1,
                    Some(c) if is_name_char(c) || c == '{' => {
                        at += expand(&code[at..], path.clone(), paths);
                    }
                    Some(c) => at += c.len_utf8(),
                    None => return at,
                }
            }
        }
        let len = code[at..].find(|c| !is_name_char(c)).unwrap_or(code.len() - at);
        match &code[at..at + len] {
            "super" => {
                path.pop();
            }
            name => path.push(name.to_string()),
        }
        at += len;
        if len == 0 || !code[at..].starts_with("::") {
            paths.push(path);
            return at;
        }
        at += 2;
    }
}

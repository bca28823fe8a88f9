//! The blocks of code in a document, and what is to be done with each.

use std::path::Path;

/// A fenced block of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    pub line: usize,
    pub language: String,
    pub text: String,
    /// What is said of it behind its language, or in a comment of HTML on the line before it:
    /// "run by FILE", "needs HEADER".
    pub remark: Option<String>,
    /// The file that the section links to, before the block.
    pub source: Option<String>,
}

/// What is done with a block.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// A file of the reader's, whose name is in the first line.
    File(String),
    /// A part of a file that is a test by itself.
    Excerpt(String),
    /// Commands for a shell.
    Commands,
    /// What the commands before it print.
    Output,
    /// Commands of `kv` and what they print: the tests of the command line run them.
    Console,
    /// The file that runs it.
    RunBy(String),
}

/// All fenced blocks of a text; a block that is only indented is refused, since nobody could tell
/// what it is.
pub fn blocks(text: &str) -> Result<Vec<Block>, String> {
    let mut found = Vec::new();
    let mut source = None;
    let mut before = "";
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        if let Some(said) = line.strip_prefix("```") {
            let (language, said) = said.split_once(' ').unwrap_or((said, ""));
            let mut code = String::new();
            loop {
                let (_, line) = lines.next().ok_or(format!("line {}: it has no end", at + 1))?;
                if line == "```" {
                    break;
                }
                code += line;
                code.push('\n');
            }
            let above = before.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
            let remark = above.or((!said.is_empty()).then_some(said));
            found.push(Block {
                line: at + 1,
                language: language.to_owned(),
                text: code,
                remark: remark.map(str::to_owned),
                source: source.clone(),
            });
            before = "";
            continue;
        }
        if line.starts_with("    ") && before.is_empty() {
            return Err(format!("line {}: a block of code without a language", at + 1));
        }
        if line.starts_with('#') {
            source = None;
        }
        if let Some(link) = linked(line) {
            source = Some(link.to_owned());
        }
        before = line;
    }
    Ok(found)
}

/// The program in C that a line links to.
fn linked(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("](")?;
    let (link, _) = rest.split_once(')')?;
    let link = link.trim_start_matches("../");
    (link.starts_with("examples-c/") && link.ends_with(".c")).then_some(link)
}

impl Block {
    pub fn part(&self) -> Result<Part, String> {
        if let Some(file) = self.remark.as_deref().and_then(|said| said.strip_prefix("run by ")) {
            return Ok(Part::RunBy(file.to_owned()));
        }
        match (self.language.as_str(), file_name(&self.text), &self.source) {
            ("sh", _, _) => Ok(Part::Commands),
            ("text", _, _) => Ok(Part::Output),
            ("console", _, _) => Ok(Part::Console),
            (_, Some(name), _) => Ok(Part::File(name.to_owned())),
            ("c", None, Some(source)) => Ok(Part::Excerpt(source.clone())),
            (language, None, _) => Err(format!(
                "nobody runs this block of \"{language}\": its first line names no file, its \
                 section links to no example, and no remark says who runs it"
            )),
        }
    }

    /// The header without which it cannot be built.
    pub fn needs(&self) -> Option<&str> {
        self.remark.as_deref().and_then(|said| said.strip_prefix("needs "))
    }
}

/// The name in a first line such as `/* app.c */` or `# CMakeLists.txt`.
fn file_name(text: &str) -> Option<&str> {
    let first = text.lines().next()?;
    let marks = ["/* ", "// ", "# "];
    let rest = marks.into_iter().find_map(|mark| first.strip_prefix(mark))?;
    let name = rest.trim_end_matches("*/").trim();
    let is_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let kind = Path::new(name).extension()?;
    (!kind.is_empty() && name.chars().all(is_name)).then_some(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<Result<Part, String>> {
        blocks(text).unwrap().iter().map(Block::part).collect()
    }

    #[test]
    fn blocks_are_found_with_what_is_to_be_done() {
        let text =
            "# A\n```c\n/* app.c */\nint x;\n```\n[x](../examples-c/ttl.c)\n```c\nint y;\n```\n\
                    ```sh\nls\n```\n```text\napp.c\n```\n<!-- run by a/b.go -->\n```go\nx\n```\n";
        let found: Vec<Part> = parts(text).into_iter().map(Result::unwrap).collect();
        let wanted = [
            Part::File("app.c".into()),
            Part::Excerpt("examples-c/ttl.c".into()),
            Part::Commands,
            Part::Output,
            Part::RunBy("a/b.go".into()),
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn what_nobody_runs_is_refused() {
        assert!(parts("```c\nint x;\n```\n")[0].is_err());
        assert!(parts("```python\nx\n```\n")[0].is_err());
        assert!(parts("[x](examples-c/ttl.c)\n# B\n```c\nint x;\n```\n")[0].is_err());
        assert!(blocks("Text\n\n    make check\n").is_err());
        assert!(blocks("```sh\nls\n").is_err());
    }

    #[test]
    fn remarks_belong_to_the_next_block_only() {
        let text = "<!-- needs lmdb.h -->\n```sh\nls\n```\n```sh\nls\n```\n```c needs a.h\n```\n";
        let blocks = blocks(text).unwrap();
        let needs: Vec<_> = blocks.iter().map(Block::needs).collect();
        assert_eq!(needs, [Some("lmdb.h"), None, Some("a.h")]);
        assert_eq!(blocks[2].language, "c");
    }
}

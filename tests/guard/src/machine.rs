//! The programs that are run, and the versions of all that the counts depend on.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use crate::trace::Trace;

/// Bytes of the directory's path. The library keeps its database's path in the heap, where a longer
/// one would move everything else: what lay in one cache line would lie in two.
const PATH_LEN: usize = 100;

/// A directory that is gone when this is.
pub struct Directory(pub PathBuf);

impl Directory {
    pub fn new() -> Result<Directory, String> {
        let mut path = env::temp_dir().join(format!("kv-guard-{}-", std::process::id()));
        let missing = PATH_LEN.saturating_sub(path.as_os_str().len());
        path.as_mut_os_string().push("x".repeat(missing));
        fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Directory(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What is left is in the system's directory for such things.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn run(program: &OsStr, arguments: &[&OsStr]) -> Result<String, String> {
    let name = program.to_string_lossy();
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("{name} is needed: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{name}: {}\n{said}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Builds the program of the operations against a shared library.
pub fn build(sources: &Path, library: &Path, to: &Path) -> Result<(), String> {
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let headers = format!("-I{}", sources.join("../../include").display());
    let directory = library.parent().unwrap_or(Path::new("/")).display();
    let found = format!("-Wl,-rpath,{directory}");
    let from = sources.join("c/operations.c");
    let mut arguments: Vec<&OsStr> = "-Wall -Wextra -Wpedantic -Werror -O1 -std=c11 -pthread"
        .split(' ')
        .map(OsStr::new)
        .collect();
    let others: [&OsStr; 6] = [
        headers.as_ref(),
        from.as_ref(),
        library.as_ref(),
        found.as_ref(),
        "-o".as_ref(),
        to.as_ref(),
    ];
    arguments.extend(others);
    run(&compiler, &arguments).map(drop)
}

/// Makes a database, and does the operations with it while lackey looks on.
pub fn measure(program: &Path, database: &Path) -> Result<Trace, String> {
    run(program.as_os_str(), &["fill".as_ref(), database.as_ref()])?;
    let mut child = Command::new("valgrind")
        .args(["-q", "--tool=lackey", "--basic-counts=no", "--trace-mem=yes"])
        .args(["--trace-syscalls=yes", "--trace-sched=yes"])
        .args([program.as_os_str(), "measure".as_ref(), database.as_ref()])
        // Some variables change what malloc and the C library do.
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("valgrind is needed: {error}"))?;
    let output = child.stderr.take().ok_or("valgrind has no standard error")?;
    let read = read(BufReader::with_capacity(1 << 20, output));
    let status = child.wait().map_err(|error| error.to_string())?;
    let trace = read?;
    if !status.success() || !trace.is_done {
        let from = trace.messages.len().saturating_sub(20);
        return Err(format!("valgrind: {status}\n{}", trace.messages[from..].join("\n")));
    }
    Ok(trace)
}

fn read(mut output: impl BufRead) -> Result<Trace, String> {
    let (mut trace, mut line) = (Trace::default(), Vec::new());
    loop {
        line.clear();
        if output.read_until(b'\n', &mut line).map_err(|error| error.to_string())? == 0 {
            return Ok(trace);
        }
        trace.take(line.trim_ascii_end())?;
    }
}

/// What the library was built with, and what it runs on, as far as the counts depend on it.
pub fn versions(library: &Path, glibc: &str) -> Result<String, String> {
    let bytes = fs::read(library).map_err(|error| format!("{}: {error}", library.display()))?;
    let valgrind = run("valgrind".as_ref(), &["--version".as_ref()])?;
    let rustc = compiler_of(&bytes).unwrap_or_else(|| "unknown".into());
    let valgrind = valgrind.trim_start_matches("valgrind-");
    let processor = processor();
    Ok(format!("rustc {rustc}, glibc {glibc}, valgrind {valgrind}, {processor}"))
}

/// rustc writes its version into what it builds.
fn compiler_of(library: &[u8]) -> Option<String> {
    const BEFORE: &[u8] = b"rustc version ";
    let at = library.windows(BEFORE.len()).position(|part| part == BEFORE)? + BEFORE.len();
    let is_end = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0;
    let version = library[at..].split(is_end).next()?;
    Some(String::from_utf8_lossy(version).into_owned())
}

/// valgrind offers programs the wide registers that the processor has.
fn processor() -> String {
    #[cfg(target_arch = "x86_64")]
    let wide = if std::arch::is_x86_feature_detected!("avx2") { " with avx2" } else { "" };
    #[cfg(not(target_arch = "x86_64"))]
    let wide = "";
    format!("{}{wide}", env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiler_is_found_in_what_it_built() {
        let library = b"\x7fELF\0GCC: 12\0rustc version 1.95.0 (59807616e 2026-04-14)\0";
        assert_eq!(compiler_of(library).as_deref(), Some("1.95.0"));
        assert_eq!(compiler_of(b"nothing"), None);
    }
}

//! What each contestant does when the disk is full, or fails: each in a process of its own, on a
//! small file system made for it, so that a SIGBUS is a line in the report.

use crate::record::{Record, Source, RECORD};
use crate::sys;
use crate::tail::count_stored;
use crate::Design;
use std::fs::{create_dir, File};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Synced this often while filling, so that pages are cleaned and made dirty again.
const SYNC_EVERY: u64 = 8192;
const ENOUGH: u64 = 1_000_000;

/// A mount that ends with the value.
struct Mount {
    at: PathBuf,
    below: Option<Box<Mount>>,
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = quiet(Command::new("umount").arg(&self.at));
        drop(self.below.take());
    }
}

/// Makes a file system in or on a directory.
type Make = fn(&Path) -> io::Result<Mount>;

pub fn report(dir: &Path) -> io::Result<()> {
    println!("\nOn a full disk (and on one whose medium fails): each in a process of its own");
    if !sys::is_root() {
        println!("skipped: mounting a small file system needs root");
        return Ok(());
    }
    let kinds: [(&str, Make); 3] = [
        ("tmpfs, 24 MiB", |dir| tmpfs(dir, "24m")),
        ("ext4 on loop, 32 MiB", |dir| ext4(dir, 32 << 20, None)),
        ("ext4 whose disk fails past 24 MiB", failing),
    ];
    for (n, (name, make)) in kinds.iter().enumerate() {
        println!("{name}:");
        for (m, design) in Design::ALL.iter().enumerate().skip(1) {
            let at = dir.join(format!("mount{n}-{m}"));
            create_dir(&at)?;
            match make(&at) {
                Ok(mount) => println!("  {:<36} {}", design.name(), in_child(*design, &mount.at)?),
                Err(error) => println!("  skipped: {error}"),
            }
        }
    }
    Ok(())
}

fn in_child(design: Design, at: &Path) -> io::Result<String> {
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.arg("--fill").arg(design.name()).arg(at).output()?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_string();
    let died = output.status.signal().map(|signal| format!("KILLED by signal {signal}"));
    Ok(died.unwrap_or(said))
}

/// The child's work: put until an error comes, then say what came of what was acknowledged.
pub fn fill(design: Design, at: &Path) -> io::Result<()> {
    let mut tail = design.open(at)?;
    let (source, mut record): (Source, Record) = (Source::new(), [0; RECORD]);
    let sync = tail.syncer();
    let mut acknowledged = 0;
    let mut failure = "no error".to_string();
    while acknowledged < ENOUGH {
        source.encode(acknowledged, &mut record);
        if let Err(error) = tail.append(&record) {
            failure = format!("put: {}", errno(&error));
            break;
        }
        acknowledged += 1;
        if let (Some(sync), 0) = (&sync, acknowledged % SYNC_EVERY) {
            if let Err(error) = sync() {
                failure = format!("fdatasync: {}", errno(&error));
                break;
            }
        }
    }
    let finished = tail.finish().map_or_else(|error| errno(&error), |()| "ok".into());
    let again = sync.map_or(Ok(()), |sync| sync());
    let again = again.map_or_else(|error| errno(&error), |()| "ok".into());
    let missing = acknowledged - count_stored(at)?.min(acknowledged);
    println!(
        "{failure}; then finish: {finished}, fdatasync: {again}; \
         {acknowledged} acknowledged, {missing} of them not in the segments"
    );
    Ok(())
}

fn errno(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOSPC) => "ENOSPC".into(),
        Some(libc::EIO) => "EIO".into(),
        _ => error.to_string(),
    }
}

fn tmpfs(at: &Path, size: &str) -> io::Result<Mount> {
    let options = format!("size={size}");
    quiet(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tail-bakeoff"]).arg(at))?;
    Ok(Mount { at: at.to_path_buf(), below: None })
}

/// `below` is the mount the image lies on, if that is to go too.
fn ext4(dir: &Path, bytes: u64, below: Option<Mount>) -> io::Result<Mount> {
    let (image, at) = (dir.join("image"), dir.join("on-image"));
    File::create(&image)?.set_len(bytes)?;
    create_dir(&at)?;
    quiet(
        Command::new("mkfs.ext4").args(["-q", "-F", "-J", "size=4", "-E", "nodiscard"]).arg(&image),
    )?;
    quiet(Command::new("mount").args(["-t", "ext4", "-o", "loop"]).arg(&image).arg(&at))?;
    Ok(Mount { at, below: below.map(Box::new) })
}

/// A sparse image of 64 MiB on a tmpfs of 24: the disk promises blocks it cannot write.
fn failing(dir: &Path) -> io::Result<Mount> {
    let below = tmpfs(dir, "24m")?;
    ext4(dir, 64 << 20, Some(below))
}

fn quiet(command: &mut Command) -> io::Result<()> {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{:?} failed", command.get_program())))
}

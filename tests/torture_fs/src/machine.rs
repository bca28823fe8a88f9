//! What the machine lends: mounts that nobody else sees, loop devices, programs in the background.
//! Each gives back what it took when its value goes; what a killed run left the next one removes.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Whoever waits longer than this for a program waits for nothing.
const PATIENCE: Duration = Duration::from_secs(30);

const LOOP_SET_FD: libc::c_ulong = 0x4C00;
const LOOP_CLR_FD: libc::c_ulong = 0x4C01;
const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4C82;

/// Whether this process has mounts of its own.
static MAY_MOUNT: AtomicBool = AtomicBool::new(false);

/// Why the machine cannot do what needs root and these programs, if it cannot.
pub fn lacks(programs: &[&str]) -> Option<String> {
    // SAFETY: it only answers.
    if unsafe { libc::geteuid() } != 0 {
        return Some("only root can mount".into());
    }
    if !MAY_MOUNT.load(Ordering::SeqCst) {
        return Some("nothing may be mounted here".into());
    }
    programs.iter().find(|name| !has(name)).map(|name| format!("there is no {name}"))
}

/// Why there are no disks that are files, shown by another program (FUSE) if that is asked for.
pub fn lacks_disks(memory: &Path, by_fuse: bool) -> Option<String> {
    if by_fuse {
        if let Err(error) = OpenOptions::new().read(true).write(true).open("/dev/fuse") {
            return Some(format!("FUSE: {error}"));
        }
    }
    let probe = memory.join("probe");
    let attached = std::fs::create_dir_all(memory)
        .and_then(|()| sparse_file(&probe, 1 << 20))
        .and_then(|()| Loop::attach(&probe));
    attached.err().map(|error| format!("loop devices: {error}"))
}

/// Whether there is such a program.
pub fn has(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    directories.into_iter().any(|directory: PathBuf| directory.join(name).is_file())
}

/// Gives this process a view of the mounts of its own: they go when it does, however it ends.
pub fn keep_mounts_private() -> io::Result<()> {
    // SAFETY: no pointers; called before there are other threads.
    check(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
    let root = c"/";
    // SAFETY: strings that end in NUL, and no data.
    check(unsafe {
        let flags = libc::MS_REC | libc::MS_PRIVATE;
        libc::mount(c"none".as_ptr(), root.as_ptr(), std::ptr::null(), flags, std::ptr::null())
    })?;
    MAY_MOUNT.store(true, Ordering::SeqCst);
    Ok(())
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn c_string(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("no path of ours has a NUL")
}

/// A mounted file system.
pub struct Mount {
    at: PathBuf,
}

impl Mount {
    pub fn new(source: &Path, at: &Path, kind: &str, data: &str) -> io::Result<Mount> {
        std::fs::create_dir_all(at)?;
        let [source, target] = [source, at].map(c_string);
        let [kind, data] = [kind, data].map(|text| CString::new(text).expect("no NUL"));
        // SAFETY: strings that end in NUL.
        check(unsafe {
            libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), 0, data.as_ptr().cast())
        })?;
        Ok(Mount { at: at.to_path_buf() })
    }

    /// What another program has mounted.
    pub fn of(at: &Path) -> Mount {
        Mount { at: at.to_path_buf() }
    }

    /// Unmounts, and answers whether that could be done.
    pub fn end(self) -> io::Result<()> {
        let at = c_string(&self.at);
        let since = Instant::now();
        loop {
            // SAFETY: a string that ends in NUL.
            match check(unsafe { libc::umount2(at.as_ptr(), 0) }) {
                // A process that another thread is starting has all files until it is a new one.
                Err(error)
                    if error.raw_os_error() == Some(libc::EBUSY) && since.elapsed() < PATIENCE =>
                {
                    std::thread::sleep(Duration::from_millis(2));
                }
                ended => {
                    std::mem::forget(self);
                    return ended;
                }
            }
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let at = c_string(&self.at);
        // SAFETY: a string that ends in NUL.
        unsafe { libc::umount2(at.as_ptr(), libc::MNT_DETACH) };
    }
}

/// A loop device over a file.
pub struct Loop {
    pub device: PathBuf,
}

/// One search for a free device at a time.
static FREE: Mutex<()> = Mutex::new(());

impl Loop {
    pub fn attach(file: &Path) -> io::Result<Loop> {
        let _alone = FREE.lock().expect("nobody panics");
        let backing = OpenOptions::new().read(true).write(true).open(file)?;
        let control = File::open("/dev/loop-control")?;
        for _ in 0..20 {
            // SAFETY: without an argument.
            let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE as _) };
            check(number)?;
            let device = PathBuf::from(format!("/dev/loop{number}"));
            let opened = OpenOptions::new().read(true).write(true).open(&device)?;
            // SAFETY: the argument is a descriptor.
            let set =
                unsafe { libc::ioctl(opened.as_raw_fd(), LOOP_SET_FD as _, backing.as_raw_fd()) };
            match check(set) {
                Ok(()) => return Ok(Loop { device }),
                // Another process was faster.
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::from_raw_os_error(libc::EBUSY))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        if let Ok(opened) = File::open(&self.device) {
            // SAFETY: without an argument. A device that is in use goes when it is not any more.
            unsafe { libc::ioctl(opened.as_raw_fd(), LOOP_CLR_FD as _, 0) };
        }
    }
}

/// Detaches the loop devices, and removes the files, of runs that are no more.
pub fn remove_leftovers(memory: &Path) {
    let is_dead = |text: &str| {
        let number = text.split("kv-torture-fs-").nth(1)?.split(['/', ' ', '.']).next()?;
        let number: u32 = number.parse().ok()?;
        Some(!Path::new(&format!("/proc/{number}")).exists())
    };
    let devices = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    for device in devices {
        let backing = std::fs::read_to_string(device.path().join("loop/backing_file"));
        if backing.is_ok_and(|backing| is_dead(&backing) == Some(true)) {
            drop(Loop { device: Path::new("/dev").join(device.file_name()) });
        }
    }
    let Some(parent) = memory.parent() else { return };
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        if is_dead(&entry.file_name().to_string_lossy()) == Some(true) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// A program in the background, which ends with this one.
pub struct Daemon {
    child: Child,
    /// Whether it has nothing to bring to an end.
    goes_at_once: bool,
}

impl Daemon {
    pub fn start(program: &str, arguments: &[String]) -> io::Result<Daemon> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // SAFETY: between fork and exec, one call that is safe there.
        unsafe {
            command.pre_exec(|| check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL)));
        }
        Ok(Daemon { child: command.spawn()?, goes_at_once: false })
    }

    /// Ends it by a kill.
    pub fn going_at_once(mut self) -> Daemon {
        self.goes_at_once = true;
        self
    }

    /// Waits until it has done what `is_there` sees.
    pub fn wait_until(&mut self, is_there: impl Fn() -> bool) -> Result<(), String> {
        let since = Instant::now();
        while !is_there() {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("the program in the background ended with {status}"));
            }
            if since.elapsed() > PATIENCE {
                return Err("the program in the background does not begin".into());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // SAFETY: a child that has not been waited for, so its number is its own.
        unsafe { libc::kill(self.child.id() as libc::pid_t, libc::SIGTERM) };
        let since = Instant::now();
        while self.child.try_wait().is_ok_and(|status| status.is_none()) {
            if self.goes_at_once || since.elapsed() > PATIENCE {
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Runs a program, and answers what it said if it failed.
pub fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new(program).args(arguments).env("PATH", path).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// A file of nothing.
pub fn sparse_file(path: &Path, len: u64) -> io::Result<()> {
    File::create(path)?.set_len(len)
}

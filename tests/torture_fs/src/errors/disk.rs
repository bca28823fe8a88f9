//! A disk in memory whose writes or reads can be made to fail: nbdkit's error filter, shown as a
//! file by nbdfuse, made a disk by a loop device.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use crate::kernels::Kernel;
use crate::machine::{Daemon, Loop, Mount};

/// Which kind of access fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failing {
    Reads,
    Writes,
}

pub struct FailingDisk {
    pub directory: PathBuf,
    kernel: &'static Kernel,
    /// Serves the blocks; they live as long as it does.
    _server: Daemon,
    shown: Option<Shown>,
}

/// The file that shows the blocks, and the device over it. They end in this order.
struct Shown {
    device: Loop,
    /// What the program shows it by: it ends with it.
    _mount: Mount,
    _program: Daemon,
}

fn marker(directory: &Path, failing: Failing) -> PathBuf {
    directory.join(match failing {
        Failing::Reads => "reads-fail",
        Failing::Writes => "writes-fail",
    })
}

/// From now on such accesses to the disk of this directory fail, or do so no more.
pub fn set(directory: &Path, failing: Failing, fails: bool) {
    let marker = marker(directory, failing);
    if fails {
        File::create(marker).expect("the mark can be made");
    } else {
        let _ = std::fs::remove_file(marker);
    }
}

impl FailingDisk {
    /// A disk with an empty file system.
    pub fn new(kernel: &'static Kernel, directory: &Path) -> Result<FailingDisk, String> {
        let _ = std::fs::remove_dir_all(directory);
        std::fs::create_dir_all(directory).map_err(|error| error.to_string())?;
        let socket = directory.join("socket");
        let path = |path: PathBuf| path.display().to_string();
        let arguments = [
            "-f".into(),
            "-U".into(),
            path(socket.clone()),
            "--filter=error".into(),
            "memory".into(),
            format!("{}M", kernel.image_mib),
            "error-pwrite=EIO".into(),
            "error-pwrite-rate=100%".into(),
            format!("error-pwrite-file={}", path(marker(directory, Failing::Writes))),
            "error-pread=EIO".into(),
            "error-pread-rate=100%".into(),
            format!("error-pread-file={}", path(marker(directory, Failing::Reads))),
        ];
        let mut server = Daemon::start("nbdkit", &arguments).map_err(|error| error.to_string())?;
        server.wait_until(|| socket.exists())?;
        let directory = directory.to_path_buf();
        let mut disk =
            FailingDisk { directory, kernel, _server: server.going_at_once(), shown: None };
        disk.show()?;
        kernel.make(disk.device())?;
        Ok(disk)
    }

    /// Shows the blocks, with nothing of them in any cache.
    fn show(&mut self) -> Result<(), String> {
        self.shown = None;
        let shown = self.directory.join("shown");
        std::fs::create_dir_all(&shown).map_err(|error| error.to_string())?;
        // By its name the next run knows whose device it was, if this one is killed.
        let file = shown.join(format!("kv-torture-fs-{}.disk", std::process::id()));
        let socket = self.directory.join("socket").display().to_string();
        let arguments = [file.display().to_string(), "--unix".into(), socket];
        let program = Daemon::start("nbdfuse", &arguments);
        let mut program = program.map_err(|error| error.to_string())?;
        program.wait_until(|| file.metadata().is_ok_and(|data| data.len() > 0))?;
        let device = Loop::attach(&file).map_err(|error| format!("loop device: {error}"))?;
        self.shown =
            Some(Shown { device, _mount: Mount::of(&shown), _program: program.going_at_once() });
        Ok(())
    }

    fn device(&self) -> &Path {
        &self.shown.as_ref().expect("it is shown").device.device
    }

    pub fn mount(&self) -> Result<Mount, String> {
        self.kernel.mount(self.device(), &mounted(&self.directory))
    }

    /// Unmounts it, even if it does not want to, and shows what it holds now. Failures are over.
    pub fn start_again(&mut self, mount: Mount) -> Result<(), String> {
        for failing in [Failing::Reads, Failing::Writes] {
            set(&self.directory, failing, false);
        }
        mount.end().map_err(|error| format!("umount: {error}"))?;
        self.show()
    }
}

/// Where the file system is.
pub fn mounted(directory: &Path) -> PathBuf {
    directory.join("mounted")
}

/// Lets the kernel forget what it has of a database's files and of the disk below.
pub fn forget(directory: &Path) -> Result<(), String> {
    let mut paths = Vec::new();
    for place in [mounted(directory).join("db"), directory.join("shown")] {
        let entries = std::fs::read_dir(place).map_err(|error| error.to_string())?;
        paths.extend(entries.filter_map(|entry| entry.ok().map(|entry| entry.path())));
    }
    for path in paths {
        let file = File::open(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        file.sync_all().map_err(|error| error.to_string())?;
        // SAFETY: a descriptor that is open, and advice only.
        unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    }
    Ok(())
}

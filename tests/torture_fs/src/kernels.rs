//! The file systems of the kernel: how each is made and mounted.

use std::path::Path;

use crate::machine;
use crate::settings::Settings;

pub struct Kernel {
    /// What people call it, and the command line.
    pub name: &'static str,
    kind: &'static str,
    program: &'static str,
    options: &'static [&'static str],
    /// How it is mounted.
    data: &'static str,
    /// How large its image is, in MiB. Most of it is never written.
    pub image_mib: u64,
}

/// Small journals, so that they wrap around.
pub const KERNELS: [Kernel; 4] = [
    Kernel {
        name: "ext4",
        kind: "ext4",
        program: "mkfs.ext4",
        options: &["-F", "-q", "-J", "size=4", "-E", "nodiscard"],
        data: "",
        image_mib: 64,
    },
    Kernel {
        name: "xfs",
        kind: "xfs",
        program: "mkfs.xfs",
        options: &["-f", "-q", "-K"],
        // Several images of one file system are mounted at a time.
        data: "nouuid",
        image_mib: 320,
    },
    Kernel {
        name: "btrfs",
        kind: "btrfs",
        program: "mkfs.btrfs",
        options: &["-f", "-q", "-K", "-m", "single"],
        data: "nodiscard",
        image_mib: 160,
    },
    Kernel {
        name: "ext4-writeback",
        kind: "ext4",
        program: "mkfs.ext4",
        options: &["-F", "-q", "-J", "size=4", "-E", "nodiscard"],
        data: "data=writeback",
        image_mib: 64,
    },
];

impl Kernel {
    /// Those that KERNELS names (all, if it is empty) and the machine has; says which it has not.
    pub fn available() -> Vec<&'static Kernel> {
        let wanted = crate::settings::set("KERNELS").unwrap_or_default();
        let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
        let is_wanted = |kernel: &&Kernel| {
            wanted.is_empty() || wanted.split([',', ' ']).any(|name| name == kernel.name)
        };
        let is_there = |kernel: &&Kernel| {
            let why = if machine::lacks(&[kernel.program]).is_some() {
                format!("there is no {}", kernel.program)
            } else if !known.split_whitespace().any(|name| name == kernel.kind) {
                "this kernel has it not".into()
            } else {
                return true;
            };
            println!("{}: SKIPPED: {why}", kernel.name);
            false
        };
        KERNELS.iter().filter(is_wanted).filter(is_there).collect()
    }

    /// Those whose disks other programs show, or why there are none.
    pub fn by_fuse(settings: &Settings, programs: &[&str]) -> Result<Vec<&'static Kernel>, String> {
        let lacks = machine::lacks(programs);
        if let Some(why) = lacks.or_else(|| machine::lacks_disks(&settings.memory, true)) {
            return Err(why);
        }
        let kernels = Kernel::available();
        match kernels.is_empty() {
            true => Err("no file system that can be made".into()),
            false => Ok(kernels),
        }
    }

    /// Makes an empty file system in a file, or on a device.
    pub fn make(&self, place: &Path) -> Result<(), String> {
        let place = place.to_string_lossy();
        let arguments: Vec<&str> = self.options.iter().copied().chain([&*place]).collect();
        machine::run(self.program, &arguments)
    }

    pub fn mount(&self, device: &Path, at: &Path) -> Result<machine::Mount, String> {
        machine::Mount::new(device, at, self.kind, self.data)
            .map_err(|error| format!("{} does not mount: {error}", self.name))
    }
}

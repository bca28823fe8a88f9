//! In the place of the library's `storage`: the barrier of unequal halves, as fences.

pub mod barrier {
    use std::sync::atomic::{AtomicBool, Ordering};

    use loom::sync::atomic::fence;

    /// Whether the frequent half is a barrier. A model that must fail turns it off.
    pub static LIGHT: AtomicBool = AtomicBool::new(true);

    /// What the kernel does for this half when the other half asks it to.
    pub fn light() {
        if LIGHT.load(Ordering::Relaxed) {
            fence(Ordering::SeqCst);
        }
    }

    pub fn heavy() {
        fence(Ordering::SeqCst);
    }
}

pub mod anonymous {
    use crate::atomic::AtomicU64;

    pub type Line = [AtomicU64; 8];

    /// Lines that are not from the kernel, whose zeros loom does not know.
    pub struct Run(pub Box<[Line]>);

    impl std::ops::Deref for Run {
        type Target = [Line];

        fn deref(&self) -> &[Line] {
            &self.0
        }
    }
}

//! In the place of `std::thread_local`: values of a model's threads, which loom's own locals cannot
//! stand for, since one is used in the destructor of another.

use std::cell::{Cell, RefCell, UnsafeCell};

use loom::thread::ThreadId;

use crate::explore::generation;

/// Hides the macro of the standard library.
macro_rules! thread_local {
    ($($(#[$about:meta])* static $name:ident: $type:ty = const { $init:expr };)*) => {
        $($(#[$about])* static $name: $crate::local::Local<$type> =
            $crate::local::Local::new(|| $init);)*
    };
}

type Values<T> = Vec<(u64, ThreadId, Box<T>)>;

/// One value for each thread of each execution.
pub struct Local<T> {
    init: fn() -> T,
    values: UnsafeCell<Values<T>>,
}

// SAFETY: loom runs the threads of a model on one thread, and switches between them only inside of
// its own calls, none of which is made while `values` is borrowed.
unsafe impl<T> Sync for Local<T> {}

impl<T> Local<T> {
    pub const fn new(init: fn() -> T) -> Local<T> {
        Local { init, values: UnsafeCell::new(Vec::new()) }
    }

    fn mine(&self) -> &T {
        let (generation, thread) = (generation(), loom::thread::current().id());
        // SAFETY: see `Sync`; values are boxed, so that they stay where they are.
        let values = unsafe { &mut *self.values.get() };
        values.retain(|(made_in, ..)| *made_in == generation);
        let at = values.iter().position(|(_, owner, _)| *owner == thread);
        let at = at.unwrap_or_else(|| {
            values.push((generation, thread, Box::new((self.init)())));
            values.len() - 1
        });
        &values[at].2
    }

    /// Notes that the thread has the value, whose destructor [`end`] runs.
    pub fn try_with<R>(&'static self, read: impl FnOnce(&T) -> R) -> Result<R, ()> {
        let init = self.init;
        let destructor: Destructor = Box::new(move || drop(init()));
        DESTRUCTORS.with_borrow_mut(|all| {
            let (generation, thread) = (generation(), loom::thread::current().id());
            all.retain(|(made_in, ..)| *made_in == generation);
            all.push((generation, thread, destructor));
        });
        Ok(read(&(self.init)()))
    }
}

impl<T> Local<Cell<T>> {
    pub fn get(&self) -> T
    where
        T: Copy,
    {
        self.mine().get()
    }

    pub fn set(&self, value: T) {
        self.mine().set(value);
    }

    pub fn replace(&self, value: T) -> T {
        self.mine().replace(value)
    }
}

type Destructor = Box<dyn FnOnce()>;
type Destructors = Vec<(u64, ThreadId, Destructor)>;

std::thread_local! {
    static DESTRUCTORS: RefCell<Destructors> = const { RefCell::new(Vec::new()) };
}

/// What happens at the end of the calling thread.
pub fn end() {
    let thread = loom::thread::current().id();
    let mine = DESTRUCTORS.with_borrow_mut(|all| {
        let at = all.iter().position(|(_, owner, _)| *owner == thread);
        at.map(|at| all.swap_remove(at).2)
    });
    if let Some(destructor) = mine {
        destructor();
    }
}

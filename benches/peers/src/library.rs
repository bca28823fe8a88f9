//! Shared libraries in C, found when the program runs: what is missing is left out, not fatal.

use std::ffi::{c_void, CStr, CString};

/// A library that stays loaded.
pub struct Library(*mut c_void);

impl Library {
    /// Loads the first of these files that is there.
    pub fn open(files: &[&str]) -> Result<Library, String> {
        let mut reason = String::new();
        for file in files {
            let name = CString::new(*file).map_err(|_| format!("{file:?} is no file name"))?;
            // SAFETY: the name is a string, and the library's own initialisers are trusted.
            let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
            if !handle.is_null() {
                return Ok(Library(handle));
            }
            // SAFETY: after a failure there is a message, which lives until the next call.
            let message = unsafe { CStr::from_ptr(libc::dlerror()) };
            if reason.is_empty() {
                reason = message.to_string_lossy().into_owned();
            }
        }
        Err(reason)
    }

    /// The address of a function or a variable.
    pub fn symbol(&self, name: &str) -> Result<*mut c_void, String> {
        let text = CString::new(name).map_err(|_| format!("{name:?} is no name"))?;
        // SAFETY: the library is loaded, and the name is a string.
        let address = unsafe { libc::dlsym(self.0, text.as_ptr()) };
        if address.is_null() {
            Err(format!("the library has no {name}"))
        } else {
            Ok(address)
        }
    }
}

/// Declares functions of a library as a struct of pointers, with `load(files)` to fill it.
macro_rules! library {
    ($api:ident { $(fn $name:ident($($type:ty),*) $(-> $returns:ty)?;)+ }) => {
        #[derive(Clone, Copy)]
        struct $api { $($name: unsafe extern "C" fn($($type),*) $(-> $returns)?),+ }

        impl $api {
            fn load(files: &[&str]) -> Result<($api, $crate::library::Library), String> {
                let library = $crate::library::Library::open(files)?;
                let api = $api {
                    $($name: {
                        let address = library.symbol(stringify!($name))?;
                        // SAFETY: the function has this type in the library's header.
                        unsafe { std::mem::transmute::<
                            *mut std::ffi::c_void,
                            unsafe extern "C" fn($($type),*) $(-> $returns)?
                        >(address) }
                    }),+
                };
                Ok((api, library))
            }
        }
    };
}
pub(crate) use library;

/// A string for C.
pub fn c_string(text: &str) -> CString {
    CString::new(text).expect("the text has no NUL")
}

/// A string of C's, copied.
pub fn text(pointer: *const std::ffi::c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: who calls this has it from a function that returns a string.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

/// The bytes that a pointer and a length name.
///
/// # Safety
/// They are readable for as long as the slice is used.
pub unsafe fn bytes<'a>(pointer: *const c_void, len: usize) -> &'a [u8] {
    if len == 0 {
        return &[];
    }
    // SAFETY: as the caller says.
    unsafe { std::slice::from_raw_parts(pointer.cast(), len) }
}

//! What cargo does before it compiles: whether this can work there, the C header as generated, and
//! the name of the library.

#[path = "src/systems.rs"]
mod systems;

use std::path::{Path, PathBuf};
use std::{env, fs};

/// The files that make up the header, in its order.
const SOURCES: &[&str] = &[
    "library",
    "status",
    "buffer",
    "options",
    "limits",
    "describe",
    "listen",
    "db",
    "view",
    "many",
    "write_options",
    "conditional",
    "ttl",
    "batch",
    "reserve",
    "snapshot",
    "iter",
    "compaction",
    "backup",
    "verify",
    "salvage",
    "stats",
    "latency",
    "metrics",
];

fn main() {
    let target = ["OS", "POINTER_WIDTH"].map(|what| variable(&format!("CARGO_CFG_TARGET_{what}")));
    if let Some(why) = systems::refusal(&target[0], &target[1]) {
        println!("cargo::error={why}");
        return;
    }
    let source = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(variable("OUT_DIR"));
    for watched in ["build.rs", "src/systems.rs", "cbindgen.toml", "src/ffi"] {
        println!("cargo:rerun-if-changed={watched}");
    }
    let header = out.join("kv.h");
    write_header(&source, &header);
    println!("cargo:rustc-env=KV_GENERATED_HEADER={}", header.display());
    name_library(&out);
}

/// Generates the header. It is compared with include/kv.h by a test and never written there: a
/// build does not change its sources.
fn write_header(source: &Path, header: &Path) {
    let mut config = cbindgen::Config::from_file(source.join("cbindgen.toml"))
        .unwrap_or_else(|error| panic!("cbindgen.toml: {error}"));
    config.header = Some(preamble(&source.join("src/ffi/mod.rs")));
    let rest = config.after_includes.take().unwrap_or_default();
    config.after_includes = Some(format!("{}{rest}", version_macros()));
    let mut builder = cbindgen::Builder::new().with_config(config);
    for name in SOURCES {
        builder = builder.with_src(source.join(format!("src/ffi/{name}.rs")));
    }
    let bindings = builder.generate().unwrap_or_else(|error| panic!("kv.h: {error}"));
    bindings.write_to_file(header);
}

/// The documentation of the ffi module, as the comment that opens the header.
fn preamble(module: &Path) -> String {
    let text =
        fs::read_to_string(module).unwrap_or_else(|error| panic!("{}: {error}", module.display()));
    let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
    let body: String = lines.map(|line| format!(" *{line}\n")).collect();
    format!("/**\n{body} *\n * @file\n */")
}

/// The version of the header, as macros.
fn version_macros() -> String {
    let [major, minor, patch] = ["MAJOR", "MINOR", "PATCH"].map(version_part);
    let number = major * 1_000_000 + minor * 1_000 + patch;
    let text = variable("CARGO_PKG_VERSION");
    format!(
        "\n/** The version of this header; kv_version() is that of the library that is loaded. */
#define KV_VERSION_MAJOR {major}
/** The second part of it: raised when something is added. */
#define KV_VERSION_MINOR {minor}
/** The third part of it. */
#define KV_VERSION_PATCH {patch}
/** The same as text. */
#define KV_VERSION_STRING \"{text}\"
/** major * 1000000 + minor * 1000 + patch */
#define KV_VERSION_NUMBER {number}\n"
    )
}

fn version_part(name: &str) -> u64 {
    let text = variable(&format!("CARGO_PKG_VERSION_{name}"));
    text.parse().unwrap_or_else(|error| panic!("version {name} \"{text}\": {error}"))
}

/// Gives the shared library its SONAME, and makes the link by which a program that was linked to
/// it finds it where cargo puts it: cargo itself writes libkv.so only.
fn name_library(out: &Path) {
    if variable("CARGO_CFG_TARGET_OS") != "linux" {
        return;
    }
    let soname = format!("libkv.so.{}", version_part("MAJOR"));
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,{soname}");
    // OUT_DIR is target/<profile>/build/<package>/out.
    let Some(profile) = out.ancestors().nth(3) else { return };
    for directory in [profile.to_owned(), profile.join("deps")] {
        // The link is a convenience of the build directory; a build without it is no failure.
        let _ = link("libkv.so", &directory.join(&soname));
    }
}

#[cfg(unix)]
fn link(target: &str, link: &Path) -> std::io::Result<()> {
    match fs::read_link(link) {
        Ok(present) if present == Path::new(target) => return Ok(()),
        Ok(_) => fs::remove_file(link)?,
        Err(_) => {}
    }
    std::os::unix::fs::symlink(target, link)
}

#[cfg(not(unix))]
fn link(_target: &str, _link: &Path) -> std::io::Result<()> {
    Ok(())
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

//! What has to be found out before anything is linked: whether the unwinder can be part of the program.
//!
//! The standard library asks for `libgcc_s.so`, which costs each start of the program a quarter of a millisecond and which a small
//! container may not have. GCC keeps the same code as an archive beside it. Where that is missing, all stays as it was.

// A build script speaks to cargo by what it prints.
#![allow(clippy::print_stdout)]

use std::env::var;
use std::path::Path;
use std::process::Command;

const ARCHIVE: &str = "libgcc_eh.a";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    if is_wanted() && is_there() {
        // Named before the standard library, so that nothing is left for the shared one to provide; and not copied into the
        // library, for which nobody has asked.
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}

/// Only for the program: a library user's own program is linked as he likes.
fn is_wanted() -> bool {
    let is = |name: &str, value: &str| var(name).is_ok_and(|found| found == value);
    let has_cli = var("CARGO_FEATURE_CLI").is_ok();
    let is_static =
        var("CARGO_CFG_TARGET_FEATURE").is_ok_and(|all| all.split(',').any(|one| one == "crt-static"));
    has_cli && !is_static && is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu")
}

/// Asks whoever will link, as far as that is known.
fn is_there() -> bool {
    let linker = match (var("RUSTC_LINKER"), var("HOST") == var("TARGET")) {
        (Ok(named), _) => named,
        (Err(_), true) => "cc".to_owned(),
        (Err(_), false) => return false,
    };
    let asked = Command::new(linker).arg(format!("-print-file-name={ARCHIVE}")).output();
    // One that does not know it gives the name back as it is.
    asked.is_ok_and(|said| {
        let path = String::from_utf8_lossy(&said.stdout);
        Path::new(path.trim()).is_absolute() && Path::new(path.trim()).exists()
    })
}

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

/// Only with the program's feature, which a library user leaves out: his own program is linked as he likes.
fn is_wanted() -> bool {
    let is = |name: &str, value: &str| var(name).is_ok_and(|found| found == value);
    let has_cli = var("CARGO_FEATURE_CLI").is_ok();
    // Who has wishes of his own for linking may link with another compiler than is asked here.
    let wishes = var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let has_wishes = ["link", "sanitizer"].iter().any(|word| wishes.contains(word));
    let is_static =
        var("CARGO_CFG_TARGET_FEATURE").is_ok_and(|all| all.split(',').any(|one| one == "crt-static"));
    has_cli
        && !has_wishes
        && !is_static
        && is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
}

/// Asks whoever will link, as far as that is known.
fn is_there() -> bool {
    let linker = match (var("RUSTC_LINKER"), var("HOST") == var("TARGET")) {
        (Ok(named), _) => named,
        (Err(_), true) => "cc".to_owned(),
        (Err(_), false) => return false,
    };
    let Ok(said) = Command::new(linker).arg(format!("-print-file-name={ARCHIVE}")).output() else {
        return false;
    };
    // One that does not know it gives the name back as it is.
    let path = String::from_utf8_lossy(&said.stdout);
    let path = Path::new(path.trim());
    let is_there = path.is_absolute() && path.exists();
    if is_there {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    is_there
}

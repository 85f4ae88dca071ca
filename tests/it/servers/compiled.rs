//! Compiled servers: axum, actix and Go's own, started by `cargo run` and `go run`, each across an edit of
//! its source.

use std::process::Command;
use std::sync::Once;

use crate::servers::served::{
    Served, compilers, generations_overlap, generations_take_turns, socket_is_handed_on,
};
use crate::support::http::{free_address, get};

const GO: &str = "go/main.go";
const AXUM: &str = "rust/src/bin/axum_server.rs";
const ACTIX: &str = "rust/src/bin/actix_server.rs";

/// Compiles the dependencies of both Rust servers, so that no start waits for them.
fn compile_dependencies() {
    static COMPILED: Once = Once::new();
    COMPILED.call_once(|| {
        let project = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/servers/rust");
        let mut cargo = Command::new("cargo");
        let status =
            cargo.args(["build", "--quiet", "--locked"]).envs(compilers()).current_dir(project).status();
        assert!(status.unwrap().success(), "`cargo build` failed in {project}");
    });
}

/// Runs both ways one after the other, because cargo might reuse the build of one way for the other.
fn served_by_cargo_run(source: &'static str, server: &str) {
    compile_dependencies();
    let command = ["cargo", "run", "--bin", server];
    generations_overlap(source, &[], &command);
    socket_is_handed_on(source, &[], &command, true);
}

#[test]
#[ignore = "needs the package registry"]
fn axum_behind_the_proxy_and_with_the_socket() {
    served_by_cargo_run(AXUM, "axum_server");
}

#[test]
#[ignore = "needs the package registry"]
fn actix_behind_the_proxy_and_with_the_socket() {
    served_by_cargo_run(ACTIX, "actix_server");
}

/// `go run` passes no signal on and ends before its server.
#[test]
#[ignore = "needs Go"]
fn go_run_behind_the_proxy() {
    generations_overlap(GO, &[], &["go", "run", "."]);
}

/// The next generation can listen when the last process of the old one has ended. `go run` ends before its
/// server.
#[test]
#[ignore = "needs Go"]
fn go_run_with_a_fixed_port_behind_the_proxy() {
    let upstream = free_address();
    let (proxy, port) = (format!("ADDRESS={upstream}"), format!("PORT={}", upstream.port()));
    generations_take_turns(GO, &["--proxy", &proxy, "--env", &port], &["go", "run", "."]);
    assert!(std::net::TcpListener::bind(upstream).is_ok(), "a server outlives devrun and its `go run`");
}

#[test]
#[ignore = "needs Go"]
fn go_run_takes_the_socket() {
    socket_is_handed_on(GO, &[], &["go", "run", "."], true);
}

/// A build step compiles the server into the watched directory, as in README.md.
const BUILD: [&str; 6] = ["-e", "go", "--build", "go build -o bin/server .", "-i", "/bin/"];

#[test]
#[ignore = "needs Go"]
fn go_build_behind_the_proxy() {
    generations_overlap(GO, &BUILD, &["bin/server"]);
}

/// The same server without a rule that ignores the built program.
#[test]
#[ignore = "needs Go"]
fn go_build_takes_the_socket() {
    socket_is_handed_on(GO, &["--build", "go build -o server ."], &["./server"], true);
}

/// Code that does not compile stops no server, with `go run` and with a build step.
#[test]
#[ignore = "needs Go"]
fn go_code_that_does_not_compile_leaves_the_old_code_serving() {
    for (options, command) in [(&[] as &[&str], &["go", "run", "."] as &[&str]), (&BUILD, &["bin/server"])] {
        let mut served = Served::start(GO, &[&["--proxy", "ADDRESS"], options].concat(), command);
        let good = std::fs::read_to_string(served.sandbox.path("main.go")).unwrap();
        served.sandbox.write("main.go", format!("{good}\nthis is no code\n"));
        served.running.wait_for_line("syntax error");
        served.running.wait_for_line("with status ");
        assert_eq!(get(served.address, "/version").unwrap().text(), "1", "{}", served.output());
        served.sandbox.write("main.go", good);
        served.edit("2");
        served.wait_for("2");
        served.running.stop();
    }
}

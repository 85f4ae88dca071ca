//! The options and JSON keys of the pages, compared with the program.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::docs::blocks::{blocks, pages, spans};
use crate::support::sandbox::Sandbox;

#[test]
fn every_option_named_in_a_page_exists() {
    let sandbox = Sandbox::new();
    let mut known = BTreeSet::new();
    for verb in ["", "check", "explain", "list", "init", "doctor", "man", "logs", "why", "wait"] {
        let words: Vec<&str> = [verb, "--help"].into_iter().filter(|word| !word.is_empty()).collect();
        let help = sandbox.devrun().args(words).output().unwrap().stdout;
        let help = String::from_utf8(help).unwrap();
        known.extend(help.split([' ', ',', '=', '[', '\n', '`', '\'']).map(str::to_owned));
    }
    let own = ["docs/configuration.md", "docs/guide.md", "docs/ci.md", "docs/editors.md", "docs/limits.md"];
    for (file, page) in pages().iter().filter(|(file, _)| own.iter().any(|page| file.ends_with(page))) {
        for span in spans(page).iter().filter(|span| span.starts_with("--") && !span.contains('/')) {
            let option = span.split([' ', '=']).next().unwrap();
            // Options of the servers that devrun runs.
            let foreign = ["--reload", "--noreload", "--no-reload", "--fd", "--port"];
            assert!(
                known.contains(option) || foreign.contains(&option),
                "{}: there is no option {option}",
                file.display()
            );
        }
    }
}

/// The keys of a value, each with its path.
fn keys(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                found.insert(format!("{at}.{key}"));
                keys(value, &format!("{at}.{key}"), found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| keys(value, &format!("{at}[]"), found)),
        _ => {}
    }
}

/// Compares a block of a page with the output of a command. Both must have the same keys at every level.
fn assert_same_keys(block: &str, sandbox: &Sandbox, args: &[&str]) {
    let shown: Value = serde_json::from_str(&block.replace("[...]", "[]")).expect(block);
    let output = sandbox.devrun().args(args).output().unwrap();
    let written: Value = serde_json::from_slice(&output.stdout).expect("the output is JSON");
    let (mut is, mut says) = (BTreeSet::new(), BTreeSet::new());
    keys(&written, "", &mut is);
    keys(&shown, "", &mut says);
    assert_eq!(is, says, "{args:?}\n{block}\n{written:#}");
}

/// A project in which each command has a result.
fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.git(&["init", "-q"]);
    sandbox.write("src/main.rs", "");
    sandbox.write("downloads/a.zip", "");
    sandbox.write(".watchignore", "downloads/\n!downloads/keep.txt\n");
    sandbox
}

#[test]
fn the_json_on_the_pages_has_the_keys_of_the_output() {
    let page =
        |name: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
    let sandbox = project();
    let ci = page("docs/ci.md");
    let shown = blocks(&ci, "json");
    assert_same_keys(shown[0], &sandbox, &["check", "--format", "json"]);
    assert_same_keys(shown[1], &sandbox, &["explain", "--format", "json", "downloads/a.zip"]);
    let json = page("docs/reference/json.md");
    let shown = blocks(&json, "json");
    assert_same_keys(shown[1], &sandbox, &["list", "--format", "json"]);
    assert_same_keys(shown[2], &sandbox, &["list", "--ignored", "--format", "json"]);
    assert_same_keys(shown[4], &sandbox, &["doctor", "--format", "json"]);
}

/// The tests of the recipes in docs/sockets.md, by the first cells of the table. Each row needs a test, and
/// each test a row.
const RECIPES: &[(&str, &[&str])] = &[
    (
        "Flask",
        &["flask_run_behind_the_proxy", "flask_run_takes_the_socket", "a_chat_with_flask_is_completed"],
    ),
    ("Flask, `app.run()`", &["flask_app_run_with_its_port_from_the_environment_behind_the_proxy"]),
    (
        "Flask-SocketIO",
        &[
            "no_message_of_socket_io_over_long_polling_is_lost",
            "no_message_of_socket_io_over_websocket_is_lost",
        ],
    ),
    ("Flask, debugpy", &["flask_run_under_debugpy", "flask_app_run_under_debugpy"]),
    ("Django", &["django_runserver_behind_the_proxy"]),
    ("Django, own reloader", &["django_runserver_with_its_reloader_serves_new_code"]),
    (
        "uvicorn (FastAPI, Starlette)",
        &[
            "uvicorn_behind_the_proxy",
            "a_chat_with_fastapi_is_completed",
            "a_websocket_comes_back_to_new_code",
        ],
    ),
    ("uvicorn", &["uvicorn_takes_the_socket"]),
    ("uvicorn, `uv run`", &["uvicorn_under_uv_run"]),
    (
        "gunicorn",
        &[
            "gunicorn_behind_the_proxy",
            "gunicorn_takes_the_socket",
            "each_kind_of_gunicorn_serves_on_over_a_broken_edit",
        ],
    ),
    ("gunicorn, Unix socket", &["gunicorn_on_a_unix_socket_behind_the_proxy"]),
    ("hypercorn", &["hypercorn_behind_the_proxy", "hypercorn_takes_the_socket"]),
    ("daphne", &["daphne_behind_the_proxy", "daphne_takes_the_socket"]),
    ("granian", &["granian_behind_the_proxy"]),
    ("waitress", &["waitress_serve_behind_the_proxy", "waitress_takes_the_socket"]),
    ("aiohttp", &["aiohttp_takes_the_socket", "aiohttp_behind_the_proxy"]),
    ("node", &["node_behind_the_proxy", "node_takes_the_socket"]),
    ("node, inspector", &["node_under_its_inspector"]),
    ("Express", &["a_chat_with_express_is_completed"]),
    ("Vite", &["vite_with_react_keeps_its_hmr_and_restarts"]),
    ("Next.js", &["a_redirect_of_next_stays_at_the_proxy"]),
    ("axum", &["axum_behind_the_proxy_and_with_the_socket"]),
    ("actix", &["actix_behind_the_proxy_and_with_the_socket"]),
    ("Go", &["go_run_behind_the_proxy", "go_run_takes_the_socket"]),
    ("any server with a fixed port", &["flask_app_run_at_a_named_upstream"]),
    ("any other server", &["flask_app_run_with_a_fixed_port_behind_the_proxy"]),
    ("Celery", &["a_task_of_celery_in_flight_is_finished"]),
];

#[test]
fn every_recipe_of_a_server_has_its_test() {
    let page = include_str!("../../../docs/sockets.md");
    let tests = concat!(
        include_str!("../servers/compiled.rs"),
        include_str!("../servers/debuggers.rs"),
        include_str!("../servers/node_servers.rs"),
        include_str!("../servers/python_servers.rs"),
        include_str!("../servers/recipes.rs"),
        include_str!("../servers/streams.rs"),
    );
    let table = page.split("\n## ").find(|section| section.starts_with("Each server")).unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let shown: BTreeSet<&str> = rows.filter(|name| *name != "server").collect();
    assert_eq!(shown, RECIPES.iter().map(|(name, _)| *name).collect());
    for test in RECIPES.iter().flat_map(|(_, tests)| *tests) {
        assert!(tests.contains(&format!("fn {test}()")), "there is no test {test}");
    }
}

#[test]
fn the_servers_on_the_pages_are_the_tested_servers() {
    let page = include_str!("../../../docs/sockets.md");
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/servers");
    let sources = |names: &[&str]| -> String {
        names.iter().map(|name| std::fs::read_to_string(cases.join(name)).unwrap()).collect()
    };
    let go = sources(&["go/main.go"]);
    for block in blocks(page, "go") {
        assert!(go.contains(block), "not in {go}:\n{block}");
    }
    // The published package does not contain the Rust package with the servers.
    if cases.join("rust").exists() {
        let rust =
            sources(&["rust/src/lib.rs", "rust/src/bin/axum_server.rs", "rust/src/bin/actix_server.rs"]);
        for block in blocks(page, "rust") {
            assert!(rust.contains(block), "not in {rust}:\n{block}");
        }
    }
    assert_eq!((blocks(page, "go").len(), blocks(page, "rust").len()), (2, 3));
}

/// The workflow builds with the declared Rust version. The published package does not contain the workflow.
#[test]
fn the_workflow_builds_with_the_declared_rust() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Ok(workflow) = std::fs::read_to_string(root.join(".github/workflows/ci.yml")) else {
        return assert!(!root.join(".git").exists(), "the workflow is gone");
    };
    let declared = env!("CARGO_PKG_RUST_VERSION");
    for line in [format!("rustup toolchain install {declared} "), format!("cargo +{declared} check ")] {
        assert!(workflow.contains(&line), "the workflow lacks `{line}`");
    }
}

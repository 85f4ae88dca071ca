//! The project of the story as it was: no rules but a `.watchdogignore`, no git repository, and werkzeug's own
//! reloader. Downloads restart nothing, and the reloader is named at the start.

use std::net::SocketAddr;

use super::downloads::{CLIENTS, Site, storm, tenders};
use crate::support::document_server::{Behaviour, Upstream};
use crate::support::http::free_address;
use crate::support::process::TestProcess;
use crate::support::sandbox::{at_once, example, python};

const RULES: &str = "downloads/\ndata/\ndebug/\n__pycache__/\n";
/// What the story's portal saves. werkzeug's reloader restarts for other files too.
const SAVED: &[&str] = &["zip", "pdf", "json", "html", "part"];
const RELOADER: &str = "has its own reloader (werkzeug): at an edit it cuts all responses in flight";

/// Replaces the rules of a site by those of the story.
fn unedited(site: Site) -> Site {
    std::fs::remove_file(site.sandbox.path(".watchignore")).unwrap();
    site.sandbox.write(".watchdogignore", RULES);
    site
}

/// The story's Flask project. Its server has a port of its own, and its reloader if `run.py` is as it was.
fn flask(arguments: &str, server: SocketAddr) -> Site {
    let command = vec![python().into(), "run.py".into()];
    let upstream = Upstream::start(Behaviour::Hold);
    let site = unedited(Site::new(upstream, command, "src/app.py", app, "Serving Flask app"));
    let run = include_str!("../../cases/story/unedited/run.py");
    // Tests run side by side, so the port is not always 5000.
    let arguments = format!("reloader_type='stat', port={}{arguments}", server.port());
    site.sandbox.write("run.py", run.replace("reloader_type='stat'", &arguments));
    site
}

fn app(edition: &str) -> String {
    let app = include_str!("../../cases/story/unedited/src/app.py");
    app.replacen("EDITION = \"1\"", &format!("EDITION = \"{edition}\""), 1)
}

/// During downloads nothing restarts, and the reloader is named if there is one. Then an edit restarts the server.
fn downloads_restart_nothing(mode: &str, has_proxy: bool, has_reloader: bool) {
    let server = free_address();
    let mut site = flask(if has_reloader { "" } else { ", use_reloader=False" }, server);
    let address = site.address.to_string();
    let mut options = vec!["-m", mode, "--poll-interval", "100ms"];
    if has_proxy {
        options.extend(["--proxy", &address]);
    } else {
        site.address = server;
    }
    let mut running = site.run(&options);
    let before: Vec<String> =
        running.lines().into_iter().take_while(|line| !line.contains("devrun: started")).collect();
    assert_eq!(before.iter().any(|line| line.contains(RELOADER)), has_reloader, "{before:?}");

    let clients = site.start_downloads();
    storm(site.sandbox.root(), SAVED);
    site.finish_downloads(clients, &running);
    assert_nothing_restarted(&site, &running);

    site.edit("2");
    // The inner reloader may be the first to load the edit.
    assert_restarted_once(&site, &running);
    assert_eq!(running.count(RELOADER), usize::from(has_reloader));
    running.stop();
}

fn assert_nothing_restarted(site: &Site, running: &TestProcess) {
    let lines = running.lines().join("\n");
    assert_eq!(running.count(site.started), 1, "devrun restarted:\n{lines}");
    assert_eq!(running.count("Detected change in"), 0, "werkzeug restarted:\n{lines}");
}

/// The server has restarted once, for the edit to edition 2.
fn assert_restarted_once(site: &Site, running: &TestProcess) {
    site.wait_for_edition("2", running);
    running.wait_for_count(site.started, 2);
    assert_eq!(running.count(site.started), 2, "not one restart:\n{}", running.lines().join("\n"));
}

#[test]
#[ignore = "needs Python with Flask"]
fn downloads_of_the_unedited_project_restart_nothing() {
    let modes = ["event", "stat"];
    let cases = modes.into_iter().flat_map(|mode| {
        [(false, false), (false, true), (true, false), (true, true)]
            .map(|(proxy, reloader)| (mode, proxy, reloader))
    });
    at_once(cases, |(mode, has_proxy, has_reloader)| {
        downloads_restart_nothing(mode, has_proxy, has_reloader)
    });
}

/// The server has a fixed port, so generations take turns: the edit waits for the downloads, and loses none.
#[test]
#[ignore = "needs Python with Flask"]
fn an_edit_loses_no_download_behind_the_proxy_without_the_inner_reloader() {
    let site = flask(", use_reloader=False", free_address());
    let address = site.address.to_string();
    let mut running = site.run(&["--proxy", &address]);
    let clients = site.start_downloads();
    site.edit("2");
    running.wait_for_line(&format!("waiting for {CLIENTS} responses"));
    site.finish_downloads(clients, &running);
    site.wait_for_edition("2", &running);
    running.stop();
}

/// The same rules and kinds of files, without Python.
#[test]
fn downloads_of_a_project_with_a_watchdogignore_restart_nothing() {
    at_once(["event", "stat"], |mode| {
        let upstream = Upstream::start(Behaviour::Hold);
        let at = upstream.address.to_string();
        let command =
            [example("portal").into(), "--content".into(), "src".into(), "--upstream".into(), at.into()];
        let site =
            unedited(Site::new(upstream, command.to_vec(), "src/tenders.json", tenders, "portal: edition"));
        let mut running = site.run(&["-m", mode, "--poll-interval", "100ms"]);
        let clients = site.start_downloads();
        for (name, text) in [
            ("tenders.db", "SQLite format 3\0"),
            ("tenders.db-journal", "page"),
            ("tender.zip", "PK"),
            ("tender.pdf", "%PDF-1.7"),
            ("exports/tender.part", "PK"),
            ("server.log", "request"),
        ] {
            site.sandbox.write(name, text);
        }
        storm(site.sandbox.root(), SAVED);
        site.finish_downloads(clients, &running);
        assert_nothing_restarted(&site, &running);
        site.edit("2");
        assert_restarted_once(&site, &running);
        running.stop();
    });
}

//! The example server without devrun: the files that it saves, its answers when its upstream fails, and its
//! stop.

use std::net::SocketAddr;

use crate::support::browser::Browser;
use crate::support::document_server::{Behaviour, Upstream, document};
use crate::support::http::{Lost, Opened, free_address, get};
use crate::support::process::TestProcess;
use crate::support::sandbox::{Sandbox, example, wait_until};

/// A running portal with an upstream that the test controls.
struct Portal {
    sandbox: Sandbox,
    upstream: Upstream,
    address: SocketAddr,
    process: TestProcess,
}

fn portal(behaviour: Behaviour, timeout: &str) -> Portal {
    let upstream = Upstream::start(behaviour);
    let at = upstream.address;
    start(upstream, at, timeout)
}

fn start(upstream: Upstream, at: SocketAddr, timeout: &str) -> Portal {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(example("portal"));
    command.args(["--listen", "127.0.0.1:0", "--timeout", timeout, "--upstream", &at.to_string()]);
    let process = TestProcess::start(&mut command);
    let line = process.wait_for_line("open http://");
    let address = line.split("http://").nth(1).unwrap().parse().unwrap();
    Portal { sandbox, upstream, address, process }
}

fn files_under(dir: &std::path::Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            names.extend(files_under(&entry.path()));
        } else {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names
}

#[test]
fn the_page_is_arabic_and_has_the_button() {
    let portal = portal(Behaviour::Hold, "10");
    let answer = get(portal.address, "/").unwrap();
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    let page = answer.text();
    assert!(page.contains("<html lang=\"ar\" dir=\"rtl\">"));
    assert!(page.contains("تحميل جدول الكميات والمرفقات</button>"));
    assert!(page.contains("م-1446/0118"));
}

#[test]
fn a_document_is_saved_chunk_by_chunk_and_sent_whole() {
    let portal = portal(Behaviour::Hold, "10");
    let address = portal.address;
    let client = std::thread::spawn(move || get(address, "/api/tender/118/download"));
    wait_until("half of the document is on disk under a partial name", || {
        let names = files_under(&portal.sandbox.path("downloads/118"));
        names.len() == 1 && names[0].ends_with(".zip.part")
    });
    portal.upstream.release();
    let answer = client.join().unwrap().unwrap();
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/zip")));
    assert_eq!(answer.body, document("118"));
    assert!(answer.header("content-disposition").unwrap().contains("filename*=UTF-8''%D8%AC"));
    let saved = files_under(&portal.sandbox.path("downloads"));
    assert!(saved.len() == 1 && saved[0].ends_with(".zip"), "{saved:?}");
    assert_eq!(files_under(&portal.sandbox.path("data")).len(), 1);
    assert_eq!(files_under(&portal.sandbox.path("debug")).len(), 1);
    for said in [
        "request received",
        "name=إنشاء وتأهيل مدرسة ثانوية للبنات بحي النسيم",
        "download started",
        "download completed",
    ] {
        portal.process.wait_for_line(said);
    }
}

#[test]
fn a_document_can_be_sent_while_it_is_saved() {
    let portal = portal(Behaviour::Hold, "10");
    let opened = Opened::get(portal.address, "/api/tender/273/download?while=saving", &[]).unwrap();
    assert_eq!(opened.status, 200);
    portal.upstream.release();
    assert_eq!(opened.finish().unwrap().body, document("273"));
}

#[test]
fn a_document_is_saved_even_if_its_client_goes_away() {
    let portal = portal(Behaviour::Hold, "10");
    let opened = Opened::get(portal.address, "/api/tender/273/download?while=saving", &[]).unwrap();
    drop(opened);
    portal.upstream.release();
    portal.process.wait_for_line("download completed");
    let saved = files_under(&portal.sandbox.path("downloads/273"));
    assert_eq!(std::fs::read(portal.sandbox.path("downloads/273").join(&saved[0])).unwrap(), document("273"));
}

#[test]
fn each_failure_has_a_status_a_message_and_a_cause() {
    let unreachable = Upstream::start(Behaviour::Hold);
    let cases = [
        (504, "timed out after 0.3 s while waiting for the answer", portal(Behaviour::Silent, "0.3")),
        (504, "timed out after 3 s while receiving the document", portal(Behaviour::Stall, "3")),
        (503, "Connection refused", start(unreachable, free_address(), "10")),
        (503, "reset", portal(Behaviour::Reset, "10")),
        (500, "the connection to the upstream broke while receiving", portal(Behaviour::Cut, "10")),
        (500, "the upstream answered 500", portal(Behaviour::Refuse, "10")),
    ];
    for (status, cause, portal) in cases {
        let answer = get(portal.address, "/api/tender/118/download").unwrap();
        let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let detail = json["detail"].as_str().unwrap();
        assert_eq!(answer.status, status, "{detail}");
        assert!(detail.contains(cause), "{detail}");
        assert!(!json["error"].as_str().unwrap().is_empty());
        assert!(portal.process.wait_for_line("download failed").contains(cause));
        assert!(files_under(&portal.sandbox.path("downloads")).is_empty(), "a partial document was left");
    }
}

#[test]
fn a_failure_during_the_answer_cuts_it_so_that_it_never_looks_complete() {
    let portal = portal(Behaviour::Cut, "10");
    let lost = get(portal.address, "/api/tender/118/download?while=saving").unwrap_err();
    assert!(matches!(lost, Lost::Cut(_)), "{lost:?}");
}

#[test]
fn an_unknown_path_is_a_404() {
    let portal = portal(Behaviour::Hold, "10");
    assert_eq!(get(portal.address, "/api/tender/7/download").unwrap().status, 404);
    assert_eq!(get(portal.address, "/elsewhere").unwrap().status, 404);
}

#[test]
fn a_stop_finishes_downloads_and_ends_event_streams() {
    let mut portal = portal(Behaviour::Hold, "10");
    let address = portal.address;
    let mut news = Opened::get(address, "/api/events", &[]).unwrap();
    news.line_with("data: 1").unwrap();
    let client = std::thread::spawn(move || get(address, "/api/tender/118/download"));
    wait_until("the download is halfway", || portal.upstream.halfway() == 1);
    portal.process.signal(15);
    portal.process.wait_for_line("finishing what is in flight");
    assert_eq!(news.line_with("never comes"), None);
    portal.upstream.release();
    assert_eq!(client.join().unwrap().unwrap().body, document("118"));
    assert_eq!(portal.process.wait().code(), Some(0));
}

/// A click on the button in a real browser: the page shows the progress, the document arrives, and a failure
/// has a message.
#[test]
#[ignore = "needs Chromium"]
fn the_button_downloads_the_document() {
    let portal = portal(Behaviour::Hold, "10");
    let browser = Browser::start();
    browser.open(&format!("http://{}/", portal.address));
    let card = "const card = document.querySelector('article[data-id=\"118\"]');";
    browser.run(&format!("{card} card.querySelector('button').click()"));
    browser.wait_for(&format!("{card} return card.querySelector('button').disabled"));
    wait_until("the document is halfway", || portal.upstream.halfway() == 1);
    portal.upstream.release();
    browser.wait_for(&format!("{card} return card.querySelector('.state').textContent.startsWith('اكتمل')"));
    let downloaded = browser.wait_for_download(&document("118"));
    assert_eq!(downloaded.file_name().unwrap(), "جدول-الكميات-والمرفقات.zip");
}

#[test]
#[ignore = "needs Chromium"]
fn the_page_shows_the_cause_of_a_failure() {
    let portal = portal(Behaviour::Stall, "0.3");
    let browser = Browser::start();
    browser.open(&format!("http://{}/", portal.address));
    browser.run("document.querySelector('article button').click()");
    let said = browser.wait_for(
        "const state = document.querySelector('.state'); return state.matches('.bad') && state.textContent",
    );
    assert!(said.as_str().unwrap().contains("انتهت مهلة الاتصال"), "{said}");
}

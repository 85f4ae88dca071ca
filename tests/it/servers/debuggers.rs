//! Programs under a debugger: devrun serves the program's port, not the debugger's, and the debugger is there
//! after an edit.

use std::io::Write;
use std::net::SocketAddr;

use crate::servers::served::Served;
use crate::support::http::{Opened, free_address, get, text};
use crate::support::sandbox::wait_until;

/// Whether a debug adapter answers the first request of its protocol.
fn adapter_answers(address: SocketAddr) -> bool {
    let request = r#"{"seq":1,"type":"request","command":"initialize","arguments":{"adapterID":"test"}}"#;
    let Ok(mut stream) = std::net::TcpStream::connect(address) else { return false };
    let _ = write!(stream, "Content-Length: {}\r\n\r\n{request}", request.len());
    let mut stream = std::io::BufReader::new(stream);
    let mut line = String::new();
    // The adapter sends events first. Each message is followed by the next one's head, on the same line.
    while std::io::BufRead::read_line(&mut stream, &mut line).is_ok_and(|length| length > 0) {
        if line.contains("\"event\"") || line.contains("\"success\"") {
            return true;
        }
        line.clear();
    }
    false
}

/// debugpy opens a port for debuggers, and another one for its adapter for a moment. With and without `{port}`
/// in the command, devrun uses neither. Both generations want the same port for debuggers, so they take turns,
/// with and without `--no-overlap`.
fn debugpy_is_not_the_server(overlap: &[&str], program: &[&str]) {
    let debugger = free_address();
    let listen = debugger.to_string();
    let debugpy = ["PYTHON", "-Xfrozen_modules=off", "-m", "debugpy", "--listen", &listen];
    let options = [&["--proxy", "ADDRESS"], overlap].concat();
    let mut served = Served::start("flask_app.py", &options, &[&debugpy, program].concat());
    assert!(adapter_answers(debugger), "{}", served.output());
    for version in ["2", "3"] {
        served.edit(version);
        served.wait_for(version);
    }
    assert!(adapter_answers(debugger), "{}", served.output());
    assert_eq!(served.running.count("instead of port"), 0, "{}", served.output());
    served.running.stop();
}

#[test]
#[ignore = "needs Python with Flask and debugpy"]
fn flask_run_under_debugpy() {
    let flask = ["-m", "flask", "--app", "flask_app", "run", "--no-reload", "--port", "{port}"];
    debugpy_is_not_the_server(&[], &flask);
}

#[test]
#[ignore = "needs Python with Flask and debugpy"]
fn flask_app_run_under_debugpy() {
    debugpy_is_not_the_server(&["--no-overlap"], &["flask_app.py"]);
}

/// The inspector answers HTTP while the program has not opened its port yet.
#[test]
#[ignore = "needs node"]
fn node_under_its_inspector() {
    let inspector = free_address();
    let inspect = format!("--inspect={inspector}");
    let late = "const fs = require('node:fs'); const wait = () => fs.existsSync('data/open') ? \
                require('./node_app.js') : setTimeout(wait, 10); wait();";
    let mut served = Served::begin("node_app.js", &["--proxy", "ADDRESS"], &["node", &inspect, "-e", late]);
    let answers = || text(inspector, "/json/version").is_some_and(|text| text.contains("node.js"));
    wait_until("the inspector answers", answers);
    let request = std::thread::spawn({
        let address = served.address;
        move || get(address, "/version")
    });
    served.sandbox.write("data/open", "");
    assert_eq!(request.join().unwrap().unwrap().text(), "1", "{}", served.output());
    // The second generation runs on without its inspector, until devrun has read the words about that.
    for version in ["2", "3"] {
        served.edit(version);
        served.wait_for(version);
    }
    wait_until("the inspector answers again", answers);
    let mut session = Opened::get(inspector, "/json/list", &["Connection: close"]).unwrap();
    assert!(session.line_with("webSocketDebuggerUrl").is_some());
    served.running.stop();
}

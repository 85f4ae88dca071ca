//! Sockets of the program: devrun hands them over and answers on them without a server. TCP, Unix, UDP, ports
//! in use.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::http::{Answer, Lost, free_address, get};
use crate::support::process::TestProcess;
use crate::support::sandbox::{PATIENCE, Sandbox, example, wait_for, wait_until};

/// The helper child with the steps in the file `steps`; `{}` is the project's directory.
const LINE: &str = "exec CHILD $(sed \"s|{}|ROOT|g\" steps)";

/// `devrun OPTIONS -- sh -c …`, with the steps in the file `steps`.
fn devrun(sandbox: &Sandbox, steps: &str, options: &[&str]) -> Command {
    sandbox.write("steps", steps);
    sandbox.write(".watchignore", "/data/\n");
    sandbox.write("data/log", "");
    let line = LINE.replace("CHILD", example("child").to_str().unwrap());
    let line = line.replace("ROOT", sandbox.root().to_str().unwrap());
    let mut devrun = sandbox.devrun_without_loops(options);
    devrun.args(["--", "sh", "-c", &line]);
    devrun
}

/// Clients that send a request every 5 ms, each on a new connection and for its own path.
struct Crowd {
    done: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Vec<Asked>>>,
}

/// A path, and the answer to it or its loss.
type Asked = (String, Result<Answer, Lost>);

impl Crowd {
    fn start(address: SocketAddr, clients: usize) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let clients = (0..clients).map(|client| {
            let stop = Arc::clone(&done);
            std::thread::spawn(move || {
                let mut answers = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let path = format!("/{client}-{}", answers.len());
                    let answer = get(address, &path);
                    answers.push((path, answer));
                    std::thread::sleep(Duration::from_millis(5));
                }
                answers
            })
        });
        Self { clients: clients.collect(), done }
    }

    fn answers(self) -> Vec<Asked> {
        self.done.store(true, Ordering::Relaxed);
        self.clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    }
}

/// devrun answers while no server runs. Each request is answered once, by devrun or by the server.
#[test]
fn a_socket_passes_between_devrun_and_the_server_without_a_lost_request() {
    let (sandbox, address) = (Sandbox::new(), free_address());
    let listen = address.to_string();
    let serve = "serve-draining {}/data/log";
    let options = ["--no-overlap", "--listen", &listen];
    let mut running = TestProcess::start(&mut devrun(&sandbox, serve, &options));
    let serves = || get(address, "/").is_ok_and(|answer| answer.status == 200);
    wait_until("the server answers", serves);
    let crowd = Crowd::start(address, 3);
    for round in 1..=60 {
        sandbox.write("steps", format!("exit {round}"));
        wait_until("devrun answers", || {
            get(address, "/").is_ok_and(|answer| {
                answer.status == 503 && answer.text().contains(&format!("exited with status {round} "))
            })
        });
        sandbox.write("steps", serve);
        wait_until("the server answers", serves);
    }
    let answers = crowd.answers();
    running.stop();
    let log = std::fs::read_to_string(sandbox.path("data/log")).unwrap();
    let mut executed: HashMap<&str, usize> = HashMap::new();
    for path in log.lines().filter_map(|line| line.split(' ').next()) {
        *executed.entry(path).or_default() += 1;
    }
    let counted = |status| {
        answers.iter().filter(|(_, answer)| answer.as_ref().is_ok_and(|one| one.status == status)).count()
    };
    println!("{} by the server, {} by devrun", counted(200), counted(503));
    for (path, answer) in &answers {
        let status = answer.as_ref().map(|answer| answer.status);
        let times = executed.get(path.as_str()).copied().unwrap_or(0);
        let fits = matches!((&status, times), (Ok(200), 1) | (Ok(503), 0));
        assert!(
            fits,
            "{path} was executed {times} times and answered {status:?}\n{}",
            running.lines().join("\n")
        );
    }
    assert!(counted(200) > 60 && counted(503) > 60);
}

/// Sends a datagram to the port from a free port, and returns the reply.
fn echo(to: SocketAddr) -> Option<String> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    socket.send_to(b"?", to).ok()?;
    let mut answer = [0; 64];
    let length = socket.recv(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer[..length]).into_owned())
}

fn hear(path: &std::path::Path) -> Option<String> {
    let mut stream = UnixStream::connect(path).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn sockets_of_all_kinds_outlive_the_generations() {
    let (sandbox, tcp) = (Sandbox::new(), free_address());
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let path = sandbox.path("data/app.sock");
    sandbox.write("data/log", "");
    let names = [format!("web={tcp}"), format!("admin=unix:{}", path.display()), format!("udp:{udp}")];
    let options: Vec<&str> = names.iter().flat_map(|name| ["--listen", name]).collect();
    let steps = "report {}/data/report serve-each tcp unix udp end";
    let mut running = TestProcess::start(&mut devrun(&sandbox, steps, &options));
    let answers = |version: &str| {
        get(tcp, "/").is_ok_and(|answer| answer.text() == version)
            && hear(&path).as_deref() == Some(version)
            && echo(udp).as_deref() == Some(version)
    };
    wait_until("all three answer", || answers("1"));
    let report = std::fs::read_to_string(sandbox.path("data/report")).unwrap();
    for line in
        ["env LISTEN_FDS=3\n", "env LISTEN_FDNAMES=web:admin:unknown\n", "env LISTEN_FDS_FIRST_FD=3\n"]
    {
        assert!(report.contains(line), "{line} in {report}");
    }
    let inode = std::fs::metadata(&path).unwrap().ino();
    sandbox.write("steps", "report {}/data/report serve-each tcp unix udp end end");
    wait_until("all three answer with new code", || answers("2"));
    assert_eq!(
        std::fs::metadata(&path).unwrap().ino(),
        inode,
        "the socket file is the same for a process that has it open"
    );
    running.stop();
    assert!(!path.exists(), "devrun removes the file");
}

#[test]
fn a_socket_file_is_replaced_only_if_no_process_listens_on_it() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("data/app.sock");
    let listen = format!("unix:{}", path.display());
    let mut command = devrun(&sandbox, "serve-each unix end", &["--listen", &listen]);
    let alive = UnixListener::bind(&path).unwrap();
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(&format!("process {} ", std::process::id())), "{said}");
    drop(alive);
    // A process of another test may hold the socket until it executes its program.
    wait_until("no process listens", || UnixStream::connect(&path).is_err());
    assert!(path.exists(), "a killed server leaves its file behind");
    let mut running = TestProcess::start(&mut command);
    assert_eq!(wait_for("the server answers", || hear(&path)), "1");
    running.stop();
    sandbox.write("data/app.sock", "precious");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[test]
fn devrun_answers_on_a_unix_socket_too() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("data/app.sock");
    let listen = format!("unix:{}", path.display());
    let mut running =
        TestProcess::start(&mut devrun(&sandbox, "complain oh-dear exit 4", &["--listen", &listen]));
    let answer = wait_for("devrun answers", || {
        let mut stream = UnixStream::connect(&path).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok().map(|_| answer)
    });
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("oh-dear"), "{answer}");
    sandbox.write("steps", "serve-each unix end");
    wait_until("the server answers", || hear(&path).as_deref() == Some("2"));
    running.stop();
}

/// devrun sends no HTTP on a socket of another protocol. Its clients wait for the server.
#[test]
fn devrun_answers_nothing_on_a_tcp_socket_without_a_server() {
    let (sandbox, address) = (Sandbox::new(), free_address());
    let listen = format!("tcp:{address}");
    let mut running = TestProcess::start(&mut devrun(&sandbox, "exit 1", &["--listen", &listen]));
    running.wait_for_line("exited with status 1");
    let mut early = TcpStream::connect(address).unwrap();
    early.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    early.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(early.read(&mut [0]).is_err(), "devrun sends nothing");
    sandbox.write("steps", "serve-each tcp end");
    early.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = String::new();
    early.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\n2"), "{answer}");
    running.stop();
}

/// COMMAND does not get the descriptors that devrun's caller has opened for devrun.
#[test]
fn sockets_handed_to_devrun_are_not_handed_to_the_command() {
    let sandbox = Sandbox::new();
    let line =
        "exec 3</dev/null 4</dev/null 5</dev/null; LISTEN_FDS=2 LISTEN_FDNAMES=a:b LISTEN_PID=$$ exec \"$@\"";
    let devrun = env!("CARGO_BIN_EXE_devrun");
    let report = sandbox.path("report");
    let mut command = sandbox.command("sh");
    command.args(["-c", line, "sh", devrun, "-q", "--no-watch", "--on-exit", "quit", "--"]);
    command.arg(example("child")).arg("report").arg(&report).args(["exit", "0"]);
    assert!(command.status().unwrap().success());
    let text = std::fs::read_to_string(&report).unwrap();
    assert!(!text.contains("env LISTEN_"), "{text}");
    assert!(!text.contains("fd 3 /dev/null") && !text.contains("fd 4 /dev/null"), "{text}");
    assert!(text.contains("fd 5 /dev/null"), "other descriptors are inherited, as from a shell: {text}");
}

#[test]
fn the_process_that_holds_a_port_is_named() {
    let sandbox = Sandbox::new();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = held.local_addr().unwrap();
    let held = UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp = format!("udp:{}", held.local_addr().unwrap());
    for options in [["--proxy", &tcp.to_string()], ["--listen", &tcp.to_string()], ["--listen", &udp]] {
        let output = devrun(&sandbox, "serve", &options).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        let holder = format!("process {} ", std::process::id());
        // musl says "Address in use".
        assert!(said.contains("(os error 98)") && said.contains(&holder), "{options:?}: {said}");
        assert!(said.contains(&format!("kill {}", std::process::id())), "{said}");
    }
}

/// The example server takes descriptor 3 as the `listenfd` crate does, and finishes its requests when it is
/// stopped.
#[test]
fn a_rust_server_takes_the_socket() {
    let (sandbox, address) = (Sandbox::new(), free_address());
    let tenders = include_str!("../../../examples/portal/tenders.json");
    let edit = |edition: usize| {
        let edition = format!("\"edition\": \"{edition}\"");
        sandbox.write("src/tenders.json", tenders.replacen("\"edition\": \"1\"", &edition, 1));
    };
    edit(1);
    sandbox.write(".watchignore", "downloads/\ndata/\ndebug/\n");
    let mut devrun = sandbox.devrun();
    devrun.args(["--listen", &address.to_string(), "--"]).arg(example("portal"));
    devrun.args(["--content", "src", "--upstream", "127.0.0.1:9"]);
    let mut running = TestProcess::start(&mut devrun);
    let answers = |edition: usize| {
        let wanted = format!("\"edition\":\"{edition}\"");
        wait_until("the edition answers", || {
            get(address, "/api/version").is_ok_and(|answer| answer.text().contains(&wanted))
        });
    };
    answers(1);
    let crowd = Crowd::start(address, 2);
    for edition in 2..=6 {
        edit(edition);
        answers(edition);
    }
    let asked = crowd.answers();
    let lost: Vec<_> = asked.iter().filter_map(|(_, answer)| answer.as_ref().err()).collect();
    // When a signal arrives, only the server knows the connections that it has not read from.
    let forgiven = lost.len() <= 5 && lost.iter().all(|lost| matches!(lost, Lost::Empty(_)));
    assert!(forgiven, "{lost:?} of {}\n{}", asked.len(), running.lines().join("\n"));
    running.stop();
}

//! A child process that misbehaves on request. It runs its arguments as steps, one after another:
//!
//! | step | does |
//! |---|---|
//! | `log FILE TEXT` | appends the line `TEXT PID GENERATION` |
//! | `ignore SIGNAL`, `default SIGNAL` | ignores a signal by its number, or restores its default |
//! | `on SIGNAL FILE TEXT` | appends a line at each arrival of the signal, and continues |
//! | `fork … end` | runs the steps in between in a child, which then exits |
//! | `daemon … end` | runs the steps in between in a grandchild whose parent has ended |
//! | `setuid` | becomes root for good, if its file is set-user-ID |
//! | `setsid`, `setpgid` | leaves the session, leaves the group |
//! | `terminal FILE` | starts a session on that terminal, with all three streams |
//! | `prompt TEXT FILE` | asks on the terminal and logs each answer until `quit`, as a debugger does |
//! | `raw` | turns off echo and canonical mode of the terminal, and leaves them off |
//! | `clearenv` | executes the remaining steps with an empty environment |
//! | `exec PROGRAM ARGS…` | executes that program |
//! | `refuse-pidfds` | lets pidfd_open(2) fail with `ENOSYS` from now on, as on old kernels (Linux) |
//! | `hop FILE` | appends a line `hop PID GENERATION`, forks and exits, again and again for some seconds |
//! | `hold` | listens on `$PORT` (or on `hold-at PORT`), accepts nothing |
//! | `serve [MS]` | after that delay, answers HTTP on `$PORT`, or on descriptor 3 with `LISTEN_FDS` |
//! | `serve-at PORT` | answers HTTP on that port |
//! | `serve-on IP` | answers HTTP on that address and `$PORT` |
//! | `serve-after FILE` | listens on `$PORT`, and answers HTTP once the file exists |
//! | `serve-tls` | expects TLS on `$PORT`: refuses each handshake by an alert, and closes all else |
//! | `hold-briefly MS` | listens on `$PORT` for that long, accepts nothing |
//! | `hold-unix PATH` | listens on a Unix socket, accepts nothing |
//! | `serve-unix PATH` | answers HTTP on a Unix socket; `@` begins an abstract name |
//! | `serve-polling` | answers HTTP on descriptor 3 as event loops do: non-blocking, with `accept` until no
//! client is left |
//! | `serve-strictly` | answers HTTP on descriptor 3, and exits if `accept` has no client |
//! | `serve-draining FILE` | answers HTTP on descriptor 3, logs each path, and finishes its requests at
//! SIGTERM |
//! | `serve-each KIND… end` | answers its generation on descriptors 3, 4, …, of the kinds `tcp`, `udp` or
//! `unix` |
//! | `poll-pipe MS` | waits in `poll` for a pipe that stays empty |
//! | `write FILE TEXT` | writes a file |
//! | `print TEXT`, `complain TEXT` | writes to standard output, to standard error |
//! | `flood BYTES` | writes this number of bytes |
//! | `report FILE` | writes descriptors, signal state and environment |
//! | `read FILE` | appends `read LINE` for each line of standard input, `eof` at its end |
//! | `await FILE` | waits until the file exists |
//! | `wait MS`, `sleep` | waits for a time, waits without end |
//! | `exit STATUS`, `die SIGNAL`, `stop` | exits, ends by a signal, stops itself |
#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr, clippy::exit)]

use std::fs;
use std::io::{BufRead, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A system call of a single-threaded program, or of a thread that shares no changed state.
macro_rules! system {
    ($call:expr) => {
        // SAFETY: the arguments are numbers and null pointers, and the test wants the effect on this process.
        unsafe { $call }
    };
}

static ON_SIGNAL: Mutex<Vec<(i32, String, String)>> = Mutex::new(Vec::new());

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    run(&words);
    sleep();
}

fn run(words: &[String]) {
    let mut at = 0;
    while at < words.len() {
        let argument = |offset: usize| words[at + offset].as_str();
        let number = |offset: usize| argument(offset).parse::<i64>().unwrap();
        at += 1 + match words[at].as_str() {
            "log" => log(argument(1), argument(2), 2),
            "ignore" => set(number(1) as i32, libc::SIG_IGN),
            "default" => set(number(1) as i32, libc::SIG_DFL),
            "on" => on(number(1) as i32, argument(2), argument(3)),
            "fork" | "daemon" => fork(words, at),
            "setuid" => step(|| system!(libc::setuid(0))),
            "setsid" => step(|| system!(libc::setsid())),
            "setpgid" => step(|| system!(libc::setpgid(0, 0))),
            "terminal" => terminal(argument(1)),
            "prompt" => prompt(argument(1), argument(2)),
            "raw" => raw(),
            "clearenv" => clear_environment(&words[at + 1..]),
            "exec" => panic!("{}", std::process::Command::new(argument(1)).args(&words[at + 2..]).exec()),
            #[cfg(target_os = "linux")]
            "refuse-pidfds" => refuse_pidfds(),
            "hop" => hop(argument(1)),
            "hold" => hold(port(), 0),
            "hold-at" => hold(number(1) as u16, 1),
            "debug-at" => debug(number(1) as u16),
            "hold-rudely" => hold_rudely(number(1) as u16),
            "lock" => lock(argument(1), argument(2)),
            "serve" => serve(words.get(at + 1)),
            "serve-at" => answer(listen(number(1) as u16), Duration::ZERO),
            "serve-on" => answer(TcpListener::bind((argument(1), port())).unwrap(), Duration::ZERO),
            "serve-after" => serve_after(argument(1)),
            "serve-tls" => serve_tls(),
            "hold-briefly" => hold_briefly(number(1) as u64),
            "hold-unix" => hold_unix(argument(1)),
            "serve-unix" => serve_unix(argument(1)),
            "serve-polling" => serve_polling(),
            "serve-strictly" => serve_strictly(),
            "serve-draining" => serve_draining(argument(1)),
            "serve-each" => serve_each(&words[at + 1..]),
            "poll-pipe" => poll_pipe(number(1) as i32),
            "write" => write(argument(1), argument(2)),
            "print" => print(&mut std::io::stdout(), argument(1)),
            "complain" => print(&mut std::io::stderr(), argument(1)),
            "flood" => flood(number(1) as usize),
            "report" => report(argument(1)),
            "read" => read(argument(1)),
            "await" => await_file(argument(1)),
            "wait" => wait(number(1) as u64),
            "sleep" => sleep(),
            "exit" => std::process::exit(number(1) as i32),
            "die" => die(number(1) as i32),
            "stop" => step(|| system!(libc::raise(libc::SIGSTOP))),
            "end" => return,
            other => panic!("unknown step {other}"),
        };
    }
}

fn terminal(file: &str) -> usize {
    system!(libc::setsid());
    // The first terminal that a session leader opens becomes its controlling terminal.
    let terminal = fs::File::options().read(true).write(true).open(file).unwrap();
    system!(libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY as _, 0));
    for stream in 0..3 {
        system!(libc::dup2(terminal.as_raw_fd(), stream));
    }
    1
}

fn prompt(text: &str, file: &str) -> usize {
    loop {
        print!("{text}");
        std::io::stdout().flush().unwrap();
        let mut line = String::new();
        if std::io::stdin().read_line(&mut line).is_ok_and(|count| count == 0) || line.trim_end() == "quit" {
            return 2;
        }
        log(file, &format!("answer {}", line.trim_end()), 0);
    }
}

fn raw() -> usize {
    let mut modes = rustix::termios::tcgetattr(std::io::stdin()).unwrap();
    modes.make_raw();
    rustix::termios::tcsetattr(std::io::stdin(), rustix::termios::OptionalActions::Now, &modes).unwrap();
    0
}

fn step(run: impl FnOnce() -> i32) -> usize {
    run();
    0
}

/// Appends the line in one write, so that lines of several processes do not mix.
fn log(file: &str, text: &str, used: usize) -> usize {
    let generation = std::env::var("DEVRUN_GENERATION").unwrap_or_default();
    let line = format!("{text} {} {generation}\n", std::process::id());
    let mut file = fs::File::options().create(true).append(true).open(file).unwrap();
    file.write_all(line.as_bytes()).unwrap();
    used
}

fn set(signal: i32, to: usize) -> usize {
    // A raw system call, because the C library refuses signals that it uses itself.
    let action = [to as u64, 0, 0, 0];
    #[cfg(target_os = "linux")]
    system!(libc::syscall(libc::SYS_rt_sigaction, signal, action.as_ptr(), std::ptr::null_mut::<u64>(), 8));
    #[cfg(not(target_os = "linux"))]
    system!(libc::signal(signal, action[0] as usize));
    1
}

extern "C" fn signalled(signal: i32) {
    // Not async-signal-safe in general. Here the program only waits when a signal arrives.
    for (number, file, text) in ON_SIGNAL.lock().unwrap().iter() {
        if *number == signal {
            log(file, text, 0);
        }
    }
}

fn on(signal: i32, file: &str, text: &str) -> usize {
    ON_SIGNAL.lock().unwrap().push((signal, file.to_owned(), text.to_owned()));
    system!(libc::signal(signal, signalled as *const () as usize));
    3
}

/// Runs the steps up to the matching `end` in a child, or in a grandchild whose parent ends at once.
fn fork(words: &[String], at: usize) -> usize {
    let mut depth = 0;
    let inner = words[at..].iter().position(|word| {
        depth += i32::from(word == "fork" || word == "daemon") - i32::from(word == "end");
        depth == 0
    });
    let inner = inner.expect("every fork needs its end");
    match system!(libc::fork()) {
        0 => {
            if words[at] == "daemon" && system!(libc::fork()) != 0 {
                system!(libc::_exit(0));
            }
            run(&words[at + 1..at + inner]);
            system!(libc::_exit(0));
        }
        pid if words[at] == "daemon" => {
            system!(libc::waitpid(pid, std::ptr::null_mut(), 0));
        }
        _ => {}
    }
    inner
}

fn clear_environment(rest: &[String]) -> usize {
    let error = std::process::Command::new(std::env::current_exe().unwrap()).args(rest).env_clear().exec();
    panic!("{error}");
}

/// Installs a seccomp filter, which the programs that this process executes inherit.
#[cfg(target_os = "linux")]
fn refuse_pidfds() -> usize {
    let statement = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut filter = [
        // The number of the system call is the first field.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, libc::SYS_pidfd_open as u32, 0, 1),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32, 0, 0),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    system!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    let done = system!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program));
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    0
}

fn hop(file: &str) -> ! {
    system!(libc::signal(libc::SIGCHLD, libc::SIG_IGN));
    // The loop is limited, so that a killed test does not leave the process behind.
    for _ in 0..2000 {
        log(file, "hop", 0);
        if system!(libc::fork()) > 0 {
            system!(libc::_exit(0));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    std::process::exit(0)
}

fn port() -> u16 {
    std::env::var("PORT").unwrap().parse().unwrap()
}

fn listen(port: u16) -> TcpListener {
    TcpListener::bind(("127.0.0.1", port)).unwrap_or_else(|error| {
        eprintln!("cannot listen on {port}: {error}");
        std::process::exit(98)
    })
}

fn hold(port: u16, used: usize) -> usize {
    std::mem::forget(listen(port));
    used
}

/// Listens on a port, or goes on without it, as the inspector of node does.
fn debug(port: u16) -> usize {
    match TcpListener::bind(("127.0.0.1", port)) {
        Ok(listener) => std::mem::forget(listener),
        Err(_) => eprintln!("Starting inspector on 127.0.0.1:{port} failed: address already in use"),
    }
    1
}

/// Binds a port without `SO_REUSEADDR`, greets each client, and keeps the connections open until the process ends.
fn hold_rudely(port: u16) -> usize {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let bound = socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], port)).into());
    if let Err(error) = bound.and_then(|()| socket.listen(16)) {
        eprintln!("cannot listen: {error}");
        std::process::exit(98);
    }
    let mut clients = Vec::new();
    for mut client in TcpListener::from(socket).incoming().flatten() {
        let _ = client.write_all(b"hello");
        clients.push(client);
    }
    1
}

/// Takes a lock that ends with the process, or fails with these words. `_` stands for a space.
fn lock(file: &str, words: &str) -> usize {
    let file = fs::File::options().create(true).append(true).open(file).unwrap();
    if system!(libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB)) != 0 {
        eprintln!("{}", words.replace('_', " "));
        std::process::exit(1);
    }
    std::mem::forget(file);
    2
}

fn serve(after: Option<&String>) -> usize {
    let after = after.and_then(|text| text.parse().ok()).map_or(Duration::ZERO, Duration::from_millis);
    let inherited = std::env::var("LISTEN_FDS").is_ok();
    std::thread::sleep(after);
    let listener = if inherited { system!(TcpListener::from_raw_fd(3)) } else { listen(port()) };
    answer(listener, Duration::ZERO)
}

fn serve_after(file: &str) -> ! {
    let listener = listen(port());
    await_file(file);
    answer(listener, Duration::ZERO)
}

fn serve_tls() -> ! {
    let listener = listen(port());
    loop {
        let Ok((mut stream, _)) = listener.accept() else { continue };
        let mut record = [0];
        if stream.read_exact(&mut record).is_ok() && record == [0x16] {
            let _ = stream.write_all(&[0x15, 3, 3, 0, 2, 2, 40]);
            // Closed with unread bytes, the connection would be reset, and the alert with it.
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
    }
}

fn hold_briefly(milliseconds: u64) -> usize {
    let listener = listen(port());
    wait(milliseconds);
    drop(listener);
    1
}

fn hold_unix(path: &str) -> usize {
    std::mem::forget(UnixListener::bind(path).unwrap());
    1
}

fn serve_unix(path: &str) -> ! {
    let _ = fs::remove_file(path);
    #[cfg(target_os = "linux")]
    let address = path.strip_prefix('@').map(|name| SocketAddr::from_abstract_name(name).unwrap());
    #[cfg(not(target_os = "linux"))]
    let address = None;
    let address = address.unwrap_or_else(|| SocketAddr::from_pathname(path).unwrap());
    let listener = UnixListener::bind_addr(&address).unwrap();
    loop {
        let Ok((stream, _)) = listener.accept() else { continue };
        std::thread::spawn(move || {
            answer_one(system!(TcpStream::from_raw_fd(stream.into_raw_fd())), Duration::ZERO)
        });
    }
}

/// Serves in one thread, so an `accept` that blocks stops the server.
fn serve_polling() -> ! {
    let listener = system!(TcpListener::from_raw_fd(3));
    listener.set_nonblocking(true).unwrap();
    let mut wanted = libc::pollfd { fd: 3, events: libc::POLLIN, revents: 0 };
    loop {
        system!(libc::poll(&raw mut wanted, 1, -1));
        while let Ok((stream, _)) = listener.accept() {
            answer_one(stream, Duration::ZERO);
        }
    }
}

fn serve_strictly() -> ! {
    let listener = system!(TcpListener::from_raw_fd(3));
    loop {
        match listener.accept() {
            Ok((stream, _)) => answer_one(stream, Duration::ZERO),
            Err(error) => {
                eprintln!("accept: {error}");
                std::process::exit(97)
            }
        }
    }
}

fn serve_each(kinds: &[String]) -> ! {
    let generation = std::env::var("DEVRUN_GENERATION").unwrap_or_default();
    for (at, kind) in kinds.iter().take_while(|kind| *kind != "end").enumerate() {
        let (fd, generation) = (3 + at as i32, generation.clone());
        match kind.as_str() {
            "tcp" => {
                let listener = system!(TcpListener::from_raw_fd(fd));
                std::thread::spawn(move || answer(listener, Duration::ZERO));
            }
            "unix" => {
                let listener = system!(UnixListener::from_raw_fd(fd));
                std::thread::spawn(move || {
                    for mut stream in listener.incoming().flatten() {
                        let _ = stream.write_all(generation.as_bytes());
                    }
                });
            }
            _ => {
                let socket = system!(UdpSocket::from_raw_fd(fd));
                std::thread::spawn(move || {
                    while let Ok((_, from)) = socket.recv_from(&mut [0; 64]) {
                        let _ = socket.send_to(generation.as_bytes(), from);
                    }
                });
            }
        }
    }
    sleep()
}

static ENDING: AtomicBool = AtomicBool::new(false);

extern "C" fn end(_: i32) {
    ENDING.store(true, Ordering::Relaxed);
}

fn serve_draining(file: &str) -> ! {
    let listener = system!(TcpListener::from_raw_fd(3));
    listener.set_nonblocking(true).unwrap();
    system!(libc::signal(libc::SIGTERM, end as *const () as usize));
    let mut wanted = libc::pollfd { fd: 3, events: libc::POLLIN, revents: 0 };
    while !ENDING.load(Ordering::Relaxed) {
        system!(libc::poll(&raw mut wanted, 1, 10));
        let Ok((mut stream, _)) = listener.accept() else { continue };
        let mut line = String::new();
        let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
        let _ = reader.read_line(&mut line);
        let mut rest = String::new();
        while reader.read_line(&mut rest).is_ok_and(|count| count > 2) {}
        log(file, line.split(' ').nth(1).unwrap_or_default(), 0);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    }
    std::process::exit(0)
}

fn poll_pipe(milliseconds: i32) -> usize {
    let mut ends = [0; 2];
    system!(libc::pipe(ends.as_mut_ptr()));
    let mut wanted = libc::pollfd { fd: ends[0], events: libc::POLLIN, revents: 0 };
    system!(libc::poll(&raw mut wanted, 1, milliseconds));
    1
}

fn answer(listener: TcpListener, delay: Duration) -> ! {
    loop {
        let Ok((stream, _)) = listener.accept() else { continue };
        std::thread::spawn(move || answer_one(stream, delay));
    }
}

/// `GET /slow/COUNT/MS` streams COUNT chunks with that pause in between. `GET /status/N` answers N, and
/// `GET /head/N` adds N bytes to the head. `GET /after/FILE` sends the body once the file exists in the working
/// directory. Other paths answer the generation.
fn answer_one(mut stream: TcpStream, delay: Duration) {
    let mut line = String::new();
    let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
    while reader.read_line(&mut line).is_ok_and(|count| count > 2) {}
    std::thread::sleep(delay);
    let path: Vec<&str> = line.split(' ').nth(1).unwrap_or("/").split('/').collect();
    let generation = std::env::var("DEVRUN_GENERATION").unwrap_or_default();
    let status = if path.get(1) == Some(&"status") { path[2] } else { "200" };
    let count = if path.get(1) == Some(&"slow") { path[2].parse().unwrap() } else { 1 };
    let pause = path.get(3).map_or(0, |text| text.parse().unwrap());
    let padding = if path.get(1) == Some(&"head") { path[2].parse().unwrap() } else { 0 };
    let head = format!(
        "HTTP/1.1 {status} OK\r\nX-Padding: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        "x".repeat(padding),
        generation.len() * count
    );
    let _ = stream.write_all(head.as_bytes());
    if path.get(1) == Some(&"after") {
        await_file(path[2]);
    }
    for _ in 0..count {
        let _ = stream.write_all(generation.as_bytes());
        std::thread::sleep(Duration::from_millis(pause));
    }
}

fn write(file: &str, text: &str) -> usize {
    fs::write(file, text).unwrap();
    2
}

fn print(to: &mut dyn Write, text: &str) -> usize {
    let _ = writeln!(to, "{text}");
    let _ = to.flush();
    1
}

fn flood(bytes: usize) -> usize {
    let line = [b'x'; 64];
    let mut stdout = std::io::stdout().lock();
    for _ in 0..bytes / 64 {
        let _ = stdout.write_all(&line);
    }
    1
}

/// Writes a line `fd N TARGET` per descriptor, then signal state, environment and process group.
fn report(file: &str) -> usize {
    let mut text = String::new();
    for entry in fs::read_dir("/proc/self/fd").unwrap().flatten() {
        let target = fs::read_link(entry.path()).unwrap_or_default();
        text += &format!("fd {} {}\n", entry.file_name().display(), target.display());
    }
    for line in fs::read_to_string("/proc/self/status").unwrap().lines() {
        if line.starts_with("Sig") {
            text += &format!("{line}\n");
        }
    }
    for (key, value) in std::env::vars() {
        text += &format!("env {key}={value}\n");
    }
    let (pid, group) = (system!(libc::getpid()), system!(libc::getpgrp()));
    let foreground = system!(libc::tcgetpgrp(std::io::stdin().as_raw_fd()));
    text += &format!("pid {pid} group {group} foreground {foreground}\n");
    let unfinished = format!("{file}.part");
    fs::write(&unfinished, text).unwrap();
    fs::rename(unfinished, file).unwrap();
    1
}

fn read(file: &str) -> usize {
    let mut line = String::new();
    loop {
        line.clear();
        match std::io::stdin().read_line(&mut line) {
            Ok(1..) => log(file, &format!("read {}", line.trim_end()), 0),
            Ok(0) => return log(file, "eof", 1),
            Err(error) => return log(file, &format!("error {error}"), 1),
        };
    }
}

fn await_file(file: &str) -> usize {
    while fs::metadata(file).is_err() {
        std::thread::sleep(Duration::from_millis(2));
    }
    1
}

fn wait(milliseconds: u64) -> usize {
    std::thread::sleep(Duration::from_millis(milliseconds));
    1
}

fn sleep() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

fn die(signal: i32) -> usize {
    set(signal, libc::SIG_DFL);
    system!(libc::raise(signal));
    let _ = std::io::stdin().lock().read(&mut [0]);
    1
}

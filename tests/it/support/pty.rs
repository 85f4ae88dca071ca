//! A pseudo-terminal on which a test types, and whose output and modes the test reads.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize};

use crate::support::sandbox::{PATIENCE, Sandbox, example, wait_for};

/// The prompt of the shell.
const PROMPT: &str = "ready> ";

/// A terminal that is the controlling terminal of a new session.
pub(crate) struct Pty {
    master: Option<Arc<OwnedFd>>,
    /// Keeps the terminal's modes readable after its last process has ended.
    slave: Option<OwnedFd>,
    seen: Arc<Mutex<Vec<u8>>>,
    /// The part of `seen` that the test has already expected, in bytes.
    cursor: usize,
    over: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
    child: Child,
}

impl Pty {
    /// Starts a command as the leader of a session on a new terminal.
    pub(crate) fn start(sandbox: &Sandbox, command: &Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let slave = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOCTTY | libc::O_CLOEXEC)
            .open(&name)
            .unwrap();
        let mut leader = sandbox.command(example("child"));
        // The child inherits the signals that the test runner ignores, so they are set to their defaults.
        leader
            .args("default 1 default 2 default 3 default 20".split(' '))
            .args(["terminal", &name, "exec"])
            .arg(command.get_program())
            .args(command.get_args());
        leader.env("TERM", "xterm-256color");
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => leader.env(key, value),
                None => leader.env_remove(key),
            };
        }
        rustix::termios::tcsetwinsize(&master, size(100)).unwrap();
        let master = Arc::new(master);
        let pty = Self {
            seen: Arc::default(),
            cursor: 0,
            over: Arc::default(),
            reader: None,
            child: leader.spawn().unwrap(),
            master: Some(master),
            slave: Some(slave.into()),
        };
        pty.listening()
    }

    fn listening(mut self) -> Self {
        let (seen, over) = (Arc::clone(&self.seen), Arc::clone(&self.over));
        let master = Arc::clone(self.master.as_ref().unwrap());
        self.reader = Some(std::thread::spawn(move || {
            let pause = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
            let mut buffer = [0; 4096];
            while !over.load(Ordering::Relaxed) {
                let mut one = [PollFd::new(&master, PollFlags::IN)];
                if poll(&mut one, Some(&pause)).is_ok_and(|ready| ready > 0) {
                    match rustix::io::read(&master, &mut buffer) {
                        Ok(count) => seen.lock().unwrap().extend(&buffer[..count]),
                        Err(_) => std::thread::sleep(std::time::Duration::from_millis(5)),
                    }
                }
            }
        }));
        self
    }

    /// Starts devrun as the leader of the session.
    pub(crate) fn devrun(sandbox: &Sandbox, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_devrun"));
        Self::start(sandbox, command.args(args))
    }

    /// Starts an interactive shell with job control and `devrun` in its `PATH`.
    pub(crate) fn shell(sandbox: &Sandbox) -> Self {
        let mut bash = Command::new("bash");
        bash.args(["--norc", "--noprofile", "--noediting", "-i"]).env("PS1", PROMPT);
        let devrun = std::path::Path::new(env!("CARGO_BIN_EXE_devrun")).parent().unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        bash.env("PATH", format!("{}:{path}", devrun.display()));
        let mut pty = Self::start(sandbox, &bash);
        pty.expect(PROMPT);
        pty
    }

    /// Types a text.
    pub(crate) fn send(&self, text: &str) {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            rest = &rest[rustix::io::write(self.master.as_ref().unwrap(), rest).unwrap()..];
        }
    }

    /// Types a line for the shell.
    pub(crate) fn line(&self, text: &str) {
        self.send(&format!("{text}\n"));
    }

    /// Types a line for the shell and waits for its echo, so that the echo is no part of the later output.
    pub(crate) fn run(&mut self, text: &str) {
        self.line(text);
        self.expect(&format!("{text}\r\n"));
    }

    /// All output so far.
    pub(crate) fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }

    /// The lines on the screen, as a person sees them.
    pub(crate) fn screen(&self) -> Vec<String> {
        drawn(&self.seen())
    }

    /// The output after the text that the test expected last.
    pub(crate) fn rest(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()[self.cursor..]).into_owned()
    }

    /// Waits until the text appears after the text expected last. Returns the output between the two.
    pub(crate) fn expect(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            {
                let seen = self.seen.lock().unwrap();
                let rest = &seen[self.cursor..];
                if let Some(at) = rest.windows(text.len()).position(|window| window == text.as_bytes()) {
                    let between = String::from_utf8_lossy(&rest[..at]).into_owned();
                    self.cursor += at + text.len();
                    return between;
                }
            }
            assert!(Instant::now() < deadline, "no {text:?} in\n{:?}\nof\n{}", self.rest(), self.seen());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Waits for the shell's prompt, and returns the exit status of the last command.
    pub(crate) fn status(&mut self) -> i32 {
        self.expect(PROMPT);
        self.run("echo status=$?");
        self.expect("status=");
        let text = self.expect("\r\n");
        self.expect(PROMPT);
        text.parse().unwrap()
    }

    /// Whether the terminal is in canonical mode, and whether it echoes.
    pub(crate) fn modes(&self) -> (bool, bool) {
        let modes = rustix::termios::tcgetattr(self.slave.as_ref().unwrap()).unwrap().local_modes;
        (modes.contains(LocalModes::ICANON), modes.contains(LocalModes::ECHO))
    }

    /// The foreground process group of the terminal.
    pub(crate) fn foreground(&self) -> i32 {
        let mut group: i32 = 0;
        // rustix asks only about the caller's own terminal. Here the master is asked about its slave.
        #[allow(unsafe_code)]
        // SAFETY: the call writes one number.
        unsafe {
            use std::os::fd::AsRawFd;
            libc::ioctl(self.master.as_ref().unwrap().as_raw_fd(), libc::TIOCGPGRP, &mut group);
        }
        group
    }

    pub(crate) fn resize(&self, columns: u16) {
        rustix::termios::tcsetwinsize(self.master.as_ref().unwrap(), size(columns)).unwrap();
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Waits for the end of the session's leader.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let seen = Arc::clone(&self.seen);
        let child = &mut self.child;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            let seen = String::from_utf8_lossy(&seen.lock().unwrap()).into_owned();
            assert!(Instant::now() < deadline, "the leader does not end: {seen}");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Closes the terminal as its window would.
    pub(crate) fn hang_up(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.slave = None;
        self.master = None;
    }
}

fn size(columns: u16) -> Winsize {
    Winsize { ws_row: 30, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

impl Drop for Pty {
    fn drop(&mut self) {
        self.hang_up();
        for pid in session(self.pid()) {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All processes of a session.
fn session(leader: i32) -> BTreeSet<i32> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| stat(*pid).is_some_and(|(_, session)| session == leader)).collect()
}

/// The state and the session of a process.
fn stat(pid: i32) -> Option<(char, i32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.nth(2)?.parse().ok()?))
}

/// The state letter of `/proc/PID/stat`: `R`, `S`, `T` for stopped, `Z`, … `None` if there is no such
/// process.
pub(crate) fn state(pid: i32) -> Option<char> {
    stat(pid).map(|(state, _)| state)
}

pub(crate) fn wait_for_state(what: &str, pid: i32, wanted: &[Option<char>]) {
    wait_for(what, || wanted.contains(&state(pid)).then_some(()));
}

/// Draws text as a terminal does: carriage returns, cleared lines, a cleared screen. Colours are left out.
fn drawn(text: &str) -> Vec<String> {
    let mut lines = vec![Vec::new()];
    let mut column = 0;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' => column = 0,
            '\n' => {
                lines.push(Vec::new());
                column = 0;
            }
            '\x1b' if characters.next_if_eq(&'[').is_some() => {
                let mut sequence = String::new();
                while let Some(next) =
                    characters.next_if(|next| next.is_ascii_digit() || ";?".contains(*next))
                {
                    sequence.push(next);
                }
                match (sequence.as_str(), characters.next()) {
                    ("2", Some('K')) => lines.last_mut().unwrap().clear(),
                    ("" | "0", Some('K')) => lines.last_mut().unwrap().truncate(column),
                    ("2" | "3", Some('J')) => lines = vec![Vec::new()],
                    _ => {}
                }
            }
            // A title, a progress or a link.
            '\x1b' if characters.next_if_eq(&']').is_some() => {
                while characters.next().is_some_and(|next| next != '\x1b') {}
                characters.next_if_eq(&'\\');
            }
            '\x07' => {}
            other => {
                let line = lines.last_mut().unwrap();
                while line.len() <= column {
                    line.push(' ');
                }
                line[column] = other;
                column += 1;
            }
        }
    }
    lines.into_iter().map(|line| line.into_iter().collect::<String>().trim_end().to_owned()).collect()
}

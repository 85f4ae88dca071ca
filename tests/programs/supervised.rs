//! A program that runs one supervisor as devrun does: it adopts orphans, starts an orphan killer, and ends
//! with its children. Its arguments are the command. Each line of standard input is a request (`change`,
//! `restart`, `stop`, `kill`). It prints each event as a line. With `--defaults` before the command it does what an
//! embedder does that sets no option.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

use std::time::{Duration, Instant};

use devrun::Command;
use devrun::change::{Batch, Change, ChangeKind};
use devrun::supervise::{Handle, OnLoop, Options, OrphanKiller, Request, Subreaper, Supervisor};

fn main() {
    let mut words = std::env::args_os().skip(1).peekable();
    let has_defaults = words.next_if(|word| word == "--defaults").is_some();
    if !has_defaults {
        OrphanKiller::run_if_asked();
    }
    let mut options = Options::new(Command::new(words.next().unwrap()).args(words));
    if !has_defaults {
        options.orphan_killer = Some(OrphanKiller::start().expect("the orphan killer starts"));
        options.subreaper = Subreaper::Yes;
        options.parent_death_signal = true;
    }
    options.on_loop = OnLoop::Restart;
    options.stop_timeout = Duration::from_millis(300);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut supervisor = Supervisor::start(options).unwrap();
        let handle = supervisor.handle();
        std::thread::spawn(move || listen(&handle));
        while let Some(event) = supervisor.next_event().await {
            println!("{event:?}");
        }
    });
}

fn listen(handle: &Handle) {
    for line in std::io::stdin().lines().map_while(Result::ok) {
        handle.send(match line.as_str() {
            "change" => Request::Changed(change()),
            "restart" => Request::Restart,
            "stop" => Request::Stop,
            "kill" => Request::Kill,
            other => panic!("unknown request {other}"),
        });
    }
}

fn change() -> Batch {
    let now = Instant::now();
    let change = Change { path: "/project/app.py".into(), kind: ChangeKind::Modified };
    Batch { changes: vec![change], first_event_at: now, compared_at: now }
}

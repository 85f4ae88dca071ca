//! Recognizes Ctrl-C while a child has the terminal. The kernel then signals the child's group only, so a process in
//! that group, the witness, learns of it too.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

use crate::supervise::event::ProcessExit;
use crate::supervise::signal::Signal;
use crate::supervise::sys::fd::wait_readable;
use crate::supervise::sys::pid::Pid;
use crate::supervise::sys::signals::kill_process;
use crate::supervise::sys::wait::wait_for_exit;

/// Maximum time between Ctrl-C and the exit of a child that exits because of it.
const REACTION_TIME: Duration = Duration::from_secs(1);
/// What the witness does: SIGINT ends it silently; before any other end it writes a line.
const SCRIPT: &str = "trap 'echo; exit' HUP QUIT TERM; read -r _; echo";

/// Waits until a child has ended that has the terminal and leads its group. See [`wait_for_exit`].
pub(crate) async fn wait_for_exit_on_terminal(pid: Pid) -> io::Result<ProcessExit> {
    let exit = wait_for_exit(pid);
    tokio::pin!(exit);
    let mut interrupted_at: Option<Instant> = None;
    while let Ok(mut witness) = Witness::start(pid) {
        tokio::select! {
            exit = &mut exit => {
                let was_interrupted = witness.finish().await
                    || interrupted_at.is_some_and(|at| at.elapsed() < REACTION_TIME);
                return exit.map(|exit| match exit {
                    ProcessExit::Status(status) if was_interrupted => ProcessExit::Interrupted(status),
                    exit => exit,
                });
            }
            was_interrupted = witness.ended() => {
                if !was_interrupted {
                    break;
                }
                // The child may go on, as a debugger does.
                interrupted_at = Some(Instant::now());
            }
        }
    }
    exit.await
}

/// A process in the group of a child.
#[derive(Debug)]
struct Witness {
    process: Child,
    output: AsyncFd<OwnedFd>,
}

impl Witness {
    fn start(group: Pid) -> io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT]).process_group(group.number()).current_dir("/");
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let output = OwnedFd::from(process.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?);
        rustix::io::ioctl_fionbio(&output, true)?;
        Ok(Self { process, output: wait_readable(output)? })
    }

    /// Waits until the witness has ended. Returns whether SIGINT or SIGKILL ended it.
    async fn ended(&self) -> bool {
        loop {
            let Ok(mut ready) = self.output.readable().await else { return false };
            match rustix::io::read(self.output.get_ref(), &mut [0]) {
                Ok(count) => return count == 0,
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }

    /// Ends the witness. A SIGINT that it has got before counts, because the kernel delivers it first.
    async fn finish(&mut self) -> bool {
        drop(self.process.stdin.take());
        kill_process(Pid::of_child(&self.process), Signal::CONT);
        self.ended().await
    }
}

impl Drop for Witness {
    /// Takes the exit status, unless the supervisor has reaped the process before.
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

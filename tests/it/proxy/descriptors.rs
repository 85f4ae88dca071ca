//! Resources of the program under many clients: memory is bounded, and a client waits for a free descriptor.
//! A child gets the same descriptor limit as without devrun.

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::http::free_address;
use crate::support::process::TestProcess;
use crate::support::proxy::{Connection, ScriptedServer, plain, soon, until};
use crate::support::sandbox::Sandbox;

/// Runs the program after this `ulimit`.
fn devrun(sandbox: &Sandbox, limit: &str, proxy: &str, command: &[&str]) -> TestProcess {
    let mut shell = sandbox.command("sh");
    shell.args(["-c", &format!("ulimit {limit} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_devrun")]);
    shell.args(["--no-watch", "--proxy", proxy, "--"]).args(command);
    TestProcess::start(&mut shell)
}

/// Starts a server as another program does once COMMAND runs: before that, its port must be free.
async fn serve<F>(
    running: &TestProcess,
    address: SocketAddr,
    part: impl Fn(Connection) -> F + Send + 'static,
) -> ScriptedServer
where
    F: Future<Output = ()> + Send + 'static,
{
    running.wait_for_line("started `");
    ScriptedServer::on(tokio::net::TcpListener::bind(address).await.unwrap(), part)
}

async fn listening(address: SocketAddr) {
    soon("devrun listens", async {
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// Resident memory of a process, in MB.
#[cfg(target_os = "linux")]
fn memory(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
}

#[cfg(target_os = "linux")]
fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_thousand_idle_connections_need_little_memory_and_stay_open() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    // Both ends of each connection are descriptors, of this process and of devrun.
    let count = limit.current.map_or(1000, |most| 1000.min((most as usize).saturating_sub(600) / 2));
    let (sandbox, address, upstream) = (Sandbox::new(), free_address(), free_address());
    let mut running = devrun(&sandbox, "-n", &format!("{address}={upstream}"), &["sleep", "1000"]);
    let _server = serve(&running, upstream, |mut client| async move {
        client.request().await;
        client.send(&plain("answered")).await;
    })
    .await;
    listening(address).await;
    let (before, open) = (memory(running.pid()), descriptors(running.pid()));
    let mut clients = Vec::new();
    let ask = async |client: &mut Connection| {
        client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        assert_eq!(client.answer(false).await.text(), "answered");
    };
    for _ in 0..count {
        let mut client = Connection::connect(address).await;
        ask(&mut client).await;
        clients.push(client);
    }
    let grown = memory(running.pid()) - before;
    assert!(grown < 64, "{count} idle connections take {grown} MB");
    for client in &mut clients {
        ask(client).await;
    }
    drop(clients);
    until("the descriptors are closed", || descriptors(running.pid()) < open + 50).await;
    running.stop();
}

#[tokio::test]
async fn more_clients_than_descriptors_are_all_answered() {
    let (sandbox, address, upstream) = (Sandbox::new(), free_address(), free_address());
    let mut running = devrun(&sandbox, "-n 100", &format!("{address}={upstream}"), &["sleep", "1000"]);
    let server = serve(&running, upstream, |mut client| async move {
        client.request().await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        client.send(&plain("answered")).await;
    })
    .await;
    listening(address).await;
    let clients: Vec<_> = (0..150)
        .map(|_| {
            tokio::spawn(async move {
                let mut client = Connection::connect(address).await;
                // The clients keep their connections. Idle connections must be closed for new ones.
                client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
                (client.answer(false).await, client)
            })
        })
        .collect();
    for client in clients {
        let (answer, _kept) = client.await.unwrap();
        assert_eq!((answer.status, answer.text()), (200, "answered"), "{}", running.lines().join("\n"));
    }
    until("the connections to the server are closed", || server.ended() >= 150).await;
    running.stop();
}

#[test]
#[cfg(target_os = "linux")]
fn the_program_raises_its_descriptor_limit_and_the_child_gets_the_old_one() {
    let sandbox = Sandbox::new();
    let script = "ulimit -Sn; exec sleep 1000";
    let mut running = devrun(&sandbox, "-Sn 100", &free_address().to_string(), &["sh", "-c", script]);
    crate::support::sandbox::wait_until("the child tells its limit", || running.count("100") > 0);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", running.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert_eq!(numbers[0], numbers[1].min(32_768), "{line}");
    running.stop();
}

//! Few descriptors are a reason to wait, never a reason to fail; and a child gets as many as it would without devrun.

use std::net::SocketAddr;
use std::time::Duration;

use crate::front_stage::{Client, Server, plain, soon, until};
use crate::sandbox::{Running, Sandbox, wait_until};

/// The program with this many descriptors, soft or both, in front of a server that is there already.
fn devrun(sandbox: &Sandbox, limit: &str, proxy: &str, command: &[&str]) -> Running {
    let mut shell = sandbox.command("sh");
    shell.args(["-c", &format!("ulimit {limit} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_devrun")]);
    shell.args(["--no-watch", "--proxy", proxy, "--"]).args(command);
    Running::start(&mut shell)
}

fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn more_clients_than_descriptors_are_all_answered() {
    let server = Server::start(|mut client| async move {
        client.request().await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        client.send(&plain("answered")).await;
    })
    .await;
    let (sandbox, address) = (Sandbox::new(), free_address());
    let mut running =
        devrun(&sandbox, "-n 100", &format!("{address}={}", server.address), &["sleep", "1000"]);
    soon("devrun listens", async {
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let clients: Vec<_> = (0..150)
        .map(|_| {
            tokio::spawn(async move {
                let mut client = Client::connect(address).await;
                // Kept alive: idle ones have to make room.
                client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
                (client.answer(false).await, client)
            })
        })
        .collect();
    for client in clients {
        let (answer, _kept) = client.await.unwrap();
        assert_eq!((answer.status, answer.text()), (200, "answered"), "{}", running.lines().join("\n"));
    }
    until("the server is left", || server.ended() >= 150).await;
    running.stop();
}

#[test]
#[cfg(target_os = "linux")]
fn the_program_takes_what_it_may_and_a_child_gets_what_it_would_have() {
    let sandbox = Sandbox::new();
    let script = "ulimit -Sn; exec sleep 1000";
    let mut running = devrun(&sandbox, "-Sn 100", &free_address().to_string(), &["sh", "-c", script]);
    wait_until("the child tells its limit", || running.count("100") > 0);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", running.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert_eq!(numbers[0], numbers[1].min(32_768), "{line}");
    running.stop();
}

//! A session with a control socket, and a client that edits a file and waits until the edit runs.
//!
//! `cargo run --example control` needs nothing but a shell.

#![allow(clippy::print_stdout)]

use devrun::control::protocol::WaitParams;
use devrun::control::{Client, Directory, Options, OwnerRequest, Server, Service};
use devrun::supervise::Request;
use devrun::{Command, Session};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let project = tempfile::tempdir()?;
    std::fs::write(project.path().join("app.txt"), "one")?;
    let base = project.path().canonicalize()?;

    let mut session_options = devrun::Options::in_directory(&base, Command::new("sleep").arg("1000"));
    session_options.watch.debounce = None;
    let directory =
        Directory::create(base.parent().ok_or("no parent")?.join(format!("control-{}", std::process::id())))?;
    let mut server = Server::start(&Options::new(&base, "web", directory))?;
    let mut session = Session::start(session_options.clone()).await?;
    server.add(Service::new("web", session.handle(), &session_options));

    // Usually another process.
    let (socket, file) = (server.path().to_owned(), base.join("app.txt"));
    let client = tokio::spawn(async move {
        let mut client = Client::connect(&socket).await?;
        std::fs::write(file, "two").map_err(devrun::control::Error::Connection)?;
        let waited = client.wait(WaitParams::default()).await?;
        println!("{:?}: generation {:?}", waited.outcome, waited.services[0].generation);
        client.down().await
    });
    loop {
        tokio::select! {
            event = session.next_event() => match event {
                Some(event) => server.observe("web", &event),
                None => break,
            },
            OwnerRequest::Down = server.next_request() => {
                session.handle().send(Request::Stop);
            }
        }
    }
    client.await??;
    std::fs::remove_dir_all(server.path().parent().ok_or("no parent")?)?;
    Ok(())
}

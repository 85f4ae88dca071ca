//! The tender portal, an example server that writes into its own project.
//!
//! It fetches the documents of a tender from a slow upstream and saves them chunk by chunk under
//! `downloads/`. It writes `data/*.json` and `debug/*.html`, and sends the documents to the client. A
//! supervisor that restarts for these files would kill the download that wrote them.
//!
//! ```console
//! $ cargo run -- -w examples/portal -- cargo run --example portal
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::exit)]

mod options;
mod listen;
mod failure;
mod body;
mod tenders;
mod zip;
mod upstream;
mod store;
mod fetch;
mod portal;
mod download;
mod serve;

use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    let options = match options::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("portal: {problem}");
            return ExitCode::from(2);
        }
    };
    log();
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            tracing::error!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn log() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(ansi).with_writer(std::io::stderr).init();
}

#[tokio::main(flavor = "current_thread")]
async fn run(options: options::Options) -> Result<(), String> {
    let catalogue = tenders::Catalogue::load(options.content.as_deref())?;
    let listener = listen::open(options.listen).map_err(|error| format!("failed to listen: {error}"))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let upstream = match options.upstream {
        Some(address) => address,
        None => upstream::start(options.document_size, options.document_time).await?,
    };
    let stop = CancellationToken::new();
    stop_on_signal(&stop)?;
    println!("portal: edition {}, open http://{address}", catalogue.edition);
    let store = store::Store::new(options.data_dir);
    let portal = portal::Portal::new(catalogue, fetch::Upstream::new(upstream, options.timeout), store, stop);
    serve::until_stopped(listener, portal).await;
    Ok(())
}

/// The first SIGTERM or SIGINT drains: the portal accepts no connection and finishes its answers. The second
/// ends it at once.
fn stop_on_signal(stop: &CancellationToken) -> Result<(), String> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let stop = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            if stop.is_cancelled() {
                std::process::exit(130);
            }
            stop.cancel();
        }
    });
    Ok(())
}

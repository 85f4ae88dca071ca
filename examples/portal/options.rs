//! The command line of the portal.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The text of `--help`.
pub(crate) const HELP: &str = "\
The tender portal, an example server for devrun

Usage: portal [OPTIONS]

  --listen ADDR           listening address; default: an inherited socket (LISTEN_FDS), 127.0.0.1:$PORT, or 127.0.0.1:5000
  --data-dir DIR          parent of downloads/, data/ and debug/; default: the working directory
  --content DIR           read tenders.json and page.html from DIR at the start; default: those compiled in
  --upstream ADDR         server of the documents; default: a slow upstream in the portal itself
  --timeout SECONDS       longest wait for the upstream to connect, to answer, and between two chunks; default 10
  --document-size BYTES   size of the built-in upstream's documents; default 4194304
  --document-time SECONDS time of the built-in upstream for one document; default 4
";

/// The options of the command line.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) data_dir: PathBuf,
    pub(crate) content: Option<PathBuf>,
    pub(crate) upstream: Option<SocketAddr>,
    pub(crate) timeout: Duration,
    pub(crate) document_size: usize,
    pub(crate) document_time: Duration,
}

/// Parses the arguments. Returns `None` for `--help`.
pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options {
        listen: None,
        data_dir: PathBuf::from("."),
        content: None,
        upstream: None,
        timeout: Duration::from_secs(10),
        document_size: 4 << 20,
        document_time: Duration::from_secs(4),
    };
    while let Some(flag) = args.next() {
        if flag == "--help" || flag == "-h" {
            return Ok(None);
        }
        let value = args.next();
        let value = value.as_deref().ok_or_else(|| format!("{flag} needs a value, see --help"))?;
        match flag.as_str() {
            "--listen" => options.listen = Some(address(&flag, value)?),
            "--data-dir" => options.data_dir = PathBuf::from(value),
            "--content" => options.content = Some(PathBuf::from(value)),
            "--upstream" => options.upstream = Some(address(&flag, value)?),
            "--timeout" => options.timeout = seconds(&flag, value)?,
            "--document-size" => {
                options.document_size = value.parse().map_err(|_| bad(&flag, value, "a number of bytes"))?;
            }
            "--document-time" => options.document_time = seconds(&flag, value)?,
            _ => return Err(format!("unknown option {flag}, see --help")),
        }
    }
    Ok(Some(options))
}

fn address(flag: &str, value: &str) -> Result<SocketAddr, String> {
    value.parse().map_err(|_| bad(flag, value, "an address like 127.0.0.1:5000"))
}

fn seconds(flag: &str, value: &str) -> Result<Duration, String> {
    let seconds = value.parse().map_err(|_| bad(flag, value, "a number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|_| bad(flag, value, "a number of seconds"))
}

fn bad(flag: &str, value: &str, wanted: &str) -> String {
    format!("{flag}: {value:?} is not {wanted}")
}

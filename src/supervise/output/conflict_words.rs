//! The words by which programs say that another process has what they need. Pure.

/// Maximum length of a line that is shown.
const MAX_LINE_LENGTH: usize = 160;

/// Least number that is taken for a port. The parts of a time of day are smaller.
const LEAST_PORT: u16 = 80;

/// What a program needs for itself alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    /// A TCP port or a Unix socket.
    Address,
    /// A lock, a pid file or a database.
    Lock,
}

/// A line of output that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConflictLine {
    pub(crate) resource: Resource,
    /// Without colors and surrounding space.
    pub(crate) text: String,
}

/// Phrases of an address in use, in lower case. `*` stands for any text within the line.
const ADDRESS_PHRASES: &[&str] = &[
    // Python, node, Go, Rust, C, JVM: the text of EADDRINUSE, its name and its numbers (Linux, macOS).
    "address already in use",
    "address in use",
    "eaddrinuse",
    "addrinuse",
    "[errno 98]",
    "[errno 48]",
    "(os error 98)",
    "(os error 48)",
    // Django, Spring Boot, Vite with a strict port, JMX; Flask; Kestrel; gunicorn; supervisord.
    "port * already in use",
    "port * is in use",
    "address * already in use",
    "address * is in use",
    "connection in use",
    "already listening on",
];

/// Phrases of a lock, a pid file or a database in use, in lower case.
const LOCK_PHRASES: &[&str] = &[
    // Vite; Next.js; webpack, Nuxt, Astro and others: "Another next dev server is already running".
    "found another vite",
    "unable to acquire lock",
    "another * is already running",
    // Puma and Rails; Unicorn and gunicorn; Apache; other daemons; Overmind.
    "server is already running",
    "already running on pid",
    "(pid * already running",
    "instance is already running",
    "process is already running",
    "daemon is already running",
    "looks like * is already running",
    // Celery beat; Twisted; Postgres.
    "pidfile * already exists",
    "pid file * already exists",
    "pid file exists",
    "lock file * already exists",
    "lockfile * already exists",
    // Derby, Qdrant, Gradle; Windows, Neo4j, Lucene; Badger.
    "another instance",
    "another gradle instance",
    "by another process",
    "held by another program",
    "another process is using",
    "another process is already",
    "already an instance",
    // SQLite; MySQL; Kafka Streams; LevelDB; RocksDB and MongoDB; DuckDB and Kuzu; H2; HSQLDB; Badger, redb, sled and
    // Tantivy; dpkg; Elasticsearch.
    "database is locked",
    "sqlite_busy",
    "unable to lock",
    "directory is already locked",
    "lock * already held",
    "lock * already being held",
    "lock * resource temporarily unavailable",
    "could not set lock on file",
    "conflicting lock",
    "database may be already in use",
    "database lock acquisition failure",
    "cannot acquire * lock",
    "could not acquire * lock",
    "failed to acquire * lock",
    "could not get lock",
    "failed to obtain node lock",
    "lockobtainfailed",
    // Gradle; Terraform; Cargo; Python's filelock, portalocker and zc.lockfile; Erlang.
    "timeout waiting to lock",
    "acquiring the state lock",
    "waiting for file lock",
    "lock * could not be acquired",
    "alreadylocked",
    "lockexception",
    "couldn't lock",
    "in use by the other erlang node",
];

impl ConflictLine {
    /// The first line of the output that says so. Later ones give less detail, as in a stack trace of node.
    pub(crate) fn find(output: &[u8]) -> Option<Self> {
        String::from_utf8_lossy(output).lines().find_map(Self::parse)
    }

    fn parse(line: &str) -> Option<Self> {
        let lower = line.to_lowercase();
        let has_one = |phrases: &[&str]| phrases.iter().any(|phrase| contains(&lower, phrase));
        let resource = match () {
            () if has_one(ADDRESS_PHRASES) => Resource::Address,
            () if has_one(LOCK_PHRASES) => Resource::Lock,
            () => return None,
        };
        let text: String = without_escapes(line).trim().chars().take(MAX_LINE_LENGTH).collect();
        Some(Self { resource, text })
    }

    /// The port that the line names: `127.0.0.1:8000`, `port 8000`, `('127.0.0.1', 8000)`.
    pub(crate) fn port(&self) -> Option<u16> {
        let text = self.text.to_lowercase();
        let parts = text.split([':', ',']).skip(1).chain(text.split("port ").skip(1));
        let number = |part: &str| {
            let digits = part.trim_start().split(|c: char| !c.is_ascii_digit()).next()?;
            digits.parse().ok().filter(|port| *port >= LEAST_PORT)
        };
        parts.filter_map(number).last()
    }
}

/// Whether the parts of a phrase stand in the line in this order.
fn contains(line: &str, phrase: &str) -> bool {
    let mut rest = line;
    phrase.split('*').map(str::trim).all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

/// The line without escape sequences. A control sequence ends with a letter, others have one character.
pub(crate) fn without_escapes(line: &str) -> String {
    let mut parts = line.split('\x1b');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let end = if part.starts_with('[') { part.find(|c: char| c.is_ascii_alphabetic()) } else { Some(0) };
        text + end.and_then(|end| part.get(end + 1..)).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(line: &str) -> Option<Resource> {
        ConflictLine::find(line.as_bytes()).map(|found| found.resource)
    }

    #[test]
    fn addresses_in_use_are_recognised() {
        for line in [
            "OSError: [Errno 98] Address already in use",
            "OSError: [Errno 98] Die Adresse wird bereits verwendet",
            "Error: listen EADDRINUSE: address already in use :::9229",
            "Starting inspector on 127.0.0.1:9229 failed: address already in use",
            "listen tcp :8080: bind: address already in use",
            "Error: Os { code: 98, kind: AddrInUse, message: \"Address already in use\" }",
            "ERROR: transport error 202: bind failed: Address already in use",
            "Error: That port is already in use.",
            "Web server failed to start. Port 8080 was already in use.",
            "Error: Port 5173 is already in use",
            "Port 5000 is in use by another program.",
            "[2026-01-01 10:00:00 +0000] [1] [ERROR] Connection in use: ('127.0.0.1', 8000)",
            "Failed to listen on localhost:8000 (reason: Address already in use)",
            "Error: Another program is already listening on a port that one of our HTTP servers uses",
        ] {
            assert_eq!(resource(line), Some(Resource::Address), "{line}");
        }
    }

    #[test]
    fn locks_in_use_are_recognised() {
        for line in [
            "Error: Found another Vite dev process running in this directory (pid 4711)",
            "A server is already running (pid: 4711, file: /app/tmp/pids/server.pid).",
            "A server is already running. Check /app/tmp/pids/server.pid.",
            "ERROR: Pidfile (celerybeat.pid) already exists.",
            "sqlite3.OperationalError: database is locked",
            "IO error: lock /app/data/LOCK: already held by process",
            "IO error: While lock file: /app/data/LOCK: Resource temporarily unavailable",
            "duckdb.IOException: IO Error: Could not set lock on file \"/app/a.db\": Conflicting lock is held",
            " \u{1b}[31m⨯\u{1b}[0m Unable to acquire lock at .next/dev/lock, is another instance running?",
            "Another next dev server is already running.",
            "RuntimeError: Storage folder ./q is already accessed by another instance of Qdrant client.",
            "Timeout waiting to lock journal cache. It is currently in use by another Gradle instance.",
            "LockObtainFailedException: Lock held by another program: /app/index/write.lock",
            "Cannot acquire directory lock on \"/app/badger\". Another process is using this Badger database.",
            "[error] httpd (pid 4711) already running",
            "Already running on PID 4711 (or pid file 'app.pid' is stale)",
            "the process cannot access the file because it is being used by another process",
            "Database may be already in use: \"/app/h2.mv.db\"",
            "filelock._error.Timeout: The file lock 'app.lock' could not be acquired.",
            "    Blocking waiting for file lock on build directory",
            "overmind: it looks like Overmind is already running. If it's not, remove ./.overmind.sock",
            "[ERROR] [InnoDB] Unable to lock ./ibdata1 error: 11",
            "Unable to obtain lock as state directory is already locked by another process",
            "Error: could not acquire lock on \"db\": Os { code: 11, kind: WouldBlock }",
            "DatabaseError: Database already open. Cannot acquire lock.",
            "Failed to acquire Lockfile: LockBusy. Some(\"Failed to acquire index lock\")",
            "Another mongod instance is already running on the /app/data/db directory",
            "SqliteError: SQLITE_BUSY: database is busy",
            "Error: Lock file is already being held",
            "portalocker.exceptions.LockException: [Errno 11] Resource temporarily unavailable",
            "zc.lockfile.LockError: Couldn't lock '/app/Data.fs.lock'",
        ] {
            assert_eq!(resource(line), Some(Resource::Lock), "{line}");
        }
    }

    #[test]
    fn other_lines_are_no_conflict() {
        for line in [
            "SyntaxError: invalid syntax",
            "ModuleNotFoundError: No module named 'lock'",
            "lock file package-lock.json is up to date",
            "the account is locked",
            "deadlock detected",
            "table users is locked for maintenance",
            "pid file written to /run/app.pid",
            "the name is already in use, choose another one",
            "container name already in use",
            "worker already running, skipped",
            "importing the database, then another table",
            "port 8000: listening",
            "using address 127.0.0.1:8000 in development",
            "server is running on port 3000",
            "the scheduler looks like it is running",
            "failed to acquire a connection",
        ] {
            assert_eq!(resource(line), None, "{line}");
        }
    }

    #[test]
    fn the_first_line_counts_and_is_shown_without_colors() {
        let output = b"hello\n\x1b[1;31mdatabase is locked\x1b[0m\r\nAddress already in use\n";
        let found = ConflictLine::find(output).unwrap();
        assert_eq!((found.resource, found.text.as_str()), (Resource::Lock, "database is locked"));
    }

    #[test]
    fn a_line_names_its_port() {
        let port = |line: &str| ConflictLine::find(line.as_bytes()).unwrap().port();
        assert_eq!(port("Error: listen EADDRINUSE: address already in use :::3000"), Some(3000));
        assert_eq!(port("listen tcp 127.0.0.1:8080: bind: address already in use"), Some(8080));
        assert_eq!(port("[2026-01-01 10:00:00] Connection in use: ('127.0.0.1', 8000)"), Some(8000));
        assert_eq!(port("Port 5000 is in use by another program."), Some(5000));
        assert_eq!(port("2026-01-01 10:59:59 OSError: [Errno 98] Address already in use"), None);
        assert_eq!(port("Address already in use (os error 98)"), None);
    }
}

//! What kind of project a directory holds, what would run it, and which of its folders look like data.
//! Reads files, writes none.

use std::path::{Path, PathBuf};

/// A project, as far as `init` cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Project {
    /// `Flask`, `Cargo`, …; `None`: nothing that is known.
    pub(crate) kind: Option<&'static str>,
    /// What runs it; `{port}` where the server takes its port. Empty: unknown.
    pub(crate) command: Vec<String>,
    /// What builds it first.
    pub(crate) build: Option<String>,
    /// Folders that the tools of its kind write, as patterns.
    pub(crate) made: Vec<&'static str>,
    /// A file that surely matters: `[check]` asserts that it is watched.
    pub(crate) source: Option<String>,
    /// Something to know before the first run.
    pub(crate) note: Option<String>,
}

/// A folder or file that looks like data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DataLike {
    /// The pattern that leaves it out.
    pub(crate) pattern: String,
    /// What makes it doubtful: a source file inside of it.
    pub(crate) source_inside: Option<PathBuf>,
}

/// A directory that is looked at.
struct Look<'a>(&'a Path);

impl Look<'_> {
    fn has(&self, name: &str) -> bool {
        self.0.join(name).exists()
    }

    /// The beginning of a file, at most 256 KiB; empty if it cannot be read.
    fn text(&self, name: &str) -> String {
        use std::io::Read as _;
        let mut text = Vec::new();
        if let Ok(file) = std::fs::File::open(self.0.join(name)) {
            let _ = file.take(1 << 18).read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    fn first<'n>(&self, names: &[&'n str]) -> Option<&'n str> {
        names.iter().copied().find(|name| self.has(name))
    }
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(ToOwned::to_owned).collect()
}

impl Project {
    fn new(kind: &'static str, command: &str) -> Self {
        Self {
            kind: Some(kind),
            command: words(command),
            build: None,
            made: Vec::new(),
            source: None,
            note: None,
        }
    }

    fn made(mut self, made: &[&'static str]) -> Self {
        self.made = made.to_vec();
        self
    }

    fn source(mut self, source: Option<impl Into<String>>) -> Self {
        self.source = source.map(Into::into);
        self
    }

    fn note(mut self, note: Option<String>) -> Self {
        self.note = note;
        self
    }
}

/// Recognises the project of a directory.
pub(crate) fn recognise(dir: &Path) -> Project {
    let look = Look(dir);
    let kinds = [cargo, python, elixir, go, ruby, php, java, node];
    let unknown =
        Project { kind: None, command: Vec::new(), build: None, made: Vec::new(), source: None, note: None };
    kinds.iter().find_map(|kind| kind(&look)).unwrap_or(unknown)
}

fn cargo(look: &Look<'_>) -> Option<Project> {
    look.has("Cargo.toml").then(|| {
        Project::new("Cargo", "cargo run").made(&["target/", "Cargo.lock"]).source(look.first(&[
            "src/main.rs",
            "src/lib.rs",
            "Cargo.toml",
        ]))
    })
}

fn python(look: &Look<'_>) -> Option<Project> {
    const MADE: &[&str] =
        &[".venv/", "venv/", ".pytest_cache/", ".mypy_cache/", ".ruff_cache/", "*.egg-info/"];
    let main = look.first(&[
        "app.py",
        "main.py",
        "wsgi.py",
        "server.py",
        "src/app.py",
        "src/main.py",
        "app/main.py",
    ]);
    let lists = ["requirements.txt", "pyproject.toml", "Pipfile", "setup.py", "setup.cfg"];
    if look.has("manage.py") {
        let command = "python manage.py runserver --noreload 127.0.0.1:{port}";
        return Some(Project::new("Django", command).made(MADE).source(Some("manage.py")));
    }
    let needs: String = lists.iter().map(|list| look.text(list).to_lowercase()).collect();
    let code = main.map(|main| look.text(main)).unwrap_or_default();
    if main.is_none() && !lists.iter().any(|list| look.has(list)) {
        return None;
    }
    let uses = |name: &str, call: &str| code.contains(call) || (code.is_empty() && needs.contains(name));
    let module = main.unwrap_or("app.py").trim_end_matches(".py").replace('/', ".");
    let project = if uses("fastapi", "FastAPI(") {
        Project::new("FastAPI", &format!("uvicorn {module}:app --port {{port}}"))
    } else if uses("flask", "Flask(") {
        Project::new("Flask", &format!("flask --app {module} run --no-reload --port {{port}}"))
    } else {
        Project::new("Python", &format!("python {}", main.unwrap_or("main.py")))
    };
    Some(project.made(MADE).source(main))
}

fn elixir(look: &Look<'_>) -> Option<Project> {
    let mix = look.has("mix.exs").then(|| look.text("mix.exs"))?;
    let command = if mix.contains(":phoenix") { "mix phx.server" } else { "mix run --no-halt" };
    Some(Project::new("Elixir", command).made(&["_build/", "deps/"]).source(Some("mix.exs")))
}

fn go(look: &Look<'_>) -> Option<Project> {
    if !look.has("go.mod") {
        return None;
    }
    let commands: Vec<String> = std::fs::read_dir(look.0.join("cmd"))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    let (name, package) = match (look.has("main.go"), commands.as_slice()) {
        (false, [only]) => (only.clone(), format!("./cmd/{only}")),
        _ => ("server".into(), ".".into()),
    };
    let mut project = Project::new("Go", &format!("./tmp/{name}"))
        .made(&["/tmp/"])
        .source(look.first(&["main.go", "go.mod"]));
    project.build = Some(format!("go build -o tmp/{name} {package}"));
    Some(project)
}

fn ruby(look: &Look<'_>) -> Option<Project> {
    if !look.has("Gemfile") {
        return None;
    }
    let (kind, command) = if look.has("bin/rails") {
        ("Rails", "bin/rails server --port {port}")
    } else if look.has("config.ru") {
        ("Rack", "bundle exec rackup --port {port}")
    } else {
        ("Ruby", "bundle exec ruby app.rb")
    };
    let rails = "Rails reloads most of app/ by itself; devrun is for the rest (config/, lib/, gems)";
    Some(
        Project::new(kind, command)
            .made(&[".bundle/", "vendor/bundle/", "/log/", "/tmp/", "/storage/"])
            .source(Some("Gemfile"))
            .note((kind == "Rails").then(|| rails.to_owned())),
    )
}

fn php(look: &Look<'_>) -> Option<Project> {
    let made = &["vendor/"];
    if look.has("artisan") {
        let project = Project::new("Laravel", "php artisan serve --no-reload --port={port}");
        return Some(project.made(&["vendor/", "/storage/", "/bootstrap/cache/"]).source(Some("artisan")));
    }
    let entry = look.first(&["public/index.php", "index.php"]);
    if !look.has("composer.json") && entry.is_none() {
        return None;
    }
    let root = if look.has("public") { "public" } else { "." };
    let project = Project::new("PHP", &format!("php -S 127.0.0.1:{{port}} -t {root}"));
    Some(project.made(made).source(entry))
}

fn java(look: &Look<'_>) -> Option<Project> {
    if look.has("pom.xml") {
        let maven = if look.has("mvnw") { "./mvnw" } else { "mvn" };
        let spring = look.text("pom.xml").contains("spring-boot");
        let goal = if spring { "spring-boot:run" } else { "compile exec:java" };
        return Some(
            Project::new("Maven", &format!("{maven} {goal}")).made(&["target/"]).source(Some("pom.xml")),
        );
    }
    let file = look.first(&["build.gradle.kts", "build.gradle"])?;
    let gradle = if look.has("gradlew") { "./gradlew" } else { "gradle" };
    let task = if look.text(file).contains("org.springframework.boot") { "bootRun" } else { "run" };
    Some(Project::new("Gradle", &format!("{gradle} {task}")).made(&["build/", ".gradle/"]).source(Some(file)))
}

fn node(look: &Look<'_>) -> Option<Project> {
    const MADE: &[&str] =
        &["node_modules/", "dist/", ".next/", ".nuxt/", ".svelte-kit/", "coverage/", ".cache/"];
    let package: serde_json::Value = look
        .has("package.json")
        .then(|| serde_json::from_str(&look.text("package.json")).unwrap_or_default())?;
    let manager = match look.first(&["pnpm-lock.yaml", "yarn.lock", "bun.lock", "bun.lockb"]) {
        Some("pnpm-lock.yaml") => "pnpm",
        Some("yarn.lock") => "yarn",
        Some(_) => "bun",
        None => "npm",
    };
    let script = |name: &str| package["scripts"][name].as_str();
    let main = package["main"].as_str().filter(|main| look.has(main));
    let file =
        main.or_else(|| look.first(&["server.js", "index.js", "app.js", "src/index.js", "server.mjs"]));
    let (command, line) = match (script("start"), script("dev"), file) {
        (Some(line), ..) => (format!("{manager} start"), line),
        (None, Some(line), _) => (format!("{manager} run dev"), line),
        (None, None, file) => (format!("node {}", file.unwrap_or("server.js")), ""),
    };
    let own_watcher = ["nodemon", "--watch", "tsx watch", "vite", "next dev", "ts-node-dev"]
        .iter()
        .find(|watcher| line.contains(**watcher));
    let note = own_watcher.map(|watcher| {
        format!("`{command}` runs `{watcher}`, which restarts by itself too: let the script start the plain server")
    });
    Some(Project::new("Node", &command).made(MADE).source(file.or(Some("package.json"))).note(note))
}

/// Folders that programs fill, by the names that people give them. At the top or one level down.
const FOLDERS: &[&str] = &[
    "downloads",
    "download",
    "uploads",
    "upload",
    "data",
    "debug",
    "logs",
    "log",
    "tmp",
    "temp",
    "media",
    "cache",
    ".cache",
    "storage",
    "output",
    "outputs",
    "exports",
    "backups",
    "instance",
];

/// What looks like data, at the top and one level down, sorted. `made` is left out: it is ignored already.
pub(crate) fn data_like(dir: &Path, made: &[&str]) -> Vec<DataLike> {
    let mut found: Vec<DataLike> = Vec::new();
    for top in directories(dir) {
        consider(dir, &top, &mut found);
        let skip = |name: &str| {
            name.starts_with('.') || made.iter().any(|pattern| pattern.trim_matches('/') == name)
        };
        if !skip(&top) && !FOLDERS.contains(&top.as_str()) {
            for below in directories(&dir.join(&top)) {
                consider(dir, &format!("{top}/{below}"), &mut found);
            }
        }
    }
    found.retain(|data| !made.contains(&data.pattern.as_str()));
    found.sort_by(|a, b| a.pattern.cmp(&b.pattern));
    found
}

fn consider(dir: &Path, folder: &str, found: &mut Vec<DataLike>) {
    let name = folder.rsplit('/').next().unwrap_or(folder);
    if FOLDERS.contains(&name.to_ascii_lowercase().as_str()) {
        let source_inside =
            source_in(&dir.join(folder), 3).and_then(|path| path.strip_prefix(dir).map(Path::to_owned).ok());
        found.push(DataLike { pattern: format!("/{folder}/"), source_inside });
    }
}

/// The names of directories, sorted; links, and names that are no plain text, are left alone.
fn directories(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name != ".git" && !name.contains(['*', '?', '[', '\\', '\n', '\r', ' ', '!', '#']))
        .collect();
    names.sort();
    names
}

/// A file that somebody wrote: it may have to be watched.
fn source_in(dir: &Path, depth: usize) -> Option<PathBuf> {
    const SOURCES: &[&str] = &[
        "rs", "py", "js", "mjs", "ts", "tsx", "jsx", "go", "rb", "php", "java", "kt", "ex", "exs", "c", "h",
        "cpp",
    ];
    let mut entries: Vec<_> = std::fs::read_dir(dir).ok()?.take(2000).flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    let is_source = |path: &Path| {
        path.extension()
            .and_then(|extension| extension.to_str())
            .is_some_and(|extension| SOURCES.contains(&extension))
    };
    let files = entries.iter().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    if let Some(file) = files.map(std::fs::DirEntry::path).find(|path| is_source(path)) {
        return Some(file);
    }
    let below = entries.iter().filter(|entry| depth > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()));
    below.map(std::fs::DirEntry::path).find_map(|dir| source_in(&dir, depth - 1))
}

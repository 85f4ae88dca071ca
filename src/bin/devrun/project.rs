//! What kind of project a directory holds, and which of its folders hold data. Reads files, writes none.
//!
//! `devrun init` and `devrun doctor` use it.

use std::fs::DirEntry;
use std::path::{Path, PathBuf};

use devrun::supervise::InnerReloader;

use crate::inner_reloader;

/// A project, as far as `devrun init` must know it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Project {
    /// `Flask`, `Cargo`, …. `None` if the kind is not known.
    pub(crate) kind: Option<&'static str>,
    /// The words of the command that runs it, with `{port}` for the port of the server. Empty if not known.
    pub(crate) command: Vec<String>,
    /// The command that builds it before each start.
    pub(crate) build: Option<String>,
    /// Patterns of the files and folders that the tools of its kind write.
    pub(crate) generated: &'static [&'static str],
    /// A file that must be watched. `devrun check` tests that it is.
    pub(crate) source: Option<String>,
    /// Something that the user must know before the first run.
    pub(crate) note: Option<String>,
}

impl Project {
    fn new(
        kind: &'static str,
        command: &str,
        generated: &'static [&'static str],
        source: Option<&str>,
    ) -> Self {
        let command = command.split(' ').map(ToOwned::to_owned).collect();
        let source = source.map(ToOwned::to_owned);
        Self { kind: Some(kind), command, generated, source, build: None, note: None }
    }
}

/// Recognises the project in a directory.
pub(crate) fn recognise(directory: &Path) -> Project {
    let files = ProjectFiles(directory);
    let kinds = [cargo, python, elixir, go, ruby, php, java, node];
    let mut project = kinds.iter().find_map(|kind| kind(&files)).unwrap_or_default();
    if let Some(reloader) = inner_reloader::in_words(&project.command, directory) {
        let (command, InnerReloader { name, change, .. }) = (project.command.join(" "), reloader);
        project.note = Some(format!("`{command}` has its own reloader ({name}), beside devrun: {change}"));
    }
    project
}

/// The files of the directory of a project.
struct ProjectFiles<'a>(&'a Path);

impl ProjectFiles<'_> {
    fn has(&self, name: &str) -> bool {
        self.0.join(name).exists()
    }

    /// The beginning of a file. Empty if it cannot be read.
    fn text(&self, name: &str) -> String {
        inner_reloader::text(&self.0.join(name))
    }

    /// The first of the files that exists. Spaces separate their names.
    fn first<'n>(&self, names: &'n str) -> Option<&'n str> {
        names.split(' ').find(|name| self.has(name))
    }

    /// The names of the directories in a directory.
    fn directories_in(&self, name: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.join(name)).into_iter().flatten().flatten();
        let directories = entries.filter(|entry| entry.path().is_dir());
        directories.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }
}

fn cargo(files: &ProjectFiles<'_>) -> Option<Project> {
    files.has("Cargo.toml").then(|| {
        let source = files.first("src/main.rs src/lib.rs Cargo.toml");
        Project::new("Cargo", "cargo run", &["target/", "Cargo.lock"], source)
    })
}

fn python(files: &ProjectFiles<'_>) -> Option<Project> {
    const GENERATED: &[&str] =
        &[".venv/", "venv/", ".pytest_cache/", ".mypy_cache/", ".ruff_cache/", "*.egg-info/"];
    let main = files.first("app.py main.py wsgi.py server.py src/app.py src/main.py app/main.py");
    let lists = ["requirements.txt", "pyproject.toml", "Pipfile", "setup.py", "setup.cfg"];
    if files.has("manage.py") {
        let command = "python manage.py runserver --noreload 127.0.0.1:{port}";
        return Some(Project::new("Django", command, GENERATED, Some("manage.py")));
    }
    let needs: String = lists.iter().map(|list| files.text(list).to_lowercase()).collect();
    let code = main.map(|main| files.text(main)).unwrap_or_default();
    if main.is_none() && !lists.iter().any(|list| files.has(list)) {
        return None;
    }
    let uses = |name: &str, call: &str| code.contains(call) || (code.is_empty() && needs.contains(name));
    let module = main.unwrap_or("app.py").trim_end_matches(".py").replace('/', ".");
    let (kind, command) = if uses("fastapi", "FastAPI(") {
        ("FastAPI", format!("uvicorn {module}:app --port {{port}}"))
    } else if uses("flask", "Flask(") {
        ("Flask", format!("flask --app {module} run --no-reload --port {{port}}"))
    } else {
        ("Python", format!("python {}", main.unwrap_or("main.py")))
    };
    Some(Project::new(kind, &command, GENERATED, main))
}

fn elixir(files: &ProjectFiles<'_>) -> Option<Project> {
    let mix = files.has("mix.exs").then(|| files.text("mix.exs"))?;
    let command = if mix.contains(":phoenix") { "mix phx.server" } else { "mix run --no-halt" };
    Some(Project::new("Elixir", command, &["_build/", "deps/"], Some("mix.exs")))
}

fn go(files: &ProjectFiles<'_>) -> Option<Project> {
    if !files.has("go.mod") {
        return None;
    }
    let commands = files.directories_in("cmd");
    let (name, package) = match (files.has("main.go"), commands.as_slice()) {
        (false, [only]) => (only.clone(), format!("./cmd/{only}")),
        _ => ("server".into(), ".".into()),
    };
    let source = files.first("main.go go.mod");
    let build = Some(format!("go build -o tmp/{name} {package}"));
    Some(Project { build, ..Project::new("Go", &format!("./tmp/{name}"), &["/tmp/"], source) })
}

fn ruby(files: &ProjectFiles<'_>) -> Option<Project> {
    if !files.has("Gemfile") {
        return None;
    }
    let (kind, command) = if files.has("bin/rails") {
        ("Rails", "bin/rails server --port {port}")
    } else if files.has("config.ru") {
        ("Rack", "bundle exec rackup --port {port}")
    } else {
        ("Ruby", "bundle exec ruby app.rb")
    };
    let rails = "Rails reloads most of app/ by itself; devrun is for the rest (config/, lib/, gems)";
    let note = (kind == "Rails").then(|| rails.to_owned());
    let generated = &[".bundle/", "vendor/bundle/", "/log/", "/tmp/", "/storage/"];
    Some(Project { note, ..Project::new(kind, command, generated, Some("Gemfile")) })
}

fn php(files: &ProjectFiles<'_>) -> Option<Project> {
    if files.has("artisan") {
        let command = "php artisan serve --no-reload --port={port}";
        let generated = &["vendor/", "/storage/", "/bootstrap/cache/"];
        return Some(Project::new("Laravel", command, generated, Some("artisan")));
    }
    let entry = files.first("public/index.php index.php");
    if !files.has("composer.json") && entry.is_none() {
        return None;
    }
    let root = if files.has("public") { "public" } else { "." };
    let command = format!("php -S 127.0.0.1:{{port}} -t {root}");
    Some(Project::new("PHP", &command, &["vendor/"], entry))
}

fn java(files: &ProjectFiles<'_>) -> Option<Project> {
    if files.has("pom.xml") {
        let maven = if files.has("mvnw") { "./mvnw" } else { "mvn" };
        let spring = files.text("pom.xml").contains("spring-boot");
        let goal = if spring { "spring-boot:run" } else { "compile exec:java" };
        return Some(Project::new("Maven", &format!("{maven} {goal}"), &["target/"], Some("pom.xml")));
    }
    let file = files.first("build.gradle.kts build.gradle")?;
    let gradle = if files.has("gradlew") { "./gradlew" } else { "gradle" };
    let task = if files.text(file).contains("org.springframework.boot") { "bootRun" } else { "run" };
    Some(Project::new("Gradle", &format!("{gradle} {task}"), &["build/", ".gradle/"], Some(file)))
}

fn node(files: &ProjectFiles<'_>) -> Option<Project> {
    const GENERATED: &[&str] =
        &["node_modules/", "dist/", ".next/", ".nuxt/", ".svelte-kit/", "coverage/", ".cache/"];
    let package: serde_json::Value = files
        .has("package.json")
        .then(|| serde_json::from_str(&files.text("package.json")).unwrap_or_default())?;
    let manager = match files.first("pnpm-lock.yaml yarn.lock bun.lock bun.lockb") {
        Some("pnpm-lock.yaml") => "pnpm",
        Some("yarn.lock") => "yarn",
        Some(_) => "bun",
        None => "npm",
    };
    let script = |name: &str| package["scripts"][name].as_str();
    let main = package["main"].as_str().filter(|main| files.has(main));
    let file = main.or_else(|| files.first("server.js index.js app.js src/index.js server.mjs"));
    let command = match (script("start"), script("dev")) {
        (Some(_), _) => format!("{manager} start"),
        (None, Some(_)) => format!("{manager} run dev"),
        (None, None) => format!("node {}", file.unwrap_or("server.js")),
    };
    Some(Project::new("Node", &command, GENERATED, file.or(Some("package.json"))))
}

/// Names of folders that programs write to.
const DATA_NAMES: &str = "downloads download uploads upload data debug logs log tmp temp media cache .cache storage \
    output outputs exports backups instance";
/// File name extensions of source code.
const SOURCE_EXTENSIONS: &str = "rs py js mjs ts tsx jsx go rb php java kt ex exs c h cpp";
/// Depth to which a folder is searched for source code.
const SOURCE_DEPTH: usize = 3;
/// Maximum number of entries of a directory that are searched for source code.
const MAX_ENTRIES: usize = 2000;

/// A folder that looks like data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DataFolder {
    /// The pattern that ignores the folder, such as `/app/uploads/`.
    pub(crate) pattern: String,
    /// A source file in the folder, relative to the project. With one, the folder may not be data.
    pub(crate) source: Option<PathBuf>,
}

impl DataFolder {
    /// The path of the folder, relative to the project.
    pub(crate) fn path(&self) -> &str {
        self.pattern.trim_matches('/')
    }
}

/// The folders that look like data at the top of a project and one level below, sorted. Folders that the
/// tools of the project generate are left out, because their own patterns ignore them.
pub(crate) fn data_folders(directory: &Path, project: &Project) -> Vec<DataFolder> {
    let mut paths = Vec::new();
    for top in subdirectories(directory) {
        let is_generated = project.generated.iter().any(|pattern| pattern.trim_matches('/') == top);
        if has_data_name(&top) {
            paths.push(top.clone());
        }
        if !top.starts_with('.') && !is_generated && !is_word_of(DATA_NAMES, &top) {
            let below = subdirectories(&directory.join(&top)).into_iter().filter(|name| has_data_name(name));
            paths.extend(below.map(|name| format!("{top}/{name}")));
        }
    }
    let folder = |path: String| {
        let source = find_source(&directory.join(&path), SOURCE_DEPTH);
        let source = source.and_then(|source| source.strip_prefix(directory).map(Path::to_owned).ok());
        DataFolder { pattern: format!("/{path}/"), source }
    };
    let mut folders: Vec<DataFolder> = paths.into_iter().map(folder).collect();
    folders.retain(|folder| !project.generated.contains(&folder.pattern.as_str()));
    folders.sort_by(|a, b| a.pattern.cmp(&b.pattern));
    folders
}

fn has_data_name(name: &str) -> bool {
    is_word_of(DATA_NAMES, &name.to_ascii_lowercase())
}

fn is_word_of(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|known| known == word)
}

/// The names of the directories in a directory, sorted. Symbolic links are left out, and names that a pattern
/// would have to escape.
fn subdirectories(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
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

fn find_source(directory: &Path, depth: usize) -> Option<PathBuf> {
    let mut entries: Vec<DirEntry> = std::fs::read_dir(directory).ok()?.take(MAX_ENTRIES).flatten().collect();
    entries.sort_by_key(DirEntry::file_name);
    let files = entries.iter().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    if let Some(source) = files.map(DirEntry::path).find(|path| is_source(path)) {
        return Some(source);
    }
    let below = entries.iter().filter(|entry| depth > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()));
    below.map(DirEntry::path).find_map(|directory| find_source(&directory, depth - 1))
}

fn is_source(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| is_word_of(SOURCE_EXTENSIONS, extension))
}

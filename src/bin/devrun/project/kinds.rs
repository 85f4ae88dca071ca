//! The kinds of projects that one file shows, and what all kinds have in common.

use super::files::ProjectFiles;
use super::recognise::Project;

/// A kind of project that the content of some files shows.
struct Kind {
    name: &'static str,
    /// Files, each with a text that it contains. All of them must be there.
    marks: &'static [(&'static str, &'static str)],
    /// The words of the command, with `{port}` for the port of the server.
    command: &'static str,
    port: Option<u16>,
    generated: &'static [&'static str],
    note: &'static str,
}

const RUBY: &[&str] = &[".bundle/", "vendor/bundle/", "/log/", "/tmp/", "/storage/"];
const JAVA: &[&str] = &["target/", "build/", ".gradle/"];
pub(super) const PYTHON: &[&str] =
    &[".venv/", "venv/", ".pytest_cache/", ".mypy_cache/", ".ruff_cache/", "*.egg-info/"];

#[rustfmt::skip]
const KINDS: &[Kind] = &[
    Kind { name: "Django", marks: &[("manage.py", "django")],
        command: "{python} manage.py runserver --noreload 127.0.0.1:{port}", port: Some(8000), generated: PYTHON, note: "" },
    Kind { name: "Rails", marks: &[("Gemfile", ""), ("bin/rails", "")],
        command: "bin/rails server --port {port}", port: Some(3000), generated: RUBY,
        note: "Rails reloads most of app/ by itself; devrun watches the rest: config/, lib/, gems" },
    Kind { name: "Rack", marks: &[("Gemfile", ""), ("config.ru", "")],
        command: "bundle exec rackup --port {port}", port: Some(9292), generated: RUBY, note: "" },
    Kind { name: "Ruby", marks: &[("Gemfile", ""), ("app.rb", "")],
        command: "bundle exec ruby app.rb", port: None, generated: RUBY, note: "" },
    Kind { name: "Laravel", marks: &[("artisan", "")],
        command: "php artisan serve --no-reload --port={port}", port: Some(8000),
        generated: &["vendor/", "/storage/", "/bootstrap/cache/"], note: "" },
    Kind { name: "PHP", marks: &[("public/index.php", "")],
        command: "php -S 127.0.0.1:{port} -t public", port: Some(8000), generated: &["vendor/"], note: "" },
    Kind { name: "PHP", marks: &[("index.php", "")],
        command: "php -S 127.0.0.1:{port} -t .", port: Some(8000), generated: &["vendor/"], note: "" },
    Kind { name: "Phoenix", marks: &[("mix.exs", ":phoenix")],
        command: "mix phx.server", port: None, generated: &["_build/", "deps/"],
        note: "Phoenix reloads modules by itself at the next request; devrun watches the rest: config/, mix.exs" },
    Kind { name: "Elixir", marks: &[("mix.exs", "")],
        command: "mix run --no-halt", port: None, generated: &["_build/", "deps/"], note: "" },
    Kind { name: "Spring Boot", marks: &[("pom.xml", "spring-boot"), ("mvnw", "")],
        command: "./mvnw spring-boot:run", port: None, generated: JAVA, note: "" },
    Kind { name: "Spring Boot", marks: &[("pom.xml", "spring-boot")],
        command: "mvn spring-boot:run", port: None, generated: JAVA, note: "" },
    Kind { name: "Spring Boot", marks: &[("build.gradle.kts", "org.springframework.boot"), ("gradlew", "")],
        command: "./gradlew bootRun", port: None, generated: JAVA, note: "" },
    Kind { name: "Spring Boot", marks: &[("build.gradle", "org.springframework.boot"), ("gradlew", "")],
        command: "./gradlew bootRun", port: None, generated: JAVA, note: "" },
    Kind { name: "Gradle", marks: &[("build.gradle.kts", "application"), ("gradlew", "")],
        command: "./gradlew run", port: None, generated: JAVA, note: "" },
    Kind { name: "Gradle", marks: &[("build.gradle", "application"), ("gradlew", "")],
        command: "./gradlew run", port: None, generated: JAVA, note: "" },
    // Without the texts above, these files do not say what to run.
    Kind { name: "Maven", marks: &[("pom.xml", "")], command: "", port: None, generated: JAVA, note: "" },
    Kind { name: "Gradle", marks: &[("build.gradle.kts", "")], command: "", port: None, generated: JAVA, note: "" },
    Kind { name: "Gradle", marks: &[("build.gradle", "")], command: "", port: None, generated: JAVA, note: "" },
    Kind { name: "Ruby", marks: &[("Gemfile", "")], command: "", port: None, generated: RUBY, note: "" },
    Kind { name: "PHP", marks: &[("composer.json", "")], command: "", port: None, generated: &["vendor/"], note: "" },
];

/// The kind that the table shows.
pub(super) fn of_marks(files: &ProjectFiles<'_>) -> Option<Project> {
    let is_there = |(file, text): &(&str, &str)| files.has(file) && files.text(file).contains(text);
    let kind = KINDS.iter().find(|kind| kind.marks.iter().all(is_there))?;
    let source = kind.marks[0].0;
    let mut project = Project::new(kind.name, kind.generated, Some(source));
    project.command = kind.command.replace("{python} ", &super::python::runner(files, "python3"));
    project.port = kind.port;
    // Rails refuses to start while the file with its process id is there.
    project.takes_turns = kind.name == "Rails";
    let paths: &[&str] = match kind.name {
        "Rails" => &["config", "lib", "Gemfile", "Gemfile.lock"],
        "Phoenix" => &["config", "mix.exs", "mix.lock"],
        _ => &[],
    };
    project.paths = paths.iter().map(|&path| path.to_owned()).collect();
    if kind.command.is_empty() {
        project.missing = Some(format!("{source} does not say which program to run"));
    }
    project.notes.extend((!kind.note.is_empty()).then(|| kind.note.to_owned()));
    Some(project)
}

//! Python projects: the file that defines the application, or a script of pyproject.toml.

use super::files::ProjectFiles;
use super::kinds::PYTHON;
use super::recognise::Project;

/// Files that list dependencies.
const LISTS: &str = "requirements.txt pyproject.toml Pipfile setup.py setup.cfg";
/// Number of directories above the file that defines the application.
const DEPTH: usize = 3;
/// Usual names of the file that defines the application, or that starts the program.
const MAIN_FILES: &str = "app.py main.py wsgi.py asgi.py server.py __init__.py __main__.py";

/// A framework, known by the class of its application.
struct Framework {
    class: &'static str,
    /// The words of the command, with `{module}` and `{app}` for the module and the name of the application.
    command: &'static str,
    /// The option for a function that returns the application.
    factory: &'static str,
    /// The option for a module below `src`.
    src: &'static str,
    port: Option<u16>,
}

const UVICORN: &str = "uvicorn{src}{factory} {module}:{app} --port {port}";

#[rustfmt::skip]
const FRAMEWORKS: &[Framework] = &[
    Framework { class: "FastAPI", command: UVICORN, factory: " --factory", src: " --app-dir src", port: Some(8000) },
    Framework { class: "Litestar", command: UVICORN, factory: " --factory", src: " --app-dir src", port: Some(8000) },
    Framework { class: "Starlette", command: UVICORN, factory: " --factory", src: " --app-dir src", port: Some(8000) },
    Framework { class: "Flask", command: "flask --app {file} --debug run --no-reload --port {port}", factory: "", src: "",
        port: Some(5000) },
    Framework { class: "Celery", command: "celery{src} -A {module} worker --loglevel info", factory: "", src: " --workdir src",
        port: None },
];

/// An application object, or a function that returns one.
struct Application {
    file: String,
    name: String,
    is_factory: bool,
}

pub(super) fn recognise(files: &ProjectFiles<'_>) -> Option<Project> {
    let mut sources = files.sources("py", DEPTH);
    if sources.is_empty() && files.first(LISTS).is_none() {
        return None;
    }
    let rank = |path: &String| {
        let name = path.rsplit('/').next().unwrap_or(path);
        let usual = MAIN_FILES.split(' ').position(|usual| usual == name).unwrap_or(usize::MAX);
        (path.trim_start_matches("src/").matches('/').count(), usual, path.clone())
    };
    sources.sort_by_key(rank);
    let texts: Vec<(String, String)> = sources.into_iter().map(|path| (files.text(&path), path)).collect();
    let mut found = FRAMEWORKS.iter().filter_map(|known| Some((known, application(known, &texts)?)));
    let Some((framework, application)) = found.next() else { return without_application(files, &texts) };
    let mut project = Project::new(framework.class, PYTHON, Some(&application.file));
    project.command = command(framework, &application, files);
    project.port = framework.port;
    for (other, application) in found {
        let line = command(other, &application, files);
        project.notes.push(format!("{} is in {} too: `{line}` runs it", other.class, application.file));
    }
    Some(project)
}

fn command(framework: &Framework, application: &Application, files: &ProjectFiles<'_>) -> String {
    let Application { file, name, is_factory } = application;
    let in_src = file.starts_with("src/") && !files.has("src/__init__.py");
    let dotted = |path: &str| path.trim_end_matches(".py").trim_end_matches("/__init__").replace('/', ".");
    let module = dotted(if in_src { &file["src/".len()..] } else { file });
    // Flask finds the directory to import from if it gets a path.
    let path = file.trim_end_matches(".py").trim_end_matches("/__init__");
    let flask = if in_src { path.to_owned() } else { module.clone() };
    let is_usual = matches!(name.as_str(), "app" | "application" | "create_app" | "make_app");
    let flask = if is_usual { flask } else { format!("{flask}:{name}") };
    let words = framework
        .command
        .replace("{src}", if in_src { framework.src } else { "" })
        .replace("{factory}", if *is_factory { framework.factory } else { "" })
        .replace("{module}", &module)
        .replace("{app}", name)
        .replace("{file}", &flask);
    let (program, arguments) = words.split_once(' ').unwrap_or((&words, ""));
    runner(files, program) + arguments
}

/// The application of a framework: an object at the top level of a module, or else a function that returns one.
fn application(framework: &Framework, texts: &[(String, String)]) -> Option<Application> {
    let call = format!("{}(", framework.class);
    let object = |line: &str| {
        let (name, value) = line.split_once('=')?;
        let name = name.split(':').next().unwrap_or(name).trim_end();
        let callee = value.trim_start().split_once(&call)?.0;
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
        let is_callee = callee.is_empty() || callee.ends_with('.') && !callee.contains(['(', ' ']);
        (is_name && is_callee).then(|| name.to_owned())
    };
    let factory = |line: &str| {
        let name = line.strip_prefix("def ")?.split('(').next()?;
        matches!(name, "create_app" | "make_app" | "get_app").then(|| name.to_owned())
    };
    let find = |is_factory: bool| {
        texts.iter().filter(|(text, _)| text.contains(&call)).find_map(|(text, file)| {
            let name =
                statements(text).find_map(|line| if is_factory { factory(line) } else { object(line) })?;
            Some(Application { file: file.clone(), name, is_factory })
        })
    };
    find(false).or_else(|| find(true).filter(|_| framework.class != "Celery"))
}

/// The statements at the top level of a module.
fn statements(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().filter(|line| !line.starts_with([' ', '\t', '#']));
    lines.flat_map(|line| line.split(';').map(str::trim))
}

/// A script of pyproject.toml whose module exists, or a file with a usual name.
fn without_application(files: &ProjectFiles<'_>, texts: &[(String, String)]) -> Option<Project> {
    let lists: String = LISTS.split(' ').map(|list| files.text(list).to_lowercase()).collect();
    let needs = |framework: &&Framework| lists.contains(&framework.class.to_lowercase());
    if let Some(framework) = FRAMEWORKS.iter().find(needs) {
        let mut project = Project::new(framework.class, PYTHON, None);
        let class = framework.class;
        project.missing =
            Some(format!("no file at the top defines an application, such as `app = {class}(…)`"));
        return Some(project);
    }
    let script = script(files);
    let main = texts.iter().map(|(_, path)| path.as_str()).find(|path| {
        let name = path.trim_start_matches("src/");
        MAIN_FILES.split(' ').any(|usual| usual == name)
    });
    if script.is_none() && main.is_none() && files.first(LISTS).is_none() {
        return None;
    }
    let mut project = Project::new("Python", PYTHON, main);
    project.port = main.filter(|main| script.is_none() && files.reads_port(main)).map(|_| 8000);
    match (script, main) {
        (Some(name), _) => project.command = runner(files, &name).trim_end().to_owned(),
        (None, Some(main)) => project.command = runner(files, "python3") + main,
        (None, None) => project.missing = Some("no file says which program to run".to_owned()),
    }
    Some(project)
}

/// The only script of pyproject.toml, if its module exists.
fn script(files: &ProjectFiles<'_>) -> Option<String> {
    let table: toml::Table = files.text("pyproject.toml").parse().ok()?;
    let scripts = table.get("project")?.get("scripts")?.as_table()?;
    let (name, target) = scripts.iter().next().filter(|_| scripts.len() == 1)?;
    let path = target.as_str()?.split(':').next()?.replace('.', "/");
    let exists = ["", "src/"].iter().any(|root| {
        files.has(&format!("{root}{path}.py")) || files.has(&format!("{root}{path}/__init__.py"))
    });
    exists.then(|| name.clone())
}

/// The words that run a program of the project's environment, with a space at the end.
pub(super) fn runner(files: &ProjectFiles<'_>, program: &str) -> String {
    let locks = [
        ("uv.lock", "uv run"),
        ("poetry.lock", "poetry run"),
        ("pdm.lock", "pdm run"),
        ("Pipfile", "pipenv run"),
    ];
    if let Some((_, run)) = locks.iter().find(|(lock, _)| files.first_above(lock).is_some()) {
        return format!("{run} {program} ");
    }
    match files.first_above(".venv/bin/python3 venv/bin/python3") {
        Some(python) => format!("{}{program} ", python.trim_end_matches("python3")),
        None => format!("{program} "),
    }
}

//! The reloader that a command starts: shown by its words, by the Python script that it runs, or by its script in
//! package.json.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use devrun::Command;
use devrun::supervise::{InnerReloader, Shell};

/// Maximum number of bytes that are read of a file.
const MAX_READ: u64 = 256 * 1024;
/// The usual names of a Flask application and of its wrappers, whose `run` starts werkzeug, in a script that does not
/// name Flask.
const APPLICATIONS: [&str; 4] = ["app", "application", "server", "socketio"];

/// The reloader that COMMAND starts.
pub(crate) fn in_command(command: &Command) -> Option<InnerReloader> {
    let words = std::iter::once(&command.program).chain(&command.args);
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let directory = command.current_dir.as_deref().unwrap_or(Path::new(""));
    match command.shell {
        Shell::None => in_words(&words, directory),
        _ => {
            let line = words.join(" ");
            InnerReloader::of_line(&line)
                .or_else(|| in_words(&line.split_whitespace().collect::<Vec<_>>(), directory))
        }
    }
}

/// The reloader that the words of a command start, which runs in `directory`.
pub(crate) fn in_words<S: AsRef<str>>(words: &[S], directory: &Path) -> Option<InnerReloader> {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    InnerReloader::of_words(&words)
        .or_else(|| in_python(&text(&directory.join(python_script(&words)?))))
        .or_else(|| in_package(&text(&directory.join("package.json")), package_script(&words)?))
}

/// The script that Python runs, with or without a wrapper such as `uv run`.
fn python_script<'a>(words: &[&'a str]) -> Option<&'a str> {
    let at = words.iter().position(|word| word.ends_with(".py"))?;
    let name = |word: &&str| word.rsplit('/').next().is_some_and(|name| name.starts_with("python"));
    (at == 0 || words[0] == "uv" || words[..at].iter().any(name)).then(|| words[at])
}

/// The name of the script of package.json that a package manager runs.
fn package_script<'a>(words: &[&'a str]) -> Option<&'a str> {
    match words {
        ["npm" | "pnpm" | "yarn" | "bun", "run" | "run-script", name, ..] => Some(name),
        ["npm", name @ ("start" | "test"), ..] | ["pnpm" | "yarn", name, ..] => Some(name),
        _ => None,
    }
}

fn in_package(package: &str, script: &str) -> Option<InnerReloader> {
    let package: serde_json::Value = serde_json::from_str(package).ok()?;
    InnerReloader::of_line(package["scripts"][script].as_str()?)
}

/// The reloader that a call in a Python script starts: `app.run(debug=True)`, `run_simple(…, use_reloader=True)` or
/// `uvicorn.run(…, reload=True)`.
fn in_python(source: &str) -> Option<InnerReloader> {
    let lines: Vec<&str> =
        source.lines().map(|line| line.split('#').next().unwrap_or_default().trim()).collect();
    let names_flask = source.to_lowercase().contains("flask");
    lines.iter().enumerate().find_map(|(at, line)| {
        // `create_app().run(…)` is a call of `create_app.run` here.
        let line = line.replace("()", "");
        let (function, _) = line.split_once('(')?;
        let function = function.trim_end().rsplit([' ', ':']).next()?;
        let rest: String = lines[at..].concat().replace("()", "").split_whitespace().collect();
        let (_, rest) = rest.split_once('(')?;
        let arguments = &rest[..end_of_call(rest)];
        let has = |argument: &str| arguments.split(',').any(|other| other == argument);
        let owner = function.strip_suffix(".run").filter(|owner| *owner != "asyncio");
        let is_application = |owner| names_flask || APPLICATIONS.contains(&owner);
        let is_werkzeug = function.ends_with("run_simple") || owner.is_some_and(is_application);
        if owner == Some("uvicorn") && has("reload=True") {
            return InnerReloader::of_words(&["uvicorn", "--reload"]);
        }
        let reloads =
            has("use_reloader=True") || owner.is_some() && has("debug=True") && !has("use_reloader=False");
        (is_werkzeug && reloads).then(|| InnerReloader::of_words(&["flask", "--reload"]))?
    })
}

/// The position of the parenthesis that ends the arguments of a call.
fn end_of_call(text: &str) -> usize {
    let mut depth = 1_usize;
    let end = text.bytes().position(|byte| {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    end.unwrap_or(text.len())
}

/// The first [`MAX_READ`] bytes of a regular file. Empty if it cannot be read.
pub(crate) fn text(path: &Path) -> String {
    let mut text = Vec::new();
    if path.is_file()
        && let Ok(file) = File::open(path)
    {
        let _ = file.take(MAX_READ).read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_in_python(source: &str) -> &'static str {
        in_python(source).map_or("", |reloader| reloader.name)
    }

    #[test]
    fn a_python_script_shows_its_reloader() {
        for (source, name) in [
            ("app.run(debug=True, reloader_type='stat')", "werkzeug"),
            (
                "if __name__ == '__main__':\n    app.run(\n        port=int(env('PORT')),\n        debug = True,\n    )",
                "werkzeug",
            ),
            ("socketio.run(app, debug=True)  # (no reload)", "werkzeug"),
            ("run_simple('localhost', 5000, app, use_reloader=True)", "werkzeug"),
            ("    uvicorn.run('app:app', reload=True)", "uvicorn"),
            ("from flask import Flask\nportal = Flask(__name__)\nportal.run(debug=True)", "werkzeug"),
            ("from shop import create_app  # Flask\ncreate_app().run(debug=True)", "werkzeug"),
            ("if __name__ == '__main__': app.run(debug=True)", "werkzeug"),
        ] {
            assert_eq!(name_in_python(source), name, "{source}");
        }
        for source in [
            "",
            "app.run()",
            "app.run(debug=True, use_reloader=False)",
            "app.run(debug=False)\nfoo(debug=True)",
            "# app.run(debug=True)",
            "print('app.run(debug=True)')",
            "asyncio.run(main(), debug=True)",
            "import flask\nasyncio.run(main(), debug=True)",
            "import flask\nprint('app.run(debug=True)')",
            "uvicorn.run(app)",
            "app.run(",
        ] {
            assert_eq!(name_in_python(source), "", "{source}");
        }
    }
}

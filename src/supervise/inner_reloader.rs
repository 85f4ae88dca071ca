//! Reloaders that servers and their tools have inside. A command line shows one, or the output of the command.

use self::Condition::{Always, Flag, Leading};
use self::ReloadEffect::{AppliesEdits, Cuts, Finishes};

/// Stands for any text in a line of output of [`Row`].
const GAP: char = '…';
/// Programs that run the program named after them.
const WRAPPERS: &str = "npx bunx pnpx npm pnpm yarn bun dlx exec run x env cross-env dotenv time nice nohup sudo \
    uv uvx poetry pipenv pdm hatch rye bundle command";
const SHELLS: &str = "sh bash dash zsh ksh fish";
/// The change for a tool that only runs and restarts another command.
const RUN_DIRECTLY: &str = "run the server's own command without this tool";

/// A reloader inside the command. An edit makes both this reloader and the supervisor restart the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct InnerReloader {
    /// The software that reloads: `werkzeug`.
    pub name: &'static str,
    /// The effect of an edit.
    pub effect: ReloadEffect,
    /// The change that turns it off: `add --noreload to runserver`.
    pub change: &'static str,
}

/// What a reloader inside the command does at an edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReloadEffect {
    /// It ends the server at once, and responses in flight with it. No proxy can prevent that.
    Cuts,
    /// It lets the responses in flight finish, and new code answers only after them.
    Finishes,
    /// It replaces the code in the running server.
    AppliesEdits,
}

impl InnerReloader {
    /// The reloader that these words of a command line start, such as `uvicorn app:app --reload`. Looks through wrappers
    /// such as `npx`, `uv run`, `python -m` and `sh -c`.
    pub fn of_words<S: AsRef<str>>(words: &[S]) -> Option<Self> {
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        let mut rest = words.as_slice();
        while let [word, args @ ..] = rest {
            let program = file_name(word);
            if is_one_of(SHELLS, program) {
                let line = args.iter().skip_while(|arg| !arg.starts_with('-') || !arg.ends_with('c')).nth(1);
                return Self::of_line(line?);
            }
            if is_python(program) {
                rest = python_program(args);
                continue;
            }
            if let Some(row) = TABLE.iter().find(|row| row.starts(program, args)) {
                return Some(row.reloader);
            }
            if !is_one_of(WRAPPERS, program) && !word.starts_with('-') && !is_assignment(word) {
                return None;
            }
            rest = args;
        }
        None
    }

    /// The reloader that one of the commands of a shell line starts.
    pub fn of_line(line: &str) -> Option<Self> {
        let line = line.replace("&&", ";").replace(['|', '&', '\n'], ";");
        line.split(';').find_map(|command| {
            let words = command.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
            Self::of_words(&words.collect::<Vec<_>>())
        })
    }

    /// The reloader that announces itself with this line of output.
    pub(super) fn of_output(line: &str) -> Option<Self> {
        let prints = |row: &&Row| row.lines.iter().any(|pattern| is_message(pattern, line));
        TABLE.iter().find(prints).map(|row| row.reloader)
    }

    /// The reloader of werkzeug, known by an exit status.
    pub(super) fn werkzeug() -> Self {
        TABLE[0].reloader
    }
}

/// When a program of [`Row`] reloads.
#[derive(Debug)]
enum Condition {
    Always,
    /// With this option.
    Flag(&'static str),
    /// With one of these words among its first options, or as its first argument after them.
    Leading(&'static str),
}

/// A known reloader.
#[derive(Debug)]
struct Row {
    reloader: InnerReloader,
    /// The names of the programs that have it, separated by spaces.
    programs: &'static str,
    condition: Condition,
    /// Words with which the programs do not reload, separated by spaces.
    without: &'static str,
    /// Messages that the reloader prints, with [`GAP`] for any text.
    lines: &'static [&'static str],
}

const fn row(
    (name, effect, change): (&'static str, ReloadEffect, &'static str),
    programs: &'static str,
    condition: Condition,
    without: &'static str,
    lines: &'static [&'static str],
) -> Row {
    Row { reloader: InnerReloader { name, effect, change }, programs, condition, without, lines }
}

#[rustfmt::skip]
static TABLE: &[Row] = &[
    row(("werkzeug", Cuts, "write app.run(use_reloader=False), or use flask run --no-reload"),
        "flask", Flag("--reload"), "", &[" * Restarting with stat", " * Restarting with watchdog (…)"]),
    row(("uvicorn", Finishes, "leave out --reload (in Python: reload=True)"),
        "uvicorn", Flag("--reload"), "", &["Started reloader process […] using …"]),
    row(("uvicorn", Finishes, "add --no-reload to fastapi dev"), "fastapi", Leading("dev"), "--no-reload", &[]),
    row(("gunicorn", Finishes, "leave out --reload"),
        "gunicorn", Flag("--reload"), "", &["Reloader is on. Use in development only!"]),
    row(("hypercorn", Cuts, "leave out --reload"), "hypercorn", Flag("--reload"), "", &[]),
    row(("granian", Cuts, "leave out --reload"), "granian", Flag("--reload"), "", &[]),
    row(("Django", Cuts, "add --noreload to runserver"),
        "manage.py django-admin", Leading("runserver runserver_plus testserver"), "--noreload",
        &["Watching for file changes with StatReloader", "Watching for file changes with WatchmanReloader"]),
    row(("nodemon", Cuts, "run node instead of nodemon"), "nodemon", Always, "", &["[nodemon] starting `…`"]),
    row(("node --watch", Cuts, "leave out --watch"), "node nodejs", Leading("--watch --watch-path"), "",
        &["Restarting '….js'", "Restarting '….mjs'", "Restarting '….cjs'", "Restarting '….ts'",
          "Completed running '…'. Waiting for file changes before restarting...",
          "Failed running '…'. Waiting for file changes before restarting..."]),
    row(("tsx watch", Cuts, "leave out watch: tsx FILE"),
        "tsx", Leading("watch"), "", &["… [tsx] change in … Restarting..."]),
    row(("ts-node-dev", Cuts, "run ts-node instead"), "ts-node-dev tsnd", Always, "", &[]),
    row(("bun --watch", Cuts, "leave out --watch or --hot"), "bun", Leading("--watch --hot"), "", &[]),
    row(("cargo watch", Cuts, "use cargo run instead"), "cargo", Leading("watch"), "", &[]),
    row(("dotnet watch", Cuts, "use dotnet run instead"), "dotnet", Leading("watch"), "", &[]),
    row(("watchexec", Cuts, RUN_DIRECTLY), "watchexec", Always, "", &[]),
    row(("watchfiles", Cuts, RUN_DIRECTLY), "watchfiles", Always, "", &[]),
    row(("hupper", Cuts, RUN_DIRECTLY), "hupper", Always, "", &[]),
    row(("watchmedo", Cuts, RUN_DIRECTLY), "watchmedo", Leading("auto-restart"), "", &[]),
    row(("air", Cuts, RUN_DIRECTLY), "air", Always, "init", &[]),
    row(("vite", AppliesEdits, "set server.watch to null in its configuration, or do not watch what vite reloads"),
        "vite", Always, "build preview optimize --help -h --version -v", &["  VITE v… ready in … ms"]),
    row(("next", AppliesEdits, "use next build and next start, or do not watch what next reloads"),
        "next", Always, "build start lint export info telemetry typegen upgrade experimental-test --help -h --version -v",
        &["○ Compiling … ...", " ○ Compiling … ..."]),
];

impl Row {
    /// Whether a program with these arguments has the reloader at work.
    fn starts(&self, program: &str, args: &[&str]) -> bool {
        let has = |args: &[&str], list: &str| args.iter().any(|arg| is_one_of(list, option_name(arg)));
        let options = args.iter().take_while(|arg| arg.starts_with('-')).count();
        let leading = &args[..args.len().min(options + 1)];
        let reloads = match self.condition {
            Always => true,
            Flag(flag) => has(args, flag),
            Leading(words) => has(leading, words),
        };
        is_one_of(self.programs, program) && reloads && !has(args, self.without)
    }
}

fn is_one_of(list: &str, word: &str) -> bool {
    !word.is_empty() && list.split(' ').any(|known| known == word)
}

fn file_name(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// An option without its value: `--reload` of `--reload=1`.
fn option_name(word: &str) -> &str {
    word.split('=').next().unwrap_or(word)
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| !name.is_empty() && !name.contains('/'))
}

fn is_python(program: &str) -> bool {
    program
        .strip_prefix("python")
        .is_some_and(|version| version.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

/// The module or script that Python runs, and its arguments. Empty if Python runs other code.
fn python_program<'a>(mut args: &'a [&'a str]) -> &'a [&'a str] {
    loop {
        args = match args {
            ["-m", program @ ..] => return program,
            ["-c" | "-", ..] => return &[],
            ["-X" | "-W", _, rest @ ..] => rest,
            [option, rest @ ..] if option.starts_with('-') => rest,
            program => return program,
        };
    }
}

/// Whether a line is this message. A logger may have put a prefix with a level before it.
fn is_message(pattern: &str, line: &str) -> bool {
    let level = ["INFO", "WARN"].iter().find_map(|level| line.find(level)).unwrap_or(line.len());
    let starts = std::iter::once(0).chain(level..line.len());
    starts.filter(|at| line.is_char_boundary(*at)).any(|at| matches(pattern, &line[at..]))
}

fn matches(pattern: &str, text: &str) -> bool {
    let Some((literal, pattern)) = pattern.split_once(GAP) else { return pattern == text };
    text.strip_prefix(literal).is_some_and(|rest| {
        let ends = (0..=rest.len()).filter(|at| rest.is_char_boundary(*at));
        ends.into_iter().any(|at| matches(pattern, &rest[at..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of_line(line: &str) -> &'static str {
        InnerReloader::of_line(line).map_or("", |reloader| reloader.name)
    }

    #[test]
    fn a_command_line_shows_its_reloader() {
        for (line, name) in [
            ("uvicorn app:app --reload", "uvicorn"),
            ("uv run --quiet uvicorn app:app --reload", "uvicorn"),
            ("python3.12 -X dev -m uvicorn --reload=1 app:app", "uvicorn"),
            ("/venv/bin/fastapi dev main.py", "uvicorn"),
            ("python manage.py runserver 8000", "Django"),
            ("./manage.py --settings=site.dev runserver", "Django"),
            ("django-admin runserver", "Django"),
            ("flask --app app run --reload", "werkzeug"),
            ("PORT=1 npx nodemon server.js", "nodemon"),
            ("tsc -b && cross-env A=b nodemon dist/server.js", "nodemon"),
            ("sh -ec 'nodemon server.js'", "nodemon"),
            ("node --inspect --watch-path=src server.js", "node --watch"),
            ("tsx watch server.ts", "tsx watch"),
            ("npx vite --port 3000", "vite"),
            ("next", "next"),
            ("pnpm exec next dev -p 3000", "next"),
            ("cargo watch -x run", "cargo watch"),
        ] {
            assert_eq!(name_of_line(line), name, "{line}");
        }
    }

    #[test]
    fn a_command_line_without_a_reloader_shows_none() {
        for line in [
            "uvicorn app:app --reload-dir src",
            "fastapi run main.py",
            "python manage.py runserver --noreload",
            "python manage.py help runserver",
            "python manage.py migrate",
            "python -c nodemon",
            "python app.py --reload",
            "flask run --debug",
            "node server.js --watch",
            "tsx server.ts watch",
            "vite build --watch",
            "vite preview",
            "next build",
            "next start",
            "echo nodemon",
            "./nodemon-like server.js",
            "cargo run -- watch",
            "npm run build",
        ] {
            assert_eq!(name_of_line(line), "", "{line}");
        }
        assert_eq!(InnerReloader::of_words(&["python", "-c", "x; nodemon y"]), None);
    }

    #[test]
    fn a_reloader_is_known_by_its_own_lines_only() {
        for (line, name) in [
            (" * Restarting with stat", "werkzeug"),
            ("INFO:werkzeug: * Restarting with watchdog (inotify)", "werkzeug"),
            ("INFO:     Started reloader process [29393] using StatReload", "uvicorn"),
            (
                "[2026-12-01 03:49:23 +0000] [30285] [WARNING] Reloader is on. Use in development only!",
                "gunicorn",
            ),
            ("Watching for file changes with StatReloader", "Django"),
            ("[nodemon] starting `node s.js`", "nodemon"),
            ("Restarting 's.js'", "node --watch"),
            ("3:48:30 AM [tsx] change in ./s.js Restarting...", "tsx watch"),
            ("  VITE v8.4.0  ready in 298 ms", "vite"),
            ("○ Compiling / ...", "next"),
        ] {
            assert_eq!(InnerReloader::of_output(line).map(|reloader| reloader.name), Some(name), "{line}");
        }
        for line in [
            "",
            "the line ' * Restarting with stat' means a reloader",
            " * Restarting with stat and luck",
            "hint:  * Restarting with stat",
            "Started reloader process",
            "Watching for file changes with care",
            "nodemon restarts the server",
            "Restarting 'worker 3'",
            "vite v8.4.0 building client environment for production...",
            "▲ Next.js 16.4.6 (Turbopack)",
        ] {
            assert_eq!(InnerReloader::of_output(line), None, "{line}");
        }
    }
}

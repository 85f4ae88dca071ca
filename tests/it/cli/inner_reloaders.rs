//! A reloader inside COMMAND is named, with what it does to responses and the change that turns it off. Programs
//! without one are not accused.

use std::os::unix::fs::PermissionsExt;

use crate::support::process::TestProcess;
use crate::support::sandbox::{Sandbox, at_once, example};

const NAMED: &str = "has its own reloader";

/// A sandbox in which programs of these names exist. Each ends at once.
fn sandbox_with(programs: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    for name in programs.split(' ') {
        let path = sandbox.write(format!("bin/{name}"), "#!/bin/sh\n");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    sandbox.write("fresh.py", "from site import app\napp.run(debug=True, reloader_type='stat')\n");
    sandbox.write("plain.py", "from site import app\napp.run(debug=True, use_reloader=False)\n");
    sandbox.write("asgi.py", "import uvicorn\nuvicorn.run('site:app', port=1, reload=True)\n");
    sandbox.write(
        "package.json",
        r#"{"scripts": {"dev": "next dev", "start": "next start", "watch": "NODE_ENV=a nodemon x.js"}}"#,
    );
    sandbox
}

/// What devrun says about a command that ends at once.
fn said_about(sandbox: &Sandbox, options: &[&str], line: &str) -> String {
    let mut devrun = sandbox.devrun();
    devrun.env("PATH", format!("{}:/usr/bin:/bin", sandbox.path("bin").display()));
    devrun.args(["--on-exit", "quit"]).args(options).arg("--").args(line.split(' '));
    String::from_utf8_lossy(&devrun.output().unwrap().stderr).into_owned()
}

#[test]
fn a_reloader_that_command_starts_is_named_at_the_start() {
    let sandbox = sandbox_with("uvicorn python manage.py nodemon node tsx next vite npm pnpm sh-like");
    let cases = [
        ("uvicorn app:app --reload", "uvicorn", "leave out --reload"),
        ("python -m uvicorn app:app --reload", "uvicorn", "leave out --reload"),
        ("python manage.py runserver", "Django", "add --noreload"),
        ("python fresh.py", "werkzeug", "use_reloader=False"),
        ("python asgi.py", "uvicorn", "reload=True"),
        ("nodemon server.js", "nodemon", "run node instead"),
        ("node --watch server.js", "node --watch", "leave out --watch"),
        ("tsx watch server.ts", "tsx watch", "leave out watch"),
        ("vite --port 3000", "vite", "server.watch"),
        ("next dev", "next", "next start"),
        ("npm run dev", "next", "next start"),
        ("pnpm watch", "nodemon", "run node instead"),
    ];
    at_once(cases, |(line, name, change)| {
        let said = said_about(&sandbox, &[], line);
        assert_eq!(said.matches(NAMED).count(), 1, "{line}: {said}");
        let at = said.find(&format!("{NAMED} ({name})")).unwrap_or_else(|| panic!("{line}: {said}"));
        assert!(at < said.find("started `").unwrap(), "{line}: {said}");
        assert!(said.contains(change), "{line}: {said}");
    });
    let said = said_about(&sandbox, &["--shell=sh"], "true; uvicorn app:app --reload");
    assert!(said.contains(&format!("{NAMED} (uvicorn)")), "{said}");
}

#[test]
fn a_command_without_a_reloader_is_not_accused() {
    let sandbox = sandbox_with("uvicorn python manage.py node tsx next vite npm yarn");
    let cases = [
        "uvicorn app:app",
        "uvicorn app:app --reload-dir src",
        "python manage.py runserver --noreload",
        "python plain.py",
        "python missing.py",
        "node server.js --watch",
        "tsx server.ts watch",
        "vite build",
        "vite build --watch",
        "vite preview",
        "next build",
        "next start",
        "npm start",
        "yarn install",
        "echo nodemon uvicorn --reload",
    ];
    at_once(cases, |line| {
        let said = said_about(&sandbox, &[], line);
        assert!(said.contains("started `") && !said.contains(NAMED), "{line}: {said}");
    });
}

/// The output of COMMAND shows a reloader, also if it comes in colour. The same words in other lines do not.
#[test]
fn a_reloader_that_announces_itself_is_named_once() {
    let cases = [
        (" * Restarting with stat", "werkzeug"),
        ("INFO:     Started reloader process [7] using WatchFiles", "uvicorn"),
        ("Watching for file changes with StatReloader", "Django"),
        ("\x1b[32m[nodemon] starting `node s.js`\x1b[39m", "nodemon"),
        ("\x1bc\x1b[32mRestarting 's.js'\x1b[39m", "node --watch"),
        ("3:48:30 AM [tsx] change in ./s.js Restarting...", "tsx watch"),
        ("  \x1b[32m\x1b[1mVITE\x1b[22m v8.4.0\x1b[39m  \x1b[2mready in 298 ms\x1b[22m", "vite"),
        ("○ Compiling / ...", "next"),
    ];
    at_once(cases, |(words, name)| {
        let sandbox = Sandbox::new();
        let mut devrun = sandbox.devrun();
        devrun.args(["--proxy", "127.0.0.1:0", "--"]).arg(example("child"));
        for other in [
            "see: * Restarting with stat",
            "Watching for file changes with care",
            "vite v8.4.0 building for production...",
            "▲ Next.js 16.4.6",
            "nodemon and uvicorn --reload are reloaders",
        ] {
            devrun.args(["print", other, "complain", other]);
        }
        devrun.args(["print", words, "complain", words, "print", "over", "serve"]);
        let mut running = TestProcess::start(&mut devrun);
        let line = running.wait_for_line(NAMED);
        running.wait_for_line("ready in");
        assert!(line.contains(&format!("({name})")), "{line}");
        assert_eq!(running.count(NAMED), 1, "{:?}", running.lines());
        running.stop();
    });
}

#[test]
fn json_names_the_effect_and_the_change() {
    let sandbox = sandbox_with("python");
    let said = said_about(&sandbox, &["--log-format", "json"], "python fresh.py");
    let line = said.lines().find(|line| line.contains("reloader-inside")).unwrap();
    let record: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!((&record["name"], &record["effect"]), (&"werkzeug".into(), &"cuts".into()));
    assert!(record["remedy"].as_str().unwrap().contains("use_reloader=False"));
}

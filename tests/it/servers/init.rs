//! New projects of each kind: `devrun init`, then a bare `devrun`, then an answer.

use std::process::Command;

use crate::servers::served::{compilers, node_modules};
use crate::support::http::{free_address, text};
use crate::support::process::TestProcess;
use crate::support::sandbox::{Sandbox, python, wait_until};

/// A command in the environment of a project: with the packages of `.ci` and the compilers.
fn in_environment(mut command: Command) -> Command {
    let python = python();
    let programs = python.parent().unwrap().display();
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{programs}:{path}")).envs(compilers());
    command
}

/// Runs `devrun init` and `check --strict`, which must find nothing.
fn init(sandbox: &Sandbox) {
    let needs_modules = sandbox.path("package.json").exists() && !sandbox.path("node_modules").exists();
    if let Some(modules) = node_modules().filter(|_| needs_modules) {
        std::os::unix::fs::symlink(modules, sandbox.path("node_modules")).unwrap();
    }
    for arguments in [&["init"][..], &["check", "--strict"]] {
        let output = in_environment(sandbox.devrun()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
}

/// Runs `devrun init` and a bare `devrun`. Returns when the answer contains `wanted`.
fn answers_after_init(sandbox: &Sandbox, wanted: &str) {
    init(sandbox);
    let address = free_address();
    let mut devrun = in_environment(sandbox.devrun());
    let mut running = TestProcess::start(devrun.env("DEVRUN_PROXY", address.to_string()));
    wait_until("the server answers", || {
        assert!(running.count("exited with") == 0, "{:#?}", running.lines());
        text(address, "/").is_some_and(|text| text.contains(wanted))
    });
    for wrong in ["warning", "error:", "Error"] {
        assert_eq!(running.count(wrong), 0, "{:#?}", running.lines());
    }
    running.stop();
}

#[test]
#[ignore = "needs Python with Flask"]
fn flask() {
    let sandbox = Sandbox::new();
    let app = "from flask import Flask\napp = Flask(__name__)\n@app.get('/')\ndef index(): return 'hello'\n";
    sandbox.write("app.py", app);
    answers_after_init(&sandbox, "hello");
}

#[test]
#[ignore = "needs Python with Flask"]
fn flask_with_a_factory_below_src() {
    let sandbox = Sandbox::new();
    let app = "from flask import Flask\ndef create_app():\n    app = Flask(__name__)\n    app.get('/')(lambda: 'hello')\n    return app\n";
    sandbox.write("src/shop/__init__.py", app);
    answers_after_init(&sandbox, "hello");
}

#[test]
#[ignore = "needs Python with FastAPI and uvicorn"]
fn fastapi_in_a_package_of_a_monorepo() {
    let sandbox = Sandbox::new();
    let app = "from fastapi import FastAPI\nfrom app.words import WORD\napp = FastAPI()\n@app.get('/')\ndef index(): return WORD\n";
    sandbox.write("backend/requirements.txt", "fastapi[standard]\n");
    sandbox.write("backend/app/main.py", app);
    sandbox.write("backend/app/words.py", "WORD = 'hello'\n");
    sandbox.write("frontend/package.json", r#"{"scripts":{"dev":"vite"}}"#);
    answers_after_init(&sandbox, "hello");
}

#[test]
#[ignore = "needs Python with Django"]
fn django() {
    let sandbox = Sandbox::new();
    let mut start = in_environment(sandbox.command(python()));
    assert!(start.args(["-m", "django", "startproject", "mysite", "."]).status().unwrap().success());
    answers_after_init(&sandbox, "The install worked successfully");
}

#[test]
#[ignore = "needs node with the packages of .ci/node"]
fn express() {
    let sandbox = Sandbox::new();
    let package =
        r#"{"scripts":{"dev":"nodemon server.js","start":"node server.js"},"dependencies":{"express":"5"}}"#;
    sandbox.write("package.json", package);
    let server = "const app = require('express')();\napp.get('/', (_, to) => to.send('hello'));\napp.listen(process.env.PORT || 3000);\n";
    sandbox.write("server.js", server);
    answers_after_init(&sandbox, "hello");
}

#[test]
#[ignore = "needs node with the packages of .ci/node"]
fn tsx() {
    let sandbox = Sandbox::new();
    sandbox.write("package.json", r#"{"scripts":{"dev":"tsx watch src/index.ts"}}"#);
    let server = "import { createServer } from 'node:http';\nconst word: string = 'hello';\ncreateServer((_, to) => to.end(word)).listen(process.env.PORT);\n";
    sandbox.write("src/index.ts", server);
    answers_after_init(&sandbox, "hello");
}

#[test]
#[ignore = "needs node with the packages of .ci/node"]
fn vite() {
    let sandbox = Sandbox::new();
    sandbox.write("package.json", r#"{"type":"module","scripts":{"dev":"vite"}}"#);
    sandbox.write("index.html", "<p>hello</p>");
    answers_after_init(&sandbox, "hello");
}

#[test]
fn a_cargo_workspace() {
    let sandbox = Sandbox::new();
    sandbox.write("Cargo.toml", "[workspace]\nmembers = [\"api\", \"model\"]\nresolver = \"3\"\n");
    for name in ["api", "model"] {
        let package = format!("[package]\nname = \"init-{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
        sandbox.write(format!("{name}/Cargo.toml"), package);
    }
    sandbox.write("model/src/lib.rs", "");
    let server = r#"
        use std::io::{Read, Write};
        fn main() {
            let address = format!("127.0.0.1:{}", std::env::var("PORT").unwrap());
            for stream in std::net::TcpListener::bind(address).unwrap().incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
            }
        }"#;
    sandbox.write("api/src/main.rs", server);
    answers_after_init(&sandbox, "hello");
}

#[test]
#[ignore = "needs Go"]
fn go_with_a_command() {
    let sandbox = Sandbox::new();
    sandbox.write("go.mod", "module example.com/shop\n\ngo 1.19\n");
    let server = r#"package main

import (
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("/", func(to http.ResponseWriter, _ *http.Request) { to.Write([]byte("hello")) })
	http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil)
}
"#;
    sandbox.write("cmd/api/main.go", server);
    answers_after_init(&sandbox, "hello");
}

#[test]
#[ignore = "needs node with the packages of .ci/node"]
fn next() {
    let sandbox = Sandbox::new();
    let package = r#"{"scripts":{"dev":"next dev","start":"next start"},"dependencies":{"next":"*"}}"#;
    sandbox.write("package.json", package);
    // `node_modules` is a link to packages outside of the project.
    sandbox.write("next.config.mjs", "export default { turbopack: { root: '/' } };\n");
    let layout =
        "export default function Layout({ children }) { return <html><body>{children}</body></html>; }\n";
    sandbox.write("app/layout.jsx", layout);
    sandbox.write("app/page.jsx", "export default function Page() { return <p>hello</p>; }\n");
    answers_after_init(&sandbox, "hello");
}

#[test]
#[ignore = "needs node and npm"]
fn a_server_in_npm_workspaces() {
    let sandbox = Sandbox::new();
    sandbox.write("package.json", r#"{"private":true,"workspaces":["packages/*"]}"#);
    sandbox.write("packages/words/package.json", r#"{"name":"words","main":"index.js"}"#);
    sandbox.write("packages/words/index.js", "module.exports = 'hello';\n");
    let api = r#"{"name":"api","scripts":{"start":"node server.js"},"dependencies":{"words":"*"}}"#;
    sandbox.write("packages/api/package.json", api);
    let server = "const word = require('words');\nrequire('node:http').createServer((_, to) => to.end(word)).listen(process.env.PORT);\n";
    sandbox.write("packages/api/server.js", server);
    let mut npm = in_environment(sandbox.command("npm"));
    assert!(npm.args(["install", "--offline", "--silent"]).status().unwrap().success());
    answers_after_init(&sandbox, "hello");
    let config = std::fs::read_to_string(sandbox.path("devrun.toml")).unwrap();
    assert!(config.contains(r#"workdir = "packages/api""#), "{config}");
}

#[test]
#[ignore = "needs Python with celery"]
fn celery() {
    let sandbox = Sandbox::new();
    let app = "from celery import Celery\n\nfolders = {'data_folder_in': 'data/queue', 'data_folder_out': 'data/queue', 'control_folder': 'data/control'}\napp = Celery('jobs', broker='filesystem://', broker_transport_options=folders)\n\n\n@app.task\ndef write(word):\n    open('data/result', 'w').write(word)\n";
    sandbox.write("jobs.py", app);
    sandbox.write("requirements.txt", "celery\n");
    sandbox.write("data/queue/.keep", "");
    sandbox.write("data/control/.keep", "");
    init(&sandbox);
    let mut running = TestProcess::start(&mut in_environment(sandbox.devrun()));
    running.wait_for_line("ready.");
    let mut send = in_environment(sandbox.command(python()));
    assert!(send.args(["-c", "import jobs; jobs.write.delay('hello')"]).status().unwrap().success());
    wait_until("the task is executed", || {
        std::fs::read_to_string(sandbox.path("data/result")).is_ok_and(|text| text == "hello")
    });
    // Neither the message nor the result restarted the worker.
    assert_eq!(running.count("devrun: started"), 1, "{:#?}", running.lines());
    assert_eq!(running.count("changed"), 0, "{:#?}", running.lines());
    running.stop();
}

/// The files of `rails new` with a JavaScript bundler, and a substitute for Rails.
#[test]
#[ignore = "needs Python"]
fn rails_with_bin_dev_and_procfile_dev() {
    let sandbox = Sandbox::new();
    sandbox.write("Gemfile", "source \"https://rubygems.org\"\ngem \"rails\"\n");
    sandbox.write("config/application.rb", "require \"rails/all\"\n");
    sandbox.write("app/models/book.rb", "");
    sandbox.write("Procfile.dev", "web: bin/rails server\njs: yarn build --watch\n");
    sandbox.write("bin/dev", "#!/bin/sh\nexec foreman start -f Procfile.dev\n");
    let rails = format!(
        "#!{}\nimport http.server, sys\nhttp.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[-1]), bind='127.0.0.1')\n",
        python().display()
    );
    sandbox.write("bin/rails", rails);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(sandbox.path("bin/rails"), mode).unwrap();
    answers_after_init(&sandbox, "Procfile.dev");
    // Rails itself reloads app/.
    let listed = sandbox.devrun().args(["list", "--flat"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("config/application.rb") && !listed.contains("book.rb"), "{listed}");
}

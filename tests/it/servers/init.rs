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

/// Runs `devrun init` and a bare `devrun`. Returns when the answer contains `wanted`.
fn answers_after_init(sandbox: &Sandbox, wanted: &str) {
    if let Some(modules) = node_modules().filter(|_| sandbox.path("package.json").exists()) {
        std::os::unix::fs::symlink(modules, sandbox.path("node_modules")).unwrap();
    }
    for arguments in [&["init"][..], &["check", "--strict"]] {
        let output = in_environment(sandbox.devrun()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
    let address = free_address();
    let mut devrun = in_environment(sandbox.devrun());
    let mut running = TestProcess::start(devrun.env("DEVRUN_PROXY", address.to_string()));
    wait_until("the server answers", || {
        assert!(running.count("exited with") == 0, "{:#?}", running.lines());
        text(address, "/").is_some_and(|text| text.contains(wanted))
    });
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

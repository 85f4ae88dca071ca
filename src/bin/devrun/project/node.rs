//! Projects of Node.js: a script of package.json, or a file that listens.

use serde_json::Value;

use super::files::ProjectFiles;
use super::recognise::Project;

const GENERATED: &[&str] = &["node_modules/", "dist/", "coverage/", ".cache/"];
/// The lock file of each package manager, and how it runs a script, hands on options to it, and runs a tool.
const MANAGERS: &[(&str, &str, &str, &str)] = &[
    ("pnpm-lock.yaml", "pnpm run", "", "pnpm exec"),
    ("yarn.lock", "yarn run", "", "yarn run"),
    ("bun.lock bun.lockb", "bun run", "", "bunx"),
    ("", "npm run", "-- ", "npx"),
];

/// A tool that reloads edits itself.
struct Tool {
    name: &'static str,
    /// The beginning of its command line.
    words: &'static str,
    /// The options that set its port.
    options: &'static str,
    port: u16,
}

const PORT: &str = "--port {port}";

#[rustfmt::skip]
const TOOLS: &[Tool] = &[
    Tool { name: "Next.js", words: "next dev", options: PORT, port: 3000 },
    Tool { name: "Nuxt", words: "nuxt dev", options: PORT, port: 3000 },
    Tool { name: "Nuxt", words: "nuxi dev", options: PORT, port: 3000 },
    Tool { name: "Astro", words: "astro dev", options: PORT, port: 4321 },
    Tool { name: "Remix", words: "remix vite:dev", options: PORT, port: 5173 },
    Tool { name: "Remix", words: "remix dev", options: PORT, port: 3000 },
    Tool { name: "React Router", words: "react-router dev", options: PORT, port: 5173 },
    Tool { name: "SvelteKit", words: "svelte-kit dev", options: PORT, port: 5173 },
    Tool { name: "Vite", words: "vite dev", options: "--port {port} --strictPort", port: 5173 },
    Tool { name: "Vite", words: "vite serve", options: "--port {port} --strictPort", port: 5173 },
    Tool { name: "Vite", words: "vite", options: "--port {port} --strictPort", port: 5173 },
    Tool { name: "Angular", words: "ng serve", options: PORT, port: 4200 },
    Tool { name: "Create React App", words: "react-scripts start", options: "", port: 3000 },
    Tool { name: "webpack", words: "webpack serve", options: PORT, port: 8080 },
    Tool { name: "Turborepo", words: "turbo", options: "", port: 0 },
    Tool { name: "Nx", words: "nx", options: "", port: 0 },
];
/// What such a tool does not load again itself.
const CONFIGURATION: &str = "package.json package-lock.json pnpm-lock.yaml yarn.lock bun.lock bun.lockb tsconfig.json \
    next.config.js next.config.mjs next.config.ts vite.config.js vite.config.mjs vite.config.ts nuxt.config.ts \
    astro.config.mjs astro.config.ts svelte.config.js react-router.config.ts angular.json webpack.config.js turbo.json \
    nx.json .env .env.local";
/// Reloaders that can be left out, and the program that runs the same file without them.
const RELOADERS: &[(&str, &str)] = &[
    ("nodemon", "node"),
    ("node --watch", "node"),
    ("tsx watch", "EXEC tsx"),
    ("ts-node-dev", "EXEC ts-node"),
];
/// What a script that runs the scripts of other packages contains.
const DELEGATIONS: &[&str] =
    &["--filter", " -F ", "--workspace", " -w ", "--recursive", " -r ", "--prefix", "cd "];
/// Dependencies that name the kind of a server.
const SERVERS: &[(&str, &str)] = &[
    ("express", "Express"),
    ("fastify", "Fastify"),
    ("@nestjs/core", "NestJS"),
    ("koa", "Koa"),
    ("hono", "Hono"),
];

pub(super) fn recognise(files: &ProjectFiles<'_>) -> Option<Project> {
    let package: Value = files
        .has("package.json")
        .then(|| serde_json::from_str(&files.text("package.json")).unwrap_or_default())?;
    let manager =
        MANAGERS.iter().find(|(locks, ..)| locks.is_empty() || files.first_above(locks).is_some())?;
    let script = ["dev", "start"].iter().find_map(|name| Some((*name, package["scripts"][name].as_str()?)));
    let depends =
        |name: &str| ["dependencies", "devDependencies"].iter().any(|list| package[list][name].is_string());
    let server = SERVERS.iter().find(|(dependency, _)| depends(dependency)).map_or("Node", |(_, name)| name);
    let main = package["main"]
        .as_str()
        .into_iter()
        .chain("server.js index.js app.js src/index.js server.mjs".split(' '));
    let main = main.map(ToOwned::to_owned).find(|file| files.text(file).contains("listen("));
    let mut project = Project::new(server, GENERATED, main.as_deref().or(Some("package.json")));
    match (script, main) {
        (Some((name, line)), _) => run_script(&mut project, files, manager, (name, line)),
        (None, Some(main)) => project.command = format!("node {main}"),
        (None, None) => project.missing = Some("package.json has neither a script `dev` nor `start`".into()),
    }
    // The file that the command or its script names.
    let line = format!("{} {}", project.command, script.map_or("", |(_, line)| line));
    let entry = line.split(' ').find(|word| word.contains('.') && files.has_file(word));
    if let Some(entry) = entry.filter(|_| !project.reloads_itself) {
        project.source = Some(entry.to_owned());
        project.port = files.reads_port(entry).then_some(3000);
    }
    Some(project)
}

fn run_script(
    project: &mut Project,
    files: &ProjectFiles<'_>,
    (_, run, dashes, exec): &(&str, &str, &str, &str),
    (script, line): (&str, &str),
) {
    if DELEGATIONS.iter().any(|option| line.contains(option)) {
        project.missing = Some(format!("the script `{script}` runs scripts of other packages"));
        return;
    }
    project.command = format!("{run} {script}");
    let commands: Vec<&str> = line.split(['&', '|', ';', '"', '\'']).map(without_wrappers).collect();
    let tool = TOOLS.iter().find(|tool| commands.iter().any(|command| tool.starts(command)));
    if let Some(tool) = tool {
        project.kind = Some(tool.name);
        project.source = Some("package.json".into());
        project.takes_turns = true;
        project.paths =
            CONFIGURATION.split_whitespace().filter(|file| files.has(file)).map(Into::into).collect();
        project.reloads_itself = true;
        let name = tool.name;
        project.notes.push(format!(
            "{name} reloads edits itself: devrun restarts it only when its configuration changes. \
             devrun is for your API; for {name} alone you do not need it"
        ));
        let has_port = ["port", " -p", "$"].iter().any(|word| line.contains(word));
        if commands.len() == 1 && !tool.options.is_empty() && !has_port {
            project.command = format!("{run} {script} {dashes}{}", tool.options);
            project.port = Some(tool.port);
        }
        return;
    }
    for (reloader, program) in RELOADERS.iter().filter(|_| commands.len() == 1) {
        let rest = line.trim_start_matches("npx ").strip_prefix(reloader).map(str::trim_start);
        if let Some(rest) = rest.filter(|rest| files.has_file(rest.split(' ').next().unwrap_or(rest))) {
            project.command = format!("{} {rest}", program.replace("EXEC", exec));
            let note =
                format!("the script `{script}` has its own reloader; devrun runs the same file without it");
            project.notes.push(note);
        }
    }
}

impl Tool {
    /// Whether a command line runs the tool. `vite` alone has no subcommand, and `vite build` is none of these tools.
    fn starts(&self, command: &str) -> bool {
        let rest = command.strip_prefix(self.words);
        rest.is_some_and(|rest| {
            rest.is_empty() || rest.starts_with(" -") || self.port == 0 && rest.starts_with(' ')
        })
    }
}

/// A command without variables and wrappers before it.
fn without_wrappers(command: &str) -> &str {
    let mut rest = command.trim();
    while let Some((_, after)) = rest.split_once(' ').filter(|(word, _)| {
        word.contains('=') || ["npx", "bunx", "bun", "--bun", "cross-env", "dotenv", "--"].contains(word)
    }) {
        rest = after.trim_start();
    }
    rest
}

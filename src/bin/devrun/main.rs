//! The program `devrun`: reads the command line and the settings, and runs the command. Uses the library's public
//! API only.

mod cli;
mod commands;
mod config;
mod doctor;
mod generate;
mod project;
mod report;
mod run;
mod system;
mod ui;

use std::ffi::OsString;

use devrun::supervise::OrphanKiller;

use crate::cli::args::{Layer, Source};
use crate::cli::commands::{CommandArgs, Verb};
use crate::commands::{check, explain, init, list};
use crate::config::settings::Settings;
use crate::config::validate::Origin;
use crate::ui::error::{CliError, ExitCode};
use crate::ui::terminal::Terminal;

fn main() -> std::process::ExitCode {
    OrphanKiller::run_if_asked();
    let words: Vec<OsString> = std::env::args_os().collect();
    let mut terminal = Terminal::new(anstream::ColorChoice::Auto);
    let result = program(&words, &mut terminal);
    let flushed = terminal.flush();
    let code = match result.and_then(|code| flushed.map(|()| code)) {
        Ok(code) => code,
        Err(failure) => {
            terminal.print_error(&failure);
            failure.exit_code()
        }
    };
    terminal.drain();
    if let ExitCode::Signal(signal) = code {
        run::signals::die_by(signal);
    }
    code.number().into()
}

fn program(words: &[OsString], terminal: &mut Terminal) -> Result<ExitCode, CliError> {
    let typed = match cli::parse::parse(words)? {
        cli::parse::Typed::Asked(help) => return terminal.print(help.ansi()).map(|()| ExitCode::Success),
        cli::parse::Typed::Args(args) => *args,
    };
    dispatch(typed, terminal)
}

fn dispatch(typed: CommandArgs, terminal: &mut Terminal) -> Result<ExitCode, CliError> {
    let Some(verb) = typed.subcommand else {
        let cli::args::RunGroups { source, watch, run, server, output } = typed.run.groups;
        let layer = Layer { run, server, ..layer_of(watch, output) };
        let settings = settle(source, layer, typed.run.command, terminal)?;
        return run::run(settings, terminal);
    };
    match verb {
        Verb::Check(args) => {
            let layer = Layer { check: args.check, ..layer_of(args.watch, args.output) };
            check::run(settle(args.source, layer, Vec::new(), terminal)?, args.format, terminal)
        }
        Verb::Explain(args) => {
            let layer = layer_of(args.watch, args.output);
            let input = match (args.stdin, args.null) {
                (false, _) => explain::PathInput::None,
                (true, false) => explain::PathInput::Lines,
                (true, true) => explain::PathInput::NulTerminated,
            };
            let settings = settle(args.source, layer, Vec::new(), terminal)?;
            explain::run(settings, &args.asked, input, args.format, terminal)
        }
        Verb::List(args) => {
            let layer = layer_of(args.watch, args.output);
            let show = match args.hot {
                Some(time) => list::Show::Hot(time),
                None if args.ignored => list::Show::Ignored,
                None if args.null => list::Show::NulTerminatedFiles,
                None if args.flat => list::Show::Files,
                None => list::Show::Tree,
            };
            list::run(settle(args.source, layer, Vec::new(), terminal)?, show, args.format, terminal)
        }
        Verb::Init(args) => {
            terminal.set_color(config::resolve::color_of(&args.output));
            init::run(&current_directory()?, args.dry_run, terminal)
        }
        Verb::Doctor(args) => {
            let layer = Layer { server: args.server, ..layer_of(args.watch, args.output) };
            terminal.set_color(config::resolve::color_of(&layer.output));
            let event_tests = if args.probe_roots {
                doctor::EventTests::TemporaryDirectoryAndRoots
            } else {
                doctor::EventTests::TemporaryDirectory
            };
            let settings = settle(args.source, layer, Vec::new(), terminal);
            doctor::run(settings, event_tests, args.format, terminal)
        }
        Verb::Completions(args) => generate::completions::write(args.shell, terminal),
        Verb::Reference(args) => {
            let page = match args.page {
                cli::choices::ReferencePage::Cli => generate::reference::command_line(),
                cli::choices::ReferencePage::Configuration => generate::reference::configuration(),
                cli::choices::ReferencePage::Schema => generate::schema::schema(),
            };
            terminal.print(page).map(|()| ExitCode::Success)
        }
        Verb::Man(args) => generate::man::write(args.page.as_deref(), args.dir.as_deref(), terminal),
    }
}

fn layer_of(watch: cli::args::Watch, output: cli::args::Output) -> Layer {
    Layer { watch, output, ..Layer::default() }
}

/// Everything that is asked for, and a terminal with the colour that is asked for.
fn settle(
    source: Source,
    typed: Layer,
    command: Vec<OsString>,
    terminal: &mut Terminal,
) -> Result<Settings, CliError> {
    terminal.set_color(config::resolve::color_of(&typed.output));
    let environment = config::environment::read(std::env::vars_os())?;
    let said = config::merge::over(typed.clone(), environment.layer.clone()).output;
    terminal.set_color(config::resolve::color_of(&said));
    for (message, remedy) in &environment.doubts {
        terminal.warn(message, remedy);
    }
    let directory = current_directory()?;
    let settings = Settings::new(Origin { directory, typed, command, source, environment })?;
    terminal.set_color(settings.output.color);
    report::log::configure(settings.output)?;
    Ok(settings)
}

fn current_directory() -> Result<std::path::PathBuf, CliError> {
    std::env::current_dir().map_err(|error| {
        CliError::failed_to("find the working directory", &error)
            .with_remedy("it was removed; cd into one that exists")
    })
}

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

use crate::cli::args::{ConfigSource, Options, OutputOptions, WatchOptions};
use crate::cli::commands::{Cli, ReferencePage, RunArgs, Subcommand};
use crate::cli::parse::Parsed;
use crate::commands::{check, explain, init, list};
use crate::config::{Settings, SettingsInput, current_directory, environment, merge};
use crate::ui::{CliError, ExitCode, Terminal};

fn main() -> std::process::ExitCode {
    OrphanKiller::run_if_asked();
    devrun::supervise::terminal::unblock_signals();
    let words: Vec<OsString> = std::env::args_os().collect();
    let mut terminal = Terminal::new(anstream::ColorChoice::Auto);
    let result = program(&words, &mut terminal);
    let flushed = terminal.flush();
    let code = match result.and_then(|code| flushed.map(|()| code)) {
        Ok(code) => code,
        Err(failure) => {
            terminal.print_error(&failure);
            failure.exit_code
        }
    };
    terminal.drain();
    if let ExitCode::Signal(signal) = code {
        devrun::supervise::terminal::die_by(signal);
    }
    code.number().into()
}

fn program(words: &[OsString], terminal: &mut Terminal) -> Result<ExitCode, CliError> {
    match cli::parse::parse(words)? {
        Parsed::Help(text) => terminal.print(text.ansi()).map(|()| ExitCode::Success),
        Parsed::Arguments(arguments) => dispatch(*arguments, terminal),
    }
}

fn dispatch(arguments: Cli, terminal: &mut Terminal) -> Result<ExitCode, CliError> {
    let Some(subcommand) = arguments.subcommand else {
        let RunArgs { source, watch, run, server, output, command } = arguments.run;
        let options = Options { run, server, ..shared(watch, output) };
        let settings = settings(source, options, command, terminal)?;
        return run::run(settings, terminal);
    };
    match subcommand {
        Subcommand::Check(args) => {
            let options = Options { check: args.check, ..shared(args.watch, args.output) };
            check::run(settings(args.source, options, Vec::new(), terminal)?, args.format, terminal)
        }
        Subcommand::Explain(args) => {
            let options = shared(args.watch, args.output);
            let stdin_terminator = args.stdin.then_some(if args.null { 0 } else { b'\n' });
            let settings = settings(args.source, options, Vec::new(), terminal)?;
            explain::run(settings, &args.asked, stdin_terminator, args.format, terminal)
        }
        Subcommand::List(args) => {
            let options = shared(args.watch, args.output);
            let show = match args.hot {
                Some(time) => list::Show::Hot(time),
                None if args.ignored => list::Show::Ignored,
                None if args.null => list::Show::NulTerminated,
                None if args.flat => list::Show::Lines,
                None => list::Show::Tree,
            };
            list::run(settings(args.source, options, Vec::new(), terminal)?, show, args.format, terminal)
        }
        Subcommand::Init(args) => {
            terminal.set_color(args.output.color.unwrap_or_default());
            init::run(&current_directory()?, args.dry_run, terminal)
        }
        Subcommand::Doctor(args) => {
            let options = Options { server: args.server, ..shared(args.watch, args.output) };
            terminal.set_color(options.output.color.unwrap_or_default());
            let event_tests = if args.probe_roots {
                doctor::EventTests::TemporaryDirectoryAndRoots
            } else {
                doctor::EventTests::TemporaryDirectory
            };
            let settings = settings(args.source, options, Vec::new(), terminal);
            doctor::run(settings, event_tests, args.format, terminal)
        }
        Subcommand::Completions(args) => generate::completions::write(args.shell, terminal),
        Subcommand::Reference(args) => {
            let page = match args.page {
                ReferencePage::Cli => generate::reference::command_line(),
                ReferencePage::Configuration => generate::reference::configuration(),
                ReferencePage::Schema => generate::schema::schema(),
            };
            terminal.print(page).map(|()| ExitCode::Success)
        }
        Subcommand::Man(args) => generate::man::write(args.page.as_deref(), args.dir.as_deref(), terminal),
    }
}

/// The groups that every subcommand with settings has.
fn shared(watch: WatchOptions, output: OutputOptions) -> Options {
    Options { watch, output, ..Options::default() }
}

/// Resolves the settings, and configures the terminal and the log by them.
fn settings(
    source: ConfigSource,
    options: Options,
    command: Vec<OsString>,
    terminal: &mut Terminal,
) -> Result<Settings, CliError> {
    // An error in a later source is printed in the colour that the earlier sources chose.
    terminal.set_color(options.output.color.unwrap_or_default());
    let environment = environment::read(std::env::vars_os())?;
    let output = merge::over(options.clone(), environment.options.clone()).output;
    terminal.set_color(output.color.unwrap_or_default());
    for (message, remedy) in &environment.warnings {
        terminal.warn(message, remedy);
    }
    let directory = current_directory()?;
    let settings = Settings::new(SettingsInput { directory, options, command, source, environment })?;
    terminal.set_color(settings.output.color);
    report::log::configure(settings.output)?;
    Ok(settings)
}

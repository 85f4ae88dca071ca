//! The program `devrun`: reads the command line and the settings, and runs the command. Uses the library's public
//! API only.

mod cli;
mod commands;
mod completions;
mod config;
mod control;
mod doctor;
mod generate;
mod inner_reloader;
mod project;
mod report;
mod run;
mod system;
mod ui;

use std::ffi::OsString;

use devrun::supervise::OrphanKiller;

use crate::cli::args::Options;
use crate::cli::commands::{Cli, ReferencePage, Subcommand};
use crate::cli::parse::Parsed;
use crate::commands::{check, explain, init, list};
use crate::config::{Settings, SettingsInput, current_directory, environment};
use crate::ui::{CliError, ExitCode, Terminal};

fn main() -> std::process::ExitCode {
    OrphanKiller::run_if_asked();
    devrun::supervise::remember_inherited_children();
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
    let Cli { subcommand, source, watch, run, server, output, command } = arguments;
    let Some(subcommand) = subcommand else {
        let options = Options { source, watch, run, server, output, ..Options::default() };
        let settings = settings(options, command, terminal)?;
        return run::run(settings, terminal);
    };
    match subcommand {
        Subcommand::Check { check, format, groups } => {
            let options = Options { check, ..groups.into() };
            let settings = settings(options, Vec::new(), terminal)?;
            check::run(settings, format.unwrap_or_default(), terminal)
        }
        Subcommand::Explain { asked, stdin, null, format, groups } => {
            let settings = settings(groups.into(), Vec::new(), terminal)?;
            let stdin_terminator = stdin.then_some(if null { 0 } else { b'\n' });
            explain::run(settings, &asked, stdin_terminator, format.unwrap_or_default(), terminal)
        }
        Subcommand::List { flat, null, ignored, hot, format, groups } => {
            let show = match hot {
                Some(time) => list::Show::Hot(time),
                None if ignored => list::Show::Ignored,
                None if null => list::Show::NulTerminated,
                None if flat => list::Show::Lines,
                None => list::Show::Tree,
            };
            let settings = settings(groups.into(), Vec::new(), terminal)?;
            list::run(settings, show, format.unwrap_or_default(), terminal)
        }
        Subcommand::Init { dry_run, output } => {
            terminal.set_color(output.color.unwrap_or_default());
            init::run(&current_directory()?, dry_run, terminal)
        }
        Subcommand::Doctor { format, probe_roots, source, watch, server, output } => {
            let event_tests = if probe_roots {
                doctor::EventTests::TemporaryDirectoryAndRoots
            } else {
                doctor::EventTests::TemporaryDirectory
            };
            let options = Options { source, watch, server, output, ..Options::default() };
            let settings = settings(options, Vec::new(), terminal);
            doctor::run(settings, event_tests, format.unwrap_or_default(), terminal)
        }
        Subcommand::Control(command) => control::run(command, terminal),
        Subcommand::Completions { shell } => completions::run(shell, terminal),
        Subcommand::Profiles { words } => completions::profiles(&words, terminal),
        Subcommand::Man { page, dir } => generate::man(page.as_deref(), dir.as_deref(), terminal),
        Subcommand::Reference { page } => {
            let page = match page {
                ReferencePage::Cli => generate::command_line(),
                ReferencePage::Configuration => generate::configuration(),
                ReferencePage::Schema => generate::schema(),
            };
            terminal.print(page).map(|()| ExitCode::Success)
        }
    }
}

/// Resolves the settings, and configures the terminal and the log by them.
fn settings(options: Options, command: Vec<OsString>, terminal: &mut Terminal) -> Result<Settings, CliError> {
    // An error in a later source is printed in the colour that the earlier sources chose.
    terminal.set_color(options.output.color.unwrap_or_default());
    let (environment, warnings) = environment::read(std::env::vars_os())?;
    terminal.set_color(options.output.color.or(environment.output.color).unwrap_or_default());
    for (message, remedy) in &warnings {
        terminal.warn(message, remedy);
    }
    let directory = current_directory()?;
    let settings = Settings::new(SettingsInput { directory, options, command, environment })?;
    terminal.set_color(settings.output.color);
    report::log::configure(settings.output)?;
    Ok(settings)
}

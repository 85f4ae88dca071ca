//! How messages name COMMAND.

use devrun::Command;
use devrun::supervise::Shell;

use crate::ui::cut_middle;

/// Maximum number of columns of a name.
const MAX_NAME: usize = 40;

/// The words that messages use for COMMAND.
#[derive(Debug, Default)]
pub(super) struct CommandName {
    line: String,
    name: String,
}

impl CommandName {
    pub(super) fn new(command: &Command) -> Self {
        let words = std::iter::once(&command.program).chain(&command.args);
        let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        let line = words.join(" ");
        let name = match words.split_first() {
            Some((program, args)) if command.shell == Shell::None => {
                let program = program.rsplit('/').next().unwrap_or(program);
                let args = args.iter().map(AsRef::as_ref).take_while(|arg| !arg.starts_with('-'));
                std::iter::once(program).chain(args).collect::<Vec<_>>().join(" ")
            }
            _ => line.clone(),
        };
        Self { line, name: format!("`{}`", cut_middle(&name, MAX_NAME)) }
    }

    /// The whole command line.
    pub(super) fn line(&self) -> &str {
        &self.line
    }

    /// In backticks, the program without its directory and the words up to the first option: `cargo test`. A line for a
    /// shell is its own name.
    pub(super) fn short(&self) -> &str {
        &self.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_program_with_its_words_up_to_the_first_option() {
        let cases = [
            ("cargo test --all", "`cargo test`"),
            ("/usr/bin/python3 app.py", "`python3 app.py`"),
            ("sh -c exit", "`sh`"),
            (
                "echo a/very/long/path/to/a/program/that/no/line/holds",
                "`echo a/very/long/pat…/that/no/line/holds`",
            ),
        ];
        for (line, name) in cases {
            let mut words = line.split(' ');
            let command = Command::new(words.next().unwrap()).args(words);
            assert_eq!(CommandName::new(&command).short(), name);
        }
        let mut line = Command::new("cd /srv && npm start --now");
        line.shell = Shell::Program("sh".into());
        assert_eq!(CommandName::new(&line).short(), "`cd /srv && npm start --now`");
    }
}

//! The options that accept one of a few words.

use clap::ValueEnum;

/// Declares the words that an option takes.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
        pub(crate) enum $name { $($(#[$variant_doc])* $variant),+ }
    };
}

words! {
    /// How devrun finds changes.
    Mode { Auto, Event, Stat }
}
words! {
    /// How devrun decides that a file has changed.
    Compare { Content, Stat }
}
words! {
    /// What a change does while COMMAND runs.
    OnBusy { Restart, Queue, Signal, Ignore }
}
words! {
    /// What happens after COMMAND exits.
    OnExit { Wait, Restart, Quit }
}
words! {
    /// What happens in a restart loop.
    OnLoop { Warn, Restart }
}
words! {
    /// The standard input of COMMAND.
    Stdin { Pipe, Null, Inherit }
}
words! {
    /// How COMMAND finds the sockets that it inherits.
    PassSocket { Systemd, Werkzeug }
}
words! {
    /// When the output has colour.
    Color { Auto, Always, Never }
}
words! {
    /// The format of the messages of a run.
    LogFormat { Human, Json }
}
words! {
    /// The output format of a subcommand.
    Format { Human, Json }
}
words! {
    /// The output format of `check`.
    CheckFormat { Human, Json, Github, Sarif }
}
words! {
    /// The generated pages of the reference.
    ReferencePage { Cli, Configuration, Schema }
}

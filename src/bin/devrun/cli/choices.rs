//! The words that options take.

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
    /// How changes are found.
    Mode { Auto, Event, Stat }
}
words! {
    /// What proves a change.
    Compare { Content, Stat }
}
words! {
    /// A change while COMMAND runs.
    OnBusy { Restart, Queue, Signal, Ignore }
}
words! {
    /// COMMAND has ended by itself.
    OnExit { Wait, Restart, Quit }
}
words! {
    /// A file restarts COMMAND after each start.
    OnLoop { Warn, Restart }
}
words! {
    /// What COMMAND reads.
    Stdin { Pipe, Null, Inherit }
}
words! {
    /// How sockets are handed over.
    PassSocket { Systemd, Werkzeug }
}
words! {
    /// When there is colour.
    Color { Auto, Always, Never }
}
words! {
    /// How a run speaks.
    LogFormat { Human, Json }
}
words! {
    /// How a subcommand answers.
    Format { Human, Json }
}
words! {
    /// How `check` answers.
    CheckFormat { Human, Json, Github, Sarif }
}
words! {
    /// The pages that are generated.
    ReferencePage { Cli, Configuration, Schema }
}

//! A finding: plain data.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use crate::Remedy;
use crate::rules::rule_file::{Line, RuleFile};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Probably not what was meant.
    Warning,
    /// Certainly wrong.
    Error,
}

impl Severity {
    /// `note`, `warning` or `error`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

macro_rules! finding_ids {
    ($($(#[doc = $doc:literal])+ $name:ident = $id:literal, $severity:ident;)+) => {
        /// The kind of a finding. Its name (`as_str`) is stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum FindingId {
            $($(#[doc = $doc])+ $name,)+
        }

        impl FindingId {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The stable name.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $id,)+
                }
            }

            /// What it means, in a sentence or two.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim_ascii(),)+
                }
            }

            /// How bad a finding of this kind is at most.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self {
                    $(Self::$name => Severity::$severity,)+
                }
            }
        }
    };
}

finding_ids! {
    /// The pattern can never match anything.
    InvalidPattern = "invalid-pattern", Error;
    /// The rule file cannot be read, so that none of its rules counts.
    UnreadableFile = "unreadable-file", Error;
    /// The `!` has no effect: a directory above what it names is excluded, and git never looks into that.
    UnreachableNegation = "unreachable-negation", Error;
    /// The same rule stands in the file twice.
    DuplicateRule = "duplicate-rule", Warning;
    /// The rule never decides: other rules decide for everything it matches.
    ShadowedRule = "shadowed-rule", Warning;
    /// Braces are no alternatives: git takes them literally.
    LiteralBrace = "literal-brace", Warning;
    /// Blanks at the end of the line: git drops spaces, and takes any other blank as a part of the name.
    TrailingSpace = "trailing-space", Warning;
    /// There are no comments behind a pattern: git takes them as a part of the name.
    InlineComment = "inline-comment", Warning;
    /// Blanks at the start of the line are a part of the name.
    LeadingSpace = "leading-space", Warning;
    /// A backslash protects the next character; between directories stands `/`.
    BackslashPath = "backslash-path", Warning;
    /// The line is not UTF-8: it matches only names in the same encoding, byte for byte.
    NotUtf8 = "not-utf8", Error;
    /// Nothing in the tree matches the rule.
    MatchesNothing = "matches-nothing", Warning;
    /// The rule hides files that are under version control.
    HidesTrackedFile = "hides-tracked-file", Warning;
    /// A path that must be ignored is watched, or the other way round.
    ExpectationFailed = "expectation-failed", Error;
    /// A `.watchdogignore` that nothing reads.
    DeadWatchdogignore = "dead-watchdogignore", Warning;
}

impl fmt::Display for FindingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A part of a line in a rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Location {
    /// The file, absolute; `None` for patterns given by hand.
    pub file: Option<PathBuf>,
    /// The line, counted from 1; 0 for the file as a whole.
    pub line: u32,
    /// The column of the first byte in question, counted from 1, in bytes of the raw line.
    pub column: u32,
    /// How many bytes are in question.
    pub len: u32,
    /// The raw line, without its end.
    pub text: Vec<u8>,
}

impl Location {
    /// Some bytes of a rule's text.
    pub(super) fn part(file: &RuleFile, line: &Line, at: usize, len: usize) -> Self {
        Self {
            file: file.source.clone(),
            line: line.number,
            column: file.column(line) + at as u32,
            len: len as u32,
            text: file.raw_line(line).to_vec(),
        }
    }

    /// A rule's whole text.
    pub(super) fn rule(file: &RuleFile, line: &Line) -> Self {
        Self::part(file, line, 0, file.text(line).len())
    }

    /// A file as a whole.
    pub(super) fn file(path: PathBuf) -> Self {
        Self { file: Some(path), line: 0, column: 1, len: 0, text: Vec::new() }
    }
}

/// Another place that explains a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Related {
    /// Where.
    pub location: Location,
    /// What it has to do with the finding.
    pub label: String,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What kind.
    pub id: FindingId,
    /// How bad.
    pub severity: Severity,
    /// Where; `None` if it is about no line of a rule file.
    pub location: Option<Location>,
    /// What is wrong, one sentence.
    pub message: String,
    /// What stands beside the caret; may be empty.
    pub label: String,
    /// Another place that explains it.
    pub related: Option<Related>,
    /// What to do about it.
    pub remedy: Remedy,
}

impl Finding {
    pub(super) fn new(
        id: FindingId,
        location: impl Into<Option<Location>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            id,
            severity: id.severity(),
            location: location.into(),
            message: message.into(),
            label: String::new(),
            related: None,
            remedy: Remedy::None,
        }
    }

    pub(super) fn severity(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }

    pub(super) fn label(self, label: impl Into<String>) -> Self {
        Self { label: label.into(), ..self }
    }

    pub(super) fn related(self, location: Location, label: impl Into<String>) -> Self {
        Self { related: Some(Related { location, label: label.into() }), ..self }
    }

    pub(super) fn remedy(self, remedy: Remedy) -> Self {
        Self { remedy, ..self }
    }

    /// Sets a remedy that names no option of devrun.
    pub(super) fn remedy_text(self, text: impl Into<Cow<'static, str>>) -> Self {
        self.remedy(Remedy::Text(text.into()))
    }
}

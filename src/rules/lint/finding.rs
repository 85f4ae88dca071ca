//! A finding of the linter, as data.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::Remedy;
use crate::rules::rule_file::{RuleFile, RuleLine};

/// A finding.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The kind of the finding.
    pub id: FindingId,
    /// How bad it is.
    pub severity: Severity,
    /// Where it is; `None` if it is about no line of a rule file.
    pub location: Option<Location>,
    /// One sentence about the problem.
    pub message: String,
    /// A note on the location itself; may be empty.
    pub label: String,
    /// Another location that explains the finding.
    pub related: Option<Related>,
    /// What the user can do about the finding.
    pub remedy: Remedy,
}

/// Another location that explains a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Related {
    /// Where it is.
    pub location: Location,
    /// How it is related to the finding.
    pub label: String,
}

/// A part of a line in a rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Location {
    /// The file, absolute; `None` for [`Options::patterns`](crate::rules::Options::patterns).
    pub file: Option<PathBuf>,
    /// The line, counted from 1; 0 for the file as a whole.
    pub line: u32,
    /// The column of the first byte, counted from 1, in bytes of the raw line.
    pub column: u32,
    /// The length in bytes.
    pub len: u32,
    /// The raw line, without its end.
    pub text: Vec<u8>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The rule works, but could be simpler.
    Note,
    /// The rule probably does not do what its author meant.
    Warning,
    /// The rule is certainly wrong.
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
        /// The kind of a finding. The name that `as_str` returns is stable.
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

            /// The kind with this stable name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|id| id.as_str() == name)
            }

            /// What the finding means, in a sentence or two.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim_ascii(),)+
                }
            }

            /// The highest severity of a finding of this kind.
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
    /// The rule file cannot be read, so none of its rules applies.
    UnreadableFile = "unreadable-file", Error;
    /// The `!` has no effect: a directory above the path is excluded, and git never looks into it.
    UnreachableNegation = "unreachable-negation", Error;
    /// The file contains the same rule twice.
    DuplicateRule = "duplicate-rule", Warning;
    /// The rule never decides: other rules decide about everything that it matches.
    ShadowedRule = "shadowed-rule", Warning;
    /// Braces are not alternatives: git takes them literally.
    LiteralBrace = "literal-brace", Warning;
    /// White space at the end of the line: git drops spaces, and takes other white space as a part of the
    /// name.
    TrailingSpace = "trailing-space", Warning;
    /// A comment behind a pattern: git takes it as a part of the name.
    InlineComment = "inline-comment", Warning;
    /// White space at the start of the line: git takes it as a part of the name.
    LeadingSpace = "leading-space", Warning;
    /// A backslash between directories: it escapes the next character, and `/` separates directories.
    BackslashPath = "backslash-path", Warning;
    /// The line is not UTF-8: it matches only names in the same encoding, byte for byte.
    NotUtf8 = "not-utf8", Error;
    /// Nothing in the tree matches the rule.
    MatchesNothing = "matches-nothing", Warning;
    /// The rule ignores files that are under version control.
    HidesTrackedFile = "hides-tracked-file", Warning;
    /// A path that must be ignored is watched, or the other way round.
    ExpectationFailed = "expectation-failed", Error;
    /// A `.watchdogignore` that nothing reads, because the configured names of ignore files leave it out.
    DeadWatchdogignore = "dead-watchdogignore", Warning;
    /// A comment `# devrun: allow` that names no kind of finding.
    UnknownFinding = "unknown-finding", Warning;
    /// A comment `# devrun: allow` that allows no finding, or that has no rule below it.
    UnusedAllow = "unused-allow", Warning;
}

impl fmt::Display for FindingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Finding {
    /// A finding of the usual severity. The text of the remedy names no option of devrun.
    pub(super) fn new(
        id: FindingId,
        location: impl Into<Option<Location>>,
        message: impl Into<String>,
        remedy: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            id,
            severity: id.severity(),
            location: location.into(),
            message: message.into(),
            label: String::new(),
            related: None,
            remedy: Remedy::Text(remedy.into()),
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
}

impl Location {
    /// A part of a rule's text.
    pub(super) fn part(file: &RuleFile, rule: &RuleLine, part: Range<usize>) -> Self {
        Self {
            file: file.source.clone(),
            line: rule.number,
            column: rule.column() + part.start as u32,
            len: part.len() as u32,
            text: file.raw_line(rule).to_vec(),
        }
    }

    /// The whole text of a rule.
    pub(super) fn rule(file: &RuleFile, rule: &RuleLine) -> Self {
        Self::part(file, rule, 0..file.text(rule).len())
    }

    /// A file as a whole.
    pub(super) fn file(path: &Path) -> Self {
        Self { file: Some(path.to_path_buf()), line: 0, column: 1, len: 0, text: Vec::new() }
    }
}

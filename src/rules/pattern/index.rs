//! An index over the patterns of one file: finds the last one that matches without trying all of them.
//!
//! Each pattern is stored under one feature that every path it matches must have, such as its last component
//! or its extension. A lookup tries only the patterns stored under the features of the path.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use super::glob::Glob;
use super::parser::Target;
use super::pattern::{Matcher, Pattern};
use super::query::{Case, Query};
use crate::rules::path_key::KeyHasher;

/// The index of one file's patterns. A pattern is known by its number in the file.
#[derive(Debug)]
pub(crate) struct PatternIndex {
    pub(crate) case: Case,
    /// The features in use, by [`Feature::bit`].
    features: u8,
    /// The numbers of the patterns by [`Feature::key`], in each group from the last to the first.
    numbers: HashMap<u64, Vec<u32>, BuildHasherDefault<KeyHasher>>,
}

/// What a path has that a pattern requires. The number keeps the keys of different features apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Feature {
    /// The last component.
    Name = 1,
    /// The last component from its last dot on.
    Extension = 2,
    /// The first byte of the last component.
    FirstByte = 3,
    /// The last byte of the path.
    LastByte = 4,
    /// The whole path.
    Path = 5,
    /// The first component of a path that has more than one.
    FirstComponent = 6,
    /// Nothing: these patterns are tried for every path.
    Always = 7,
}

impl PatternIndex {
    /// Builds the index of a file. Patterns that can never match are left out.
    pub(crate) fn new<'a>(
        patterns: impl ExactSizeIterator<Item = &'a Pattern> + DoubleEndedIterator,
        case: Case,
    ) -> Self {
        let mut index = Self { case, features: 0, numbers: HashMap::default() };
        for (number, pattern) in patterns.enumerate().rev() {
            if let Some((feature, bytes)) = required_feature(pattern) {
                index.features |= feature.bit();
                index.numbers.entry(feature.key(bytes, case)).or_default().push(number as u32);
            }
        }
        index
    }

    /// Whether no pattern of the file can match.
    pub(crate) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The greatest number of a pattern that matches. `pattern` returns the pattern of a number.
    pub(crate) fn last_match<'p>(
        &self,
        query: Query<'_>,
        pattern: impl Fn(u32) -> &'p Pattern,
    ) -> Option<u32> {
        let mut best = None;
        self.look_up(query, |numbers| {
            let later = numbers.iter().take_while(|number| best.is_none_or(|best| **number > best));
            let found = later.copied().find(|number| pattern(*number).matches(query, self.case));
            best = found.or(best);
        });
        best
    }

    /// Calls `visit` with the number of each pattern that matches, in no particular order.
    pub(crate) fn each_match<'p>(
        &self,
        query: Query<'_>,
        pattern: impl Fn(u32) -> &'p Pattern,
        mut visit: impl FnMut(u32),
    ) {
        self.look_up(query, |numbers| {
            let matching = numbers.iter().filter(|number| pattern(**number).matches(query, self.case));
            matching.for_each(|number| visit(*number));
        });
    }

    /// Calls `visit` with each group of patterns that may match. A group runs from the last to the first.
    fn look_up(&self, query: Query<'_>, mut visit: impl FnMut(&[u32])) {
        let mut visit_group = |feature: Feature, bytes: Option<&[u8]>| {
            if self.features & feature.bit() != 0
                && let Some(bytes) = bytes
                && let Some(numbers) = self.numbers.get(&feature.key(bytes, self.case))
            {
                visit(numbers);
            }
        };
        let name = query.name;
        visit_group(Feature::Name, Some(name));
        visit_group(Feature::Extension, extension(name));
        visit_group(Feature::FirstByte, name.get(..1));
        visit_group(Feature::LastByte, name.last_chunk::<1>().map(<[u8; 1]>::as_slice));
        visit_group(Feature::Always, Some(b""));
        visit_group(Feature::Path, query.path);
        let slash = query.path.and_then(|path| path.iter().position(|byte| *byte == b'/'));
        visit_group(Feature::FirstComponent, query.path.zip(slash).map(|(path, slash)| &path[..slash]));
    }
}

impl Feature {
    fn bit(self) -> u8 {
        1 << self as u8
    }

    /// The key of a feature's bytes. Different features may have the same key, because a lookup only proposes
    /// patterns, and each of them is matched then.
    ///
    /// The hash is FNV-1a: names are short, and it folds case without a copy.
    fn key(self, bytes: &[u8], case: Case) -> u64 {
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        let start = 0xcbf2_9ce4_8422_2325 ^ (self as u64) << 32;
        bytes.iter().fold(start, |hash, byte| step(hash, case.fold(*byte)))
    }
}

/// The feature that every path which the pattern matches has; `None` for a pattern that never matches.
fn required_feature(pattern: &Pattern) -> Option<(Feature, &[u8])> {
    match (&pattern.matcher, pattern.target) {
        (Matcher::Never(_), _) => None,
        (Matcher::Literal(name), Target::FileName) => Some((Feature::Name, name)),
        (Matcher::Literal(path), Target::Path) => Some((Feature::Path, path)),
        (Matcher::Glob(glob), target) => Some(feature_of_glob(glob, target)),
    }
}

fn feature_of_glob(glob: &Glob, target: Target) -> (Feature, &[u8]) {
    let is_slash = |byte: &u8| *byte == b'/';
    if let Some(slash) = glob.suffix.iter().rposition(is_slash) {
        (Feature::Name, &glob.suffix[slash + 1..])
    } else if let Some(slash) = glob.prefix.iter().position(is_slash) {
        (Feature::FirstComponent, &glob.prefix[..slash])
    } else if let Some(extension) = extension(&glob.suffix) {
        (Feature::Extension, extension)
    } else if let Some(last) = glob.suffix.last_chunk::<1>() {
        (Feature::LastByte, last)
    } else if let (Target::FileName, Some(first)) = (target, glob.prefix.get(..1)) {
        (Feature::FirstByte, first)
    } else {
        (Feature::Always, b"")
    }
}

/// A text from its last dot on.
fn extension(text: &[u8]) -> Option<&[u8]> {
    text.iter().rposition(|byte| *byte == b'.').map(|dot| &text[dot..])
}

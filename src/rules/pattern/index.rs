//! An index over the patterns of one file: finds the last one that matches without trying all of them.
//!
//! Each pattern is stored under one feature that every path it matches must have, such as its last component
//! or its extension. A lookup tries only the patterns stored under the features of the path.

use super::case::Case;
use super::glob::Glob;
use super::pattern::{Matcher, Pattern};
use super::query::Query;
use super::token::Target;

/// The index of one file's patterns. A pattern is known by its number in the file.
#[derive(Debug)]
pub(crate) struct PatternIndex {
    case: Case,
    /// The features in use, by [`Feature::bit`].
    features: u8,
    /// A hash table with open addressing. Its length is a power of two.
    slots: Box<[Slot]>,
    /// The numbers of all patterns, grouped by key, in each group from the last to the first.
    numbers: Box<[u32]>,
}

/// A key and its group in [`PatternIndex::numbers`]. A slot with an empty group is free.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    key: u64,
    start: u32,
    end: u32,
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
    pub(crate) fn new<'a>(patterns: impl Iterator<Item = &'a Pattern>, case: Case) -> Self {
        let mut keys: Vec<(u64, u32)> = Vec::new();
        let mut features = 0;
        for (number, pattern) in patterns.enumerate() {
            if let Some((feature, bytes)) = required_feature(pattern) {
                features |= feature.bit();
                keys.push((feature.key(bytes, case), number as u32));
            }
        }
        keys.sort_unstable_by_key(|(key, number)| (*key, u32::MAX - number));
        let mut index = Self {
            case,
            features,
            slots: vec![Slot::default(); (keys.len() * 2).next_power_of_two()].into(),
            numbers: keys.iter().map(|(_, number)| *number).collect(),
        };
        let mut start = 0;
        for group in keys.chunk_by(|a, b| a.0 == b.0) {
            let (key, end) = (group[0].0, start + group.len());
            index.slots[index.position(key)] = Slot { key, start: start as u32, end: end as u32 };
            start = end;
        }
        index
    }

    /// Whether case counts in this file.
    pub(crate) fn case(&self) -> Case {
        self.case
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

    /// The position of a key's slot, or of the free slot where it belongs.
    fn position(&self, key: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut position = key as usize & mask;
        let is_taken = |slot: &Slot| slot.start != slot.end && slot.key != key;
        while is_taken(&self.slots[position]) {
            position = (position + 1) & mask;
        }
        position
    }

    /// Calls `visit` with each group of patterns that may match. A group runs from the last to the first.
    fn look_up(&self, query: Query<'_>, mut visit: impl FnMut(&[u32])) {
        let mut visit_group = |feature: Feature, bytes: &[u8]| {
            let slot = self.slots[self.position(feature.key(bytes, self.case))];
            visit(&self.numbers[slot.start as usize..slot.end as usize]);
        };
        let in_use = |feature: Feature| self.features & feature.bit() != 0;
        let name = query.name;
        if in_use(Feature::Name) {
            visit_group(Feature::Name, name);
        }
        if in_use(Feature::Extension)
            && let Some(dot) = name.iter().rposition(|byte| *byte == b'.')
        {
            visit_group(Feature::Extension, &name[dot..]);
        }
        if in_use(Feature::FirstByte) {
            visit_group(Feature::FirstByte, name.get(..1).unwrap_or_default());
        }
        if in_use(Feature::LastByte) {
            visit_group(Feature::LastByte, name.last_chunk::<1>().map_or(&[], <[u8; 1]>::as_slice));
        }
        if in_use(Feature::Always) {
            visit_group(Feature::Always, b"");
        }
        let Some(path) = query.path else { return };
        if in_use(Feature::Path) {
            visit_group(Feature::Path, path);
        }
        if in_use(Feature::FirstComponent)
            && let Some(slash) = path.iter().position(|byte| *byte == b'/')
        {
            visit_group(Feature::FirstComponent, &path[..slash]);
        }
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
        let hash = match case {
            Case::Sensitive => bytes.iter().fold(start, |hash, byte| step(hash, *byte)),
            Case::Insensitive => bytes.iter().fold(start, |hash, byte| step(hash, byte.to_ascii_lowercase())),
        };
        // The low bits select the slot, and FNV's high bits are distributed better.
        hash ^ hash >> 32
    }
}

/// The feature that every path which the pattern matches has; `None` for a pattern that never matches.
fn required_feature(pattern: &Pattern) -> Option<(Feature, &[u8])> {
    match (pattern.matcher(), pattern.target()) {
        (Matcher::Never(_), _) => None,
        (Matcher::Literal(name), Target::FileName) => Some((Feature::Name, name)),
        (Matcher::Literal(path), Target::Path) => Some((Feature::Path, path)),
        (Matcher::Glob(glob), Target::FileName) => Some(feature_of_name(glob)),
        (Matcher::Glob(glob), Target::Path) => Some(feature_of_path(glob)),
    }
}

fn feature_of_name(glob: &Glob) -> (Feature, &[u8]) {
    if let Some(extension) = extension(glob.suffix()) {
        (Feature::Extension, extension)
    } else if let [.., last] = glob.suffix() {
        (Feature::LastByte, std::slice::from_ref(last))
    } else if let [first, ..] = glob.prefix() {
        (Feature::FirstByte, std::slice::from_ref(first))
    } else {
        (Feature::Always, b"")
    }
}

fn feature_of_path(glob: &Glob) -> (Feature, &[u8]) {
    let suffix = glob.suffix();
    if let Some(slash) = suffix.iter().rposition(|byte| *byte == b'/') {
        (Feature::Name, &suffix[slash + 1..])
    } else if let Some(slash) = glob.prefix().iter().position(|byte| *byte == b'/') {
        (Feature::FirstComponent, &glob.prefix()[..slash])
    } else if let Some(extension) = extension(suffix) {
        (Feature::Extension, extension)
    } else if let [.., last] = suffix {
        (Feature::LastByte, std::slice::from_ref(last))
    } else {
        (Feature::Always, b"")
    }
}

/// A text from its last dot on.
fn extension(text: &[u8]) -> Option<&[u8]> {
    text.iter().rposition(|byte| *byte == b'.').map(|dot| &text[dot..])
}

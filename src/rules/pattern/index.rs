//! Finds the last rule of a file that matches, without asking all of them.
//!
//! Each rule is filed under one thing that every path it matches must have: its last component, its
//! extension, its first byte, … A path is looked up by what it has, and only the rules found so are asked.
//! Knows no lines and no layers.

use super::entry_kind::EntryKind;
use super::glob::Glob;
use super::pattern::{Letters, Pattern, Shape};

/// What a rule is filed under; the number keeps the keys of the kinds apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
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
    /// Nothing: always asked.
    Always = 7,
}

impl Kind {
    fn bit(self) -> u8 {
        1 << self as u8
    }

    /// The key of some bytes. Keys of different things may be equal: the rule itself has the last word.
    fn key(self, bytes: &[u8], fold: bool) -> u64 {
        // FNV-1a, since names are short and folding needs no copy.
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        let start = 0xcbf2_9ce4_8422_2325 ^ (self as u64) << 32;
        let hash = match fold {
            true => bytes.iter().fold(start, |hash, byte| step(hash, byte.to_ascii_lowercase())),
            false => bytes.iter().fold(start, |hash, byte| step(hash, *byte)),
        };
        // The low bits choose the slot; FNV's high bits are the better ones.
        hash ^ hash >> 32
    }
}

/// A path as the rules of one file see it.
#[derive(Clone, Copy)]
pub(in crate::rules) struct Query<'a> {
    /// The last component.
    pub(in crate::rules) name: &'a [u8],
    /// The path from the file's directory; `None` if it is elsewhere, and then only rules on the last
    /// component can match.
    pub(in crate::rules) path: Option<&'a [u8]>,
    kind: EntryKind,
    /// Those of the last component.
    letters: Letters,
}

impl<'a> Query<'a> {
    pub(in crate::rules) fn new(name: &'a [u8], path: Option<&'a [u8]>, kind: EntryKind) -> Self {
        Self { name, path, kind, letters: Letters::of(name.iter().copied()) }
    }

    /// The same entry as another file sees it.
    pub(in crate::rules) fn seen_by(self, path: Option<&'a [u8]>) -> Self {
        Self { path, ..self }
    }
}

/// The index of one file's rules.
#[derive(Debug, Default)]
pub(in crate::rules) struct Index {
    /// Which kinds are in use, by [`Kind::bit`].
    kinds: u8,
    /// Open addressing over a power of two: a key and its range in `rules`; an empty range is a free slot.
    slots: Box<[(u64, u32, u32)]>,
    /// Numbers of rules, per key from the last to the first.
    rules: Box<[u32]>,
}

impl Index {
    pub(in crate::rules) fn new<'a>(patterns: impl Iterator<Item = &'a Pattern>, fold: bool) -> Self {
        let mut filed: Vec<(u64, u32)> = Vec::new();
        let mut kinds = 0;
        for (number, pattern) in patterns.enumerate() {
            if let Some((kind, bytes)) = file_under(pattern) {
                kinds |= kind.bit();
                filed.push((kind.key(bytes, fold), number as u32));
            }
        }
        filed.sort_unstable_by_key(|(key, number)| (*key, u32::MAX - number));
        let mut index = Self {
            kinds,
            slots: vec![(0, 0, 0); (filed.len() * 2).next_power_of_two()].into(),
            rules: filed.iter().map(|(_, number)| *number).collect(),
        };
        let mut start = 0;
        for group in filed.chunk_by(|a, b| a.0 == b.0) {
            let end = start + group.len();
            let slot = index.slot(group[0].0);
            index.slots[slot] = (group[0].0, start as u32, end as u32);
            start = end;
        }
        index
    }

    /// Whether no rule is in it.
    pub(in crate::rules) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The slot of a key, or the free slot where it would be.
    fn slot(&self, key: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = key as usize & mask;
        while self.slots[slot].1 != self.slots[slot].2 && self.slots[slot].0 != key {
            slot = (slot + 1) & mask;
        }
        slot
    }

    /// The greatest number of a rule that matches.
    pub(in crate::rules) fn last_match<'p>(
        &self,
        query: Query<'_>,
        fold: bool,
        pattern: impl Fn(u32) -> &'p Pattern,
    ) -> Option<u32> {
        let mut best = None;
        self.look_up(query, fold, |candidates| {
            let better = candidates.iter().take_while(|number| best.is_none_or(|best| **number > best));
            let found = better.copied().find(|number| matches(pattern(*number), query, fold));
            best = found.or(best);
        });
        best
    }

    /// All numbers of rules that match, in no order.
    pub(in crate::rules) fn each_match<'p>(
        &self,
        query: Query<'_>,
        fold: bool,
        pattern: impl Fn(u32) -> &'p Pattern,
        mut visit: impl FnMut(u32),
    ) {
        self.look_up(query, fold, |candidates| {
            candidates
                .iter()
                .filter(|number| matches(pattern(**number), query, fold))
                .for_each(|number| visit(*number));
        });
    }

    /// Visits the rules that may match, in groups; a group runs from the last to the first.
    fn look_up(&self, query: Query<'_>, fold: bool, mut visit: impl FnMut(&[u32])) {
        let mut ask = |kind: Kind, bytes: &[u8]| {
            let (_, start, end) = self.slots[self.slot(kind.key(bytes, fold))];
            visit(&self.rules[start as usize..end as usize]);
        };
        let has = |kind: Kind| self.kinds & kind.bit() != 0;
        if has(Kind::Name) {
            ask(Kind::Name, query.name);
        }
        if has(Kind::Extension)
            && let Some(dot) = query.name.iter().rposition(|byte| *byte == b'.')
        {
            ask(Kind::Extension, &query.name[dot..]);
        }
        if has(Kind::FirstByte) {
            ask(Kind::FirstByte, query.name.get(..1).unwrap_or_default());
        }
        if has(Kind::LastByte) {
            ask(Kind::LastByte, query.name.last_chunk::<1>().map_or(&[], <[u8; 1]>::as_slice));
        }
        if has(Kind::Always) {
            ask(Kind::Always, b"");
        }
        let Some(path) = query.path else { return };
        if has(Kind::Path) {
            ask(Kind::Path, path);
        }
        if has(Kind::FirstComponent)
            && let Some(slash) = path.iter().position(|byte| *byte == b'/')
        {
            ask(Kind::FirstComponent, &path[..slash]);
        }
    }
}

fn matches(pattern: &Pattern, query: Query<'_>, fold: bool) -> bool {
    if pattern.dir_only && query.kind != EntryKind::Dir {
        return false;
    }
    match (pattern.basename, query.path) {
        (true, _) => pattern.letters.are_in(query.letters) && pattern.matches(query.name, fold),
        (false, Some(path)) => pattern.matches(path, fold),
        (false, None) => false,
    }
}

/// What every path that the pattern matches must have; `None` for a pattern that matches nothing.
fn file_under(pattern: &Pattern) -> Option<(Kind, &[u8])> {
    match &pattern.shape {
        Shape::Never(_) => None,
        Shape::Literal(name) if pattern.basename => Some((Kind::Name, name)),
        Shape::Literal(path) => Some((Kind::Path, path)),
        Shape::Glob(glob) if pattern.basename => Some(file_name_glob(glob)),
        Shape::Glob(glob) => Some(file_path_glob(glob)),
    }
}

fn file_name_glob(glob: &Glob) -> (Kind, &[u8]) {
    if let Some(dot) = glob.tail.iter().rposition(|byte| *byte == b'.') {
        (Kind::Extension, &glob.tail[dot..])
    } else if let [.., last] = &*glob.tail {
        (Kind::LastByte, std::slice::from_ref(last))
    } else if let [first, ..] = &*glob.head {
        (Kind::FirstByte, std::slice::from_ref(first))
    } else {
        (Kind::Always, b"")
    }
}

fn file_path_glob(glob: &Glob) -> (Kind, &[u8]) {
    let last_component = glob.tail.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    if last_component.len() < glob.tail.len() {
        return (Kind::Name, last_component);
    }
    if let Some(slash) = glob.head.iter().position(|byte| *byte == b'/') {
        return (Kind::FirstComponent, &glob.head[..slash]);
    }
    if let Some(dot) = glob.tail.iter().rposition(|byte| *byte == b'.') {
        return (Kind::Extension, &glob.tail[dot..]);
    }
    match &*glob.tail {
        [.., last] => (Kind::LastByte, std::slice::from_ref(last)),
        [] => (Kind::Always, b""),
    }
}

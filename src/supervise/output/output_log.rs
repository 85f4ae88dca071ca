//! The output of the last generations, kept in memory of bounded size.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use super::writer::StdStream;
use crate::GenerationId;
use crate::sync::lock;

/// Number of bytes that are kept from the start of a generation.
const HEAD: usize = 256 * 1024;
/// Number of bytes that are kept from the end of a generation.
const TAIL: usize = 1024 * 1024;
/// Number of bytes above which the oldest generations are dropped. The last two are always kept.
const TOTAL: usize = 4 * 1024 * 1024;
const MIN_GENERATIONS: usize = 2;
/// What an entry takes besides its bytes, about.
const ENTRY_SIZE: usize = 128;
/// Maximum length of an entry to which further output is added, and maximum time after its begin.
const JOINED_LENGTH: usize = 4096;
const JOINED_TIME: Duration = Duration::from_millis(100);

/// The output of the last generations. A clone is the same log.
///
/// Of each generation the first 256 KiB and the last 1 MiB are kept. Older generations are kept while all together take
/// less than 4 MiB, and the last two always.
#[derive(Debug, Clone)]
pub struct OutputLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    kept: Mutex<Kept>,
    end: watch::Sender<LogPosition>,
}

/// A place in a log: the number of bytes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct LogPosition(u64);

/// Output that was read at once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogEntry {
    /// The generation that wrote it, or whose builds did.
    pub generation: GenerationId,
    /// The stream. A terminal for both is [`StdStream::Err`].
    pub stream: StdStream,
    /// When its first byte was read.
    pub time: SystemTime,
    /// The output, with escape sequences. It need not begin or end with a line.
    pub bytes: Vec<u8>,
}

/// A part of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogChunk {
    /// The entries, in the order in which they were read.
    pub entries: Vec<LogEntry>,
    /// Number of bytes before the first entry that are not kept any more.
    pub dropped: u64,
    /// The position after the last entry.
    pub next: LogPosition,
}

impl Default for OutputLog {
    fn default() -> Self {
        Self::new()
    }
}

impl OutputLog {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        let shared = Shared { kept: Mutex::default(), end: watch::Sender::new(LogPosition::default()) };
        Self { shared: Arc::new(shared) }
    }

    /// The position of the oldest entry.
    #[must_use]
    pub fn start(&self) -> LogPosition {
        let kept = lock(&self.shared.kept);
        LogPosition(kept.entries.keys().next().copied().unwrap_or(kept.end))
    }

    /// The position this number of bytes before the end.
    #[must_use]
    pub fn before_end(&self, bytes: u64) -> LogPosition {
        LogPosition(lock(&self.shared.kept).end.saturating_sub(bytes))
    }

    /// Output from a position on, about `max_bytes` at most.
    #[must_use]
    pub fn read(&self, from: LogPosition, max_bytes: usize) -> LogChunk {
        lock(&self.shared.kept).read(from.0, max_bytes)
    }

    /// Completes as soon as there is output after a position. Cancel-safe.
    pub async fn changed(&self, seen: LogPosition) {
        let mut end = self.shared.end.subscribe();
        // The sender lives as long as this log.
        let _ = end.wait_for(|end| *end > seen).await;
    }

    /// Adds output.
    pub(super) fn append(&self, generation: GenerationId, stream: StdStream, bytes: &[u8]) {
        let mut kept = lock(&self.shared.kept);
        kept.append(LogEntry { generation, stream, time: SystemTime::now(), bytes: bytes.to_vec() });
        self.shared.end.send_replace(LogPosition(kept.end));
    }
}

/// The entries of a log. Pure.
#[derive(Debug, Default)]
struct Kept {
    /// By the position of the first byte.
    entries: BTreeMap<u64, LogEntry>,
    /// Oldest first.
    generations: VecDeque<GenerationSize>,
    /// Number of bytes that were ever added.
    end: u64,
}

/// Which entries of a generation are kept, by position.
#[derive(Debug)]
struct GenerationSize {
    generation: GenerationId,
    head: Vec<u64>,
    head_bytes: usize,
    tail: VecDeque<u64>,
    tail_bytes: usize,
}

impl Kept {
    fn append(&mut self, entry: LogEntry) {
        let (start, length) = (self.end, entry.bytes.len());
        self.end += length as u64;
        let size = self.size_of(entry.generation);
        let (known, joined) = (self.generations.len(), self.join(&entry));
        let Some(size) = self.generations.get_mut(size) else { return };
        let added = if joined { length } else { length + ENTRY_SIZE };
        // An entry that has grown stays where it is.
        let is_head = if joined {
            size.tail.is_empty()
        } else {
            size.head_bytes + added <= HEAD && size.tail.is_empty()
        };
        match is_head {
            true => size.head_bytes += added,
            false => size.tail_bytes += added,
        }
        if !joined {
            if is_head {
                size.head.push(start)
            } else {
                size.tail.push_back(start)
            }
            self.entries.insert(start, entry);
        }
        while size.tail_bytes > TAIL && size.tail.len() > 1 {
            let Some(oldest) = size.tail.pop_front() else { break };
            let removed = self.entries.remove(&oldest);
            size.tail_bytes -= removed.map_or(0, |entry| entry.bytes.len() + ENTRY_SIZE);
        }
        if known > MIN_GENERATIONS {
            self.drop_oldest_generations();
        }
    }

    /// The index of a generation, which is added if it is new.
    fn size_of(&mut self, generation: GenerationId) -> usize {
        if let Some(index) = self.generations.iter().rposition(|known| known.generation == generation) {
            return index;
        }
        let (head, tail) = (Vec::new(), VecDeque::new());
        self.generations.push_back(GenerationSize { generation, head, head_bytes: 0, tail, tail_bytes: 0 });
        self.generations.len() - 1
    }

    /// Adds the output to the last entry, if it continues that. Returns whether it does.
    fn join(&mut self, entry: &LogEntry) -> bool {
        let Some(mut last) = self.entries.last_entry() else { return false };
        let last = last.get_mut();
        let is_soon = entry.time.duration_since(last.time).is_ok_and(|since| since <= JOINED_TIME);
        let is_short = last.bytes.len() + entry.bytes.len() <= JOINED_LENGTH;
        let continues = (last.generation, last.stream) == (entry.generation, entry.stream);
        if continues && is_soon && is_short {
            last.bytes.extend_from_slice(&entry.bytes);
        }
        continues && is_soon && is_short
    }

    fn drop_oldest_generations(&mut self) {
        let size = |one: &GenerationSize| one.head_bytes + one.tail_bytes;
        let mut total: usize = self.generations.iter().map(size).sum();
        while total > TOTAL && self.generations.len() > MIN_GENERATIONS {
            let Some(oldest) = self.generations.pop_front() else { return };
            total -= size(&oldest);
            for position in oldest.head.iter().chain(&oldest.tail) {
                self.entries.remove(position);
            }
        }
    }

    fn read(&self, from: u64, max_bytes: usize) -> LogChunk {
        let first = self.entries.range(..=from).next_back().map_or(from, |(start, _)| *start);
        let mut chunk = LogChunk { entries: Vec::new(), dropped: 0, next: LogPosition(from) };
        let mut length = 0;
        for (start, entry) in self.entries.range(first..) {
            let end = start + entry.bytes.len() as u64;
            if end <= chunk.next.0 {
                continue;
            }
            let missing = start.saturating_sub(chunk.next.0);
            // What is missing is always missing before the first entry of a chunk.
            if length >= max_bytes || missing > 0 && !chunk.entries.is_empty() {
                break;
            }
            chunk.dropped += missing;
            let skipped = usize::try_from(chunk.next.0.saturating_sub(*start)).unwrap_or(0);
            let bytes = entry.bytes.get(skipped..).unwrap_or_default().to_vec();
            length += bytes.len();
            chunk.next = LogPosition(end);
            chunk.entries.push(LogEntry { bytes, ..entry.clone() });
        }
        if chunk.entries.is_empty() {
            (chunk.dropped, chunk.next) = (self.end.saturating_sub(from), LogPosition(self.end.max(from)));
        }
        chunk
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(generation: u64, bytes: Vec<u8>) -> LogEntry {
        // No two entries are close enough to be joined.
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(generation);
        let stream = if bytes.len().is_multiple_of(2) { StdStream::Out } else { StdStream::Err };
        LogEntry { generation: GenerationId::new(generation), stream, time, bytes }
    }

    /// Everything that is kept, with a mark for what is missing.
    fn read_all(kept: &Kept) -> (Vec<u8>, u64) {
        let (mut text, mut dropped, mut from) = (Vec::new(), 0, 0);
        while from < kept.end {
            let chunk = kept.read(from, 1000);
            dropped += chunk.dropped;
            chunk.entries.iter().for_each(|entry| text.extend(&entry.bytes));
            assert!(chunk.next.0 > from);
            from = chunk.next.0;
        }
        (text, dropped)
    }

    #[test]
    fn a_flood_leaves_the_begin_and_the_end_of_the_last_two_generations() {
        let mut kept = Kept::default();
        for generation in 1..=5 {
            for number in 0..3000_u32 {
                let line = format!("generation {generation} line {number:0990}\n");
                kept.append(entry(generation, line.into_bytes()));
            }
        }
        let (text, dropped) = read_all(&kept);
        assert!(text.len() < TOTAL + TAIL, "{}", text.len());
        assert_eq!(dropped, kept.end - text.len() as u64);
        let text = String::from_utf8(text).unwrap();
        for generation in [4, 5] {
            assert!(text.contains(&format!("generation {generation} line {:0990}\n", 0)));
            assert!(text.contains(&format!("generation {generation} line {:0990}\n", 2999)));
        }
        assert!(!text.contains("generation 1 line"));
    }

    #[test]
    fn small_pieces_in_quick_succession_are_one_entry_and_a_reader_gets_the_rest_of_it() {
        let log = OutputLog::new();
        let generation = GenerationId::FIRST;
        log.append(generation, StdStream::Out, b"(Pd");
        let first = log.read(log.start(), 100);
        log.append(generation, StdStream::Out, b"b) ");
        let second = log.read(first.next, 100);
        assert_eq!((&*first.entries[0].bytes, &*second.entries[0].bytes), (&b"(Pd"[..], &b"b) "[..]));
        assert_eq!(log.read(second.next, 100), LogChunk { entries: vec![], dropped: 0, next: second.next });
    }

    #[tokio::test]
    async fn a_follower_waits_for_output() {
        let log = OutputLog::new();
        let start = log.start();
        let (_, ()) = tokio::join!(log.changed(start), async {
            log.append(GenerationId::FIRST, StdStream::Out, b"hello");
        });
        assert_eq!(log.read(start, 100).entries[0].bytes, b"hello");
    }

    proptest! {
        #[test]
        fn what_is_read_and_what_was_dropped_is_what_was_written(
            sizes in prop::collection::vec((1..6_u64, 1..60_000_usize), 0..200),
        ) {
            let (mut kept, mut written) = (Kept::default(), 0);
            for (generation, size) in sizes {
                kept.append(entry(generation, vec![generation as u8; size]));
                written += size as u64;
            }
            let (text, dropped) = read_all(&kept);
            prop_assert_eq!(text.len() as u64 + dropped, written);
        }
    }
}

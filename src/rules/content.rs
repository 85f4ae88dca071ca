//! What the content of a file says to the rules: whether the file is data, and whether it excludes its directory.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::git;
use super::verdict::{Layer, Rule};

/// The name of a file that marks a directory as a cache, and how it begins, by the Cache Directory Tagging
/// Specification.
const CACHE_TAG: &str = "CACHEDIR.TAG";
const CACHE_TAG_HEADER: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";
/// The name of the file that makes its directory a linked worktree.
const DOT_GIT: &str = ".git";
/// Length of the longest header.
const HEAD_LEN: usize = CACHE_TAG_HEADER.len();
const SQLITE_HEADER: &[u8] = b"SQLite format 3\0";
const ELF_MAGIC: &[u8] = b"\x7fELF";
/// The position of an ELF file's type, and the value for a core dump in either byte order.
const ELF_TYPE: usize = 16;
const CORE_DUMP: [&[u8]; 2] = [b"\x04\x00", b"\x00\x04"];

/// Whether a line of the table of data holds for a file that it matches. Sources can have some of the names in
/// the table, so for these the file's header decides. A file that does not exist has none.
pub(super) fn is_data(pattern: &[u8], file: &Path) -> bool {
    let has_header = match pattern {
        // SQLite creates a database as an empty file, and writes the header with the first transaction.
        b"*.db" => |head: &[u8]| head.is_empty() || head.starts_with(SQLITE_HEADER),
        b"core" | b"core.[0-9]*" | b"*.core" | b"vgcore.[0-9]*" => is_core_dump,
        _ => return true,
    };
    head_of(file).is_some_and(|head| has_header(&head))
}

/// Whether a file of this name can exclude its directory.
pub(super) fn is_marker_name(name: &OsStr) -> bool {
    name == CACHE_TAG || name == DOT_GIT
}

/// The line that excludes the directory of its file: the signature of a cache directory, or git's link from a
/// worktree to its repository. `may_have` says whether the directory may have a file of a name.
pub(super) fn excluding_line(dir: &Path, may_have: impl Fn(&OsStr) -> bool) -> Option<Rule> {
    let rule = |name: &str, line: Vec<u8>| Rule {
        layer: Layer::Builtin,
        source: Some(dir.join(name)),
        line: 1,
        column: 1,
        pattern: line,
        negated: false,
    };
    if may_have(CACHE_TAG.as_ref())
        && head_of(&dir.join(CACHE_TAG)).is_some_and(|head| head == CACHE_TAG_HEADER)
    {
        return Some(rule(CACHE_TAG, CACHE_TAG_HEADER.to_vec()));
    }
    let link = if may_have(DOT_GIT.as_ref()) { git::worktree_link(&dir.join(DOT_GIT)) } else { None };
    link.map(|line| rule(DOT_GIT, line))
}

fn is_core_dump(head: &[u8]) -> bool {
    let has_type = |dump: &[u8]| head[ELF_TYPE.min(head.len())..].starts_with(dump);
    head.starts_with(ELF_MAGIC) && CORE_DUMP.into_iter().any(has_type)
}

/// The first bytes of a regular file. A FIFO is never waited for, and a symbolic link is not followed.
fn head_of(file: &Path) -> Option<Vec<u8>> {
    let flags = (rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW).bits();
    let open = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(file).ok()?;
    let mut head = Vec::new();
    let is_file = open.metadata().is_ok_and(|found| found.is_file());
    (is_file && open.take(HEAD_LEN as u64).read_to_end(&mut head).is_ok()).then_some(head)
}

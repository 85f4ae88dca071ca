//! What the content of a file says to the rules.

use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Length of the longest header that is looked for.
const HEAD_LEN: usize = 64;
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

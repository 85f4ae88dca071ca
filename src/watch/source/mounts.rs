//! Picks a way per mount: events do not come from network and shared file systems.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The mounts whose changes the kernel does not report, and those around them.
#[derive(Debug, Default)]
pub(crate) struct Mounts {
    /// The longest path first; later mounts on one path hide earlier ones.
    mounts: Vec<(PathBuf, String)>,
}

/// File systems whose files can change without this kernel's doing. What Linux calls them in its mount table.
const SILENT: [&str; 19] = [
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "fuse",
    "glusterfs",
    "gpfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "orangefs",
    "prl_fs",
    "smb3",
    "smbfs",
    "vboxsf",
    "virtiofs",
];
/// Shared folders of virtual machines under other names.
const SILENT_PREFIXES: [&str; 3] = ["fuse.", "vmhgfs", "drvfs"];
/// Worker for the mount table of most machines.
const TABLE_ROOM: usize = 16 << 10;

impl Mounts {
    /// The mounts of this process, now. Empty where the system has no mount table to read: events everywhere.
    pub(crate) fn current() -> Self {
        // The kernel does not say how long it is, and writes it anew for each time it is asked for more.
        let mut table = Vec::with_capacity(TABLE_ROOM);
        let read = File::open("/proc/self/mountinfo").and_then(|mut file| file.read_to_end(&mut table));
        if read.is_err() {
            table.clear();
        }
        Self::parse(&table)
    }

    /// Reads a mount table in the format of `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
    pub(crate) fn parse(table: &[u8]) -> Self {
        let mut mounts: Vec<_> = table.split(|byte| *byte == b'\n').filter_map(mount).collect();
        mounts.reverse();
        mounts.sort_by_key(|(path, _)| std::cmp::Reverse(path.as_os_str().len()));
        if !mounts.iter().any(|(_, system)| is_silent(system)) {
            mounts.clear();
        }
        Self { mounts }
    }

    /// The name of the file system a path is on, if it reports no events.
    pub(crate) fn without_events(&self, path: &Path) -> Option<&str> {
        let (_, system) = self.mounts.iter().find(|(mount, _)| path.starts_with(mount))?;
        is_silent(system).then_some(system)
    }

    /// The mount that a path is on; unknown if all mounts report events.
    pub(crate) fn of(&self, path: &Path) -> Option<&Path> {
        self.mounts.iter().map(|(mount, _)| mount.as_path()).find(|mount| path.starts_with(mount))
    }
}

fn is_silent(system: &str) -> bool {
    SILENT.contains(&system) || SILENT_PREFIXES.iter().any(|prefix| system.starts_with(prefix))
}

/// `36 35 98:0 /root /mnt rw,noatime master:1 - ext3 /dev/root rw`: the fifth field is the mount point, the first
/// after the lone dash the type.
fn mount(line: &[u8]) -> Option<(PathBuf, String)> {
    let mut fields = line.split(|byte| *byte == b' ');
    let path = unescaped(fields.nth(4)?);
    let system = fields.skip_while(|field| *field != b"-").nth(1)?;
    Some((path, String::from_utf8_lossy(system).into_owned()))
}

/// Blanks and backslashes stand as `\040`.
fn unescaped(field: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let octal = tail
            .get(..3)
            .filter(|digits| *first == b'\\' && digits.iter().all(|digit| (b'0'..b'8').contains(digit)));
        match octal {
            Some(digits) => {
                bytes.push(
                    digits.iter().fold(0u8, |value, digit| value.wrapping_mul(8).wrapping_add(digit - b'0')),
                );
                rest = &tail[3..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
        30 22 0:40 / /home/me/my\\040share rw shared:7 master:2 - cifs //server/share rw\n\
        31 30 8:2 / /home/me/my\\040share/local rw - ext4 /dev/sdb rw\n\
        32 22 0:41 / /mnt/c rw - 9p C:\\134 rw\n\
        33 22 0:42 / /data rw - nfs4 server:/data rw\n\
        34 22 0:43 / /disk rw - fuseblk /dev/sdc rw\n\
        35 22 0:44 / /over rw - nfs4 server:/data rw\n\
        36 35 0:45 / /over rw - tmpfs tmpfs rw\n";

    #[test]
    fn network_and_shared_file_systems_are_silent_and_the_deepest_mount_decides() {
        let mounts = Mounts::parse(TABLE);
        let without_events = |path: &str| mounts.without_events(Path::new(path)).map(str::to_owned);
        assert_eq!(without_events("/home/me/app"), None);
        assert_eq!(without_events("/home/me/my share/app"), Some("cifs".into()));
        assert_eq!(without_events("/home/me/my share/local/app"), None);
        assert_eq!(without_events("/mnt/c/app"), Some("9p".into()));
        assert_eq!(without_events("/data"), Some("nfs4".into()));
        assert_eq!(without_events("/database"), None);
        assert_eq!(without_events("/disk"), None);
        assert_eq!(without_events("/over/app"), None);
        assert_eq!(mounts.of(Path::new("/data/x/y")), Some(Path::new("/data")));
    }

    #[test]
    fn a_table_that_makes_no_sense_means_events() {
        assert_eq!(Mounts::parse(b"\n\nx y z\n\xff").without_events(Path::new("/a")), None);
    }
}

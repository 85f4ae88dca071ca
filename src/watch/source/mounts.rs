//! The mount table, and the file systems that report no events.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The mounted file systems, if one of them reports no events.
#[derive(Debug, Default)]
pub(crate) struct Mounts {
    /// Longest path first. Of two mounts on one path the later one comes first, because it hides the other.
    mounts: Vec<Mount>,
}

/// A line of the mount table.
#[derive(Debug)]
struct Mount {
    path: PathBuf,
    file_system: String,
}

/// File systems whose files can change without an action of this kernel: their names in Linux's mount table,
/// separated by spaces.
const WITHOUT_EVENTS: &str = "9p afs beegfs ceph cifs coda fuse glusterfs gpfs lustre \
    ncpfs nfs nfs4 orangefs prl_fs smb3 smbfs vboxsf virtiofs";
/// Prefixes of further such names: FUSE subtypes, and shared folders of virtual machines.
const WITHOUT_EVENTS_PREFIXES: [&str; 3] = ["fuse.", "vmhgfs", "drvfs"];
/// Initial size of the buffer for the mount table. The kernel formats the whole table again for each read.
const TABLE_BUFFER: usize = 16 << 10;

impl Mounts {
    /// The current mounts of this process. Empty if every mount reports events, or without a mount table.
    pub(crate) fn current() -> Self {
        let all = Self { mounts: parse(&read_table()) };
        if all.mounts.iter().any(Mount::is_without_events) { all } else { Self::default() }
    }

    /// The name of the path's file system if it reports no events.
    pub(crate) fn without_events(&self, path: &Path) -> Option<&str> {
        self.find(path).filter(|mount| mount.is_without_events()).map(|mount| mount.file_system.as_str())
    }

    /// The mount point of the path's file system; `None` if every mount reports events.
    pub(crate) fn mount_of(&self, path: &Path) -> Option<&Path> {
        self.find(path).map(|mount| mount.path.as_path())
    }

    fn find(&self, path: &Path) -> Option<&Mount> {
        self.mounts.iter().find(|mount| path.starts_with(&mount.path))
    }
}

impl Mount {
    /// Parses a line such as `36 35 98:0 /root /mnt rw,noatime master:1 - ext3 /dev/root rw`. The fifth field
    /// is the mount point, and the field after the lone dash is the type (proc_pid_mountinfo(5)).
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b' ');
        let path = unescape(fields.nth(4)?);
        let file_system = fields.skip_while(|field| *field != b"-").nth(1)?;
        Some(Self { path, file_system: String::from_utf8_lossy(file_system).into_owned() })
    }

    fn is_without_events(&self) -> bool {
        let name = self.file_system.as_str();
        WITHOUT_EVENTS.split(' ').any(|known| known == name)
            || WITHOUT_EVENTS_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    }
}

/// The type of the file system on which a path lies, such as `ext4`. `None` where the system has no mount
/// table.
#[doc(hidden)]
#[must_use]
pub fn file_system_type(path: &Path) -> Option<String> {
    Mounts { mounts: parse(&read_table()) }.find(path).map(|mount| mount.file_system.clone())
}

fn read_table() -> Vec<u8> {
    let mut table = Vec::with_capacity(TABLE_BUFFER);
    let read = File::open("/proc/self/mountinfo").and_then(|mut file| file.read_to_end(&mut table));
    if read.is_err() {
        table.clear();
    }
    table
}

fn parse(table: &[u8]) -> Vec<Mount> {
    let mut mounts: Vec<_> = table.split(|byte| *byte == b'\n').filter_map(Mount::parse).collect();
    mounts.reverse();
    mounts.sort_by_key(|mount| std::cmp::Reverse(mount.path.as_os_str().len()));
    mounts
}

/// Decodes octal escapes: a space is written as `\040`.
fn unescape(field: &[u8]) -> PathBuf {
    let mut parts = field.split(|byte| *byte == b'\\');
    let mut bytes = parts.next().unwrap_or_default().to_vec();
    for part in parts {
        let digits = part.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(&part[3..]);
            }
            None => bytes.extend([b"\\", part].concat()),
        }
    }
    OsString::from_vec(bytes).into()
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
    fn the_deepest_mount_decides_whether_events_come() {
        let mounts = Mounts { mounts: parse(TABLE) };
        let without_events = |path: &str| mounts.without_events(Path::new(path)).map(str::to_owned);
        assert_eq!(without_events("/home/me/app"), None);
        assert_eq!(without_events("/home/me/my share/app"), Some("cifs".into()));
        assert_eq!(without_events("/home/me/my share/local/app"), None);
        assert_eq!(without_events("/mnt/c/app"), Some("9p".into()));
        assert_eq!(without_events("/data"), Some("nfs4".into()));
        assert_eq!(without_events("/database"), None);
        assert_eq!(without_events("/disk"), None);
        assert_eq!(without_events("/over/app"), None);
        assert_eq!(mounts.mount_of(Path::new("/data/x/y")), Some(Path::new("/data")));
        // A malformed table counts as one with events everywhere.
        assert_eq!(Mounts { mounts: parse(b"\n\nx y z\n\xff") }.without_events(Path::new("/a")), None);
    }
}

//! A ZIP archive with stored entries (PKWARE's APPNOTE 6.3).

/// An archive with these entries. Names are in UTF-8.
pub(crate) fn archive(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = Vec::new();
    let mut directory = Vec::new();
    for (name, content) in entries {
        let offset = archive.len() as u32;
        let header = header(name, content);
        archive.extend_from_slice(b"PK\x03\x04");
        archive.extend_from_slice(&header);
        archive.extend_from_slice(name.as_bytes());
        archive.extend_from_slice(content);
        directory.extend_from_slice(b"PK\x01\x02\x14\x00");
        directory.extend_from_slice(&header);
        // No comment, first disk, no attributes, then the offset of the entry.
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
    }
    let (start, count) = (archive.len() as u32, entries.len() as u16);
    archive.extend_from_slice(&directory);
    archive.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    archive.extend_from_slice(&count.to_le_bytes());
    archive.extend_from_slice(&count.to_le_bytes());
    archive.extend_from_slice(&(directory.len() as u32).to_le_bytes());
    archive.extend_from_slice(&start.to_le_bytes());
    archive.extend_from_slice(&[0; 2]);
    archive
}

/// The common part of local and central header: version, flags (UTF-8 names), method, time, checksum, sizes,
/// lengths.
fn header(name: &str, content: &[u8]) -> Vec<u8> {
    let size = (content.len() as u32).to_le_bytes();
    let mut header = vec![0x14, 0, 0, 8, 0, 0, 0, 0, 0x21, 0];
    header.extend_from_slice(&checksum(content).to_le_bytes());
    header.extend_from_slice(&size);
    header.extend_from_slice(&size);
    header.extend_from_slice(&(name.len() as u16).to_le_bytes());
    header.extend_from_slice(&[0; 2]);
    header
}

/// The CRC-32 of ZIP (polynomial 0xEDB88320, reflected).
fn checksum(bytes: &[u8]) -> u32 {
    let mut table = [0_u32; 256];
    for (index, slot) in table.iter_mut().enumerate() {
        *slot = (0..8).fold(index as u32, |crc, _| (crc >> 1) ^ (0xEDB8_8320 & 0_u32.wrapping_sub(crc & 1)));
    }
    !bytes.iter().fold(!0, |crc, byte| (crc >> 8) ^ table[((crc ^ u32::from(*byte)) & 255) as usize])
}

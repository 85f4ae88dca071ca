//! How the output of the child, the lines of the program and a status line share one stream. Pure: bytes in,
//! bytes out.
//!
//! Lines never mix: a line of the program begins at the start of a line, and the status line is drawn only
//! there.

/// Moves to the start of the line and erases it.
const ERASE_LINE: &[u8] = b"\r\x1b[2K";

/// The last line of a stream: an unfinished line of output, a status line, or nothing.
#[derive(Debug, Default)]
pub(super) struct StatusLine {
    /// The stream is a terminal, on which a line can be erased.
    is_supported: bool,
    /// The last line of output has no end yet.
    has_unfinished_line: bool,
    wanted: Option<Vec<u8>>,
    /// The wanted status line is on the screen.
    is_current: bool,
    /// A status line is on the screen, perhaps an old one.
    is_drawn: bool,
}

impl StatusLine {
    pub(super) fn new(is_supported: bool) -> Self {
        Self { is_supported, ..Self::default() }
    }

    /// Whether the last line of output has no end yet.
    pub(super) fn has_unfinished_line(&self) -> bool {
        self.has_unfinished_line
    }

    /// The bytes to write for output of the child.
    pub(super) fn before_child_output(&mut self, chunk: &[u8]) -> Vec<u8> {
        let mut bytes = self.erase();
        bytes.extend_from_slice(chunk);
        self.has_unfinished_line = !ends_at_line_start(!self.has_unfinished_line, chunk);
        bytes
    }

    /// The bytes to write for whole lines of the program, or for a sequence that shows nothing, such as a title. Lines
    /// break off an unfinished line of the child.
    pub(super) fn before_program_lines(&mut self, lines: &[u8]) -> Vec<u8> {
        let mut bytes = self.erase();
        if !lines.starts_with(b"\x1b]") && std::mem::take(&mut self.has_unfinished_line) {
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(lines);
        bytes
    }

    /// Sets the status line; `None` removes it.
    pub(super) fn set(&mut self, status: Option<Vec<u8>>) {
        self.is_current &= self.wanted == status;
        self.wanted = status.filter(|_| self.is_supported);
    }

    /// Whether [`Self::redraw`] has something to write.
    pub(super) fn is_due(&self) -> bool {
        match self.wanted {
            Some(_) => !self.is_current && !self.has_unfinished_line,
            None => self.is_drawn,
        }
    }

    /// The bytes that bring the status line up to date; empty if it is.
    pub(super) fn redraw(&mut self) -> Vec<u8> {
        if !self.is_due() {
            return Vec::new();
        }
        self.is_current = self.wanted.is_some();
        self.is_drawn = self.is_current;
        [ERASE_LINE, self.wanted.as_deref().unwrap_or_default()].concat()
    }

    fn erase(&mut self) -> Vec<u8> {
        self.is_current = false;
        if std::mem::take(&mut self.is_drawn) { ERASE_LINE.to_vec() } else { Vec::new() }
    }
}

/// Whether no line is unfinished after this chunk. Colours at its end do not count, nor does a line that was
/// erased.
fn ends_at_line_start(before: bool, chunk: &[u8]) -> bool {
    let rest = without_colors(chunk);
    if rest.is_empty() {
        return before;
    }
    const LINE_ENDS: [&[u8]; 6] =
        [b"\n", b"\r\x1b[K", b"\r\x1b[2K", b"\x1b[2K\r", b"\x1b[K\r", b"\x1b[2K\x1b[1G"];
    LINE_ENDS.iter().any(|end| rest.ends_with(end))
}

/// A chunk without the color sequences (`ESC [ … m`) at its end.
fn without_colors(mut chunk: &[u8]) -> &[u8] {
    while let Some(at) = chunk.iter().rposition(|byte| *byte == 0x1b) {
        match &chunk[at + 1..] {
            [b'[', arguments @ .., b'm'] if arguments.iter().all(|byte| matches!(byte, b'0'..=b';')) => {
                chunk = &chunk[..at];
            }
            _ => break,
        }
    }
    chunk
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap_or_default().replace("\r\x1b[2K", "<erase>")
    }

    #[test]
    fn a_status_line_is_erased_for_every_line_and_comes_back_after_it() {
        let mut status_line = StatusLine::new(true);
        status_line.set(Some(b"waiting".to_vec()));
        assert_eq!(text(status_line.redraw()), "<erase>waiting");
        assert_eq!(text(status_line.redraw()), "");
        assert_eq!(text(status_line.before_child_output(b"hello\n")), "<erase>hello\n");
        assert_eq!(text(status_line.redraw()), "<erase>waiting");
        assert_eq!(text(status_line.before_program_lines(b"devrun: changed\n")), "<erase>devrun: changed\n");
        assert_eq!(text(status_line.redraw()), "<erase>waiting");
        status_line.set(None);
        assert_eq!(text(status_line.redraw()), "<erase>");
        assert_eq!(text(status_line.redraw()), "");
    }

    #[test]
    fn an_unfinished_line_has_no_status_line_in_it() {
        let mut status_line = StatusLine::new(true);
        status_line.set(Some(b"waiting".to_vec()));
        assert_eq!(text(status_line.before_child_output(b"half a")), "half a");
        assert_eq!(text(status_line.redraw()), "");
        assert_eq!(text(status_line.before_child_output(b" line\n\x1b[0m")), " line\n\x1b[0m");
        assert_eq!(text(status_line.redraw()), "<erase>waiting");
    }

    #[test]
    fn without_a_status_line_a_line_of_the_program_begins_at_a_line_start() {
        let mut status_line = StatusLine::new(false);
        status_line.set(Some(b"waiting".to_vec()));
        assert_eq!(text(status_line.redraw()), "");
        assert_eq!(text(status_line.before_child_output(b"half")), "half");
        assert_eq!(text(status_line.before_program_lines(b"\x1b]2;title\x07")), "\x1b]2;title\x07");
        assert_eq!(text(status_line.before_program_lines(b"{}\n")), "\n{}\n");
        assert_eq!(text(status_line.before_program_lines(b"{}\n")), "{}\n");
    }

    #[test]
    fn a_progress_bar_is_an_unfinished_line_until_it_is_erased() {
        assert!(!ends_at_line_start(true, b"   Building [=>  ] 3/10\r"));
        assert!(ends_at_line_start(false, b"\r\x1b[K"));
        assert!(ends_at_line_start(true, b"\x1b[1m\x1b[32m"));
        assert!(!ends_at_line_start(false, b"\x1b[1m"));
    }
}

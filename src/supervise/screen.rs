//! Pure: in which order what the child writes, what the owner says and a status line share one stream.
//!
//! Lines are never mixed: the owner's begin at the start of a line, and a status line stands only where no line has begun.

/// Back to the start of the line, and empty it.
const ERASE: &[u8] = b"\r\x1b[2K";

/// One stream, as it looks now.
#[derive(Debug)]
pub(super) struct Screen {
    /// A status line may be drawn, and taken away again.
    draws: bool,
    /// No line has begun.
    at_start: bool,
    status: Option<Vec<u8>>,
    /// The status line stands there, as it is.
    shown: bool,
    /// A status line stands there, perhaps an old one.
    drawn: bool,
}

impl Screen {
    pub(super) fn new(draws: bool) -> Self {
        Self { draws, at_start: true, status: None, shown: false, drawn: false }
    }

    /// Whether no line has begun, so that the owner may say something.
    pub(super) fn at_start(&self) -> bool {
        self.at_start
    }

    /// What to write for something of the child's.
    pub(super) fn passed(&mut self, chunk: &[u8]) -> Vec<u8> {
        let mut bytes = self.erase();
        bytes.extend_from_slice(chunk);
        self.at_start = starts_line(self.at_start, chunk);
        bytes
    }

    /// What to write for lines of the owner's, their ends included. A line of the child's that has begun is broken off.
    pub(super) fn said(&mut self, lines: &[u8]) -> Vec<u8> {
        let mut bytes = self.erase();
        if !self.at_start {
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(lines);
        self.at_start = true;
        bytes
    }

    /// Another status line, or none.
    pub(super) fn wants(&mut self, status: Option<Vec<u8>>) {
        self.shown &= self.status == status;
        self.status = status.filter(|_| self.draws);
    }

    /// What to write so that the status line stands there as it should; empty if it does.
    pub(super) fn settle(&mut self) -> Vec<u8> {
        match &self.status {
            Some(status) if !self.shown && self.at_start => {
                let bytes = [ERASE, status].concat();
                (self.shown, self.drawn) = (true, true);
                bytes
            }
            None => self.erase(),
            Some(_) => Vec::new(),
        }
    }

    fn erase(&mut self) -> Vec<u8> {
        self.shown = false;
        if std::mem::take(&mut self.drawn) { ERASE.to_vec() } else { Vec::new() }
    }
}

/// Whether no line has begun after this chunk. Colours at its end do not count, and an emptied line is none.
fn starts_line(before: bool, chunk: &[u8]) -> bool {
    let rest = without_colours(chunk);
    if rest.is_empty() {
        return before;
    }
    const EMPTIED: [&[u8]; 6] =
        [b"\n", b"\r\x1b[K", b"\r\x1b[2K", b"\x1b[2K\r", b"\x1b[K\r", b"\x1b[2K\x1b[1G"];
    EMPTIED.iter().any(|end| rest.ends_with(end))
}

/// A chunk without the colour sequences (`ESC [ … m`) at its end.
fn without_colours(mut chunk: &[u8]) -> &[u8] {
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
    fn a_status_line_is_taken_away_for_every_line_and_comes_back_after_it() {
        let mut screen = Screen::new(true);
        screen.wants(Some(b"waiting".to_vec()));
        assert_eq!(text(screen.settle()), "<erase>waiting");
        assert_eq!(text(screen.settle()), "");
        assert_eq!(text(screen.passed(b"hello\n")), "<erase>hello\n");
        assert_eq!(text(screen.settle()), "<erase>waiting");
        assert_eq!(text(screen.said(b"devrun: changed\n")), "<erase>devrun: changed\n");
        assert_eq!(text(screen.settle()), "<erase>waiting");
        screen.wants(None);
        assert_eq!(text(screen.settle()), "<erase>");
        assert_eq!(text(screen.settle()), "");
    }

    #[test]
    fn a_line_that_has_begun_has_no_status_line_in_it() {
        let mut screen = Screen::new(true);
        screen.wants(Some(b"waiting".to_vec()));
        assert_eq!(text(screen.passed(b"half a")), "half a");
        assert_eq!(text(screen.settle()), "");
        assert_eq!(text(screen.passed(b" line\n\x1b[0m")), " line\n\x1b[0m");
        assert_eq!(text(screen.settle()), "<erase>waiting");
    }

    #[test]
    fn what_the_owner_says_has_a_line_of_its_own() {
        let mut screen = Screen::new(false);
        assert_eq!(text(screen.passed(b"half")), "half");
        assert_eq!(text(screen.said(b"{}\n")), "\n{}\n");
        assert_eq!(text(screen.said(b"{}\n")), "{}\n");
    }

    #[test]
    fn where_nothing_can_be_taken_away_nothing_is_drawn() {
        let mut screen = Screen::new(false);
        screen.wants(Some(b"waiting".to_vec()));
        assert_eq!(text(screen.settle()), "");
    }

    #[test]
    fn a_progress_bar_is_a_line_that_has_begun_until_it_is_emptied() {
        assert!(!starts_line(true, b"   Building [=>  ] 3/10\r"));
        assert!(starts_line(false, b"\r\x1b[K"));
        assert!(starts_line(true, b"\x1b[1m\x1b[32m"));
        assert!(!starts_line(false, b"\x1b[1m"));
    }
}

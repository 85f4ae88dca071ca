//! The only place that prints: standard output and standard error, with colour where it is wanted.
//!
//! Control and bidirectional characters in paths are escaped here, since a file's name must not be able to
//! drive the terminal. Knows no options, no rooms.

use std::borrow::Cow;
use std::fmt::{self, Display, Write as _};
use std::io::{self, IsTerminal as _, Write};
use std::path::Path;
use std::sync::OnceLock;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use devrun::supervise::Streams;
use unicode_width::UnicodeWidthStr as _;

use crate::ui::error::{Failure, Place};

/// Errors.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Warnings, and what will take a while.
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// What went well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// Remedies.
pub(crate) const HELP: Style = AnsiColor::Cyan.on_default().bold();
/// Paths and commands.
pub(crate) const NAME: Style = Style::new().bold();
/// What matters less.
pub(crate) const FAINT: Style = Style::new().dimmed();

/// `text` in a style; without colour the stream leaves the escapes out.
pub(crate) fn styled(style: Style, text: impl Display) -> impl Display {
    struct Styled<T>(Style, T);

    impl<T: Display> Display for Styled<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{}{}{}", self.0, self.1, self.0.render_reset())
        }
    }

    Styled(style, text)
}

/// Back to the start of the line, and empty it.
const ERASE: &[u8] = b"\r\x1b[2K";

/// What a run writes with, once there is one; the log of the inner workings writes with it too, from anywhere.
static SHARED: OnceLock<Streams> = OnceLock::new();

/// Both streams of the program.
#[derive(Debug)]
pub(crate) struct Terminal {
    out: AutoStream<io::Stdout>,
    /// What is not yet handed to `out`: a list of a large tree is written in large pieces.
    pending: Vec<u8>,
    err: AutoStream<io::Stderr>,
    /// Whether a status line stands on the terminal, without an end of line.
    status: bool,
    color: ColorChoice,
}

impl Terminal {
    /// The streams, with colour as NO_COLOR, CLICOLOR and the kind of stream say, unless `choice` does.
    pub(crate) fn new(choice: ColorChoice) -> Self {
        let out = io::stdout();
        let err = io::stderr();
        let out_choice = choose(choice, || AutoStream::choice(&out));
        let err_choice = choose(choice, || AutoStream::choice(&err));
        Self {
            out: AutoStream::new(out, out_choice),
            pending: Vec::new(),
            err: AutoStream::new(err, err_choice),
            status: false,
            color: choice,
        }
    }

    /// The same streams with another choice; nothing has been written yet.
    pub(crate) fn set_color(&mut self, choice: ColorChoice) {
        if choice != self.color {
            *self = Self::new(choice);
        }
    }

    /// Writes to standard output: soon, and at the latest at the end of the program or of [`Terminal::flush`].
    ///
    /// # Errors
    /// The silent [`Failure::closed_pipe`] if nobody reads any more, another one if it cannot be written.
    pub(crate) fn out(&mut self, text: impl Display) -> Result<(), Failure> {
        written(write!(self.pending, "{text}"))?;
        if self.pending.len() < 1 << 16 { Ok(()) } else { self.hand_on() }
    }

    /// Writes a line to standard output. Errors as [`Terminal::out`].
    pub(crate) fn out_line(&mut self, text: impl Display) -> Result<(), Failure> {
        self.out(format_args!("{text}\n"))
    }

    /// Writes bytes to standard output unchanged: paths that another program will read. Errors as
    /// [`Terminal::out`].
    pub(crate) fn out_bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.hand_on()?;
        written(io::stdout().write_all(bytes))
    }

    /// Hands on what standard output still buffers. Errors as [`Terminal::out`].
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.hand_on()?;
        written(self.out.flush())
    }

    fn hand_on(&mut self) -> Result<(), Failure> {
        let pending = std::mem::take(&mut self.pending);
        written(self.out.write_all(&pending))
    }

    /// Once a session runs with them, standard error is written by a thread, together with what COMMAND writes: whoever reads
    /// it may be slow or gone, and nothing waits for that.
    pub(crate) fn share(&self) -> Streams {
        SHARED.get_or_init(|| Streams::open(self.draws())).clone()
    }

    /// Waits until everything is written, but not for a reader that takes nothing.
    pub(crate) fn settle(&mut self) {
        self.clear_status();
        if let Some(shared) = SHARED.get() {
            shared.flush();
        }
    }

    /// How many lines were left out since this was last asked, because nobody read them.
    pub(crate) fn left_out(&self) -> u64 {
        SHARED.get().map_or(0, Streams::left_out)
    }

    /// Writes a line to standard error. Nothing can be done if that fails, so nothing is.
    pub(crate) fn say(&mut self, line: impl Display) {
        // One write for one line: lines of several processes do not mix.
        let line = self.painted(format_args!("{line}\n"));
        match SHARED.get() {
            Some(shared) => shared.say(line),
            None => {
                self.clear_status();
                let _ = io::stderr().write_all(&line);
            }
        }
    }

    /// Shows a line that the next one replaces, shortened to the width there is. Does nothing where none can be drawn.
    pub(crate) fn status(&mut self, line: &str) {
        if !self.draws() {
            return;
        }
        // The last column stays free: some terminals begin a new line when it is written.
        let line = self.painted(styled(FAINT, fitting(line, self.width().saturating_sub(1))));
        match SHARED.get() {
            Some(shared) => shared.status(Some(line)),
            None => {
                let _ = io::stderr().write_all(&[ERASE, &line].concat());
            }
        }
        self.status = true;
    }

    /// Takes the status line away.
    pub(crate) fn clear_status(&mut self) {
        if std::mem::take(&mut self.status) {
            match SHARED.get() {
                Some(shared) => shared.status(None),
                None => _ = io::stderr().write_all(ERASE),
            }
        }
    }

    /// Clears the screen, if standard error is one.
    pub(crate) fn clear_screen(&mut self) {
        const CLEAR: &[u8] = b"\x1b[2J\x1b[3J\x1b[H";
        match SHARED.get() {
            Some(shared) if self.draws() => shared.say(CLEAR.to_vec()),
            None if self.draws() => _ = io::stderr().write_all(CLEAR),
            _ => {}
        }
    }

    /// What is to be written for this, with colour or without.
    fn painted(&self, text: impl Display) -> Vec<u8> {
        let mut painted = AutoStream::new(Vec::new(), self.err.current_choice());
        // A vector takes everything.
        let _ = write!(painted, "{text}");
        painted.into_inner()
    }

    /// Whether standard error is a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        self.err.is_terminal()
    }

    /// Whether what stands on standard error can be taken away again.
    pub(crate) fn draws(&self) -> bool {
        if let Some(shared) = SHARED.get() {
            return shared.draws();
        }
        self.is_terminal() && std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
    }

    /// Columns of the terminal; 80 where there is none.
    pub(crate) fn width(&self) -> usize {
        rustix::termios::tcgetwinsize(io::stderr()).map_or(80, |size| match size.ws_col {
            0 => 80,
            columns => usize::from(columns),
        })
    }

    /// Whether standard error takes colour.
    pub(crate) fn has_color(&self) -> bool {
        self.err.current_choice() != ColorChoice::Never
    }

    /// Shows a warning and its remedy.
    pub(crate) fn warn(&mut self, message: impl Display, remedy: &str) {
        self.say(format_args!("{}: {message}", styled(WARNING, "warning")));
        if !remedy.is_empty() {
            self.say(format_args!("  {}: {remedy}", styled(HELP, "help")));
        }
    }

    /// Shows why the program did not do what was asked.
    pub(crate) fn fail(&mut self, failure: &Failure) {
        if failure.silent {
            return;
        }
        match &failure.place {
            Some(place) => {
                let rendered = self.snippet(failure, place);
                self.say(rendered);
            }
            None => self.plain(failure),
        }
    }

    fn plain(&mut self, failure: &Failure) {
        let mut text = format!("{}: {}", styled(ERROR, "error"), lines(&failure.message));
        for cause in &failure.causes {
            let _ = write!(text, ": {}", lines(cause));
        }
        self.say(text);
        if let Some(remedy) = &failure.remedy {
            self.say(format_args!("  {}: {}", styled(HELP, "help"), lines(remedy)));
        }
    }

    /// The line and a caret, as rustc shows them.
    fn snippet(&self, failure: &Failure, place: &Place) -> String {
        let mut annotation = AnnotationKind::Primary.span(place.span.clone());
        if !place.label.is_empty() {
            annotation = annotation.label(place.label.as_str());
        }
        let snippet = Snippet::source(place.text.as_str()).path(place.file.as_str()).annotation(annotation);
        let mut report = vec![Level::ERROR.primary_title(failure.message.as_str()).element(snippet)];
        if let Some(remedy) = &failure.remedy {
            report.push(annotate_snippets::Group::with_title(Level::HELP.secondary_title(remedy.as_str())));
        }
        self.renderer().render(&report).to_string()
    }

    /// The renderer for findings in files, with this terminal's colour and width.
    pub(crate) fn renderer(&self) -> Renderer {
        let renderer = if self.has_color() { Renderer::styled() } else { Renderer::plain() };
        renderer.decor_style(DecorStyle::Ascii).term_width(self.width())
    }
}

/// Standard error for whole lines from anywhere, other threads included. A status line there is written over, and
/// comes back with its next tick.
#[derive(Debug)]
pub(crate) struct Beside;

impl Beside {
    /// Whether it takes colour, if this is wanted.
    pub(crate) fn has_color(choice: ColorChoice) -> bool {
        choose(choice, || AutoStream::choice(&io::stderr())) != ColorChoice::Never
    }
}

impl Write for Beside {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        if let Some(shared) = SHARED.get() {
            shared.say(lines.to_vec());
            return Ok(lines.len());
        }
        let mut err = io::stderr().lock();
        if err.is_terminal() {
            err.write_all(ERASE)?;
        }
        err.write_all(lines)?;
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn choose(choice: ColorChoice, automatic: impl FnOnce() -> ColorChoice) -> ColorChoice {
    match choice {
        ColorChoice::Auto => automatic(),
        decided => decided,
    }
}

fn written(result: io::Result<()>) -> Result<(), Failure> {
    result.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::closed_pipe(),
        _ => Failure::to_do("write to standard output", &error),
    })
}

/// As much of a text as has room in so many columns, with an ellipsis for what has not. Wide characters take two columns.
fn fitting(text: &str, columns: usize) -> Cow<'_, str> {
    if text.width() <= columns {
        return Cow::Borrowed(text);
    }
    let mut end = 0;
    for (at, character) in text.char_indices() {
        let next = at + character.len_utf8();
        if text[..next].width() + 1 > columns {
            break;
        }
        end = next;
    }
    Cow::Owned(format!("{}…", &text[..end]))
}

/// A message may have several lines; each is escaped.
fn lines(text: &str) -> String {
    text.split('\n').map(escape_text).collect::<Vec<_>>().join("\n")
}

/// A path as it may be shown: control, bidirectional and invalid characters escaped.
pub(crate) fn path(path: &Path) -> String {
    bytes(path.as_os_str().as_encoded_bytes())
}

/// A path relative to a directory, if it is below it, as it may be shown.
pub(crate) fn relative(full: &Path, directory: &Path) -> String {
    match full.strip_prefix(directory) {
        Ok(below) if below.as_os_str().is_empty() => ".".into(),
        Ok(below) => path(below),
        Err(_) => path(full),
    }
}

/// Bytes as they may be shown: control, bidirectional and invalid characters escaped.
pub(crate) fn bytes(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        shown.push_str(&escape_text(chunk.valid()));
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

/// Text as it may be shown: control and bidirectional characters escaped.
pub(crate) fn escape_text(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            character if is_unsafe(character) => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
            }
            character => shown.push(character),
        }
    }
    Cow::Owned(shown)
}

/// Control characters, and those that reorder or hide text (Unicode TR 36, "Trojan Source").
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

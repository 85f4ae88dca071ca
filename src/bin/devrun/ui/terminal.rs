//! Standard output and standard error of the program. No other file prints.

use std::fmt::{Display, Write as _};
use std::io::{self, IsTerminal as _, Write};
use std::sync::OnceLock;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use devrun::supervise::OutputStreams;

use super::error::{CliError, SourceSpan};
use super::features::{Features, Link, Progress};
use super::text::{ERROR, FAINT, HELP, WARNING, cut_middle, escape_lines, styled};

/// Moves the cursor to the start of the line and erases the line.
const ERASE_LINE: &[u8] = b"\r\x1b[2K";
/// Erases the screen and the scrollback, and moves the cursor to the top left.
const CLEAR_SCREEN: &[u8] = b"\x1b[2J\x1b[3J\x1b[H";
/// Size from which pending output is written.
const FLUSH_THRESHOLD: usize = 64 * 1024;
/// Columns of a terminal whose size is unknown.
const DEFAULT_COLUMNS: usize = 80;

/// The threads that write standard output and standard error during a run. The log writes through them too,
/// from any thread.
static SHARED: OnceLock<OutputStreams> = OnceLock::new();

/// Standard output and standard error.
#[derive(Debug)]
pub(crate) struct Terminal {
    /// The choice that the user made.
    color: ColorChoice,
    out_color: ColorChoice,
    err_color: ColorChoice,
    /// Output that is not yet written, because a long listing is written in large pieces. It has the colours of
    /// the stream already.
    pending: Vec<u8>,
    /// Whether the last line on the terminal is a status line, without an end of line.
    has_status: bool,
    /// What the terminal on standard error knows; nothing if it is none.
    features: Features,
    /// The title and the progress that are shown.
    title: Option<(String, Progress)>,
}

impl Terminal {
    /// Opens both streams. With [`ColorChoice::Auto`], NO_COLOR, CLICOLOR and the kind of stream decide about
    /// colour.
    pub(crate) fn new(choice: ColorChoice) -> Self {
        Self {
            color: choice,
            out_color: resolve_color(choice, &io::stdout()),
            err_color: resolve_color(choice, &io::stderr()),
            pending: Vec::new(),
            has_status: false,
            features: if is_capable_terminal() {
                Features::of(|name| std::env::var(name).ok())
            } else {
                Features::default()
            },
            title: None,
        }
    }

    /// Changes the use of colour. Call it before anything is printed.
    pub(crate) fn set_color(&mut self, choice: ColorChoice) {
        if choice != self.color {
            *self = Self::new(choice);
        }
    }

    /// Prints text to standard output. It is written at the latest by [`Terminal::flush`].
    ///
    /// # Errors
    /// [`CliError::closed_pipe`] if the reader closed the stream, another error if the write fails.
    pub(crate) fn print(&mut self, text: impl Display) -> Result<(), CliError> {
        let rendered = render(text, self.out_color);
        self.print_bytes(&rendered)
    }

    /// Prints a line to standard output. Errors as [`Terminal::print`].
    pub(crate) fn println(&mut self, text: impl Display) -> Result<(), CliError> {
        self.print(format_args!("{text}\n"))
    }

    /// Prints a line to standard output without a change, for other programs to read. Text for people goes through a
    /// filter that removes escape sequences, and with them characters such as DEL. Errors as [`Terminal::print`].
    pub(crate) fn println_data(&mut self, data: impl Display) -> Result<(), CliError> {
        self.print_bytes(format!("{data}\n").as_bytes())
    }

    /// Prints bytes to standard output without a change. Errors as [`Terminal::print`].
    pub(crate) fn print_bytes(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() < FLUSH_THRESHOLD { Ok(()) } else { self.write_pending() }
    }

    /// Writes the pending text to standard output. Errors as [`Terminal::print`].
    pub(crate) fn flush(&mut self) -> Result<(), CliError> {
        self.write_pending()?;
        to_cli_error(io::stdout().flush())
    }

    /// Prints a line to standard error. A failed write is ignored, because there is nowhere to report it.
    pub(crate) fn eprintln(&mut self, line: impl Display) {
        self.eprint_bytes(render(format_args!("{line}\n"), self.err_color));
    }

    /// Prints a line to standard error without a change, for other programs to read. Errors as
    /// [`Terminal::eprintln`].
    pub(crate) fn eprintln_data(&mut self, data: impl Display) {
        self.eprint_bytes(format!("{data}\n").into_bytes());
    }

    fn eprint_bytes(&mut self, line: Vec<u8>) {
        if SHARED.get().is_none() {
            self.clear_status();
        }
        write_stderr(line);
    }

    /// Prints a warning and its remedy to standard error. An empty remedy is left out.
    pub(crate) fn warn(&mut self, message: impl Display, remedy: &str) {
        self.eprintln(format_args!("{}: {message}", styled(WARNING, "warning")));
        if !remedy.is_empty() {
            self.eprintln(format_args!("  {}: {remedy}", styled(HELP, "help")));
        }
    }

    /// Prints an error to standard error.
    pub(crate) fn print_error(&mut self, error: &CliError) {
        if error.is_silent {
            return;
        }
        match &error.span {
            Some(span) => {
                let rendered = self.render_snippet(error, span);
                self.eprintln(rendered);
            }
            None => self.print_plain_error(error),
        }
        for other in &error.others {
            self.eprintln("");
            self.print_error(other);
        }
    }

    /// Shows a status line that the next one replaces. It is cut to the width of the terminal. Does nothing
    /// if standard error cannot show a status line.
    pub(crate) fn set_status(&mut self, line: &str) {
        if !self.supports_status() {
            return;
        }
        // The last column stays free, because some terminals begin a new line after it.
        let line = cut_middle(line, self.width().saturating_sub(1));
        let line = render(styled(FAINT, line), self.err_color);
        match SHARED.get() {
            Some(shared) => shared.set_status(Some(line)),
            None => write_stderr([ERASE_LINE, &line].concat()),
        }
        self.has_status = true;
    }

    /// Removes the status line.
    pub(crate) fn clear_status(&mut self) {
        if std::mem::take(&mut self.has_status) {
            match SHARED.get() {
                Some(shared) => shared.set_status(None),
                None => write_stderr(ERASE_LINE.to_vec()),
            }
        }
    }

    /// Shows a title and a progress, if the terminal knows them. [`Terminal::drain`] takes them back.
    pub(crate) fn set_title(&mut self, title: &str, progress: Progress) {
        let shown = (title.to_owned(), progress);
        if self.title.as_ref() != Some(&shown) {
            let is_first = self.title.replace(shown).is_none();
            self.write_sequence(self.features.show(title, progress, is_first));
        }
    }

    /// Takes the title and the progress back.
    pub(crate) fn restore_title(&mut self) {
        if self.title.take().is_some() {
            self.write_sequence(self.features.restore());
        }
    }

    /// Rings the bell of the terminal.
    pub(crate) fn ring(&self) {
        if self.supports_status() {
            self.write_sequence("\x07".to_owned());
        }
    }

    fn write_sequence(&self, sequence: String) {
        if !sequence.is_empty() {
            write_stderr(sequence.into_bytes());
        }
    }

    /// An escaped text with a hyperlink on each of the names, which it contains in this order.
    pub(crate) fn link(&self, text: &str, links: &[Link]) -> String {
        self.features.link(text, links)
    }

    /// Clears the screen if standard error is a terminal that can.
    pub(crate) fn clear_screen(&mut self) {
        if self.supports_status() {
            write_stderr(CLEAR_SCREEN.to_vec());
        }
    }

    /// Starts writing by threads, shared with the output of COMMAND, so that a slow reader never blocks the
    /// program.
    pub(crate) fn share(&self) -> io::Result<OutputStreams> {
        if let Some(shared) = SHARED.get() {
            return Ok(shared.clone());
        }
        let opened = OutputStreams::open(self.supports_status())?;
        Ok(SHARED.get_or_init(|| opened).clone())
    }

    /// Blocks until all output is written, or until a reader stops reading.
    pub(crate) fn drain(&mut self) {
        self.clear_status();
        self.restore_title();
        if let Some(shared) = SHARED.get() {
            shared.flush();
        }
    }

    /// Number of lines that were dropped since the last call, because a slow reader did not take them.
    pub(crate) fn take_dropped_lines(&self) -> u64 {
        SHARED.get().map_or(0, OutputStreams::take_dropped)
    }

    /// Whether standard error is a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// Whether standard error is a terminal that can erase a line.
    pub(crate) fn supports_status(&self) -> bool {
        if let Some(shared) = SHARED.get() {
            return shared.supports_status();
        }
        is_capable_terminal()
    }

    /// The renderer of source snippets, with the colour of standard error and the width of the terminal.
    pub(crate) fn renderer(&self) -> Renderer {
        let renderer =
            if self.err_color == ColorChoice::Never { Renderer::plain() } else { Renderer::styled() };
        renderer.decor_style(DecorStyle::Ascii).term_width(self.width())
    }

    /// Columns of the terminal on standard error.
    fn width(&self) -> usize {
        let columns = rustix::termios::tcgetwinsize(io::stderr()).map_or(0, |size| usize::from(size.ws_col));
        if columns == 0 { DEFAULT_COLUMNS } else { columns }
    }

    fn write_pending(&mut self) -> Result<(), CliError> {
        let pending = std::mem::take(&mut self.pending);
        to_cli_error(io::stdout().write_all(&pending))
    }

    fn print_plain_error(&mut self, error: &CliError) {
        let mut text = format!("{}: {}", styled(ERROR, "error"), escape_lines(&error.message));
        for cause in &error.causes {
            let _ = write!(text, ": {}", escape_lines(cause));
        }
        self.eprintln(text);
        if let Some(remedy) = &error.remedy {
            self.eprintln(format_args!("  {}: {}", styled(HELP, "help"), escape_lines(remedy)));
        }
    }

    /// The source line with carets, in the form of rustc.
    fn render_snippet(&self, error: &CliError, span: &SourceSpan) -> String {
        let mut annotation = AnnotationKind::Primary.span(span.range.clone());
        if !span.label.is_empty() {
            annotation = annotation.label(&span.label);
        }
        let snippet = Snippet::source(&span.text).path(&span.file).annotation(annotation);
        let mut report = vec![Level::ERROR.primary_title(&error.message).element(snippet)];
        if let Some(remedy) = &error.remedy {
            report.push(Group::with_title(Level::HELP.secondary_title(remedy)));
        }
        self.renderer().render(&report).to_string()
    }
}

/// Writer of whole lines to standard error, for any thread. The log uses it. A status line is overwritten and
/// comes back with its next update.
#[derive(Debug)]
pub(crate) struct StderrWriter;

impl StderrWriter {
    /// Whether standard error takes colour under this choice.
    pub(crate) fn has_color(choice: ColorChoice) -> bool {
        resolve_color(choice, &io::stderr()) != ColorChoice::Never
    }
}

impl Write for StderrWriter {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let may_have_status = SHARED.get().is_none() && io::stderr().is_terminal();
        let erase = if may_have_status { ERASE_LINE } else { b"" };
        write_stderr([erase, lines].concat());
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Whether standard error is a terminal that knows escape sequences.
fn is_capable_terminal() -> bool {
    let has_term = |term: &std::ffi::OsString| !term.is_empty() && term != "dumb";
    io::stderr().is_terminal() && std::env::var_os("TERM").as_ref().is_some_and(has_term)
}

/// The bytes of a text, without its escape sequences if colour is off.
fn render(text: impl Display, color: ColorChoice) -> Vec<u8> {
    let mut rendered = AutoStream::new(Vec::new(), color);
    // Writing to a vector does not fail.
    let _ = write!(rendered, "{text}");
    rendered.into_inner()
}

/// Writes to standard error, in one piece so that the lines of several processes do not mix.
fn write_stderr(bytes: Vec<u8>) {
    match SHARED.get() {
        Some(shared) => shared.print(bytes),
        None => _ = io::stderr().write_all(&bytes),
    }
}

fn resolve_color(choice: ColorChoice, stream: &impl RawStream) -> ColorChoice {
    if choice == ColorChoice::Auto { AutoStream::choice(stream) } else { choice }
}

fn to_cli_error(result: io::Result<()>) -> Result<(), CliError> {
    result.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => CliError::closed_pipe(),
        _ => CliError::failed_to("write to standard output", &error),
    })
}

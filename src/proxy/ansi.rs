//! Terminal output as HTML: colours rendered, everything escaped, every other escape sequence dropped. Pure.

use std::fmt::Write;

use super::colour::{Colour, INK, PANE};

/// Escapes text for HTML content and quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    text.chars().for_each(|letter| push_escaped(&mut html, letter));
    html
}

fn push_escaped(html: &mut String, letter: char) {
    match letter {
        '&' => html.push_str("&amp;"),
        '<' => html.push_str("&lt;"),
        '>' => html.push_str("&gt;"),
        '"' => html.push_str("&quot;"),
        '\'' => html.push_str("&#39;"),
        _ => html.push(letter),
    }
}

/// The last `most` lines of some output as text, without any escape sequence.
pub(super) fn to_text(output: &[u8], most: usize) -> String {
    let lines = last(parse(output), most);
    let texts = lines.iter().map(|line| line.iter().map(|(_, letter)| *letter).collect::<String>());
    texts.collect::<Vec<_>>().join("\n")
}

/// The last `most` lines of some output as HTML, for a `pre`: spans with the classes and styles of [`Style`], a block for
/// each line. A line has a direction of its own, and what is written in another one must not turn its numbers round.
pub(super) fn to_html(output: &[u8], most: usize) -> String {
    let mut html = String::new();
    for line in last(parse(output), most) {
        html.push_str("<span class=\"l\" dir=\"auto\">");
        push_line(&mut html, &line);
        html.push_str(if line.is_empty() { "<br></span>" } else { "</span>" });
    }
    html
}

fn push_line(html: &mut String, line: &[(Style, char)]) {
    for run in line.chunk_by(|(one, _), (other, _)| one == other) {
        let style = run[0].0;
        let plain = style == Style::default();
        if !plain {
            style.open(html);
        }
        run.iter().for_each(|(_, letter)| push_escaped(html, *letter));
        if !plain {
            html.push_str("</span>");
        }
    }
}

type Line = Vec<(Style, char)>;

fn last(mut lines: Vec<Line>, most: usize) -> Vec<Line> {
    while lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    lines.split_off(lines.len().saturating_sub(most))
}

/// A colour as a program names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// One of 256.
    Numbered(u8),
    Exact(Colour),
}

impl Wanted {
    fn letter(self) -> Colour {
        match self {
            Self::Numbered(number) => Colour::letter(number),
            Self::Exact(colour) => colour,
        }
    }

    fn ground(self) -> Colour {
        match self {
            Self::Numbered(number) => Colour::ground(number),
            Self::Exact(colour) => colour,
        }
    }
}

/// How a letter looks (ECMA-48, 8.3.117).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Style {
    front: Option<Wanted>,
    back: Option<Wanted>,
    bold: bool,
    faint: bool,
    italic: bool,
    underlined: bool,
    inverse: bool,
    struck: bool,
}

impl Style {
    fn open(self, html: &mut String) {
        let (letter, ground) = self.colours();
        let flags = [(self.bold, 'b'), (self.italic, 'i'), (self.underlined, 'u'), (self.struck, 's')];
        let classes: Vec<_> =
            flags.iter().filter(|(set, _)| *set).map(|(_, name)| name.to_string()).collect();
        html.push_str("<span");
        if !classes.is_empty() {
            let _ = write!(html, " class=\"{}\"", classes.join(" "));
        }
        let style = match (letter == INK, ground == PANE) {
            (true, true) => String::new(),
            (false, true) => format!("color:{letter}"),
            (_, false) => format!("color:{letter};background:{ground}"),
        };
        if !style.is_empty() {
            let _ = write!(html, " style=\"{style}\"");
        }
        html.push('>');
    }

    /// What is shown, and on what.
    fn colours(self) -> (Colour, Colour) {
        let (front, back) = if self.inverse { (self.back, self.front) } else { (self.front, self.back) };
        let (ink, pane) = if self.inverse { (PANE, INK) } else { (INK, PANE) };
        let ground = back.map_or(pane, Wanted::ground);
        let mut letter = front.map_or(ink, Wanted::letter);
        if self.faint {
            letter = letter.mixed(ground, 0.35);
        }
        (letter.readable_on(ground), ground)
    }

    /// Takes the parameters of one `m` sequence.
    fn set(&mut self, parameters: &str) {
        let mut numbers = parameters.split([';', ':']).map(|number| match number {
            "" => Some(0),
            number => number.parse::<u16>().ok(),
        });
        while let Some(number) = numbers.next() {
            let Some(number) = number else { continue };
            match number {
                38 => self.front = extended(&mut numbers).or(self.front),
                48 => self.back = extended(&mut numbers).or(self.back),
                58 => drop(extended(&mut numbers)),
                _ => self.set_one(number),
            }
        }
    }

    fn set_one(&mut self, number: u16) {
        let low = |base: u16| Some(Wanted::Numbered((number - base) as u8));
        match number {
            0 => *self = Self::default(),
            1 => self.bold = true,
            2 => self.faint = true,
            3 => self.italic = true,
            4 | 21 => self.underlined = true,
            7 => self.inverse = true,
            9 => self.struck = true,
            22 => (self.bold, self.faint) = (false, false),
            23 => self.italic = false,
            24 => self.underlined = false,
            27 => self.inverse = false,
            29 => self.struck = false,
            30..=37 => self.front = low(30),
            39 => self.front = None,
            40..=47 => self.back = low(40),
            49 => self.back = None,
            90..=97 => self.front = low(82),
            100..=107 => self.back = low(92),
            _ => {}
        }
    }
}

/// `5;N` or `2;R;G;B` after 38 or 48.
fn extended(numbers: &mut impl Iterator<Item = Option<u16>>) -> Option<Wanted> {
    let mut byte = || u8::try_from(numbers.next()??).ok();
    match byte()? {
        2 => Some(Wanted::Exact(Colour(byte()?, byte()?, byte()?))),
        5 => Some(Wanted::Numbered(byte()?)),
        _ => None,
    }
}

/// Splits output into lines of styled letters, as a terminal would show them: a carriage return starts its line anew.
fn parse(output: &[u8]) -> Vec<Line> {
    let text = String::from_utf8_lossy(output);
    let mut letters = text.chars().peekable();
    let (mut lines, mut style, mut rewound) = (vec![Line::new()], Style::default(), false);
    while let Some(letter) = letters.next() {
        let Some(line) = lines.last_mut() else { break };
        match letter {
            '\u{1b}' => escape_sequence(&mut letters, &mut style),
            '\u{9b}' => control_sequence(&mut letters, &mut style),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => skip_string(&mut letters),
            '\n' => {
                lines.push(Line::new());
                rewound = false;
            }
            '\r' => rewound = true,
            '\u{8}' => drop(line.pop()),
            '\t' => line.push((style, letter)),
            letter if letter.is_control() => {}
            letter => {
                if std::mem::take(&mut rewound) {
                    line.clear();
                }
                line.push((style, letter));
            }
        }
    }
    lines
}

type Letters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// What follows an ESC (ECMA-35, 13.2).
fn escape_sequence(letters: &mut Letters<'_>, style: &mut Style) {
    match letters.peek() {
        Some('[') => {
            letters.next();
            control_sequence(letters, style);
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            letters.next();
            skip_string(letters);
        }
        _ => {
            while letters.next_if(|letter| (' '..='/').contains(letter)).is_some() {}
            letters.next_if(|letter| ('0'..='~').contains(letter));
        }
    }
}

/// What follows a CSI: parameters, and a final letter of which only `m` means anything here.
fn control_sequence(letters: &mut Letters<'_>, style: &mut Style) {
    let mut parameters = String::new();
    while let Some(letter) = letters.next_if(|letter| (' '..='?').contains(letter)) {
        parameters.push(letter);
    }
    if letters.next_if(|letter| ('@'..='~').contains(letter)) == Some('m') {
        style.set(&parameters);
    }
}

/// A string that ends with BEL or ST: titles, links, images. One that does not end by its line never will.
fn skip_string(letters: &mut Letters<'_>) {
    while let Some(letter) = letters.next_if(|letter| *letter != '\n') {
        match letter {
            '\u{7}' | '\u{9c}' => return,
            '\u{1b}' => {
                letters.next_if(|letter| *letter == '\\');
                return;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_become_spans_and_everything_is_escaped() {
        let html = to_html(b"\x1b[1;31mE<b>\x1b[0m & \x1b[38;5;208mx\x1b[48;2;1;2;3my\x1b[m", 10);
        assert_eq!(
            html,
            "<span class=\"l\" dir=\"auto\"><span class=\"b\" style=\"color:#ff7b80\">E&lt;b&gt;</span> &amp; \
             <span style=\"color:#ff8700\">x</span><span style=\"color:#ff8700;background:#010203\">y</span></span>"
        );
        let inverse = to_html(b"\x1b[7mi\x1b[0m\n\nend", 10);
        assert_eq!(
            inverse,
            "<span class=\"l\" dir=\"auto\"><span style=\"color:#1b1e25;background:#e6e4df\">i</span></span>\
             <span class=\"l\" dir=\"auto\"><br></span><span class=\"l\" dir=\"auto\">end</span>"
        );
    }

    #[test]
    fn other_sequences_leave_no_trace() {
        let cases: [(&[u8], &str); 8] = [
            (b"a\x1b[2Jb\x1b[?25lc", "abc"),
            (b"a\x1b]0;title\x07b\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "ablink"),
            (b"a\x1b(Bb\x1bPq#0\x1b\\c", "abc"),
            (b"10%\r20%\rdone\r\nnext", "done\nnext"),
            (b"a\x00\x01\x7f\xc2\x85b\tc", "ab\tc"),
            (b"a\x1b]0;never ends\nb", "a\nb"),
            (b"cut \xff\x1b[3", "cut \u{fffd}"),
            ("\u{62a}\u{642} \x1b[32mok\x1b[0m".as_bytes(), "\u{62a}\u{642} ok"),
        ];
        for (output, text) in cases {
            assert_eq!(to_text(output, 10), text, "{}", output.escape_ascii());
        }
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        assert_eq!(to_text(b"one\ntwo\nthree\n\n", 2), "two\nthree");
        assert_eq!(to_html(b"", 2), "");
    }
}

//! Terminal output as HTML: colours rendered, everything escaped, every other escape sequence dropped. Pure.

use std::fmt::Write;

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

/// The last `most` lines of some output as HTML, for a `pre`: spans with the classes and styles of [`Style`].
pub(super) fn to_html(output: &[u8], most: usize) -> String {
    let mut html = String::new();
    for line in last(parse(output), most) {
        push_line(&mut html, &line);
        html.push('\n');
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

/// One colour of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Colour {
    /// One of the sixteen that a theme sets.
    Named(u8),
    Exact(u8, u8, u8),
}

/// How a letter looks (ECMA-48, 8.3.117).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Style {
    front: Option<Colour>,
    back: Option<Colour>,
    bold: bool,
    faint: bool,
    italic: bool,
    underlined: bool,
    inverse: bool,
    struck: bool,
}

impl Style {
    fn open(self, html: &mut String) {
        let (mut class, mut style) = (String::new(), String::new());
        let (front, back) = if self.inverse { (self.back, self.front) } else { (self.front, self.back) };
        let flags = [
            (self.bold, "b "),
            (self.faint, "d "),
            (self.italic, "i "),
            (self.underlined, "u "),
            (self.struck, "s "),
            (self.inverse && back.is_none(), "v "),
        ];
        flags.iter().filter(|(set, _)| *set).for_each(|(_, name)| class.push_str(name));
        for (colour, prefix, property) in [(front, 'f', "color"), (back, 'g', "background")] {
            let _ = match colour {
                Some(Colour::Named(number)) => write!(class, "{prefix}{number} "),
                Some(Colour::Exact(r, g, b)) => write!(style, "{property}:#{r:02x}{g:02x}{b:02x};"),
                None => Ok(()),
            };
        }
        html.push_str("<span");
        for (name, value) in [("class", class.trim_end()), ("style", style.as_str())] {
            if !value.is_empty() {
                let _ = write!(html, " {name}=\"{value}\"");
            }
        }
        html.push('>');
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
        let low = |base: u16| Some(Colour::Named((number - base) as u8));
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
fn extended(numbers: &mut impl Iterator<Item = Option<u16>>) -> Option<Colour> {
    let mut byte = || u8::try_from(numbers.next()??).ok();
    match byte()? {
        2 => Some(Colour::Exact(byte()?, byte()?, byte()?)),
        5 => match byte()? {
            number @ 0..=15 => Some(Colour::Named(number)),
            number @ 16..=231 => {
                let level = |part: u8| if part == 0 { 0 } else { 55 + 40 * part };
                let cube = number - 16;
                Some(Colour::Exact(level(cube / 36), level(cube / 6 % 6), level(cube % 6)))
            }
            number => {
                let grey = 8 + 10 * (number - 232);
                Some(Colour::Exact(grey, grey, grey))
            }
        },
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
            "<span class=\"b f1\">E&lt;b&gt;</span> &amp; <span style=\"color:#ff8700;\">x</span>\
             <span style=\"color:#ff8700;background:#010203;\">y</span>\n"
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

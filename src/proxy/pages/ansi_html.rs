//! Terminal output as HTML or plain text: colours become spans, other escape sequences are dropped.
//!
//! A program names one of 16, one of 256 or any RGB colour. All of them are reduced to a fixed palette of 16
//! for the page's dark pane, whose contrast is known: text that the program's own terminal theme made readable
//! stays readable here.

use std::fmt::Write;

use anstyle_parse::{Params, Parser, Perform};

/// Escapes text for HTML content and quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            _ => html.push(letter),
        }
    }
    html
}

/// The last `max_lines` lines of terminal output as plain text.
pub(super) fn to_text(output: &[u8], max_lines: usize) -> String {
    let lines = last_lines(output, max_lines);
    lines.iter().map(|line| text_of(line)).collect::<Vec<_>>().join("\n")
}

fn text_of(letters: &[(Style, char)]) -> String {
    letters.iter().map(|(_, letter)| *letter).collect()
}

/// The last `max_lines` lines of terminal output as HTML for a `pre` element.
///
/// Each line is a block with its own text direction, so that right-to-left text in a line does not reorder
/// the next one.
pub(super) fn to_html(output: &[u8], max_lines: usize) -> String {
    let mut html = String::new();
    for line in last_lines(output, max_lines) {
        html.push_str("<span class=\"l\" dir=\"auto\">");
        for run in line.chunk_by(|(one, _), (other, _)| one == other) {
            let (style, text) = (run[0].0, escape(&text_of(run)));
            if style == Style::default() {
                html.push_str(&text);
            } else {
                let _ = write!(html, "<span{}>{text}</span>", style.attributes());
            }
        }
        html.push_str(if line.is_empty() { "<br></span>" } else { "</span>" });
    }
    html
}

type Line = Vec<(Style, char)>;

/// The last lines of the output without empty ones at its end.
fn last_lines(output: &[u8], max_lines: usize) -> Vec<Line> {
    let mut screen = Screen::default();
    let mut lines: Vec<Line> =
        String::from_utf8_lossy(output).split('\n').map(|text| screen.line(text)).collect();
    while lines.last().is_some_and(Vec::is_empty) {
        lines.pop();
    }
    lines.split_off(lines.len().saturating_sub(max_lines))
}

/// Performs what the escape sequences of one line say, as a terminal does.
#[derive(Debug, Default)]
struct Screen {
    style: Style,
    line: Line,
    /// A carriage return was the last control character: the next letter starts the line again.
    is_rewound: bool,
}

impl Screen {
    /// The letters of one line. The style goes on in the next line; an escape sequence that does not end in
    /// its line does not.
    fn line(&mut self, text: &str) -> Line {
        let mut parser = Parser::<anstyle_parse::DefaultCharAccumulator>::new();
        self.is_rewound = false;
        for byte in text.bytes() {
            parser.advance(self, byte);
        }
        std::mem::take(&mut self.line)
    }
}

impl Perform for Screen {
    fn print(&mut self, letter: char) {
        if letter.is_control() {
            return;
        }
        if std::mem::take(&mut self.is_rewound) {
            self.line.clear();
        }
        self.line.push((self.style, letter));
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\r' => self.is_rewound = true,
            b'\t' => self.line.push((self.style, '\t')),
            b'\x08' => drop(self.line.pop()),
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], is_invalid: bool, action: u8) {
        if action == b'm' && intermediates.is_empty() && !is_invalid {
            self.style.apply(params);
        }
    }
}

/// How a letter looks (ECMA-48, SGR).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Style {
    foreground: Option<Colour>,
    background: Option<Colour>,
    bold: bool,
    faint: bool,
    italic: bool,
    underlined: bool,
    inverse: bool,
    struck: bool,
}

impl Style {
    /// The attributes of a span with this style: classes of `assets/page.html`, and the colours that differ from
    /// the pane's. A background brings its text colour, because the palette knows the contrast of such pairs
    /// only.
    fn attributes(self) -> String {
        let flags = [(self.bold, "b"), (self.italic, "i"), (self.underlined, "u"), (self.struck, "s")];
        let classes = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, class)| *class).collect::<Vec<_>>();
        let mut attributes = String::new();
        if !classes.is_empty() {
            let _ = write!(attributes, " class=\"{}\"", classes.join(" "));
        }
        let (mut foreground, mut background) = (self.foreground, self.background);
        if self.inverse {
            std::mem::swap(&mut foreground, &mut background);
        }
        let (text, background) = match (background, foreground.or(self.faint.then_some(Colour::GREY))) {
            (Some(background), _) => background.text_and_background(),
            (None, _) if self.inverse => (PANE, TEXT),
            (None, foreground) => (foreground.map_or(TEXT, Colour::foreground), PANE),
        };
        if background != PANE {
            let _ = write!(attributes, " style=\"color:#{text:06x};background:#{background:06x}\"");
        } else if text != TEXT {
            let _ = write!(attributes, " style=\"color:#{text:06x}\"");
        }
        attributes
    }

    /// Applies the parameters of one SGR sequence.
    fn apply(&mut self, params: &Params) {
        let mut groups = params.iter();
        while let Some(group) = groups.next() {
            let (code, rest) = group.split_first().map_or((0, group), |(code, rest)| (*code, rest));
            match code {
                38 | 48 | 58 => {
                    let colour = if rest.is_empty() {
                        parse_colour(&mut groups.by_ref().map(|group| group[0]))
                    } else {
                        parse_colour(&mut rest.iter().copied())
                    };
                    match code {
                        38 => self.foreground = colour.or(self.foreground),
                        48 => self.background = colour.or(self.background),
                        // The colour of the underline is not shown.
                        _ => {}
                    }
                }
                4 if rest == [0] => self.underlined = false,
                code => self.apply_code(code),
            }
        }
    }

    fn apply_code(&mut self, code: u16) {
        let colour = |base: u16| Some(Colour::from_index((code - base) as u8));
        match code {
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
            30..=37 => self.foreground = colour(30),
            39 => self.foreground = None,
            40..=47 => self.background = colour(40),
            49 => self.background = None,
            90..=97 => self.foreground = colour(82),
            100..=107 => self.background = colour(92),
            _ => {}
        }
    }
}

/// The colour in `5;INDEX` or `2;RED;GREEN;BLUE`.
fn parse_colour(numbers: &mut impl Iterator<Item = u16>) -> Option<Colour> {
    let mut next = || u8::try_from(numbers.next()?).ok();
    match next()? {
        2 => Some(Colour::from_rgb(next()?, next()?, next()?)),
        5 => Some(Colour::from_index(next()?)),
        _ => None,
    }
}

/// An RGB colour, `0xRRGGBB`.
type Rgb = u32;

/// Background of the pane, as in `assets/page.html`.
const PANE: Rgb = 0x1b1e25;
/// Default text colour on [`PANE`], as in `assets/page.html`.
const TEXT: Rgb = 0xe6e4df;

/// The 16 colours as text on [`PANE`]. Black is shown as grey.
const FOREGROUND: [Rgb; 16] = [
    0x8a909c, 0xff7b80, 0x6fcf8a, 0xe5b95c, 0x7fb0f7, 0xd894e8, 0x5cc5d6, 0xc9ccd3, 0x9ba1ad, 0xff9a9e,
    0x8ee6a5, 0xf5d07f, 0xa5c8fb, 0xe6b0f2, 0x8adde9, 0xffffff,
];

/// The 16 colours as backgrounds.
const BACKGROUND: [Rgb; 16] = [
    0x0b0d11, 0xb43038, 0x2b7541, 0xc9a227, 0x2c66bd, 0x9341a6, 0x147280, 0xc9ccd3, 0x565c68, 0xff7b80,
    0x8ee6a5, 0xf5d07f, 0x9cc2fa, 0xe0a6ee, 0x86dbe8, 0xffffff,
];
/// The colours that are dark as backgrounds, so the text on them is light.
const DARK_BACKGROUNDS: [u8; 7] = [0, 1, 2, 4, 5, 6, 8];
const LIGHT_TEXT: Rgb = 0xffffff;
const DARK_TEXT: Rgb = 0x0b0d11;

/// One of the 16 colours of the palette: black, red, green, yellow, blue, magenta, cyan, white, then the
/// bright ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Colour(u8);

impl Colour {
    const BLACK: Self = Self(0);
    const WHITE: Self = Self(7);
    /// Bright black: a readable grey.
    const GREY: Self = Self(8);

    /// The palette's colour for a number of the 256-colour table: 16 colours, a cube of 6×6×6, and 24 greys.
    fn from_index(index: u8) -> Self {
        match index {
            ..16 => Self(index),
            16..232 => {
                let cube = index - 16;
                let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
                Self::from_rgb(level(cube / 36), level(cube / 6 % 6), level(cube % 6))
            }
            232.. => {
                let grey = 8 + 10 * (index - 232);
                Self::from_rgb(grey, grey, grey)
            }
        }
    }

    /// The palette's colour for an RGB colour: each channel is on or off, compared with the strongest one.
    fn from_rgb(red: u8, green: u8, blue: u8) -> Self {
        let strongest = red.max(green).max(blue);
        if strongest < 64 {
            return Self::BLACK;
        }
        let is_on = |channel: u8| u8::from(channel >= strongest / 2);
        let colour = Self(is_on(red) | is_on(green) << 1 | is_on(blue) << 2);
        if colour == Self::WHITE && strongest < 160 { Self::GREY } else { colour }
    }

    /// Colour of text on the pane.
    fn foreground(self) -> Rgb {
        FOREGROUND[usize::from(self.0 & 15)]
    }

    /// The colour as a background, behind the colour of the text on it.
    fn text_and_background(self) -> (Rgb, Rgb) {
        let text = if DARK_BACKGROUNDS.contains(&self.0) { LIGHT_TEXT } else { DARK_TEXT };
        (text, BACKGROUND[usize::from(self.0 & 15)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(content: &str) -> String {
        format!("<span class=\"l\" dir=\"auto\">{content}</span>")
    }

    #[test]
    fn colours_become_spans_and_all_text_is_escaped() {
        let cases: [(&[u8], &str); 5] = [
            (
                b"\x1b[1;31mE<b>\x1b[0m & \x1b[38;5;208mx\x1b[48;2;1;2;3my\x1b[m",
                "<span class=\"b\" style=\"color:#ff7b80\">E&lt;b&gt;</span> &amp; \
                 <span style=\"color:#e5b95c\">x</span><span style=\"color:#ffffff;background:#0b0d11\">y</span>",
            ),
            (b"\x1b[7mi", "<span style=\"color:#1b1e25;background:#e6e4df\">i</span>"),
            (b"\x1b[2mf", "<span style=\"color:#9ba1ad\">f</span>"),
            (b"\x1b[3;4:3;9mw", "<span class=\"i u s\">w</span>"),
            (b"\x1b[38:2:255:0:0mr", "<span style=\"color:#ff7b80\">r</span>"),
        ];
        for (output, html) in cases {
            assert_eq!(to_html(output, 10), line(html), "{}", output.escape_ascii());
        }
        assert_eq!(to_html(b"a\n\nb", 10), line("a") + &line("<br>") + &line("b"));
    }

    #[test]
    fn other_sequences_are_dropped() {
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

    /// Contrast ratio, from 1 to 21 (WCAG 2.2).
    fn contrast(one: Rgb, other: Rgb) -> f64 {
        let luminance = |colour: Rgb| {
            let linear = |shift: u32| {
                let channel = f64::from(colour >> shift & 0xff) / 255.0;
                if channel <= 0.040_45 { channel / 12.92 } else { ((channel + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * linear(16) + 0.7152 * linear(8) + 0.0722 * linear(0) + 0.05
        };
        let (one, other) = (luminance(one), luminance(other));
        one.max(other) / one.min(other)
    }

    #[test]
    fn every_colour_has_the_contrast_that_small_text_needs() {
        let mut pairs = vec![(TEXT, PANE), (PANE, TEXT)];
        pairs.extend(FOREGROUND.iter().map(|text| (*text, PANE)));
        pairs.extend((0..16).map(|colour| Colour(colour).text_and_background()));
        for (text, background) in pairs {
            // WCAG 2.2, success criterion 1.4.3.
            assert!(contrast(text, background) >= 4.5, "{text:06x} on {background:06x}");
        }
    }

    #[test]
    fn any_colour_is_one_of_the_palette() {
        assert_eq!(Colour::from_index(9), Colour(9));
        assert_eq!(Colour::from_index(16), Colour::BLACK);
        assert_eq!(Colour::from_index(208), Colour(3), "orange is yellow");
        assert_eq!(Colour::from_index(243), Colour::GREY);
        assert_eq!(Colour::from_index(255), Colour::WHITE);
        assert_eq!(Colour::from_rgb(0x20, 0x60, 0xff), Colour(4));
    }
}

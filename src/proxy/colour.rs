//! The colours of terminal output on the page's dark pane: what a program asks for, and what can be read of it. Pure.

/// A colour: red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Colour(pub(super) u8, pub(super) u8, pub(super) u8);

/// The pane, as in `assets/page.html`.
pub(super) const PANE: Colour = Colour(0x1b, 0x1e, 0x25);
/// What is written on it, as in `assets/page.html`.
pub(super) const INK: Colour = Colour(0xe6, 0xe4, 0xdf);

/// The contrast that small text needs (WCAG 2.2, 1.4.3).
const READABLE: f64 = 4.5;

/// The sixteen that a theme sets, as letters.
const LETTERS: [Colour; 16] = [
    Colour(0x8a, 0x90, 0x9c),
    Colour(0xff, 0x7b, 0x80),
    Colour(0x6f, 0xcf, 0x8a),
    Colour(0xe5, 0xb9, 0x5c),
    Colour(0x7f, 0xb0, 0xf7),
    Colour(0xd8, 0x94, 0xe8),
    Colour(0x5c, 0xc5, 0xd6),
    Colour(0xc9, 0xcc, 0xd3),
    Colour(0x9b, 0xa1, 0xad),
    Colour(0xff, 0x9a, 0x9e),
    Colour(0x8e, 0xe6, 0xa5),
    Colour(0xf5, 0xd0, 0x7f),
    Colour(0xa5, 0xc8, 0xfb),
    Colour(0xe6, 0xb0, 0xf2),
    Colour(0x8a, 0xdd, 0xe9),
    Colour(0xff, 0xff, 0xff),
];

/// The same behind letters: deeper, so that white can be read on red.
const GROUNDS: [Colour; 16] = [
    Colour(0x0b, 0x0d, 0x11),
    Colour(0xb4, 0x30, 0x38),
    Colour(0x2b, 0x75, 0x41),
    Colour(0xc9, 0xa2, 0x27),
    Colour(0x2c, 0x66, 0xbd),
    Colour(0x93, 0x41, 0xa6),
    Colour(0x14, 0x72, 0x80),
    Colour(0xc9, 0xcc, 0xd3),
    Colour(0x56, 0x5c, 0x68),
    Colour(0xff, 0x7b, 0x80),
    Colour(0x8e, 0xe6, 0xa5),
    Colour(0xf5, 0xd0, 0x7f),
    Colour(0x9c, 0xc2, 0xfa),
    Colour(0xe0, 0xa6, 0xee),
    Colour(0x86, 0xdb, 0xe8),
    Colour(0xff, 0xff, 0xff),
];

impl Colour {
    /// One of the 256 that terminals know by number, as letters.
    pub(super) fn letter(number: u8) -> Self {
        LETTERS.get(usize::from(number)).copied().unwrap_or_else(|| Self::exact(number))
    }

    /// The same behind letters.
    pub(super) fn ground(number: u8) -> Self {
        GROUNDS.get(usize::from(number)).copied().unwrap_or_else(|| Self::exact(number))
    }

    /// From 16 on they are a cube and a scale of greys, the same everywhere.
    fn exact(number: u8) -> Self {
        match number {
            ..232 => {
                let level = |part: u8| if part == 0 { 0 } else { 55 + 40 * part };
                let cube = number.saturating_sub(16);
                Self(level(cube / 36), level(cube / 6 % 6), level(cube % 6))
            }
            _ => {
                let grey = 8 + 10 * (number - 232);
                Self(grey, grey, grey)
            }
        }
    }

    /// A part of another one mixed in, from 0 to 1.
    pub(super) fn mixed(self, other: Self, part: f64) -> Self {
        let mix =
            |own: u8, other: u8| (f64::from(own) * (1.0 - part) + f64::from(other) * part).round() as u8;
        Self(mix(self.0, other.0), mix(self.1, other.1), mix(self.2, other.2))
    }

    /// As near to itself as can be read on this ground.
    pub(super) fn readable_on(self, ground: Self) -> Self {
        let (white, black) = (Self(255, 255, 255), Self(0, 0, 0));
        let end = if white.contrast(ground) >= black.contrast(ground) { white } else { black };
        let steps = (0..=20).map(|step| self.mixed(end, f64::from(step) / 20.0));
        steps.into_iter().find(|colour| colour.contrast(ground) >= READABLE).unwrap_or(end)
    }

    /// From 1 to 21 (WCAG 2.2, contrast ratio).
    fn contrast(self, other: Self) -> f64 {
        let (one, other) = (self.luminance() + 0.05, other.luminance() + 0.05);
        one.max(other) / one.min(other)
    }

    fn luminance(self) -> f64 {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.040_45 { part / 12.92 } else { to_2_4((part + 0.055) / 1.055) }
        };
        0.2126 * linear(self.0) + 0.7152 * linear(self.1) + 0.0722 * linear(self.2)
    }
}

impl std::fmt::Display for Colour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }
}

/// A part of 1 to the power of 2.4. `powf` would be the only reason to load the mathematical library with every start.
fn to_2_4(part: f64) -> f64 {
    let square = part * part;
    // Newton's way to its fifth root; the parts that come here are not far below 1.
    let root = (0..16).fold(1.0, |root: f64, _| root - (root - square / root.powi(4)) / 5.0);
    square * root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_power_is_as_good_as_the_library_s() {
        for part in 20..=255 {
            let part = f64::from(part) / 255.0;
            assert!((to_2_4(part) - part.powf(2.4)).abs() < 1e-12, "{part}");
        }
    }

    #[test]
    fn every_pair_of_colours_can_be_read() {
        for ground in (0..=255).map(Colour::ground).chain([PANE]) {
            for letter in (0..=255).map(Colour::letter).chain([INK]) {
                let shown = letter.readable_on(ground);
                assert!(shown.contrast(ground) >= READABLE, "{letter} on {ground} is {shown}");
            }
        }
        for number in 0..16 {
            let letter = Colour::letter(number);
            assert_eq!(letter.readable_on(PANE), letter, "the theme's own need no help: {number}");
        }
    }
}

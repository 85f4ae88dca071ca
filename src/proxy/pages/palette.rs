//! The fixed palette of terminal output on the page's dark pane.
//!
//! A program names one of 16, one of 256 or any RGB colour. All of them are reduced to these 16, whose
//! contrast is known: text that the program's own terminal theme made readable stays readable here.

use std::fmt;

/// An RGB colour. `Display` writes it as CSS does: `#rrggbb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rgb(u32);

/// Background of the pane, as in `assets/page.html`.
pub(super) const PANE: Rgb = Rgb(0x1b_1e25);
/// Default text colour on [`PANE`], as in `assets/page.html`.
pub(super) const TEXT: Rgb = Rgb(0xe6_e4df);
/// Text colour on light backgrounds.
const DARK_TEXT: Rgb = Rgb(0x0b_0d11);
/// Text colour on dark backgrounds.
const LIGHT_TEXT: Rgb = Rgb(0xff_ffff);

/// The 16 colours as text on [`PANE`]. Black is shown as grey.
const FOREGROUND: [Rgb; 16] = [
    Rgb(0x8a_909c),
    Rgb(0xff_7b80),
    Rgb(0x6f_cf8a),
    Rgb(0xe5_b95c),
    Rgb(0x7f_b0f7),
    Rgb(0xd8_94e8),
    Rgb(0x5c_c5d6),
    Rgb(0xc9_ccd3),
    Rgb(0x9b_a1ad),
    Rgb(0xff_9a9e),
    Rgb(0x8e_e6a5),
    Rgb(0xf5_d07f),
    Rgb(0xa5_c8fb),
    Rgb(0xe6_b0f2),
    Rgb(0x8a_dde9),
    Rgb(0xff_ffff),
];

/// The 16 colours as backgrounds, each with the colour of the text on it.
const BACKGROUND: [(Rgb, Rgb); 16] = [
    (Rgb(0x0b_0d11), LIGHT_TEXT),
    (Rgb(0xb4_3038), LIGHT_TEXT),
    (Rgb(0x2b_7541), LIGHT_TEXT),
    (Rgb(0xc9_a227), DARK_TEXT),
    (Rgb(0x2c_66bd), LIGHT_TEXT),
    (Rgb(0x93_41a6), LIGHT_TEXT),
    (Rgb(0x14_7280), LIGHT_TEXT),
    (Rgb(0xc9_ccd3), DARK_TEXT),
    (Rgb(0x56_5c68), LIGHT_TEXT),
    (Rgb(0xff_7b80), DARK_TEXT),
    (Rgb(0x8e_e6a5), DARK_TEXT),
    (Rgb(0xf5_d07f), DARK_TEXT),
    (Rgb(0x9c_c2fa), DARK_TEXT),
    (Rgb(0xe0_a6ee), DARK_TEXT),
    (Rgb(0x86_dbe8), DARK_TEXT),
    (Rgb(0xff_ffff), DARK_TEXT),
];

/// One of the 16 colours of the palette: black, red, green, yellow, blue, magenta, cyan, white, then the
/// bright ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Colour(u8);

impl Colour {
    const BLACK: Self = Self(0);
    const WHITE: Self = Self(7);
    /// Bright black: a readable grey.
    pub(super) const GREY: Self = Self(8);

    /// The palette's colour for a number of the 256-colour table: 16 colours, a cube of 6×6×6, and 24 greys.
    pub(super) fn from_index(index: u8) -> Self {
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
    pub(super) fn from_rgb(red: u8, green: u8, blue: u8) -> Self {
        let strongest = red.max(green).max(blue);
        if strongest < 64 {
            return Self::BLACK;
        }
        let is_on = |channel: u8| u8::from(channel >= strongest / 2);
        let colour = Self(is_on(red) | is_on(green) << 1 | is_on(blue) << 2);
        if colour == Self::WHITE && strongest < 160 { Self::GREY } else { colour }
    }

    /// Colour of text on the pane.
    pub(super) fn foreground(self) -> Rgb {
        FOREGROUND[usize::from(self.0 & 15)]
    }

    /// Colour behind text, and the colour of the text on it.
    pub(super) fn background(self) -> (Rgb, Rgb) {
        BACKGROUND[usize::from(self.0 & 15)]
    }
}

impl fmt::Display for Rgb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:06x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Contrast ratio, from 1 to 21 (WCAG 2.2).
    fn contrast(one: Rgb, other: Rgb) -> f64 {
        let luminance = |colour: Rgb| {
            let linear = |shift: u32| {
                let channel = f64::from(colour.0 >> shift & 0xff) / 255.0;
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
        pairs.extend(BACKGROUND.iter().map(|(background, text)| (*text, *background)));
        for (text, background) in pairs {
            // WCAG 2.2, success criterion 1.4.3.
            assert!(contrast(text, background) >= 4.5, "{text} on {background}");
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

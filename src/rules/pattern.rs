//! One pattern's text, parsed to tokens and matched. Knows no files and no layers.

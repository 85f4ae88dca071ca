//! Pure: many hints in, one burst per quiet period out. No clock: `now` is an argument.

//! Keys on the terminal while COMMAND runs.

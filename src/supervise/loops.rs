//! Pure: names the paths that restart the child again and again right after each start.

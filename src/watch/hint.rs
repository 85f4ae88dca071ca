//! Hints: "look here". May be false, double or late; never lost.

//! What every Unix has: process groups, signals, terminals, exec.

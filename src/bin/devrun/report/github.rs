//! Findings as annotations of GitHub workflows.

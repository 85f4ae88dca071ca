//! Finds git's own files: repository, info/exclude, worktrees, configuration.

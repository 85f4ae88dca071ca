//! The built-in table, the lowest layer: what no project counts as its source.
//!
//! Kept to what is written by version control, by editors and by language runtimes *beside* sources. Folders
//! that hold results (`target/`, `build/`, `dist/`) are left to the project's own ignore
//! files on purpose: in some projects a folder of that name holds sources, and a tool that silently misses
//! an edit is worse than one that restarts once too often. Only names that no project gives to its sources
//! are here, and any other layer can take them back with `!`.

use super::layer::Layer;
use super::rule_file::RuleFile;

/// One line is one rule; its number is what a verdict names.
pub(super) const TABLE: &str = r"# Version control; `.git` is a file in worktrees and submodules.
.git
.git/
.hg/
.svn/
.jj/
.bzr/
.pijul/
.sl/
_darcs/
CVS/
.fslckout
_FOSSIL_
# vim: swap, undo, and the name it tries out whether it may write.
.*.sw?
.*.sw?x
.sw[a-p]
*.sw[op]
.*.un~
4913
# emacs, joe, nano: backup, auto-save and lock; flycheck's and flymake's copies.
*~
\#*\#
.\#*
flycheck_*
*_flymake.*
# JetBrains: what an atomic save goes through, and the workspace it rewrites all the time.
*___jb_tmp___
*___jb_old___
*___jb_bak___
.idea/
# kakoune, kate, gedit, helix, LibreOffice, Sublime Text, Visual Studio and VS Code.
.*.kak.??????
.*.kate-swp
.goutputstream-*
.*.bck
.~lock.*\#
*.sublime-workspace
.vs/
.vscode/
# Temporary and leftover files of many tools: atomic writers, patch, merges, NFS, FUSE, syncthing.
*.tmp
*.tmp.[0-9]*
*.bak
*.orig
*.rej
.nfs[0-9a-f]*
.fuse_hidden*
.syncthing.*
.stfolder/
# Desktops.
.DS_Store
._*
.directory
Thumbs.db
desktop.ini
# Python: byte code, caches and environments.
__pycache__/
*.py[cod]
*$py.class
.pytest_cache/
.mypy_cache/
.ruff_cache/
.hypothesis/
.tox/
.nox/
.venv/
.coverage
.coverage.*
.ipynb_checkpoints/
*.egg-info/
# JavaScript: installed packages and caches.
node_modules/
.nyc_output/
.sass-cache/
.parcel-cache/
.eslintcache
*.tsbuildinfo
";

/// The table as a source of rules.
pub(super) fn file(fold: bool) -> RuleFile {
    RuleFile::parse(None, Layer::Builtin, TABLE.as_bytes().to_vec(), fold)
}

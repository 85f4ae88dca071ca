//! The built-in table, the lowest layer: names that no project gives to its sources.
//!
//! The table contains only what version control, editors, desktops and language runtimes write next to
//! sources. Result directories such as `target/`, `build/` and `dist/` are left to the project's own ignore
//! files, because in some projects such a directory contains sources. A missed edit is worse than one
//! needless restart. Any other layer can take a name back with `!`.

use super::layer::Layer;
use super::pattern::Case;
use super::rule_file::RuleFile;

/// The table in gitignore syntax. A verdict names its lines by number.
const TABLE: &str = r"# Version control; `.git` is a file in worktrees and submodules.
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
# vim: swap and undo files, and the file 4913 that it creates to test whether it may write.
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
# JetBrains: temporary files of an atomic save, and the workspace, which it rewrites all the time.
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

/// Parses the table.
pub(super) fn rule_file(case: Case) -> RuleFile {
    RuleFile::parse(None, Layer::Builtin, TABLE.as_bytes().to_vec(), case)
}

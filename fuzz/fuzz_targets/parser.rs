//! Parses any bytes as a rule file and asks about any bytes as a path.
//!
//! There must be no panic and no slow input (see libFuzzer's `-timeout` and `-report_slow_units`). Equal
//! questions get equal answers, even after the rules are read again. The linter must handle every file.
#![no_main]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::LazyLock;

use devrun::rules::{EntryKind, LintOptions, Options, Rules, lint};
use libfuzzer_sys::fuzz_target;

static DIR: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a temporary directory"));

fuzz_target!(|input: (&[u8], &[u8], &[u8], bool)| {
    let (content, pattern, path, fold) = input;
    if path.contains(&0) {
        return;
    }
    std::fs::write(DIR.path().join(".watchignore"), content).expect("write the rule file");
    let mut options = Options::new(DIR.path());
    options.patterns = vec![pattern.to_vec()];
    options.git.ignore_case = fold;
    let rules = Rules::new(options).expect("an existing directory");
    let path = DIR.path().join(OsStr::from_bytes(path));
    for kind in [EntryKind::File, EntryKind::Dir] {
        let verdict = rules.verdict(&path, kind);
        assert_eq!(verdict.is_ignored(), rules.is_ignored(&path, kind));
        rules.forget(DIR.path());
        assert_eq!(verdict, rules.verdict(&path, kind));
        if let Some(by) = verdict.by.filter(|by| by.source.is_some()) {
            assert!(by.line >= 1 && content.windows(by.pattern.len()).any(|part| part == by.pattern));
        }
    }
    for defect in rules.defects() {
        assert!(defect.line as usize <= content.iter().filter(|byte| **byte == b'\n').count() + 1);
    }
    let report = lint(&rules, &LintOptions::default());
    for finding in report.findings {
        assert!(!finding.message.is_empty() && finding.remedy != devrun::Remedy::None);
    }
});

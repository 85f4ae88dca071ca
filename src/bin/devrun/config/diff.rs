//! The difference between two settings, for edits of devrun.toml while devrun runs.

use crate::config::settings::Settings;

/// What a running session must do for new settings. A later variant includes the earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reload {
    /// Nothing: no setting that a run uses has changed.
    None,
    /// Change the output; the watch and COMMAND are not affected.
    Output,
    /// Start a new watch; COMMAND continues.
    Watch,
    /// Restart COMMAND with the new options.
    Child,
    /// Start a new session, because the ports have changed.
    Session,
}

/// The difference between two settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SettingsDiff {
    /// The most that a changed key needs.
    pub(crate) reload: Reload,
    /// The changed keys as `table.key`, in the order of the reference.
    pub(crate) keys: Vec<&'static str>,
}

impl SettingsDiff {
    /// Compares the settings of a run with new ones.
    pub(crate) fn between(old: &Settings, new: &Settings) -> Self {
        let mut diff = Self { reload: Reload::None, keys: Vec::new() };
        for (key, is_same, reload) in compare(old, new) {
            if !is_same {
                diff.reload = diff.reload.max(reload);
                diff.keys.push(key);
            }
        }
        diff
    }
}

/// Each key, whether its value is the same, and what a change of it needs.
fn compare(old: &Settings, new: &Settings) -> Vec<(&'static str, bool, Reload)> {
    vec![
        ("watch.paths", old.watch.roots == new.watch.roots, Reload::Watch),
        ("watch.ext", old.watch.extensions == new.watch.extensions, Reload::Watch),
        ("watch.filter", old.watch.filters == new.watch.filters, Reload::Watch),
        ("watch.ignore", old.watch.patterns == new.watch.patterns, Reload::Watch),
        (
            "watch.ignore-file",
            (&old.watch.file_names, &old.watch.files) == (&new.watch.file_names, &new.watch.files),
            Reload::Watch,
        ),
        ("watch.no-vcs-ignore", old.watch.vcs == new.watch.vcs, Reload::Watch),
        ("watch.no-default-ignore", old.watch.builtin == new.watch.builtin, Reload::Watch),
        ("watch.mode", old.watch.mode == new.watch.mode, Reload::Watch),
        ("watch.poll-interval", old.watch.poll_interval == new.watch.poll_interval, Reload::Watch),
        ("watch.debounce", old.watch.debounce == new.watch.debounce, Reload::Watch),
        ("watch.compare", old.watch.compare == new.watch.compare, Reload::Watch),
        ("run.command", old.run.command == new.run.command, Reload::Child),
        ("run.build", old.run.builds == new.run.builds, Reload::Child),
        ("run.on-busy", old.run.on_busy == new.run.on_busy, Reload::Child),
        ("run.on-exit", old.run.on_exit == new.run.on_exit, Reload::Child),
        ("run.on-loop", old.run.on_loop == new.run.on_loop, Reload::Child),
        ("run.stop-signal", old.run.stop_signal == new.run.stop_signal, Reload::Child),
        ("run.stop-scope", old.run.stop_scope == new.run.stop_scope, Reload::Child),
        ("run.stop-timeout", old.run.stop_timeout == new.run.stop_timeout, Reload::Child),
        // It concerns the first start only, which is over.
        ("run.postpone", old.run.postpone == new.run.postpone, Reload::None),
        ("run.no-watch", old.run.watching == new.run.watching, Reload::Watch),
        ("run.clear", old.run.clear == new.run.clear, Reload::Output),
        (
            "server.proxy",
            (old.server.proxy, &old.server.addresses) == (new.server.proxy, &new.server.addresses),
            Reload::Session,
        ),
        ("server.listen", old.server.listen == new.server.listen, Reload::Session),
        ("server.pass-socket", old.server.pass_socket == new.server.pass_socket, Reload::Child),
        ("server.ready-path", old.server.ready_path == new.server.ready_path, Reload::Child),
        ("server.ready-timeout", old.server.ready_timeout == new.server.ready_timeout, Reload::Child),
        ("server.drain-timeout", old.server.drain_timeout == new.server.drain_timeout, Reload::Child),
        ("server.no-overlap", old.server.overlap == new.server.overlap, Reload::Child),
        ("server.no-live-reload", old.server.live_reload == new.server.live_reload, Reload::Session),
        ("server.no-forwarded", old.server.forwarded == new.server.forwarded, Reload::Session),
        ("output.verbose", old.output.verbose == new.output.verbose, Reload::Output),
        ("output.quiet", old.output.quiet == new.output.quiet, Reload::Output),
        ("output.color", old.output.color == new.output.color, Reload::Output),
        ("output.log-format", old.output.json == new.output.json, Reload::Output),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_reload_is_found_with_all_changed_keys() {
        let old = Settings::defaults().unwrap();
        assert_eq!(
            SettingsDiff::between(&old, &old.clone()),
            SettingsDiff { reload: Reload::None, keys: vec![] }
        );
        let mut new = old.clone();
        new.watch.extensions = vec!["rs".into()];
        new.output.quiet = true;
        assert_eq!(
            SettingsDiff::between(&old, &new),
            SettingsDiff { reload: Reload::Watch, keys: vec!["watch.ext", "output.quiet"] }
        );
        new.run.on_exit = devrun::supervise::OnExit::Quit;
        assert_eq!(SettingsDiff::between(&old, &new).reload, Reload::Child);
        new.server.live_reload = false;
        assert_eq!(SettingsDiff::between(&old, &new).reload, Reload::Session);
    }
}

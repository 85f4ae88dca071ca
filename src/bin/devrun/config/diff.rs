//! The difference between two settings, for edits of devrun.toml while devrun runs.

use crate::config::resolved::settings::Settings;

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
        let rows =
            watch(old, new).into_iter().chain(run(old, new)).chain(server(old, new)).chain(output(old, new));
        let mut diff = Self { reload: Reload::None, keys: Vec::new() };
        for (key, is_same, reload) in rows {
            if !is_same {
                diff.reload = diff.reload.max(reload);
                diff.keys.push(key);
            }
        }
        diff
    }
}

/// A key, whether its value is the same, and what a change of it needs.
type Row = (&'static str, bool, Reload);

fn watch(old: &Settings, new: &Settings) -> Vec<Row> {
    let (a, b) = (&old.watch, &new.watch);
    vec![
        ("watch.paths", a.roots == b.roots, Reload::Watch),
        ("watch.ext", a.extensions == b.extensions, Reload::Watch),
        ("watch.filter", a.filters == b.filters, Reload::Watch),
        ("watch.ignore", a.patterns == b.patterns, Reload::Watch),
        ("watch.ignore-file", (&a.file_names, &a.files) == (&b.file_names, &b.files), Reload::Watch),
        ("watch.no-vcs-ignore", a.vcs == b.vcs, Reload::Watch),
        ("watch.no-default-ignore", a.builtin == b.builtin, Reload::Watch),
        ("watch.mode", a.mode == b.mode, Reload::Watch),
        ("watch.poll-interval", a.poll_interval == b.poll_interval, Reload::Watch),
        ("watch.debounce", a.debounce == b.debounce, Reload::Watch),
        ("watch.compare", a.compare == b.compare, Reload::Watch),
    ]
}

fn run(old: &Settings, new: &Settings) -> Vec<Row> {
    let (a, b) = (&old.run, &new.run);
    vec![
        ("run.command", a.command == b.command, Reload::Child),
        ("run.build", a.builds == b.builds, Reload::Child),
        ("run.on-busy", a.on_busy == b.on_busy, Reload::Child),
        ("run.on-exit", a.on_exit == b.on_exit, Reload::Child),
        ("run.on-loop", a.on_loop == b.on_loop, Reload::Child),
        ("run.stop-signal", a.stop_signal == b.stop_signal, Reload::Child),
        ("run.stop-timeout", a.stop_timeout == b.stop_timeout, Reload::Child),
        // It concerns the first start only, which is over.
        ("run.postpone", a.postpone == b.postpone, Reload::None),
        ("run.no-watch", a.watching == b.watching, Reload::Watch),
        ("run.clear", a.clear == b.clear, Reload::Output),
    ]
}

fn server(old: &Settings, new: &Settings) -> Vec<Row> {
    let (a, b) = (&old.server, &new.server);
    vec![
        ("server.proxy", (a.proxy, &a.addresses) == (b.proxy, &b.addresses), Reload::Session),
        ("server.listen", a.listen == b.listen, Reload::Session),
        ("server.pass-socket", a.pass_socket == b.pass_socket, Reload::Child),
        ("server.ready-path", a.ready_path == b.ready_path, Reload::Child),
        ("server.ready-timeout", a.ready_timeout == b.ready_timeout, Reload::Child),
        ("server.drain-timeout", a.drain_timeout == b.drain_timeout, Reload::Child),
        ("server.no-overlap", a.overlap == b.overlap, Reload::Child),
        ("server.no-live-reload", a.live_reload == b.live_reload, Reload::Session),
        ("server.no-forwarded", a.forwarded == b.forwarded, Reload::Session),
    ]
}

fn output(old: &Settings, new: &Settings) -> Vec<Row> {
    let (a, b) = (&old.output, &new.output);
    vec![
        ("output.verbose", a.verbose == b.verbose, Reload::Output),
        ("output.quiet", a.quiet == b.quiet, Reload::Output),
        ("output.color", a.color == b.color, Reload::Output),
        ("output.log-format", a.json == b.json, Reload::Output),
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

//! What differs between two settings, and what a running session must do about it: for live edits of
//! devrun.toml. Pure.

use crate::config::settings::Settings;

/// What a running session must do to follow new settings; the greater need includes the lesser ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// Nothing differs, or nothing that a run looks at.
    Nothing,
    /// The terminal's manners change; nothing else notices.
    Report,
    /// What is watched, or how, changes: the watch is made anew, the child goes on.
    Watch,
    /// What is run, or how, changes: the child must be restarted with the new options.
    Child,
    /// The ports change: the session as a whole must be made anew.
    Session,
}

/// What differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The greatest need.
    pub(crate) need: Need,
    /// The keys that differ, as `table.key`, in the order of the reference.
    pub(crate) keys: Vec<&'static str>,
}

/// Compares what is with what shall be.
pub(crate) fn difference(old: &Settings, new: &Settings) -> Difference {
    let rows =
        watch(old, new).into_iter().chain(run(old, new)).chain(server(old, new)).chain(output(old, new));
    let mut found = Difference { need: Need::Nothing, keys: Vec::new() };
    for (key, same, need) in rows {
        if !same {
            found.need = found.need.max(need);
            found.keys.push(key);
        }
    }
    found
}

type Row = (&'static str, bool, Need);

fn watch(old: &Settings, new: &Settings) -> Vec<Row> {
    let (a, b) = (&old.watch, &new.watch);
    vec![
        ("watch.paths", a.roots == b.roots, Need::Watch),
        ("watch.ext", a.extensions == b.extensions, Need::Watch),
        ("watch.filter", a.filters == b.filters, Need::Watch),
        ("watch.ignore", a.patterns == b.patterns, Need::Watch),
        ("watch.ignore-file", (&a.file_names, &a.files) == (&b.file_names, &b.files), Need::Watch),
        ("watch.no-vcs-ignore", a.vcs == b.vcs, Need::Watch),
        ("watch.no-default-ignore", a.builtin == b.builtin, Need::Watch),
        ("watch.mode", a.mode == b.mode, Need::Watch),
        ("watch.poll-interval", a.poll_interval == b.poll_interval, Need::Watch),
        ("watch.debounce", a.debounce == b.debounce, Need::Watch),
        ("watch.compare", a.compare == b.compare, Need::Watch),
    ]
}

fn run(old: &Settings, new: &Settings) -> Vec<Row> {
    let (a, b) = (&old.run, &new.run);
    vec![
        ("run.command", a.command == b.command, Need::Child),
        ("run.build", a.builds == b.builds, Need::Child),
        ("run.on-busy", a.on_busy == b.on_busy, Need::Child),
        ("run.on-exit", a.on_exit == b.on_exit, Need::Child),
        ("run.on-loop", a.on_loop == b.on_loop, Need::Child),
        ("run.stop-signal", a.stop_signal == b.stop_signal, Need::Child),
        ("run.stop-timeout", a.stop_timeout == b.stop_timeout, Need::Child),
        // Whether the first start waited is history once the session runs.
        ("run.postpone", a.postpone == b.postpone, Need::Nothing),
        ("run.no-watch", a.watching == b.watching, Need::Watch),
        ("run.clear", a.clear == b.clear, Need::Report),
    ]
}

fn server(old: &Settings, new: &Settings) -> Vec<Row> {
    let (a, b) = (&old.server, &new.server);
    vec![
        ("server.proxy", (a.proxy, &a.addresses) == (b.proxy, &b.addresses), Need::Session),
        ("server.listen", a.listen == b.listen, Need::Session),
        ("server.pass-socket", a.pass_socket == b.pass_socket, Need::Child),
        ("server.ready-path", a.ready_path == b.ready_path, Need::Child),
        ("server.ready-timeout", a.ready_timeout == b.ready_timeout, Need::Child),
        ("server.drain-timeout", a.drain_timeout == b.drain_timeout, Need::Child),
        ("server.no-overlap", a.overlap == b.overlap, Need::Child),
        ("server.no-live-reload", a.live_reload == b.live_reload, Need::Session),
    ]
}

fn output(old: &Settings, new: &Settings) -> Vec<Row> {
    let (a, b) = (&old.output, &new.output);
    vec![
        ("output.verbose", a.verbose == b.verbose, Need::Report),
        ("output.quiet", a.quiet == b.quiet, Need::Report),
        ("output.color", a.color == b.color, Need::Report),
        ("output.log-format", a.json == b.json, Need::Report),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_need_is_named_with_all_its_keys() {
        let old = Settings::defaults().unwrap();
        assert_eq!(difference(&old, &old.clone()), Difference { need: Need::Nothing, keys: vec![] });
        let mut new = old.clone();
        new.watch.extensions = vec!["rs".into()];
        new.output.quiet = true;
        assert_eq!(
            difference(&old, &new),
            Difference { need: Need::Watch, keys: vec!["watch.ext", "output.quiet"] }
        );
        new.run.on_exit = devrun::supervise::OnExit::Quit;
        assert_eq!(difference(&old, &new).need, Need::Child);
        new.server.live_reload = false;
        assert_eq!(difference(&old, &new).need, Need::Session);
    }
}

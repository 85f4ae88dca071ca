//! The difference between two settings, for edits of devrun.toml while devrun runs.

use crate::config::settings::Settings;

/// What a running session must do for new settings. A later variant includes the earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reload {
    /// Nothing: no setting that a run uses has changed.
    None,
    /// Change the output; the watch and COMMAND are not affected.
    Output,
    /// Start a new watch; COMMAND continues.
    Watch,
    /// Start a new session, because COMMAND, the way it runs, or a port has changed.
    Session,
}

impl Reload {
    /// What the session of the `old` settings must do for the `new` ones.
    pub(crate) fn between(old: &Settings, new: &Settings) -> Self {
        if child_options(&old.session) != child_options(&new.session)
            || server_options(&old.session) != server_options(&new.session)
        {
            Self::Session
        } else if watch_options(&old.session) != watch_options(&new.session) {
            Self::Watch
        } else if old.output != new.output {
            Self::Output
        } else {
            Self::None
        }
    }
}

/// How COMMAND runs. `postpone` is not compared, because it concerns the first start only, which is over.
fn child_options(options: &devrun::Options) -> impl PartialEq + '_ {
    let run = &options.supervise;
    let stop = (run.stop_signal, run.stop_scope, run.stop_timeout);
    (&run.command, &run.builds, run.on_busy, run.on_exit, run.on_loop, stop)
}

fn server_options(options: &devrun::Options) -> impl PartialEq + '_ {
    let run = &options.supervise;
    let proxy = options.proxy.as_ref().map(|proxy| (&proxy.addresses, proxy.live_reload, proxy.forwarded));
    (proxy, run.port, &run.listen, run.pass_socket, &run.ready, run.overlap, run.drain_timeout)
}

fn watch_options(options: &devrun::Options) -> impl PartialEq + '_ {
    let (watch, rules) = (&options.watch, &options.watch.rules);
    let rules = (&rules.patterns, &rules.file_names, &rules.files, rules.vcs, rules.builtin);
    let files = (&watch.roots, &watch.extensions, &watch.filters);
    (files, rules, watch.mode, watch.poll_interval, watch.debounce, watch.compare, options.watch_enabled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_needs_the_least_reload_that_applies_it() {
        let old = Settings::defaults().unwrap();
        assert_eq!(Reload::between(&old, &old.clone()), Reload::None);
        let mut new = old.clone();
        new.session.supervise.postpone = true;
        assert_eq!(Reload::between(&old, &new), Reload::None);
        new.output.quiet = true;
        assert_eq!(Reload::between(&old, &new), Reload::Output);
        new.session.watch.extensions = vec!["rs".into()];
        assert_eq!(Reload::between(&old, &new), Reload::Watch);
        new.session.supervise.on_exit = devrun::supervise::OnExit::Quit;
        assert_eq!(Reload::between(&old, &new), Reload::Session);
    }
}

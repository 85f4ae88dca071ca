//! The one integration binary: a module per promise, a sentence each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, clippy::print_stdout)]

/// The harness: temporary directories, a clean environment, conditions with deadlines.
mod sandbox;
/// An HTTP client that tells exactly how an answer was lost.
mod story_client;
/// The upstream of the story, in the test's hand.
mod story_upstream;
/// A real browser, driven over WebDriver.
mod browser;
/// The example server by itself.
mod portal;
/// The installed git as the judge of ignore rules.
#[cfg(unix)]
mod oracle;
/// Layers, nesting, repositories, live edits: which rule decides.
#[cfg(unix)]
mod rules;
/// The table of ignore rules, class by class: devrun and git say what it says.
#[cfg(unix)]
mod rules_cases;
/// explain: words, JSON, streams, exit statuses.
#[cfg(all(unix, feature = "cli"))]
mod rules_explain;
/// Each finding of check, as it is rendered.
#[cfg(all(unix, feature = "cli"))]
mod rules_lint;
/// Hostile rules and trees: devrun and git say the same of every path.
#[cfg(unix)]
mod rules_git;
/// The child: started, restarted, stopped, nothing left behind.
mod supervise;
/// The child's whole tree. Linux: only there a process is found that has left its group, and `/proc` tells of the others.
#[cfg(target_os = "linux")]
mod supervise_trees;
/// Sockets held and handed over, whatever an earlier generation has made of them; how a server is known to serve.
mod supervise_sockets;
/// Servers found by their sockets. Linux: nowhere else a process's sockets are looked for.
#[cfg(target_os = "linux")]
mod supervise_found;
/// The child under a whole process: no survivor, no zombie. Linux: only there a process is found that has left its group.
#[cfg(target_os = "linux")]
mod supervise_process;
/// The child through the program: no survivor, by whatever signal it ends. Linux, for the same reason.
#[cfg(all(target_os = "linux", feature = "cli"))]
mod supervise_program;
/// The run command as people and log readers see it.
#[cfg(feature = "cli")]
mod run;
/// A terminal in the test's hand.
#[cfg(all(target_os = "linux", feature = "cli"))]
mod pty;
/// Signals, keys and job control as a shell user expects them.
#[cfg(all(target_os = "linux", feature = "cli"))]
mod terminal;
/// Signals to devrun at each moment, and the status that it ends with.
#[cfg(all(target_os = "linux", feature = "cli"))]
mod signals;
/// What devrun writes and whom it never waits for: slow readers, full disks, status lines, colours.
#[cfg(all(target_os = "linux", feature = "cli"))]
mod output;
/// The real log, key by key.
#[cfg(feature = "cli")]
mod log;
/// The JSON log and its page.
mod events;
/// The story: downloads never restart the server, and clients never see a restart.
#[cfg(feature = "cli")]
mod story;
/// Real servers, run as their users run them.
#[cfg(feature = "cli")]
mod servers;
/// Servers that are compiled, by `cargo run` and `go run`.
#[cfg(feature = "cli")]
mod servers_built;
/// What clients of the real servers see over many restarts, broken edits and violent ends.
#[cfg(feature = "cli")]
mod servers_shows;
/// Sockets through the program: handed over, answered on while nobody lives, Unix and UDP, ports that are taken.
#[cfg(feature = "cli")]
mod listen;
/// The programs of `examples/` for embedders.
mod examples;
/// Silent, several sessions in one process; whatever is dropped leaves nothing.
mod library;
/// What the pages show, taken out of them.
#[cfg(feature = "cli")]
mod shown;
/// The commands among it, to be run. Linux, as those are.
#[cfg(all(target_os = "linux", feature = "cli"))]
mod shown_commands;
/// A project in which what the pages show is run.
#[cfg(all(target_os = "linux", feature = "cli"))]
mod shown_project;
/// Every command and configuration that the pages show is run as it stands there.
#[cfg(all(target_os = "linux", feature = "cli"))]
mod shown_runs;
/// What README.md and docs/ say holds: options, links, output.
#[cfg(feature = "cli")]
mod readme;
/// What the pages say of options and of JSON is what there is.
#[cfg(feature = "cli")]
mod documented;
/// The import order and the doors of the house.
mod tidy;
/// The public API is the listed one, and names no type of another crate.
mod api;
/// The stage of the front: scripted servers and clients on raw sockets.
#[cfg(feature = "proxy")]
mod front_stage;
/// Clients never see a restart: requests held, responses drained, streams sent to new code.
#[cfg(feature = "proxy")]
mod front_restarts;
/// Shell transcripts as tests.
#[cfg(feature = "cli")]
mod transcript;
/// One clear error for each bad input, help that fits a screen.
#[cfg(feature = "cli")]
mod cli;
/// The generated pages are fresh, and the documented configuration is accepted.
#[cfg(feature = "cli")]
mod reference;
/// Shells complete by the scripts, and the manual pages are well formed.
#[cfg(all(target_os = "linux", feature = "cli"))]
mod shells;
/// Everything passes byte for byte: bodies, trailers, upgrades, odd but proper messages.
#[cfg(feature = "proxy")]
mod front_passes;
/// Broken servers, hostile clients: nothing cut looks whole, nothing is smuggled.
#[cfg(feature = "proxy")]
mod front_faults;
/// Requests that end short, and answers that come before all is read.
#[cfg(feature = "proxy")]
mod front_halves;
/// Clients that close their sending side: they count as gone.
#[cfg(feature = "proxy")]
mod front_one_way;
/// Which changes happened: real files, in event and in stat mode.
mod watch;
/// Rule files edited while the watch runs.
mod watch_rules;
/// Roots that come, go and are replaced.
mod watch_roots;
/// One burst, one batch: saves of editors, formatters, checkouts; odd names and links.
mod watch_bursts;
/// Files that are still being written.
mod watch_written;
/// Random histories: at the end the snapshot equals the tree.
mod watch_random;
/// Overflows and used-up limits: nothing is lost, and it is said. Linux: these are inotify's.
#[cfg(target_os = "linux")]
mod watch_limits;
/// A real browser: reloads, the crash page, tabs that share one stream.
#[cfg(feature = "proxy")]
mod front_browser;
/// What is put into pages and what is not, devrun's own answers, and who may ask for its own paths.
#[cfg(feature = "proxy")]
mod front_page;
/// Many clients, slow ones and rude ones: what the front holds for them is bounded.
#[cfg(feature = "proxy")]
mod front_load;
/// The front and its child with few descriptors.
#[cfg(all(unix, feature = "cli", feature = "proxy"))]
mod front_descriptors;
/// What a run would watch is what is listed, whatever source its options come from.
#[cfg(feature = "cli")]
mod cli_list;
/// Names that are not UTF-8: JSON holds them whole; `init` keeps them.
#[cfg(all(target_os = "linux", feature = "cli"))]
mod odd_names;
/// What would go wrong is named with its remedy.
#[cfg(feature = "cli")]
mod cli_doctor;
/// Real servers behind the front, two generations of each.
#[cfg(all(unix, feature = "proxy"))]
mod front_servers;
/// What is asked for reaches COMMAND, from whatever source.
#[cfg(feature = "cli")]
mod cli_run;
/// Why something did or did not restart: `-vv`, DEVRUN_LOG.
#[cfg(feature = "cli")]
mod cli_trace;
/// Environment files: what is in them reaches COMMAND, what is wrong with them harms nobody.
#[cfg(feature = "cli")]
mod env_files;
/// Restart loops: the server's own writes are not the developer's.
#[cfg(all(target_os = "linux", feature = "cli"))]
mod loops;
/// Builds: in order, beside what serves, cancelled by what is newer.
#[cfg(all(unix, feature = "cli"))]
mod builds;
/// Thousands of restarts: what devrun holds stays as it was.
#[cfg(all(target_os = "linux", feature = "cli"))]
mod soak;

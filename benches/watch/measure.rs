//! The measurements. Memory and CPU time are read from `/proc`. The floor is a bare walk with inotify.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use devrun::rules;
use devrun::watch::{Mode, Options, Watch};
use notify::{Config, PollWatcher, RecursiveMode, Watcher};

/// Number of runs. The shortest time counts, because other load on the machine only adds to it.
const RUNS: usize = 7;

pub(super) fn run() {
    let sizes: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![1_000, 10_000, 100_000] } else { sizes };
    println!(
        "{:>8} {:>7} | {:>42} | {:>24} | {:>22}",
        "files", "ignored", "ms to be watching", "KiB", "ms CPU per scan"
    );
    println!(
        "{:>8} {:>7} | {:>9} {:>10} {:>10} {:>10} | {:>11} {:>12} | {:>10} {:>11}",
        "", "", "floor", "devrun", "stat mode", "notify", "devrun", "notify", "devrun", "PollWatcher"
    );
    for size in sizes {
        for ignored in [false, true] {
            row(size, ignored);
        }
    }
}

fn row(size: usize, ignored: bool) {
    let tree = tree(size, ignored);
    let root = tree.path().canonicalize().unwrap();
    let mut times: [Vec<Duration>; 4] = Default::default();
    for _ in 0..RUNS {
        times[0].push(timed(|| floor(&root, ignored)));
        times[1].push(timed(|| devrun(&root, Mode::Event)));
        times[2].push(timed(|| devrun(&root, Mode::Stat)));
        times[3].push(timed(|| recursive(&root)));
    }
    let [floor, event, stat, notify] = times.map(|times| milliseconds(least(&times)));
    let memory = [memory(|| devrun(&root, Mode::Event)), memory(|| recursive(&root))];
    let scans = [scan_cost(&root), poll_cost(&root)];
    println!(
        "{size:>8} {:>7} | {floor:>9.1} {event:>10.1} {stat:>10.1} {notify:>10.1} | {:>11} {:>12} | {:>10.2} {:>11.2}",
        if ignored { "90 %" } else { "no" },
        memory[0],
        memory[1],
        scans[0],
        scans[1],
    );
}

/// Creates `size` files, about 20 per directory. With `ignored`, a rule ignores the directory of 90 % of
/// them.
fn tree(size: usize, ignored: bool) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let counted = if ignored { size / 10 } else { size };
    for number in 0..size {
        let top = if number < counted { "src" } else { "downloads" };
        let home = dir.path().join(format!("{top}/p{}/q{}", number / 200, number / 20));
        if number % 20 == 0 {
            fs::create_dir_all(&home).unwrap();
        }
        fs::write(home.join(format!("file_{number}.py")), format!("print({number})\n")).unwrap();
    }
    fs::write(dir.path().join(".watchignore"), "downloads/\n").unwrap();
    std::thread::sleep(Duration::from_millis(50));
    dir
}

/// The minimum for a watch: lists each directory that counts and adds an inotify watch for it.
fn floor(root: &Path, ignored: bool) -> rustix::fd::OwnedFd {
    use rustix::fs::inotify;
    let kernel = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        inotify::add_watch(&kernel, &dir, inotify::WatchFlags::CLOSE_WRITE | inotify::WatchFlags::CREATE)
            .unwrap();
        for entry in fs::read_dir(&dir).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() && !(ignored && entry.file_name() == "downloads") {
                dirs.push(entry.path());
            }
        }
    }
    kernel
}

fn devrun(root: &Path, mode: Mode) -> (tokio::runtime::Runtime, Watch) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut options = Options::new(rules::Options::new(root));
    options.mode = mode;
    let watch = runtime.block_on(Watch::start(options)).unwrap();
    (runtime, watch)
}

fn recursive(root: &Path) -> notify::RecommendedWatcher {
    let mut watcher = notify::recommended_watcher(|_| {}).unwrap();
    watcher.watch(root, RecursiveMode::Recursive).unwrap();
    watcher
}

/// CPU time of one scan, as the average of five after the first.
fn scan_cost(root: &Path) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut options = Options::new(rules::Options::new(root));
    (options.mode, options.compare) = (Mode::Stat, devrun::watch::Compare::Stat);
    options.poll_interval = Duration::from_millis(500);
    let watch = runtime.block_on(Watch::start(options)).unwrap();
    let before = cpu();
    std::thread::sleep(Duration::from_millis(2600));
    let cost = cpu().saturating_sub(before);
    drop(watch);
    milliseconds(cost) / 5.0
}

fn poll_cost(root: &Path) -> f64 {
    let config = Config::default().with_manual_polling();
    let mut watcher = PollWatcher::new(|_| {}, config).unwrap();
    watcher.watch(root, RecursiveMode::Recursive).unwrap();
    let before = cpu();
    for _ in 0..3 {
        watcher.poll().unwrap();
        std::thread::sleep(Duration::from_millis(400));
    }
    milliseconds(cpu().saturating_sub(before)) / 3.0
}

/// CPU time of this process, all threads.
fn cpu() -> Duration {
    let of = |path: PathBuf| -> u64 {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.split(' ').next().and_then(|field| field.parse().ok()).unwrap_or(0)
    };
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    Duration::from_nanos(tasks.map(|task| of(task.unwrap().path().join("schedstat"))).sum())
}

/// Resident memory in KiB that the value returned by `make` takes.
fn memory<T>(make: impl Fn() -> T) -> i64 {
    let before = resident();
    let made = make();
    std::thread::sleep(Duration::from_millis(300));
    let after = resident();
    drop(made);
    after - before
}

fn resident() -> i64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let begun = Instant::now();
    let made = work();
    let took = begun.elapsed();
    drop(made);
    // The teardown must not disturb the next measurement.
    std::thread::sleep(Duration::from_millis(30));
    took
}

fn least(times: &[Duration]) -> Duration {
    times.iter().copied().min().unwrap_or_default()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

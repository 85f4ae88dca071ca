//! Tests of the debouncer with a time that the test sets.

use super::*;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn push(debouncer: &mut Debouncer, path: &str, kind: RawEventKind, now: Instant) {
    debouncer.push(RawEvent::new(path.into(), kind), now);
}

fn finish(debouncer: &mut Debouncer, now: Instant) {
    let burst = debouncer.take_ended(now).unwrap();
    debouncer.finish(burst);
}

/// Pushes writes of distinct paths at these milliseconds and returns when each burst ends.
fn ends(debouncer: &mut Debouncer, zero: Instant, writes: &[u64]) -> Vec<u64> {
    let mut ends = Vec::new();
    let mut end = |debouncer: &mut Debouncer, until: Option<Instant>| {
        while let Some(deadline) = debouncer.deadline()
            && until.is_none_or(|until| deadline <= until)
        {
            finish(debouncer, deadline);
            debouncer.generation_started(deadline);
            ends.push((deadline - zero).as_millis() as u64);
        }
    };
    for (number, at) in writes.iter().enumerate() {
        end(debouncer, Some(zero + ms(*at)));
        push(debouncer, &format!("/{number}"), RawEventKind::Written, zero + ms(*at));
    }
    end(debouncer, None);
    ends
}

#[test]
fn the_quiet_time_grows_with_the_burst() {
    let burst: Vec<u64> = (0..500).map(|number| number * 3 / 5).collect();
    // The configured quiet time, the writes, and the ends of the bursts. Zero ends each burst at once.
    let cases = [
        (None, vec![0], vec![4]),
        (None, burst, vec![299 + 15]),
        (Some(80), vec![0], vec![80]),
        (Some(0), vec![0, 1, 2], vec![0, 1, 2]),
    ];
    for (quiet_time, writes, expected) in cases {
        assert_eq!(ends(&mut Debouncer::new(quiet_time.map(ms)), Instant::now(), &writes), expected);
    }
}

#[test]
fn a_formatter_that_writes_every_50_ms_costs_two_bursts() {
    let writes: Vec<u64> = (0..20).map(|number| number * 50).collect();
    assert_eq!(ends(&mut Debouncer::new(None), Instant::now(), &writes).len(), 2);
}

#[test]
fn the_quiet_time_of_a_file_saved_again_follows_the_time_since_the_start() {
    let (mut debouncer, zero) = (Debouncer::new(None), Instant::now());
    // Each burst causes a start 1 ms after its end.
    for (save, quiet_time) in [(0, 4), (100, 50), (400, 50), (752, 4), (1100, 4)] {
        push(&mut debouncer, "/a", RawEventKind::Written, zero + ms(save));
        let end = zero + ms(save + quiet_time);
        assert_eq!(debouncer.deadline(), Some(end), "{save}");
        finish(&mut debouncer, end);
        debouncer.generation_started(end + ms(1));
    }
}

#[test]
fn five_saves_in_100_ms_cost_two_bursts() {
    let saves = [0, 25, 50, 75, 100];
    for is_same_file in [true, false] {
        let (mut debouncer, zero) = (Debouncer::new(None), Instant::now());
        let mut ends = Vec::new();
        for at in 0..500 {
            let now = zero + ms(at);
            if debouncer.deadline().is_some_and(|deadline| deadline <= now) {
                finish(&mut debouncer, now);
                debouncer.generation_started(now);
                ends.push(at);
            }
            if saves.contains(&at) {
                let path = if is_same_file { "/a".to_owned() } else { format!("/{at}") };
                push(&mut debouncer, &path, RawEventKind::Written, now);
            }
        }
        assert_eq!((ends.len(), ends[0]), (2, 4), "{ends:?}");
    }
}

#[test]
fn an_open_file_and_a_removed_file_prolong_the_burst() {
    let (mut debouncer, zero) = (Debouncer::new(None), Instant::now());
    push(&mut debouncer, "/a", RawEventKind::Removed, zero);
    assert_eq!(debouncer.deadline(), Some(zero + RETURN_WAIT));
    push(&mut debouncer, "/a", RawEventKind::Created, zero + ms(1));
    assert_eq!(debouncer.deadline(), Some(zero + ms(1) + CLOSE_WAIT));
    push(&mut debouncer, "/a", RawEventKind::Written, zero + ms(30));
    assert_eq!(debouncer.deadline(), Some(zero + ms(34)));
}

#[test]
fn a_new_file_is_given_time_to_be_renamed() {
    let (mut debouncer, zero) = (Debouncer::new(None), Instant::now());
    push(&mut debouncer, "/a.new", RawEventKind::Created, zero);
    push(&mut debouncer, "/a.new", RawEventKind::Written, zero + ms(1));
    assert_eq!(debouncer.deadline(), Some(zero + ms(1) + RENAME_WAIT));
    push(&mut debouncer, "/a", RawEventKind::Written, zero + ms(2));
    debouncer.withdraw(Path::new("/a.new"));
    assert_eq!(debouncer.deadline(), Some(zero + ms(2) + SINGLE));
    debouncer.withdraw(Path::new("/a"));
    assert_eq!(debouncer.deadline(), None);
}

#[test]
fn after_a_long_hold_the_quiet_time_counts_from_the_last_event() {
    let (mut debouncer, zero) = (Debouncer::new(None), Instant::now());
    push(&mut debouncer, "/a", RawEventKind::Written, zero);
    let end = zero + MAX_LENGTH_OF_MANY;
    debouncer.restart_quiet_time(end);
    assert!(debouncer.deadline() == Some(end + SINGLE) && debouncer.take_ended(end).is_none());
    push(&mut debouncer, "/b", RawEventKind::Written, end + ms(1));
    let burst = debouncer.take_ended(end + ms(1) + SINGLE + PER_PATH);
    assert_eq!(burst.map(|burst| (burst.paths.len(), burst.first)), Some((2, zero)));
}

#[test]
fn a_burst_is_extended_for_a_file_in_progress_for_a_short_time_only() {
    let (mut debouncer, zero) = (Debouncer::new(None), Instant::now());
    push(&mut debouncer, "/a", RawEventKind::Written, zero);
    // A git operation held the burst back until now.
    let mut now = zero + ms(5000);
    debouncer.restart_quiet_time(now);
    let begun = now;
    loop {
        now = now.max(debouncer.deadline().unwrap());
        let burst = debouncer.take_ended(now).unwrap();
        if burst.extendable_until(now) <= now {
            break;
        }
        debouncer.extend(burst, now, now + ms(20));
        push(&mut debouncer, "/b", RawEventKind::Written, now);
    }
    assert!((ms(100)..ms(150)).contains(&(now - begun)), "{:?}", now - begun);
}

#[test]
fn a_burst_that_never_pauses_is_cut_and_carries_a_save_in_progress_over_once() {
    let (mut debouncer, zero) = (Debouncer::new(None), Instant::now());
    for at in 0..2000 {
        push(&mut debouncer, "/log", RawEventKind::Written, zero + ms(at));
    }
    assert_eq!(debouncer.deadline(), Some(zero + MAX_LENGTH_OF_FEW));
    let (mut debouncer, mut cuts) = (Debouncer::new(None), Vec::new());
    for at in 0..7000 {
        let now = zero + ms(at);
        push(&mut debouncer, "/log", RawEventKind::Written, now);
        push(&mut debouncer, "/a.new", RawEventKind::Created, now);
        if debouncer.deadline().unwrap() <= now {
            cuts.push(debouncer.take_ended(now).unwrap().paths.len());
        }
        if at % 2 == 0 {
            debouncer.withdraw(Path::new("/a.new"));
        }
    }
    assert_eq!(cuts, [1, 2, 1]);
}

#[test]
fn the_copy_of_a_tree_has_pauses() {
    // New directories and new files at these milliseconds, and the ends of the bursts.
    let cases: [(&[u64], &[u64], &[u64]); 6] = [
        // One or a few new files are saved, not copied.
        (&[], &[0], &[4]),
        (&[], &[0, 1, 2], &[2 + 8]),
        (&[], &[0, 1, 2, 3, 120, 269], &[269 + 150]),
        (&[0], &[100, 240, 380, 400], &[400 + 150]),
        (&[0, 500], &[1, 501], &[1 + 150, 501 + 150]),
        // The directory is older than a copy would take to fill it.
        (&[0], &[301], &[301 + 4]),
    ];
    for (dirs, files, expected) in cases {
        let (mut debouncer, zero) = (Debouncer::new(None), Instant::now());
        let mut ends = Vec::new();
        for at in 0..1000 {
            let now = zero + ms(at);
            if debouncer.deadline().is_some_and(|deadline| deadline <= now) {
                finish(&mut debouncer, now);
                ends.push(at);
            }
            if dirs.contains(&at) {
                debouncer.add_new_dir(now);
            }
            if files.contains(&at) {
                let event = RawEvent::new(format!("/{at}").into(), RawEventKind::Written);
                debouncer.push_new(event.clone(), now);
                debouncer.push_new(event, now);
            }
        }
        assert_eq!(ends, expected, "{dirs:?} {files:?}");
    }
}

#[test]
fn a_temporary_file_and_a_zero_quiet_time_make_no_copy() {
    let (mut debouncer, zero) = (Debouncer::new(None), Instant::now());
    for number in 0..20 {
        let temporary = format!("/{number}.new");
        debouncer.push_new(RawEvent::new(temporary.clone().into(), RawEventKind::Written), zero);
        push(&mut debouncer, &format!("/{number}"), RawEventKind::Written, zero);
        debouncer.withdraw(Path::new(&temporary));
    }
    assert_eq!(debouncer.deadline(), Some(zero + STEADY));
    let mut debouncer = Debouncer::new(Some(Duration::ZERO));
    debouncer.add_new_dir(zero);
    push(&mut debouncer, "/a", RawEventKind::Written, zero);
    assert_eq!(debouncer.deadline(), Some(zero));
}

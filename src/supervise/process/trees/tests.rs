//! A pid that another process uses again.

use std::os::unix::process::CommandExt;

use super::*;

#[test]
fn another_process_with_the_pid_of_a_leader_that_has_ended_is_no_member() {
    let mut trees = ProcessTrees::new("supervisor".to_owned(), Subreaper::No);
    let tree = trees.new_tree();
    let mut other = std::process::Command::new("sleep").arg("60").process_group(0).spawn().unwrap();
    let pid = Pid::of_child(&other);
    trees.add(tree, pid);
    assert_eq!(trees.members(tree).len(), 1);
    // The process that had this pid before started at another time.
    trees.leaders.get_mut(&pid).unwrap().start_time -= 1;
    trees.known.clear();
    assert!(trees.members(tree).is_empty());
    trees.kill(tree);
    assert!(other.try_wait().unwrap().is_none());
    other.kill().unwrap();
    other.wait().unwrap();
}

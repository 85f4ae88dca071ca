# The orphan killer of a program that cannot execute itself as one. Waits until the program has ended, which ends
# standard input, and kills the processes that it has left. The lines of standard input are those of orphan_killer.rs.
trap '' HUP INT QUIT TERM
# A port that this process keeps open would look as if the program still had it.
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
supervisors=
leaders=

# Prints all words but those that match the pattern.
without() {
    pattern=$1
    shift
    for word; do
        # shellcheck disable=SC2254 # The pattern is one.
        case $word in $pattern) ;; *) printf '%s ' "$word" ;; esac
    done
}

while read -r event name tree pid; do
    case $event in
    supervisor-started) supervisors="$supervisors $name" ;;
    tree-started) leaders="$leaders $name-$tree:$pid" ;;
    tree-gone) leaders=$(without "$name-$tree:*" $leaders) ;;
    supervisor-ended)
        leaders=$(without "$name-*" $leaders)
        supervisors=$(without "$name" $supervisors)
        ;;
    esac
done

# Until three scans in a row find no process, but at most ten seconds.
round=0
quiet=0
while [ "$quiet" -lt 3 ] && [ "$round" -lt 100 ]; do
    round=$((round + 1))
    quiet=$((quiet + 1))
    for leader in $leaders; do
        kill -s KILL -- "-${leader##*:}"
    done
    for name in $supervisors; do
        for environ in $(grep -lsz "^DEVRUN_SESSION=$name-" /proc/[0-9]*/environ); do
            pid=${environ#/proc/}
            kill -s KILL "${pid%/environ}" && quiet=0
        done
    done
    sleep 0.1
done

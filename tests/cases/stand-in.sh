#!/bin/sh
# Stands in for the programs on the pages (cargo, flask, npm, …). It prints its arguments, then builds, tests
# or listens as the real program would. CHILD serves. FIXED is the fixed port of a script.
name=${0##*/}
# `devrun init` and `devrun doctor` ask this.
[ "$name $1" = "cargo metadata" ] && echo '{"packages":[]}' && exit
echo "run ${DEVRUN_GENERATION:-0} ($$): $name $*"
env | sed 's/^/env /'

built() {
  [ -e "$1" ] && exit 0
  mkdir -p "${1%/*}" && cp "$0" "$1"
  exit
}

case "$name $*" in
  "cargo build") built target/debug/server ;;
  "go build"*) built bin/server ;;
  "cargo test" | "pytest " | "make ") exit 0 ;;
esac

port=$(printf '%s\n' "$*" | sed -n 's/.*[^0-9]\([0-9]\{5\}\)\([^0-9].*\)\{0,1\}$/\1/p')
if [ -n "$LISTEN_FDS$WERKZEUG_SERVER_FD" ]; then
  LISTEN_FDS=1 exec "$CHILD" serve
elif [ -n "$port" ]; then
  exec "$CHILD" serve-at "$port"
elif [ -z "$PORT" ]; then
  exec "$CHILD" sleep
elif [ "$name" = python ]; then
  exec "$CHILD" serve-at "$FIXED"
else
  exec "$CHILD" serve
fi

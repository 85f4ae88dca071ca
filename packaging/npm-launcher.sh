#!/bin/sh
# Replaces itself with the program from the npm package for this machine. A launcher in JavaScript would stay as the
# parent of devrun, where signals of the terminal end it first.
case "$(uname -s) $(uname -m)" in
"Linux x86_64") package=linux-x64 ;;
"Linux aarch64") package=linux-arm64 ;;
*)
  echo "devrun: there is no npm package for $(uname -s) on $(uname -m); build devrun with cargo" >&2
  exit 2
  ;;
esac
here="$(dirname "$(readlink -f "$0")")"
for scope in "$here/../.." "$here/../node_modules/@devrun"; do
  program="$scope/$package/bin/devrun"
  if [ -x "$program" ]; then exec "$program" "$@"; fi
done
echo "devrun: the npm package @devrun/$package is missing; install without --omit=optional" >&2
exit 2

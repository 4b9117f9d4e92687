#!/usr/bin/env bash
# Rebuilds ../*.wasm from the C sources here. The .wasm files are committed, so only someone who changes a guest needs it.
#
# It needs a C compiler for wasm32-wasi; the Zig wheel is the smallest one to install:
#   python3 -m venv /tmp/zig && /tmp/zig/bin/pip install ziglang
#   CC="/tmp/zig/bin/python -m ziglang cc" examples/guests/build.sh
set -euo pipefail
cd "$(dirname "$0")"
read -ra cc <<<"${CC:-python3 -m ziglang cc}"

for source in *.c; do
    out="../${source%.c}.wasm"
    flags=(-target wasm32-wasi -Oz -Wall -Wextra -Wno-unused-parameter)
    if [ "$source" = crash.c ]; then
        # Its backtrace is the example, so it keeps the names of its functions.
        "${cc[@]}" "${flags[@]}" -g "$source" -o "$out"
        python3 drop-debug.py "$out"
    else
        "${cc[@]}" "${flags[@]}" -s "$source" -o "$out"
    fi
    chmod 644 "$out"
    printf '%8d  %s\n' "$(stat -c %s "$out")" "${out#../}"
done

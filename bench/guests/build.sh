#!/usr/bin/env bash
# Compiles the guests that are in C. It needs a clang for WebAssembly: CLANG, or `clang` with its linker `wasm-ld`.
set -euo pipefail
cd "$(dirname "$0")"

for source in *.c; do
    ${CLANG:-clang --target=wasm32} -O2 -nostdlib -fno-builtin -Wl,--no-entry,--strip-all,-z,stack-size=65536 \
        -o "${source%.c}.wasm" "$source"
done

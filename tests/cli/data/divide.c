/* Traps in a function that is inlined into one that is called by another. Made with:
   zig cc -target wasm32-freestanding -O1 -g -fno-sanitize=all -nostdlib -Wl,--no-entry -Wl,--export=run \
     -ffile-prefix-map=$PWD=. -o divide.wasm divide.c
   and, with most of its debug information in a file beside it:
   zig clang --target=wasm32 -O1 -g -gsplit-dwarf -gdwarf-5 -ffile-prefix-map=$PWD=. -fdebug-compilation-dir=. \
     -c -o divide.o divide.c
   zig wasm-ld --no-entry --export=run -o split.wasm divide.o && llvm-dwp divide.dwo -o split.dwp */

static inline __attribute__((always_inline)) int divide(int a, int b) {
    if (b == 0)
        __builtin_trap();
    return a / b;
}

__attribute__((noinline)) int compute(int a, int b) {
    int sum = a + b;
    return sum * divide(a, b);
}

__attribute__((visibility("default"))) int run(int b) {
    return compute(40, b) + 1;
}

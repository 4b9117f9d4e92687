// Two lives in one file: a command that prints one Fibonacci number (`hotfoot run fib.wasm 30`),
// and an export that a host or `--invoke` calls (`hotfoot run --invoke fib fib.wasm 30`).
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

// Deliberately the slow recursive definition: it measures calls.
__attribute__((export_name("fib"))) int32_t fib(int32_t n) {
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fputs("usage: fib N\n", stderr);
        return 2;
    }
    printf("%d\n", fib(atoi(argv[1])));
    return 0;
}

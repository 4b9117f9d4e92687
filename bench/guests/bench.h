// What a guest in C is made of: `work`, whose result must be EXPECTED. As WebAssembly it is timed by `bench.start` and
// `bench.end`, as native code by its own clock: it runs once for each line that it reads, and writes a line of
// nanoseconds of its thread. `build.sh` makes the WebAssembly, `execution/native.rs` the native code.
#include <stdint.h>

static uint64_t work(void);

#ifdef __wasm__
__attribute__((import_module("bench"), import_name("start"))) void bench_start(void);
__attribute__((import_module("bench"), import_name("end"))) void bench_end(void);

#define GUEST(EXPECTED)                                      \
    __attribute__((export_name("_start"))) void start(void) { \
        bench_start();                                       \
        uint64_t result = work();                            \
        bench_end();                                         \
        if (result != (EXPECTED)) __builtin_trap();          \
    }
#else
#include <stdio.h>
#include <time.h>

static int64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

#define GUEST(EXPECTED)                                            \
    int main(void) {                                               \
        for (int byte; (byte = getchar()) != EOF;) {               \
            if (byte != '\n') continue;                            \
            int64_t start = nanoseconds();                         \
            uint64_t result = work();                              \
            int64_t end = nanoseconds();                           \
            if (result != (EXPECTED)) __builtin_trap();            \
            printf("%lld\n", (long long)(end - start));            \
            fflush(stdout);                                        \
        }                                                          \
        return 0;                                                  \
    }
#endif

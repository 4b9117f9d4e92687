// The primes below a million, by crossing out: byte stores with strides, and a loop that counts.
#include "bench.h"

enum { LIMIT = 1000000, ROUNDS = 8 };
static uint8_t crossed[LIMIT];

static uint64_t work(void) {
    uint64_t primes = 0;
    for (int round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < LIMIT; i++) crossed[i] = 0;
        for (uint32_t i = 2; i < LIMIT; i++) {
            if (crossed[i]) continue;
            primes++;
            for (uint64_t j = (uint64_t)i * i; j < LIMIT; j += i) crossed[j] = 1;
        }
    }
    return primes;
}

GUEST(78498 * ROUNDS)

// SHA3-256 of two mebibytes of zeros: 64-bit arithmetic and rotations over a state that does not fit into registers.
// EXPECTED is the first eight bytes of what Python's hashlib.sha3_256(bytes(1 << 21)) says.
#include "bench.h"

enum { RATE = 136, LENGTH = 1 << 21 };

static const uint64_t ROUND_CONSTANTS[24] = {
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000, 0x000000000000808b, 0x0000000080000001,
    0x8000000080008081, 0x8000000000008009, 0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
    0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003, 0x8000000000008002, 0x8000000000000080,
    0x000000000000800a, 0x800000008000000a, 0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
};
// Where the lanes go on their way around, and how far each is turned.
static const uint8_t LANES[24] = {10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4, 15, 23, 19, 13, 12, 2, 20, 14, 22, 9, 6, 1};
static const uint8_t TURNS[24] = {1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 2, 14, 27, 41, 56, 8, 25, 43, 62, 18, 39, 61, 20, 44};

static uint64_t state[25];
static uint8_t message[LENGTH];

static uint64_t turned(uint64_t lane, int by) { return lane << by | lane >> (64 - by); }

static void permute(void) {
    uint64_t column[5];
    for (int round = 0; round < 24; round++) {
        for (int x = 0; x < 5; x++) column[x] = state[x] ^ state[x + 5] ^ state[x + 10] ^ state[x + 15] ^ state[x + 20];
        for (int x = 0; x < 5; x++) {
            uint64_t mixed = column[(x + 4) % 5] ^ turned(column[(x + 1) % 5], 1);
            for (int y = 0; y < 25; y += 5) state[y + x] ^= mixed;
        }
        uint64_t carried = state[1];
        for (int i = 0; i < 24; i++) {
            uint64_t next = state[LANES[i]];
            state[LANES[i]] = turned(carried, TURNS[i]);
            carried = next;
        }
        for (int y = 0; y < 25; y += 5) {
            for (int x = 0; x < 5; x++) column[x] = state[y + x];
            for (int x = 0; x < 5; x++) state[y + x] = column[x] ^ (~column[(x + 1) % 5] & column[(x + 2) % 5]);
        }
        state[0] ^= ROUND_CONSTANTS[round];
    }
}

// The first lane of the digest, as it lies in memory.
static uint64_t work(void) {
    uint32_t place = 0;
    for (int lane = 0; lane < 25; lane++) state[lane] = 0;
    for (uint32_t i = 0; i < LENGTH; i++) {
        state[place / 8] ^= (uint64_t)message[i] << place % 8 * 8;
        if (++place == RATE) {
            permute();
            place = 0;
        }
    }
    state[place / 8] ^= UINT64_C(6) << place % 8 * 8;
    state[(RATE - 1) / 8] ^= UINT64_C(0x80) << 56;
    permute();
    return state[0];
}

GUEST(UINT64_C(0x9e739b219a226658))

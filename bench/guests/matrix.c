// The product of two matrices of floating-point numbers, whose entries are small integers, so that it is exact.
#include "bench.h"

enum { SIZE = 200, ROUNDS = 3 };
static double a[SIZE][SIZE], b[SIZE][SIZE], product[SIZE][SIZE];

static uint64_t work(void) {
    for (int i = 0; i < SIZE; i++) {
        for (int j = 0; j < SIZE; j++) {
            a[i][j] = (i + 2 * j) % 7;
            b[i][j] = (3 * i + j) % 5;
        }
    }
    double trace = 0;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < SIZE; i++) {
            for (int j = 0; j < SIZE; j++) {
                double sum = 0;
                for (int k = 0; k < SIZE; k++) sum += a[i][k] * b[k][j];
                product[i][j] = sum + round;
            }
        }
        for (int i = 0; i < SIZE; i++) trace += product[i][SIZE - 1 - i];
    }
    return (uint64_t)trace;
}

GUEST(720681)

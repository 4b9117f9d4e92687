// Eleven queens on a board such that none attacks another: recursion with little work in each call.
#include "bench.h"

enum { SIZE = 11 };
static uint8_t column_of[SIZE];

static int attacked(int row, int column) {
    for (int above = 0; above < row; above++) {
        int apart = column_of[above] - column;
        if (apart == 0 || apart == row - above || apart == above - row) return 1;
    }
    return 0;
}

static uint64_t place(int row) {
    if (row == SIZE) return 1;
    uint64_t ways = 0;
    for (int column = 0; column < SIZE; column++) {
        if (attacked(row, column)) continue;
        column_of[row] = (uint8_t)column;
        ways += place(row + 1);
    }
    return ways;
}

static uint64_t work(void) { return place(0); }

GUEST(2680)

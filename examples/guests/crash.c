// Divides by zero three calls deep: a trap with a backtrace that names functions.
#include <stdlib.h>

__attribute__((noinline)) int divide(int dividend, int divisor) {
    return dividend / divisor;
}

__attribute__((noinline)) int average(int sum, int count) {
    return divide(sum, count) + 1;
}

int main(int argc, char **argv) {
    return average(argc, argc > 1 ? atoi(argv[1]) : 0);
}

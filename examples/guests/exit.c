// Ends with the exit code that it is told, so that a shell can see it come through.
#include <stdlib.h>

int main(int argc, char **argv) {
    return argc == 2 ? atoi(argv[1]) : 0;
}

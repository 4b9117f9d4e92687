// Shows what the host lets a guest see: its arguments, one a line, then its environment.
#include <stdio.h>

extern char **environ;

int main(int argc, char **argv) {
    for (int i = 0; i < argc; i++) printf("arg %d: %s\n", i, argv[i]);
    for (char **pair = environ; pair && *pair; pair++) printf("env: %s\n", *pair);
    return 0;
}

// Copies each named file to stdout, or stdin when no file is named: what `--dir` is for.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int copy(int from) {
    char buffer[4096];
    for (;;) {
        ssize_t got = read(from, buffer, sizeof buffer);
        if (got <= 0) return (int)got;
        for (ssize_t done = 0; done < got;) {
            ssize_t put = write(STDOUT_FILENO, buffer + done, (size_t)(got - done));
            if (put < 0) return -1;
            done += put;
        }
    }
}

int main(int argc, char **argv) {
    if (argc < 2) return copy(STDIN_FILENO) == 0 ? 0 : 1;
    int status = 0;
    for (int i = 1; i < argc; i++) {
        int from = open(argv[i], O_RDONLY);
        if (from < 0 || copy(from) != 0) {
            fprintf(stderr, "cat: %s: %s\n", argv[i], strerror(errno));
            status = 1;
        }
        if (from >= 0) close(from);
    }
    return status;
}

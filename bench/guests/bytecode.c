// An interpreter of a small bytecode as a loop around a `switch`: it finds the longest Collatz sequence of small numbers.
#include "bench.h"

enum Operation { PUSH, LOAD, STORE, ADD, MULTIPLY, HALVE, IS_ODD, LESS, JUMP, JUMP_UNLESS, HALT };
enum { NUMBER, VALUE, STEPS, LONGEST, VARIABLES };
enum { LIMIT = 30000 };

static const int32_t PROGRAM[] = {
    /*  0 */ PUSH, 1, STORE, NUMBER,
    /*  4 */ LOAD, NUMBER, STORE, VALUE, PUSH, 0, STORE, STEPS,
    /* 12 */ PUSH, 1, LOAD, VALUE, LESS, JUMP_UNLESS, 46,
    /* 19 */ LOAD, STEPS, PUSH, 1, ADD, STORE, STEPS, LOAD, VALUE, IS_ODD, JUMP_UNLESS, 41,
    /* 31 */ LOAD, VALUE, PUSH, 3, MULTIPLY, PUSH, 1, ADD, JUMP, 44,
    /* 41 */ LOAD, VALUE, HALVE,
    /* 44 */ JUMP, 68,
    /* 46 */ LOAD, LONGEST, LOAD, STEPS, LESS, JUMP_UNLESS, 57,
    /* 53 */ LOAD, STEPS, STORE, LONGEST,
    /* 57 */ LOAD, NUMBER, PUSH, 1, ADD, STORE, NUMBER, JUMP, 72, HALT, HALT,
    /* 68 */ STORE, VALUE, JUMP, 12,
    /* 72 */ LOAD, NUMBER, PUSH, LIMIT, LESS, JUMP_UNLESS, 81, JUMP, 4,
    /* 81 */ HALT,
};

static int64_t stack[16], variables[VARIABLES];

static uint64_t work(void) {
    int64_t *top = stack;
    const int32_t *at = PROGRAM;
    variables[LONGEST] = 0;
    for (;;) {
        switch (*at++) {
        case PUSH: *++top = *at++; break;
        case LOAD: *++top = variables[*at++]; break;
        case STORE: variables[*at++] = *top--; break;
        case ADD: top--; top[0] += top[1]; break;
        case MULTIPLY: top--; top[0] *= top[1]; break;
        case HALVE: top[0] >>= 1; break;
        case IS_ODD: top[0] &= 1; break;
        case LESS: top--; top[0] = top[0] < top[1]; break;
        case JUMP: at = PROGRAM + *at; break;
        case JUMP_UNLESS: at = *top-- ? at + 1 : PROGRAM + *at; break;
        case HALT: return (uint64_t)variables[LONGEST];
        }
    }
}

GUEST(307)

// Text: numbers are written out in words, the words counted in a hash table, and the table sorted by its strings.
#include "bench.h"

enum { NUMBERS = 100000, BUCKETS = 4096, TEXT = 4 << 20 };

static const char *const ONES[20] = {
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
};
static const char *const TENS[10] = {"", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"};

struct Word { const char *text; uint32_t length, count; };
static struct Word table[BUCKETS], *sorted[BUCKETS];
static char text[TEXT];
static uint32_t used;

static void append(const char *word, char end) {
    while (*word) text[used++] = *word++;
    text[used++] = end;
}

// Words below a hundred are joined, as in "forty-two".
static void spell(uint32_t number) {
    if (number >= 1000) {
        spell(number / 1000);
        append("thousand", ' ');
        number %= 1000;
    }
    if (number >= 100) {
        append(ONES[number / 100], ' ');
        append("hundred", ' ');
        number %= 100;
    }
    if (number >= 20) {
        append(TENS[number / 10], number % 10 ? '-' : ' ');
        if (number % 10) append(ONES[number % 10], ' ');
    } else {
        append(ONES[number], ' ');
    }
}

static int compare(const struct Word *a, const struct Word *b) {
    for (uint32_t i = 0; i < a->length && i < b->length; i++) {
        if (a->text[i] != b->text[i]) return (uint8_t)a->text[i] - (uint8_t)b->text[i];
    }
    return (int)a->length - (int)b->length;
}

static int same(const struct Word *a, const struct Word *b) { return a->length == b->length && compare(a, b) == 0; }

static void count(const char *start, uint32_t length) {
    uint32_t hash = 2166136261u;
    for (uint32_t i = 0; i < length; i++) hash = (hash ^ (uint8_t)start[i]) * 16777619u;
    struct Word word = {start, length, 1};
    for (uint32_t at = hash % BUCKETS;; at = (at + 1) % BUCKETS) {
        if (table[at].count == 0) {
            table[at] = word;
            return;
        }
        if (same(&table[at], &word)) {
            table[at].count++;
            return;
        }
    }
}

// By insertion: there are some hundred words.
static uint32_t sort(void) {
    uint32_t words = 0;
    for (uint32_t bucket = 0; bucket < BUCKETS; bucket++) {
        if (table[bucket].count == 0) continue;
        uint32_t at = words++;
        for (; at > 0 && compare(sorted[at - 1], &table[bucket]) > 0; at--) sorted[at] = sorted[at - 1];
        sorted[at] = &table[bucket];
    }
    return words;
}

static uint64_t work(void) {
    used = 0;
    for (uint32_t bucket = 0; bucket < BUCKETS; bucket++) table[bucket].count = 0;
    for (uint32_t number = 0; number < NUMBERS; number++) spell(number);
    for (uint32_t at = 0, start = 0; at < used; at++) {
        if (text[at] != ' ') continue;
        count(text + start, at - start);
        start = at + 1;
    }
    uint64_t sum = 0;
    uint32_t words = sort();
    for (uint32_t i = 0; i < words; i++) sum = sum * 31 + (uint64_t)sorted[i]->count * sorted[i]->length;
    return sum;
}

GUEST(UINT64_C(0xdc45acae01d9ccf0))

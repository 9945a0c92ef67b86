/* What flareload.c stands on: memory and time, latencies by magnitude, protobuf's fields, growing buffers. */
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PREFIX = 5 }; /* bytes before a gRPC message */

static void die(int status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("flareload: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(status);
}

static void *grown(void *block, size_t bytes) {
    void *found = realloc(block, bytes);
    if (!found) die(1, "out of memory");
    return found;
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* SplitMix64: one addition and three multiplications are enough to choose keys. */
static uint64_t chance_state;
static uint64_t chance(void) {
    uint64_t z = (chance_state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* ---------------------------------------------------------------- latencies */

/* Latencies by magnitude: 32 steps to each power of two, so a percentile is right to 3 per cent. Unit: 100 ns. */
enum { STEPS = 32, BUCKETS = STEPS * 40 };
static uint64_t bucket[BUCKETS];
static uint64_t operations, failed, missing;
static bool measuring, stopping;

static int bucket_of(uint64_t ns) {
    uint64_t units = ns / 100;
    if (units < STEPS) return (int)units;
    int power = 63 - __builtin_clzll(units) - 5; /* halvings until five bits and the leading one are left */
    int at = power * STEPS + (int)(units >> power);
    return at < BUCKETS ? at : BUCKETS - 1;
}

static double milliseconds_of(int at) {
    if (at < 2 * STEPS) return at / 1e4;
    int power = at / STEPS - 1;
    return (double)((uint64_t)(at % STEPS + STEPS) << power) / 1e4;
}

static double percentile(double share) {
    double wanted = share * (double)operations, seen = 0;
    for (int at = 0; at < BUCKETS; at++)
        if ((seen += (double)bucket[at]) >= wanted && seen > 0) return milliseconds_of(at);
    return 0;
}

static void answered(uint64_t sent_ns, uint64_t at_ns) {
    if (!measuring) return;
    operations++;
    bucket[bucket_of(at_ns - sent_ns)]++;
}

/* ---------------------------------------------------------------- protobuf */

static uint8_t *put_varint(uint8_t *to, uint64_t number) {
    for (; number > 127; number >>= 7) *to++ = (uint8_t)(number | 128);
    *to++ = (uint8_t)number;
    return to;
}

static size_t varint_size(uint64_t number) {
    size_t size = 1;
    while (number >>= 7) size++;
    return size;
}

static uint8_t *put_bytes(uint8_t *to, int field, const void *bytes, size_t size) {
    *to++ = (uint8_t)(field << 3 | 2);
    to = put_varint(to, size);
    memcpy(to, bytes, size);
    return to + size;
}

static void put_prefix(uint8_t *to, size_t size) { /* of a gRPC message: not compressed, length in network order */
    for (int i = 0; i < PREFIX; i++) to[i] = i ? (uint8_t)(size >> (8 * (4 - i))) : 0;
}

static uint64_t get_varint(const uint8_t **at, const uint8_t *end) {
    uint64_t number = 0;
    for (int shift = 0; *at < end && shift < 64; shift += 7) {
        uint8_t byte = *(*at)++;
        number |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) return number;
    }
    die(1, "an answer is cut short");
    return 0;
}

/* One field; bytes only for length-delimited ones. False at the end. */
struct field { uint64_t number, varint; const uint8_t *bytes, *end; };
static bool next_field(const uint8_t **at, const uint8_t *end, struct field *field) {
    if (*at >= end) return false;
    uint64_t tag = get_varint(at, end);
    *field = (struct field){.number = tag >> 3};
    if ((tag & 7) == 0) {
        field->varint = get_varint(at, end);
    } else if ((tag & 7) == 2) {
        uint64_t size = get_varint(at, end);
        if (size > (uint64_t)(end - *at)) die(1, "an answer is cut short");
        field->bytes = *at;
        field->end = *at += size;
    } else {
        die(1, "an answer has a field of wire type %d", (int)(tag & 7));
    }
    return true;
}

/* ---------------------------------------------------------------- buffers */

struct buffer { uint8_t *bytes; size_t size, taken, room; }; /* what is in it: bytes[taken, size) */

static uint8_t *room_for(struct buffer *buffer, size_t bytes) {
    if (buffer->taken == buffer->size) buffer->taken = buffer->size = 0;
    if (buffer->room - buffer->size < bytes && buffer->taken) {
        memmove(buffer->bytes, buffer->bytes + buffer->taken, buffer->size - buffer->taken);
        buffer->size -= buffer->taken;
        buffer->taken = 0;
    }
    if (buffer->room - buffer->size < bytes) {
        buffer->room = buffer->size + 2 * bytes;
        buffer->bytes = grown(buffer->bytes, buffer->room);
    }
    return buffer->bytes + buffer->size;
}

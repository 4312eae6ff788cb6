/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzz target: any bytes may arrive, and after them the board still answers, in whole frames, with no access out of
 * bounds. The fuzzer's input is a list of operations, so that it gets past the CRC of frames:
 *
 *     0 count bytes...                              bytes as they are
 *     1 type session sequence count payload...      a frame; sequence counts from the last one
 *     2 index                                       one of the words of a text command
 *
 * With FUZZ_RUNS the program makes so many inputs up by itself instead, for compilers without a fuzzer.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "application.h"
#include "frame.h"
#include "port_serial.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum { STREAM_BYTES = 1 << 16, TICKS_PER_READING = 20000, RATE = 1000000 };

/* What is to arrive. */
static uint8_t  stream[STREAM_BYTES];
static uint32_t stream_bytes;
static uint32_t stream_read;

/* What the board has sent. */
static char         last_sent[32];   /* a ring */
static uint32_t     sent_bytes;
static frame_parser sent_parser;
static uint8_t      sent_frame[FRAME_BYTES];

static uint32_t ticks;
static uint16_t sequence;
static int      is_building;   /* whether frames that are sent go into the stream */

void port_serial_init(void)
{
}

int port_serial_read(void)
{
    return stream_read < stream_bytes ? stream[stream_read++] : -1;
}

static void append(const uint8_t *bytes, uint32_t count)
{
    if (count <= STREAM_BYTES - stream_bytes) {
        memcpy(stream + stream_bytes, bytes, count);
        stream_bytes += count;
    }
}

void port_serial_write(const uint8_t *bytes, uint32_t count)
{
    if (is_building) {
        append(bytes, count);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (frame_feed(&sent_parser, bytes[i]) == FRAME_BOUNDARY && bytes[i] == FRAME_END) {
            abort();   /* a frame that is none */
        }
        last_sent[sent_bytes++ % sizeof last_sent] = (char)bytes[i];
    }
}

uint32_t port_ticks(void)
{
    return ticks += TICKS_PER_READING;
}

uint32_t port_ticks_per_second(void)
{
    return RATE;
}

/* The bytes that follow reach the board after its restart. */
void port_reset(void)
{
    serial_start();
}

static const char *const words[] = {
    "%",     " ",    "name",    "timestamp", "profile", "banner", "help", "db ", "load ", "print",
    "infer", " 1 0", "results", "db load 360%", "0011", "\r\n",   "2",    "-",   "FF",    "x",
};

/* A byte of the input; zeros follow its end. */
static uint8_t take(const uint8_t **input, size_t *size)
{
    if (*size == 0) {
        return 0;
    }
    --*size;
    return *(*input)++;
}

static void add_frame(const uint8_t **input, size_t *size)
{
    uint8_t content[FRAME_BYTES] = {0};
    const uint8_t  type = take(input, size);
    const uint32_t session = take(input, size) & 3;
    sequence = (uint16_t)(sequence + (take(input, size) & 3));
    const uint16_t count = take(input, size);
    frame_put_header(content, type, session, sequence);
    for (uint16_t i = 0; i < count; i++) {
        content[FRAME_HEADER_BYTES + i] = take(input, size);
    }
    is_building = 1;
    frame_send(content, frame_seal(content, count));
    is_building = 0;
}

static void build_stream(const uint8_t *input, size_t size)
{
    stream_bytes = 0;
    stream_read = 0;
    sequence = 0;
    while (size > 0) {
        const uint8_t operation = take(&input, &size) % 3;
        if (operation == 0) {
            for (uint8_t count = take(&input, &size); count > 0 && size > 0; count--) {
                const uint8_t byte = take(&input, &size);
                append(&byte, 1);
            }
        } else if (operation == 1) {
            add_frame(&input, &size);
        } else {
            const char *word = words[take(&input, &size) % (sizeof words / sizeof words[0])];
            append((const uint8_t *)word, (uint32_t)strlen(word));
        }
    }
}

static void require_answer(const char *answer)
{
    const uint32_t length = (uint32_t)strlen(answer);
    for (uint32_t i = 0; i < length; i++) {
        if (last_sent[(sent_bytes - length + i) % sizeof last_sent] != answer[i]) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    frame_parser_init(&sent_parser, sent_frame, sizeof sent_frame);
    sent_bytes = sizeof last_sent;
    build_stream(input, size);
    serial_start();
    while (stream_read < stream_bytes) {
        serial_poll();
    }
    for (const char *next = "%name%"; *next != '\0'; next++) {
        serial_feed((uint8_t)*next);
    }
    require_answer("m-name-dut-[host]\r\nm-ready\r\n");
    return 0;
}

#ifdef FUZZ_RUNS
static uint32_t random_state = 1;

static uint32_t random_below(uint32_t bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % bound;
}

/* Mostly a plausible session, with payloads of the right size or nearly so: chance alone would not get far. */
static size_t make_up(uint8_t *input)
{
    static const uint8_t payload_bytes[] = {0, 1, 4, 1, 184, 4, 4, 2, 0};
    size_t size = 0;
    for (uint32_t operations = random_below(12); operations > 0; operations--) {
        const uint8_t type = (uint8_t)random_below(10) < 9 ? (uint8_t)random_below(sizeof payload_bytes) : 0x10;
        const uint8_t count = type < sizeof payload_bytes ? payload_bytes[type] : 4;
        const uint8_t head[5] = {(uint8_t)random_below(3), type, (uint8_t)(random_below(8) != 0), (uint8_t)(random_below(8) != 0),
                                 (uint8_t)(count + (random_below(8) == 0))};
        memcpy(input + size, head, sizeof head);
        size += sizeof head;
        for (uint8_t i = 0; i < count; i++) {
            input[size++] = random_below(4) == 0 ? (uint8_t)random_below(256) : (uint8_t)(random_below(2) * 184);
        }
    }
    return size;
}

int main(void)
{
    static uint8_t input[4096];
    for (uint32_t run = 0; run < FUZZ_RUNS; run++) {
        (void)LLVMFuzzerTestOneInput(input, make_up(input));
    }
    return 0;
}
#endif

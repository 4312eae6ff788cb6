/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzz target: any bytes may arrive, and after them the board still answers, in whole frames, with no access out of
 * bounds. The fuzzer's input is a list of operations, so that it gets past the CRC of frames:
 *
 *     0 count bytes...                              bytes as they are
 *     1 type session sequence count payload...      a frame; sequence counts from the last one
 *     2 index                                       one of the words of a text command
 *     3 session flags value taken                   all frames of an inference, with some answers to its trace
 *     4 value                                       all text commands of an inference
 *
 * With FUZZ_RUNS the program makes so many inputs up by itself instead, for compilers without a fuzzer.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "application.h"
#include "frame.h"
#include "mcukit_model.h"
#include "port_serial.h"
#include "session.h"

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

/* Sends content[FRAME_HEADER_BYTES ...] as the next frame of the stream. */
static void send(uint8_t *content, uint8_t type, uint32_t session, uint16_t payload_bytes)
{
    frame_put_header(content, type, session, sequence);
    is_building = 1;
    frame_send(content, frame_seal(content, payload_bytes));
    is_building = 0;
}

static void add_frame(const uint8_t **input, size_t *size)
{
    uint8_t content[FRAME_BYTES] = {0};
    const uint8_t  type = take(input, size);
    const uint32_t session = take(input, size) & 3;
    sequence = (uint16_t)(sequence + (take(input, size) & 3));
    const uint16_t count = take(input, size);
    for (uint16_t i = 0; i < count; i++) {
        content[FRAME_HEADER_BYTES + i] = take(input, size);
    }
    send(content, type, session, count);
}

static void send_next(uint8_t *content, uint8_t type, uint32_t session, uint16_t payload_bytes)
{
    sequence++;
    send(content, type, session, payload_bytes);
}

/* The input's bytes are all `value`. */
static void add_data(uint8_t *content, uint32_t session, uint8_t value)
{
    enum { ROOM = FRAME_PAYLOAD_BYTES - 4 };
    for (uint32_t place = 0; place < MCUKIT_INPUT_BYTES; place += ROOM) {
        const uint32_t left = MCUKIT_INPUT_BYTES - place;
        const uint16_t count = (uint16_t)(left < ROOM ? left : ROOM);
        frame_put_u32(content + FRAME_HEADER_BYTES, place);
        memset(content + FRAME_HEADER_BYTES + 4, value, count);
        send_next(content, REQUEST_DATA, session, (uint16_t)(4 + count));
    }
}

static void add_inference(const uint8_t **input, size_t *size)
{
    uint8_t content[FRAME_BYTES];
    uint8_t *payload = content + FRAME_HEADER_BYTES;
    const uint32_t session = take(input, size);
    const uint8_t  flags = take(input, size);
    const uint8_t  value = take(input, size);
    uint32_t crc = 0;

    payload[0] = SESSION_PROTOCOL_VERSION;
    send_next(content, REQUEST_HELLO, session, 1);
    payload[0] = flags;
    send_next(content, REQUEST_BEGIN, session, 1);
    add_data(content, session, value);
    for (uint32_t i = 0; i < MCUKIT_INPUT_BYTES; i++) {
        crc = frame_crc(crc, &value, 1);
    }
    frame_put_u32(payload, crc);
    send_next(content, REQUEST_INFER, session, 4);
    for (uint32_t i = 1, taken = take(input, size) & 15; i <= taken; i++) {
        frame_put_u32(payload, i * (FRAME_PAYLOAD_BYTES - 4));
        send(content, TRACE_TAKEN, session, 4);
    }
    frame_put_u32(payload, 0);
    send_next(content, REQUEST_OUTPUT, session, 4);
    send_next(content, REQUEST_TICKS, session, 2);
}

static void append_text(const char *text)
{
    append((const uint8_t *)text, (uint32_t)strlen(text));
}

static void add_text_inference(uint8_t value)
{
    const char digits[3] = {(char)('a' + value % 6), (char)('0' + value % 10), '\0'};
    append_text("%db load 360");
    for (uint32_t i = 0; i < MCUKIT_INPUT_BYTES; i++) {
        append_text(i % 30 == 0 ? "%db " : "");
        append_text(digits);
    }
    append_text("%infer 1 0%db print%");
}

static void build_stream(const uint8_t *input, size_t size)
{
    stream_bytes = 0;
    stream_read = 0;
    sequence = 0;
    while (size > 0) {
        const uint8_t operation = take(&input, &size) % 5;
        if (operation == 0) {
            for (uint8_t count = take(&input, &size); count > 0 && size > 0; count--) {
                const uint8_t byte = take(&input, &size);
                append(&byte, 1);
            }
        } else if (operation == 1) {
            add_frame(&input, &size);
        } else if (operation == 2) {
            append_text(words[take(&input, &size) % (sizeof words / sizeof words[0])]);
        } else if (operation == 3) {
            add_inference(&input, &size);
        } else {
            add_text_inference(take(&input, &size));
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

/* Operations with operands that are often small, as most that are valid are. */
static size_t make_up(uint8_t *input)
{
    const size_t size = random_below(100);
    for (size_t i = 0; i < size; i++) {
        input[i] = (uint8_t)random_below(random_below(3) == 0 ? 256 : 8);
    }
    return size;
}

int main(void)
{
    static uint8_t input[100];
    for (uint32_t run = 0; run < FUZZ_RUNS; run++) {
        (void)LLVMFuzzerTestOneInput(input, make_up(input));
    }
    return 0;
}
#endif

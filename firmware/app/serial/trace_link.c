/* SPDX-License-Identifier: Apache-2.0 */
#include "trace_link.h"

#include <string.h>

#include "clock.h"
#include "frame.h"
#include "port_serial.h"
#include "session.h"

enum {
    PLACE_BYTES = 4,   /* before the data in a payload: how many bytes came before */
    ROOM = FRAME_PAYLOAD_BYTES - PLACE_BYTES,
    MILLISECONDS_TO_RESEND = 500,
    MILLISECONDS_TO_GIVE_UP = 10000
};

static uint32_t session;
static uint16_t sequence;
static uint32_t taken;   /* bytes that the computer has */
static uint32_t crc;
static int      is_lost;

/* The frame that is being filled or waits to be taken. */
static uint8_t  chunk[FRAME_BYTES];
static uint16_t chunk_bytes;   /* of its data */

static frame_parser parser;
static uint8_t      parsed[FRAME_SHORT_BYTES];

void trace_link_begin(uint32_t of_session, uint16_t of_sequence)
{
    session = of_session;
    sequence = of_sequence;
    taken = 0;
    crc = 0;
    is_lost = 0;
    chunk_bytes = 0;
    frame_parser_init(&parser, parsed, sizeof parsed);
}

void trace_link_answer_to(uint16_t of_sequence)
{
    sequence = of_sequence;
}

enum verdict { WAIT, TAKEN, ASKED_AGAIN, GIVEN_UP };

static enum verdict judge(const uint8_t *content)
{
    if (frame_type(content) == REQUEST_HELLO && frame_session(content) != session) {
        return GIVEN_UP;   /* the next attempt of a computer that does not wait any more */
    }
    if (frame_session(content) != session || frame_sequence(content) != sequence) {
        return WAIT;
    }
    if (frame_type(content) != TRACE_TAKEN) {
        return ASKED_AGAIN;
    }
    return frame_length(content) == 4 && frame_get_u32(content + FRAME_HEADER_BYTES) == taken + chunk_bytes ? TAKEN : WAIT;
}

static enum verdict listen(void)
{
    const int byte = port_serial_read();
    if (byte < 0 || frame_feed(&parser, (uint8_t)byte) != FRAME_COMPLETE) {
        return WAIT;
    }
    return judge(parsed);
}

static uint64_t ticks_of(uint32_t milliseconds)
{
    return (uint64_t)port_ticks_per_second() * milliseconds / 1000u;
}

/* Whether the computer has taken the chunk. */
static int deliver(uint16_t content_bytes)
{
    const uint64_t began = clock_ticks();
    uint64_t       sent = began;

    frame_send(chunk, content_bytes);
    for (;;) {
        const uint64_t     now = clock_ticks();
        const enum verdict verdict = listen();
        if (verdict == TAKEN) {
            return 1;
        }
        if (verdict == GIVEN_UP || now - began > ticks_of(MILLISECONDS_TO_GIVE_UP)) {
            return 0;
        }
        if (verdict == ASKED_AGAIN || now - sent > ticks_of(MILLISECONDS_TO_RESEND)) {
            frame_send(chunk, content_bytes);
            sent = clock_ticks();
        }
    }
}

void trace_link_flush(void)
{
    if (chunk_bytes == 0 || is_lost) {
        return;
    }
    frame_put_header(chunk, TRACE, session, sequence);
    frame_put_u32(chunk + FRAME_HEADER_BYTES, taken);
    is_lost = !deliver(frame_seal(chunk, (uint16_t)(PLACE_BYTES + chunk_bytes)));
    taken += chunk_bytes;
    chunk_bytes = 0;
}

void trace_link_write(const void *bytes, uint32_t count)
{
    const uint8_t *next = bytes;

    crc = frame_crc(crc, next, count);
    while (count > 0 && !is_lost) {
        const uint32_t room = ROOM - (uint32_t)chunk_bytes;
        const uint32_t part = count < room ? count : room;
        memcpy(chunk + FRAME_HEADER_BYTES + PLACE_BYTES + chunk_bytes, next, part);
        chunk_bytes = (uint16_t)(chunk_bytes + part);
        next += part;
        count -= part;
        if (chunk_bytes == ROOM) {
            trace_link_flush();
        }
    }
}

int trace_link_is_lost(void)
{
    return is_lost;
}

uint32_t trace_link_bytes(void)
{
    return taken;
}

uint32_t trace_link_crc(void)
{
    return crc;
}

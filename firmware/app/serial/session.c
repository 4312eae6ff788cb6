/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

#include <string.h>

#include "banner.h"
#include "frame.h"
#include "network.h"
#include "port_serial.h"
#include "trace_link.h"

static uint32_t session;         /* 0 while there is none */
static uint16_t last_sequence;   /* of the last request that was carried out */

/* The reply to that request, which is sent again if the request comes again. */
static uint8_t  reply[FRAME_BYTES];
static uint16_t reply_bytes;
static uint16_t payload_bytes;   /* of it by now */

void session_start(void)
{
    session_close();
}

void session_close(void)
{
    session = 0;
    reply_bytes = 0;
}

int session_is_open(void)
{
    return session != 0;
}

static void add_u8(uint8_t value)
{
    reply[FRAME_HEADER_BYTES + payload_bytes++] = value;
}

static void add_u16(uint16_t value)
{
    frame_put_u16(reply + FRAME_HEADER_BYTES + payload_bytes, value);
    payload_bytes += 2;
}

static void add_u32(uint32_t value)
{
    frame_put_u32(reply + FRAME_HEADER_BYTES + payload_bytes, value);
    payload_bytes += 4;
}

static void add_u64(uint64_t value)
{
    add_u32((uint32_t)value);
    add_u32((uint32_t)(value >> 32));
}

/* As many of total bytes from offset as there is room for. An offset at or behind the end adds none. */
static void add_part(const void *bytes, uint32_t total, uint32_t offset)
{
    const uint32_t room = FRAME_PAYLOAD_BYTES - (uint32_t)payload_bytes;
    const uint32_t left = offset < total ? total - offset : 0;
    const uint32_t count = left < room ? left : room;
    if (count > 0) {
        memcpy(reply + FRAME_HEADER_BYTES + payload_bytes, (const uint8_t *)bytes + offset, count);
    }
    payload_bytes = (uint16_t)(payload_bytes + count);
}

static uint8_t features(void)
{
    uint8_t bits = 0;
#if MCUKIT_INPUT_IS_PUSHED
    bits |= FEATURE_INPUT_IS_PUSHED;
#endif
#if MCUKIT_KEEPS_INPUT
    bits |= FEATURE_KEEPS_INPUT;
#endif
#ifdef MK_PROFILE
    bits |= FEATURE_HOOKS;
#endif
    return bits;
}

static void hello(const uint8_t *payload)
{
    const int known = payload[0] == SESSION_PROTOCOL_VERSION;
    add_u8(known ? STATUS_OK : STATUS_VERSION);
    add_u8(SESSION_PROTOCOL_VERSION);
    add_u8(features());
    add_u16(FRAME_PAYLOAD_BYTES);
    add_u16(MCUKIT_LAYERS);
    add_u16(banner_bytes);
    add_u32(MCUKIT_INPUT_BYTES);
    add_u32(MCUKIT_OUTPUT_BYTES);
    add_u32(MCUKIT_ARENA_BYTES);
    add_u32(port_ticks_per_second());
}

static void banner(const uint8_t *payload)
{
    add_u8(STATUS_OK);
    add_part(banner_text, banner_bytes, frame_get_u32(payload));
}

static void begin(const uint8_t *payload)
{
    const int traced = payload[0] & BEGIN_WITH_TRACE;
#ifndef MK_PROFILE
    if (traced) {
        add_u8(STATUS_NO_HOOKS);
        return;
    }
#endif
    trace_link_begin(session, last_sequence);
    network_begin_input(traced ? trace_link_write : 0);
    add_u8(STATUS_OK);
}

static void data(const uint8_t *payload, uint16_t length)
{
    const uint32_t offset = frame_get_u32(payload);
    const uint16_t count = (uint16_t)(length - 4);
    if (offset == network_input_held() && count <= MCUKIT_INPUT_BYTES - offset) {
        trace_link_answer_to(last_sequence);
        network_add_input(payload + 4, count);
        add_u8(STATUS_OK);
    } else {
        add_u8(STATUS_WRONG_PLACE);
    }
    add_u32(network_input_held());
}

static void infer(const uint8_t *payload)
{
    if (!network_is_ready()) {
        add_u8(STATUS_NO_INPUT);
        return;
    }
    if (network_input_crc() != frame_get_u32(payload)) {
        add_u8(STATUS_INPUT_DIFFERS);
        return;
    }
    if (NETWORK_COMPUTES_ON_ARRIVAL) {
        trace_link_answer_to(last_sequence);
    } else {
        trace_link_begin(session, last_sequence);
    }
    network_infer();
    trace_link_flush();
    add_u8(trace_link_is_lost() ? STATUS_TRACE_LOST : STATUS_OK);
    add_u32(frame_get_u32(payload));
    add_u32(frame_crc(0, (const uint8_t *)mcukit_output(), MCUKIT_OUTPUT_BYTES));
    add_u64(network_ticks());
    add_u32(trace_link_bytes());
    add_u32(trace_link_crc());
}

static void output(const uint8_t *payload)
{
    if (!network_has_output()) {
        add_u8(STATUS_NO_OUTPUT);
        return;
    }
    add_u8(STATUS_OK);
    add_part(mcukit_output(), MCUKIT_OUTPUT_BYTES, frame_get_u32(payload));
}

static void layer_ticks(const uint8_t *payload)
{
#ifdef MK_PROFILE
    if (!network_has_output()) {
        add_u8(STATUS_NO_OUTPUT);
        return;
    }
    add_u8(STATUS_OK);
    for (uint32_t layer = frame_get_u16(payload); layer + 1 <= MCUKIT_LAYERS; layer++) {
        if (payload_bytes + 4 > FRAME_PAYLOAD_BYTES) {
            break;
        }
        add_u32(network_layer_ticks((uint16_t)layer));
    }
#else
    (void)payload;
    add_u8(STATUS_NO_HOOKS);
#endif
}

/* The payload that a request must have: this many bytes, or at least so many if it carries data. */
static uint16_t needed_bytes(uint8_t type)
{
    switch (type) {
    case REQUEST_HELLO:
    case REQUEST_BEGIN:
        return 1;
    case REQUEST_TICKS:
        return 2;
    case REQUEST_BANNER:
    case REQUEST_DATA:
    case REQUEST_INFER:
    case REQUEST_OUTPUT:
        return 4;
    default:
        return 0;
    }
}

static void carry_out(uint8_t type, const uint8_t *payload, uint16_t length)
{
    const uint16_t needed = needed_bytes(type);
    if (length < needed || (length > needed && type != REQUEST_DATA)) {
        add_u8(STATUS_MALFORMED);
        return;
    }
    switch (type) {
    case REQUEST_HELLO:
        hello(payload);
        break;
    case REQUEST_BANNER:
        banner(payload);
        break;
    case REQUEST_BEGIN:
        begin(payload);
        break;
    case REQUEST_DATA:
        data(payload, length);
        break;
    case REQUEST_INFER:
        infer(payload);
        break;
    case REQUEST_OUTPUT:
        output(payload);
        break;
    case REQUEST_TICKS:
        layer_ticks(payload);
        break;
    case REQUEST_RESTART:
        add_u8(STATUS_OK);
        break;
    default:
        add_u8(STATUS_UNKNOWN);
        break;
    }
}

/* Leaves the reply to the session's last request as it is: that one may still be asked for. */
static void refuse(const uint8_t *content)
{
    uint8_t refusal[FRAME_HEADER_BYTES + 1 + FRAME_CRC_BYTES];
    frame_put_header(refusal, frame_type(content) | REPLY_BIT, frame_session(content), frame_sequence(content));
    refusal[FRAME_HEADER_BYTES] = STATUS_NO_SESSION;
    frame_send(refusal, frame_seal(refusal, 1));
}

static void answer(const uint8_t *content)
{
    const uint8_t type = frame_type(content);
    last_sequence = frame_sequence(content);
    reply_bytes = 0;
    payload_bytes = 0;
    frame_put_header(reply, type | REPLY_BIT, session, last_sequence);
    carry_out(type, content + FRAME_HEADER_BYTES, frame_length(content));
    reply_bytes = frame_seal(reply, payload_bytes);
    frame_send(reply, reply_bytes);
    if (type == REQUEST_RESTART && payload_bytes == 1 && reply[FRAME_HEADER_BYTES] == STATUS_OK) {
        port_reset();
    }
}

void session_handle(const uint8_t *content)
{
    const uint32_t asking = frame_session(content);
    const uint16_t ahead = (uint16_t)(frame_sequence(content) - last_sequence);

    if (frame_type(content) & REPLY_BIT || frame_type(content) == TRACE_TAKEN) {
        return;   /* an echo, or what comes late */
    }
    if (frame_type(content) == REQUEST_HELLO && asking != 0 && asking != session) {
        session = asking;
        network_begin_input(0);
        answer(content);
    } else if (asking == 0 || asking != session) {
        refuse(content);
    } else if (ahead == 0) {
        frame_send(reply, reply_bytes);
    } else if (ahead == 1) {
        answer(content);
    }
}

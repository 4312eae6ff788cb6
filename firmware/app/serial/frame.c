/* SPDX-License-Identifier: Apache-2.0 */
#include "frame.h"

#include "port_serial.h"

enum { OUTSIDE, INSIDE, ESCAPED, SKIPPING };

void frame_parser_init(frame_parser *parser, uint8_t *bytes, uint16_t capacity)
{
    parser->bytes = bytes;
    parser->capacity = capacity;
    parser->count = 0;
    parser->state = OUTSIDE;
}

static int is_special(uint8_t byte)
{
    return byte == FRAME_START || byte == FRAME_END || byte == FRAME_ESCAPE || byte == FRAME_TEXT_TERMINATOR;
}

static int is_whole(const frame_parser *parser)
{
    if (parser->count < FRAME_HEADER_BYTES + FRAME_CRC_BYTES ||
        frame_length(parser->bytes) != parser->count - (FRAME_HEADER_BYTES + FRAME_CRC_BYTES)) {
        return 0;
    }
    const uint16_t covered = (uint16_t)(parser->count - FRAME_CRC_BYTES);
    return frame_crc(0, parser->bytes, covered) == frame_get_u32(parser->bytes + covered);
}

/* A byte of the frame's content. What doesn't fit or is wrongly escaped spoils the rest of the frame. */
static void hold(frame_parser *parser, uint8_t byte)
{
    if (parser->state == ESCAPED) {
        byte ^= FRAME_ESCAPE_MASK;
        parser->state = is_special(byte) ? INSIDE : SKIPPING;
    }
    if (parser->count == parser->capacity) {
        parser->state = SKIPPING;
    }
    if (parser->state == INSIDE) {
        parser->bytes[parser->count++] = byte;
    }
}

frame_event frame_feed(frame_parser *parser, uint8_t byte)
{
    const uint8_t state = parser->state;

    if (byte == FRAME_START) {
        parser->count = 0;
        parser->state = INSIDE;
        return FRAME_BOUNDARY;
    }
    if (byte == FRAME_END) {
        parser->state = OUTSIDE;
        return state == INSIDE && is_whole(parser) ? FRAME_COMPLETE : FRAME_BOUNDARY;
    }
    if (state == OUTSIDE) {
        return FRAME_TEXT;
    }
    if (byte == FRAME_TEXT_TERMINATOR) {
        parser->state = OUTSIDE;
        return FRAME_CUT;
    }
    if (byte == FRAME_ESCAPE) {
        parser->state = state == INSIDE ? ESCAPED : SKIPPING;
    } else if (state != SKIPPING) {
        hold(parser, byte);
    }
    return FRAME_PART;
}

/* Four bits at a time: a table of 64 bytes instead of 1,024. */
uint32_t frame_crc(uint32_t crc, const uint8_t *bytes, uint32_t count)
{
    static const uint32_t table[16] = {
        0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u, 0x4DB26158u, 0x5005713Cu,
        0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu, 0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
    };
    crc = ~crc;
    for (uint32_t i = 0; i < count; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

uint16_t frame_seal(uint8_t *content, uint16_t payload_bytes)
{
    const uint16_t covered = (uint16_t)(FRAME_HEADER_BYTES + payload_bytes);
    frame_put_u16(content + 7, payload_bytes);
    frame_put_u32(content + covered, frame_crc(0, content, covered));
    return (uint16_t)(covered + FRAME_CRC_BYTES);
}

void frame_send(const uint8_t *content, uint16_t count)
{
    uint8_t  block[64];
    uint32_t held = 0;

    block[held++] = FRAME_START;
    for (uint16_t i = 0; i < count; i++) {
        if (is_special(content[i])) {
            block[held++] = FRAME_ESCAPE;
            block[held++] = content[i] ^ FRAME_ESCAPE_MASK;
        } else {
            block[held++] = content[i];
        }
        if (held > sizeof block - 3) {   /* room for two more bytes and the end */
            port_serial_write(block, held);
            held = 0;
        }
    }
    block[held++] = FRAME_END;
    port_serial_write(block, held);
}

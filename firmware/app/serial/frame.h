/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of the serial protocol, as PROTOCOL.md describes them: what a byte on the wire means, and what makes a frame
 * whole. Content of a frame, before special bytes are escaped:
 *
 *     type (1)  session (4)  sequence (2)  length (2)  payload (length)  CRC-32 of all before (4)
 */
#ifndef MCUKIT_SERIAL_FRAME_H
#define MCUKIT_SERIAL_FRAME_H

#include <stdint.h>

enum {
    FRAME_START = 0xC0,
    FRAME_END = 0xC1,
    FRAME_ESCAPE = 0xDB,
    FRAME_ESCAPE_MASK = 0x20,      /* an escaped byte is sent with this bit turned over */
    FRAME_TEXT_TERMINATOR = '%'    /* ends a text command, so that it stands in no frame */
};

enum {
    FRAME_HEADER_BYTES = 9,
    FRAME_CRC_BYTES = 4,
    FRAME_PAYLOAD_BYTES = 256,     /* the longest payload */
    FRAME_BYTES = FRAME_HEADER_BYTES + FRAME_PAYLOAD_BYTES + FRAME_CRC_BYTES,
    FRAME_SHORT_BYTES = 32         /* enough for every frame but those that carry data */
};

/* bytes: `capacity` bytes that hold the content of the frame that is arriving, `count` of them by now. */
typedef struct frame_parser {
    uint8_t *bytes;
    uint16_t capacity;
    uint16_t count;
    uint8_t  state;
} frame_parser;

typedef enum frame_event {
    FRAME_PART,       /* the byte belongs to a frame, or to the remains of a broken one */
    FRAME_BOUNDARY,   /* a frame begins or an unknown one ends: text before it is no command */
    FRAME_TEXT,       /* the byte is not part of a frame */
    FRAME_CUT,        /* a text terminator broke a frame off */
    FRAME_COMPLETE    /* bytes[0 .. count) is a frame whose length and CRC are right */
} frame_event;

void        frame_parser_init(frame_parser *parser, uint8_t *bytes, uint16_t capacity);
frame_event frame_feed(frame_parser *parser, uint8_t byte);

/* Continues the CRC-32 (reflected, polynomial 0x04C11DB7) of bytes that came before; 0 where none did. */
uint32_t frame_crc(uint32_t crc, const uint8_t *bytes, uint32_t count);

/* Writes the length and the CRC into a frame with payload_bytes of payload; gives the bytes of its content. */
uint16_t frame_seal(uint8_t *content, uint16_t payload_bytes);

/* Sends a sealed frame. */
void frame_send(const uint8_t *content, uint16_t count);

static inline uint16_t frame_get_u16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | (uint16_t)bytes[1] << 8);
}

static inline uint32_t frame_get_u32(const uint8_t *bytes)
{
    return frame_get_u16(bytes) | (uint32_t)frame_get_u16(bytes + 2) << 16;
}

static inline void frame_put_u16(uint8_t *bytes, uint16_t value)
{
    bytes[0] = (uint8_t)value;
    bytes[1] = (uint8_t)(value >> 8);
}

static inline void frame_put_u32(uint8_t *bytes, uint32_t value)
{
    frame_put_u16(bytes, (uint16_t)value);
    frame_put_u16(bytes + 2, (uint16_t)(value >> 16));
}

static inline uint8_t frame_type(const uint8_t *content)
{
    return content[0];
}

static inline uint32_t frame_session(const uint8_t *content)
{
    return frame_get_u32(content + 1);
}

static inline uint16_t frame_sequence(const uint8_t *content)
{
    return frame_get_u16(content + 5);
}

static inline uint16_t frame_length(const uint8_t *content)
{
    return frame_get_u16(content + 7);
}

static inline void frame_put_header(uint8_t *content, uint8_t type, uint32_t session, uint16_t sequence)
{
    content[0] = type;
    frame_put_u32(content + 1, session);
    frame_put_u16(content + 5, sequence);
}

#endif

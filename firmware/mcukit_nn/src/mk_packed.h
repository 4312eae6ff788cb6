/* SPDX-License-Identifier: Apache-2.0 */
/* Pixels of 8, 4 and 2 bits, in and out of memory. Not part of the public interface. */
#ifndef MK_PACKED_H
#define MK_PACKED_H

#include "mk_common.h"

/* The smallest value of a width is stored as 0: what is stored is the value plus this. 8-bit values are stored as they are. */
static inline int32_t mk_packed_offset(uint32_t bits)
{
    return bits == 8 ? 0 : (int32_t)(1u << (bits - 1));
}

/* A byte, or more of them, full of one value of 4 or 2 bits. */
static inline uint32_t mk_packed_pattern(int32_t value, uint32_t bits)
{
    return (uint32_t)(value + mk_packed_offset(bits)) * (bits == 4 ? 0x11111111u : 0x55555555u);
}

/* The bits of a pixel's last byte that hold channels. */
static inline uint32_t mk_last_byte_mask(uint32_t channels, uint32_t bits)
{
    const uint32_t used = channels * bits % 8;
    return used == 0 ? 0xFFu : (1u << used) - 1;
}

/* Bytes as a word, the first one lowest, wherever they lie. Compilers make one load of it where the core can. */
static inline uint32_t mk_load_bytes(const int8_t *bytes)
{
    const uint8_t *b = (const uint8_t *)bytes;
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static inline void mk_store_bytes(int8_t *bytes, uint32_t word)
{
    uint8_t *b = (uint8_t *)bytes;
    b[0] = (uint8_t)word;
    b[1] = (uint8_t)(word >> 8);
    b[2] = (uint8_t)(word >> 16);
    b[3] = (uint8_t)(word >> 24);
}

/* `channels` values of a pixel as they are meant: from -8 to 7 for 4 bits. bits: 8, 4 or 2. */
void mk_unpack(const int8_t *pixel, uint32_t channels, uint32_t bits, int8_t *values);

/*
 * The same as they are stored: from 0 to 15 for 4 bits. Where they are only multiplied and summed, the offset can be a
 * part of a constant that is added anyway.
 */
void mk_unpack_stored(const int8_t *pixel, uint32_t channels, uint32_t bits, int8_t *values);

/* The same of channels [first, first + count), which need not begin on a byte. */
void mk_unpack_channels(const int8_t *pixel, uint32_t first, uint32_t count, uint32_t bits, int8_t *values);

/* Adds the values of `pixels` pixels that follow each other, as they are stored, to a sum for each channel. */
void mk_add_stored(const int8_t *in, uint32_t pixels, uint32_t channels, uint32_t bits, int32_t *sums);

/* Values, which fit `bits`, into a pixel. Every byte of it is written; bits behind the last channel become 0. */
void mk_pack(const int8_t *values, uint32_t channels, uint32_t bits, int8_t *pixel);

/* Limits pixels, `step` bytes apart, where an activation allows fewer values than their bits hold. bits: 8, 4 or 2. */
void mk_limit_pixels(int8_t *pixel, uint32_t pixels, uint32_t step, uint32_t channels, uint32_t bits, int32_t minimum,
                     int32_t maximum);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Four channels at a time: as bytes of a word they are moved, masked and offset together. Shifts are constants; only the
 * channels that are left over in the end are taken out one by one.
 */
#include "mk_packed.h"

#include <string.h>

#define EACH_BYTE 0x01010101u

/* Four fields of 4 bits, side by side in 16 bits, each to a byte of its own; gather_4 takes them back. */
static inline uint32_t spread_4(uint32_t fields)
{
    fields = (fields | fields << 8) & 0x00FF00FFu;
    return (fields | fields << 4) & 0x0F0F0F0Fu;
}

static inline uint32_t gather_4(uint32_t bytes)
{
    bytes = (bytes | bytes >> 4) & 0x00FF00FFu;
    return (bytes | bytes >> 8) & 0xFFFFu;
}

/* The same for four fields of 2 bits in 8 bits. */
static inline uint32_t spread_2(uint32_t fields)
{
    fields = (fields | fields << 12) & 0x000F000Fu;
    return (fields | fields << 6) & 0x03030303u;
}

static inline uint32_t gather_2(uint32_t bytes)
{
    bytes = (bytes | bytes >> 6) & 0x000F000Fu;
    return (bytes | bytes >> 12) & 0xFFu;
}

/* The next four channels, stored values as bytes. */
static inline uint32_t four_of_4_bits(const uint8_t *packed)
{
    return spread_4(packed[0] | (uint32_t)packed[1] << 8);
}

static inline uint32_t four_of_2_bits(const uint8_t *packed)
{
    return spread_2(packed[0]);
}

/* Every byte, which is less than 128, minus the offset; the highest bits keep borrows from reaching the next byte. */
static inline uint32_t subtract_offset(uint32_t bytes, uint32_t offsets)
{
    return ((bytes | 128 * EACH_BYTE) - offsets) ^ 128 * EACH_BYTE;
}

static void unpack(const int8_t *pixel, uint32_t channels, uint32_t bits, int32_t offset, int8_t *values)
{
    const uint8_t *packed = (const uint8_t *)pixel;
    const uint32_t offsets = (uint32_t)offset * EACH_BYTE;
    if (bits == 4) {
        for (; channels >= 4; channels -= 4, values += 4, packed += 2) {
            mk_store_word(values, subtract_offset(four_of_4_bits(packed), offsets));
        }
    } else {
        for (; channels >= 4; channels -= 4, values += 4, packed += 1) {
            mk_store_word(values, subtract_offset(four_of_2_bits(packed), offsets));
        }
    }
    for (uint32_t position = 0; channels != 0; --channels, position += bits) {
        const uint32_t stored = packed[position / 8] >> position % 8 & ((1u << bits) - 1);
        *values++ = (int8_t)((int32_t)stored - offset);
    }
}

void mk_unpack(const int8_t *pixel, uint32_t channels, uint32_t bits, int8_t *values)
{
    if (bits == 8) {
        memcpy(values, pixel, channels);
    } else {
        unpack(pixel, channels, bits, mk_packed_offset(bits), values);
    }
}

void mk_unpack_stored(const int8_t *pixel, uint32_t channels, uint32_t bits, int8_t *values)
{
    if (bits == 8) {
        memcpy(values, pixel, channels);
    } else {
        unpack(pixel, channels, bits, 0, values);
    }
}

static inline void add_four(uint32_t bytes, int32_t *sums)
{
    sums[0] += (int32_t)(bytes & 255);
    sums[1] += (int32_t)(bytes >> 8 & 255);
    sums[2] += (int32_t)(bytes >> 16 & 255);
    sums[3] += (int32_t)(bytes >> 24);
}

void mk_add_stored(const int8_t *pixel, uint32_t channels, uint32_t bits, int32_t *sums)
{
    if (bits == 8) {
        for (uint32_t c = 0; c < channels; ++c) {
            sums[c] += pixel[c];
        }
        return;
    }
    const uint8_t *packed = (const uint8_t *)pixel;
    if (bits == 4) {
        for (; channels >= 4; channels -= 4, sums += 4, packed += 2) {
            add_four(four_of_4_bits(packed), sums);
        }
    } else {
        for (; channels >= 4; channels -= 4, sums += 4, packed += 1) {
            add_four(four_of_2_bits(packed), sums);
        }
    }
    for (uint32_t position = 0; channels != 0; --channels, position += bits) {
        *sums++ += (int32_t)(packed[position / 8] >> position % 8 & ((1u << bits) - 1));
    }
}

void mk_pack(const int8_t *values, uint32_t channels, uint32_t bits, int8_t *pixel)
{
    if (bits == 8) {
        memcpy(pixel, values, channels);
        return;
    }
    uint8_t *packed = (uint8_t *)pixel;
    if (bits == 4) {
        for (; channels >= 4; channels -= 4, values += 4, packed += 2) {
            /* A value plus the offset, modulo 16, is the value with its sign bit inverted. */
            const uint32_t fields = gather_4((mk_load_word(values) ^ 8 * EACH_BYTE) & 15 * EACH_BYTE);
            packed[0] = (uint8_t)fields;
            packed[1] = (uint8_t)(fields >> 8);
        }
    } else {
        for (; channels >= 4; channels -= 4, values += 4, packed += 1) {
            packed[0] = (uint8_t)gather_2((mk_load_word(values) ^ 2 * EACH_BYTE) & 3 * EACH_BYTE);
        }
    }
    if (channels != 0) {
        uint32_t fields = 0;
        for (uint32_t channel = channels; channel != 0; --channel) {
            fields = fields << bits | (uint32_t)(values[channel - 1] + mk_packed_offset(bits));
        }
        packed[0] = (uint8_t)fields;
        if (channels * bits > 8) {
            packed[1] = (uint8_t)(fields >> 8);
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Four channels at a time: as bytes of a word they are moved, masked and offset together. Shifts are constants; only the
 * channels that are left over in the end are taken out one by one.
 */
#include "mk_packed.h"

#include <string.h>

#define EACH_BYTE 0x01010101u

/* Four fields of 4 bits, side by side in 16 bits: two in the lower and two in the upper half of a word. */
static inline uint32_t pairs_4(uint32_t fields)
{
    return (fields | fields << 8) & 0x00FF00FFu;
}

/* Each to a byte of its own; gather_4 takes them back. */
static inline uint32_t spread_4(uint32_t fields)
{
    const uint32_t pairs = pairs_4(fields);
    return (pairs | pairs << 4) & 0x0F0F0F0Fu;
}

static inline uint32_t gather_4(uint32_t bytes)
{
    bytes = (bytes | bytes >> 4) & 0x00FF00FFu;
    return (bytes | bytes >> 8) & 0xFFFFu;
}

/* The same for four fields of 2 bits in 8 bits. */
static inline uint32_t pairs_2(uint32_t fields)
{
    return (fields | fields << 12) & 0x000F000Fu;
}

static inline uint32_t spread_2(uint32_t fields)
{
    const uint32_t pairs = pairs_2(fields);
    return (pairs | pairs << 6) & 0x03030303u;
}

static inline uint32_t gather_2(uint32_t bytes)
{
    bytes = (bytes | bytes >> 6) & 0x000F000Fu;
    return (bytes | bytes >> 12) & 0xFFu;
}

static inline uint32_t load_half(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8;
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
            mk_store_bytes(values, subtract_offset(spread_4(load_half(packed)), offsets));
        }
    } else {
        for (; channels >= 4; channels -= 4, values += 4, packed += 1) {
            mk_store_bytes(values, subtract_offset(spread_2(*packed), offsets));
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

void mk_unpack_channels(const int8_t *pixel, uint32_t first, uint32_t count, uint32_t bits, int8_t *values)
{
    if (first * bits % 8 == 0) {
        mk_unpack_stored(pixel + first * bits / 8, count, bits, values);
        return;
    }
    const uint8_t *packed = (const uint8_t *)pixel;
    for (uint32_t bit = first * bits; count != 0; --count, bit += bits) {
        *values++ = (int8_t)(packed[bit / 8] >> bit % 8 & ((1u << bits) - 1));
    }
}

/* A sum in 16 bits holds this many values of 4 bits. */
#define PIXELS_IN_HALF 4096

/* Four channels of so few pixels, `step` bytes apart: two sums in each of two words. bits is a constant. */
static inline void add_four(const uint8_t *in, uint32_t pixels, uint32_t step, uint32_t bits, int32_t *sums)
{
    const uint32_t lower = bits == 4 ? 0x000F000Fu : 0x00030003u;
    uint32_t even = 0, odd = 0;
    for (; pixels != 0; --pixels, in += step) {
        const uint32_t pairs = bits == 4 ? pairs_4(load_half(in)) : pairs_2(*in);
        even += pairs & lower;
        odd += pairs >> bits & lower;
    }
    sums[0] += (int32_t)(even & 0xFFFF);
    sums[1] += (int32_t)(odd & 0xFFFF);
    sums[2] += (int32_t)(even >> 16);
    sums[3] += (int32_t)(odd >> 16);
}

/* One channel of pixels that are `step` bytes apart, which begins at a bit of their first byte. */
static int32_t sum_of_one(const uint8_t *in, uint32_t pixels, uint32_t step, uint32_t first_bit, uint32_t bits)
{
    const uint32_t field = (1u << bits) - 1;
    uint32_t sum = 0;
    for (; pixels != 0; --pixels, in += step) {
        sum += (uint32_t)*in >> first_bit & field;
    }
    return (int32_t)sum;
}

static void add_bytes(const int8_t *in, uint32_t pixels, uint32_t channels, int32_t *sums)
{
    for (; pixels != 0; --pixels) {
        for (uint32_t c = 0; c < channels; ++c) {
            sums[c] += *in++;
        }
    }
}

/* mk_add_stored for at most PIXELS_IN_HALF pixels of 4 or 2 bits. */
static void add_fields(const uint8_t *in, uint32_t pixels, uint32_t channels, uint32_t bits, int32_t *sums)
{
    const uint32_t step = MK_PIXEL_BYTES(channels, bits);
    if (bits == 4) {
        for (; channels >= 4; channels -= 4, sums += 4, in += 2) {
            add_four(in, pixels, step, 4, sums);
        }
    } else {
        for (; channels >= 4; channels -= 4, sums += 4, in += 1) {
            add_four(in, pixels, step, 2, sums);
        }
    }
    for (uint32_t bit = 0; channels != 0; --channels, bit += bits) {
        *sums++ += sum_of_one(in + bit / 8, pixels, step, bit % 8, bits);
    }
}

void mk_add_stored(const int8_t *in, uint32_t pixels, uint32_t channels, uint32_t bits, int32_t *sums)
{
    if (bits == 8) {
        add_bytes(in, pixels, channels, sums);
        return;
    }
    for (; pixels > PIXELS_IN_HALF; pixels -= PIXELS_IN_HALF) {
        add_fields((const uint8_t *)in, PIXELS_IN_HALF, channels, bits, sums);
        in += PIXELS_IN_HALF * MK_PIXEL_BYTES(channels, bits);
    }
    add_fields((const uint8_t *)in, pixels, channels, bits, sums);
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
            const uint32_t fields = gather_4((mk_load_bytes(values) ^ 8 * EACH_BYTE) & 15 * EACH_BYTE);
            packed[0] = (uint8_t)fields;
            packed[1] = (uint8_t)(fields >> 8);
        }
    } else {
        for (; channels >= 4; channels -= 4, values += 4, packed += 1) {
            packed[0] = (uint8_t)gather_2((mk_load_bytes(values) ^ 2 * EACH_BYTE) & 3 * EACH_BYTE);
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

/* Channel `channel` of a pixel of 4 or 2 bits, which is meant as it is stored. */
static void limit_field(int8_t *pixel, uint32_t channel, uint32_t bits, int32_t minimum, int32_t maximum)
{
    uint8_t *const byte = (uint8_t *)pixel + channel * bits / 8;
    const uint32_t shift = channel * bits % 8, mask = (1u << bits) - 1;
    const uint32_t limited = (uint32_t)mk_clamp((int32_t)(*byte >> shift & mask), minimum, maximum);
    *byte = (uint8_t)((*byte & ~(mask << shift)) | limited << shift);
}

void mk_limit_pixels(int8_t *pixel, uint32_t pixels, uint32_t step, uint32_t channels, uint32_t bits, int32_t minimum,
                     int32_t maximum)
{
    const int32_t half = (int32_t)(1u << (bits - 1)), offset = mk_packed_offset(bits);
    if (minimum <= -half && maximum >= half - 1) {
        return;
    }
    for (; pixels != 0; --pixels, pixel += step) {
        for (uint32_t channel = 0; channel < channels; ++channel) {
            if (bits == 8) {
                pixel[channel] = (int8_t)mk_clamp(pixel[channel], minimum, maximum);
            } else {
                limit_field(pixel, channel, bits, minimum + offset, maximum + offset);
            }
        }
    }
}

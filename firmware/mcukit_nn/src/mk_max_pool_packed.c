/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As mk_max_pool_s8 does, the output pixel itself holds the maximum so far. Stored values are in the order of what they
 * mean, so that all fields of a word are compared at once and none is taken out.
 */
#include "mk_max_pool_packed.h"

#include <string.h>

#include "mk_packed.h"
#include "mk_span.h"

/* Every second field of a word, and the bit above each of these. */
static inline uint32_t even_fields(uint32_t bits)
{
    return bits == 4 ? 0x0F0F0F0Fu : 0x33333333u;
}

static inline uint32_t guards(uint32_t bits)
{
    return bits == 4 ? 0x10101010u : 0x44444444u;
}

/* The larger of each two fields; a and b have even fields only. A guard stays set where a is not less than b. */
static inline uint32_t larger_even(uint32_t a, uint32_t b, uint32_t bits)
{
    const uint32_t not_less = ((a | guards(bits)) - b) & guards(bits);
    const uint32_t takes_a = not_less - (not_less >> bits);
    return b ^ ((a ^ b) & takes_a);
}

static inline uint32_t larger(uint32_t a, uint32_t b, uint32_t bits)
{
    const uint32_t even = even_fields(bits);
    return larger_even(a & even, b & even, bits) | larger_even(a >> bits & even, b >> bits & even, bits) << bits;
}

/* Raises `out` to the maximum of itself and each of `pixels` pixels that follow each other. bits is a constant. */
static inline void raise_to(const int8_t *in, uint32_t pixels, uint32_t bytes, uint32_t bits, int8_t *out)
{
    for (; pixels > 0; --pixels) {
        uint32_t at = 0;
        for (; at + 4 <= bytes; at += 4, in += 4) {
            mk_store_bytes(out + at, larger(mk_load_bytes(out + at), mk_load_bytes(in), bits));
        }
        for (; at < bytes; ++at) {
            out[at] = (int8_t)larger((uint8_t)out[at], (uint8_t)*in++, bits);
        }
    }
}

/* Limits each field to `maximum` and clears the bits behind the last channel. */
static void finish(int8_t *out, uint32_t channels, uint32_t bits, int32_t maximum)
{
    const uint32_t bytes = MK_PIXEL_BYTES(channels, bits), limit = mk_packed_pattern(maximum, bits) & 0xFF;
    if (maximum < mk_packed_offset(bits) - 1) {
        for (uint32_t at = 0; at < bytes; ++at) {
            /* The smaller one of two is their sum without the larger one. */
            const uint32_t value = (uint8_t)out[at];
            out[at] = (int8_t)(value + limit - larger(value, limit, bits));
        }
    }
    out[bytes - 1] = (int8_t)((uint8_t)out[bytes - 1] & mk_last_byte_mask(channels, bits));
}

void mk_max_pool_packed(const mk_max_pool_packed_params *params, const mk_map *input, const mk_map *output,
                        uint16_t first_row, uint16_t last_row)
{
    const mk_window *w = &params->window;
    const uint32_t channels = output->channels, bits = output->bits, step = MK_PIXEL_BYTES(channels, bits);
    for (int32_t y = first_row; y < last_row; ++y) {
        const int32_t top = y * w->stride_y - w->pad_top;
        const mk_span rows = mk_inside(top, w->kernel_height, input->height);
        int8_t *out = mk_row(output, y);
        for (uint32_t i = 0; i < output->columns; ++i, out += step) {
            const int32_t left = ((int32_t)i + output->first_column) * w->stride_x - w->pad_left;
            const mk_span columns = mk_inside(left, w->kernel_width, input->width);
            const uint32_t width = (uint32_t)(columns.last - columns.first);
            memset(out, (int)(mk_packed_pattern(params->minimum, bits) & 0xFF), step);
            for (int32_t row = rows.first; row < rows.last; ++row) {
                const int8_t *in = mk_row(input, row) + (uint32_t)(columns.first - input->first_column) * step;
                if (bits == 4) {
                    raise_to(in, width, step, 4, out);
                } else {
                    raise_to(in, width, step, 2, out);
                }
            }
            finish(out, channels, bits, params->maximum);
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As mk_concat_s8 does, each input in turn is spread over the pixels of the output. Where its channels begin inside a
 * byte, its bytes are shifted to that place; the inputs before it left zeros there.
 */
#include "mk_concat_packed.h"

#include <string.h>

#include "mk_packed.h"

/* Puts the first `bits` bits of `in` behind the first `position` bits of `out`; bits behind them become 0. */
static void append(const int8_t *in, uint32_t bits, int8_t *out, uint32_t position)
{
    const uint32_t shift = position % 8;
    out += position / 8;
    if (shift == 0) {
        memcpy(out, in, (bits + 7) / 8);
        return;
    }
    uint32_t byte = (uint8_t)*out;
    int32_t left = (int32_t)bits;
    for (; left > 0; left -= 8) {
        byte |= (uint32_t)(uint8_t)*in++ << shift;
        *out++ = (int8_t)byte;
        byte >>= 8;
    }
    /* What the last byte had beyond the one that it was put into. */
    if (left + (int32_t)shift > 0) {
        *out = (int8_t)byte;
    }
}

void mk_concat_packed(const mk_map *const *inputs, uint16_t count, const mk_map *output, uint16_t first_row,
                      uint16_t last_row)
{
    const uint32_t output_step = MK_PIXEL_BYTES(output->channels, output->bits);
    for (int32_t y = first_row; y < last_row; ++y) {
        uint32_t position = 0;
        for (uint32_t i = 0; i < count; ++i) {
            const uint32_t bits = (uint32_t)inputs[i]->channels * output->bits, step = (bits + 7) / 8;
            const uint32_t column = (uint32_t)output->first_column - inputs[i]->first_column;
            const int8_t *in = mk_row(inputs[i], y) + column * step;
            int8_t *out = mk_row(output, y);
            for (uint32_t x = 0; x < output->columns; ++x, in += step, out += output_step) {
                append(in, bits, out, position);
            }
            position += bits;
        }
    }
}

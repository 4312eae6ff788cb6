/* SPDX-License-Identifier: Apache-2.0 */
/* What kernels of two operands share where a map has 4 or 2 bits: operands that broadcast, pixel by pixel. */
#ifndef MK_ELEMENTWISE_PACKED_H
#define MK_ELEMENTWISE_PACKED_H

#include <string.h>

#include "mk_elementwise.h"
#include "mk_packed.h"

/* The pixels of one row of an operand. pixel_step: in bytes; 0 repeats a pixel that is broadcast. */
typedef struct mk_packed_operand {
    const int8_t *data;
    uint32_t pixel_step;
    uint32_t channels, bits;
} mk_packed_operand;

/* The operand's part of row `y` of the output, from the first column that the output holds. */
static inline mk_packed_operand mk_packed_operand_row(const mk_map *map, const mk_map *output, int32_t y)
{
    mk_packed_operand operand = {mk_row(map, map->height == output->height ? y : 0), 0, map->channels, map->bits};
    if (map->width == output->width) {
        operand.pixel_step = MK_PIXEL_BYTES(map->channels, map->bits);
        operand.data += (uint32_t)(output->first_column - map->first_column) * operand.pixel_step;
    }
    return operand;
}

/* A pixel's values for as many channels as the output has; then the operand is at the next pixel. */
static inline void mk_broadcast_pixel(mk_packed_operand *operand, uint32_t channels, int8_t *values)
{
    if (operand->channels != channels) {
        memset(values, values[0], channels);
    }
    operand->data += operand->pixel_step;
}

/* What the operand has for the next pixel of the output: a value for each of its `channels`. */
static inline void mk_next_values(mk_packed_operand *operand, uint32_t channels, int8_t *values)
{
    mk_unpack(operand->data, operand->channels, operand->bits, values);
    mk_broadcast_pixel(operand, channels, values);
}

/* The same values as they are stored. */
static inline void mk_next_stored(mk_packed_operand *operand, uint32_t channels, int8_t *values)
{
    mk_unpack_stored(operand->data, operand->channels, operand->bits, values);
    mk_broadcast_pixel(operand, channels, values);
}

/*
 * Rows [first_row, last_row) of a + sign * b; sign is a constant where this is called.
 * scratch: two bytes for each channel of the output.
 */
static inline void mk_sum_rows_packed(const mk_sum_s8_params *p, const mk_map *a, const mk_map *b, const mk_map *output,
                                      uint16_t first_row, uint16_t last_row, void *scratch, int32_t sign)
{
    const uint32_t channels = output->channels;
    int8_t *const values_a = scratch, *const values_b = values_a + channels;
    for (int32_t y = first_row; y < last_row; ++y) {
        mk_packed_operand row_a = mk_packed_operand_row(a, output, y), row_b = mk_packed_operand_row(b, output, y);
        int8_t *out = mk_row(output, y);
        for (uint32_t x = 0; x < output->columns; ++x, out += MK_PIXEL_BYTES(channels, output->bits)) {
            mk_next_values(&row_a, channels, values_a);
            mk_next_values(&row_b, channels, values_b);
            for (uint32_t c = 0; c < channels; ++c) {
                values_a[c] = mk_sum_s8(p, values_a[c], values_b[c], sign);
            }
            mk_pack(values_a, channels, output->bits, out);
        }
    }
}

#endif

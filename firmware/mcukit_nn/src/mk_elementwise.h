/* SPDX-License-Identifier: Apache-2.0 */
/* What kernels of two operands share: operands that broadcast, and the arithmetic of sums. */
#ifndef MK_ELEMENTWISE_H
#define MK_ELEMENTWISE_H

#include "mk_common.h"

/* One row of an operand, and the steps that lead through it; a step of 0 repeats what is broadcast. */
typedef struct mk_operand {
    const int8_t *data;
    uint32_t pixel_step;
    uint32_t channel_step;
} mk_operand;

/* The operand's part of row `y` of the output, from the first column that the output holds. */
static inline mk_operand mk_operand_row(const mk_map *map, const mk_map *output, int32_t y)
{
    mk_operand operand;
    const bool every_column = map->width == output->width;
    operand.data = mk_row(map, map->height == output->height ? y : 0);
    if (every_column) {
        operand.data += ((int32_t)output->first_column - map->first_column) * map->channels;
    }
    operand.pixel_step = every_column ? map->channels : 0;
    operand.channel_step = map->channels == output->channels ? 1 : 0;
    return operand;
}

/* Whether the operand has a value of its own for every value of the output. */
static inline bool mk_is_full(const mk_map *map, const mk_map *output)
{
    return map->width == output->width && map->channels == output->channels;
}

/* The parameters of mk_add_s8 and mk_sub_s8. All shifts are to the right or 0. */
typedef struct mk_sum_s8_params {
    int32_t a_multiplier, b_multiplier, output_multiplier;
    int8_t  a_shift, b_shift, output_shift; /* not positive */
    int16_t a_zero_point, b_zero_point, output_zero_point;
    int16_t minimum, maximum;
} mk_sum_s8_params;

/* Operands are shifted left by this, so that their fractions survive the scaling. */
#define MK_SUM_LEFT_SHIFT 20

/* a + sign * b for stored values a and b. */
static inline int8_t mk_sum_s8(const mk_sum_s8_params *p, int32_t a, int32_t b, int32_t sign)
{
    const int32_t unit = (int32_t)1 << MK_SUM_LEFT_SHIFT;
    const int32_t scaled_a = mk_requantize((a - p->a_zero_point) * unit, p->a_multiplier, p->a_shift);
    const int32_t scaled_b = mk_requantize((b - p->b_zero_point) * unit, p->b_multiplier, p->b_shift);
    const int32_t sum = mk_requantize(scaled_a + sign * scaled_b, p->output_multiplier, p->output_shift);
    return (int8_t)mk_clamp(sum + p->output_zero_point, p->minimum, p->maximum);
}

/* Rows [first_row, last_row) of a + sign * b; sign is a constant where this is called. */
static inline void mk_sum_rows_s8(const mk_sum_s8_params *p, const mk_map *a, const mk_map *b, const mk_map *output,
                                  uint16_t first_row, uint16_t last_row, int32_t sign)
{
    /* Without broadcasting a row is a single pixel with many channels. */
    const bool is_flat = mk_is_full(a, output) && mk_is_full(b, output);
    const uint32_t pixels = is_flat ? 1 : output->columns;
    const uint32_t channels = is_flat ? (uint32_t)output->columns * output->channels : output->channels;
    for (int32_t y = first_row; y < last_row; ++y) {
        mk_operand row_a = mk_operand_row(a, output, y), row_b = mk_operand_row(b, output, y);
        int8_t *out = mk_row(output, y);
        for (uint32_t x = 0; x < pixels; ++x) {
            const int8_t *va = row_a.data, *vb = row_b.data;
            for (uint32_t c = 0; c < channels; ++c, va += row_a.channel_step, vb += row_b.channel_step) {
                *out++ = mk_sum_s8(p, *va, *vb, sign);
            }
            row_a.data += row_a.pixel_step;
            row_b.data += row_b.pixel_step;
        }
    }
}

#endif

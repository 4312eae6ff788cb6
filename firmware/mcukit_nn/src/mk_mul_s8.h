/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MK_MUL_S8_H
#define MK_MUL_S8_H

#include "mk_elementwise.h"

typedef struct mk_mul_s8_params {
    int32_t multiplier;
    int8_t  shift; /* positive to the left */
    int16_t a_zero_point, b_zero_point, output_zero_point;
    int16_t minimum, maximum;
} mk_mul_s8_params;

/* a * b for stored values a and b. */
static inline int8_t mk_product_s8(const mk_mul_s8_params *p, int32_t a, int32_t b)
{
    const int32_t raw = (a - p->a_zero_point) * (b - p->b_zero_point);
    const int32_t scaled = mk_requantize(raw, p->multiplier, p->shift) + p->output_zero_point;
    return (int8_t)mk_clamp(scaled, p->minimum, p->maximum);
}

/*
 * Product a * b, rows [first_row, last_row) of the output. A dimension of 1 in an operand broadcasts. May run in place
 * of an operand that has the output's shape.
 */
void mk_mul_s8(const mk_mul_s8_params *params, const mk_map *a, const mk_map *b, const mk_map *output,
               uint16_t first_row, uint16_t last_row);

#endif

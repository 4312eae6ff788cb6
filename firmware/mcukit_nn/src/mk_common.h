/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernels share: rows of maps, windows, and requantization. Not part of the public interface. */
#ifndef MK_COMMON_H
#define MK_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mcukit_nn.h"

/* Geometry of a sliding window. Pads at the bottom and the right follow from the maps' sizes. */
typedef struct mk_window {
    uint16_t kernel_height, kernel_width;
    uint16_t stride_y, stride_x;
    uint16_t dilation_y, dilation_x;
    uint16_t pad_top, pad_left;
} mk_window;

/* The row `y` of a map that holds it: `columns` pixels from `first_column` on. */
static inline int8_t *mk_row(const mk_map *map, int32_t y)
{
    uint32_t slot = (uint32_t)y < map->ring ? (uint32_t)y : (uint32_t)y % map->ring;
    return map->data + slot * map->row_bytes;
}

static inline bool mk_has_row(const mk_map *map, int32_t y)
{
    return y >= 0 && y < (int32_t)map->height;
}

static inline int32_t mk_clamp(int32_t value, int32_t minimum, int32_t maximum)
{
    if (value < minimum) {
        return minimum;
    }
    return value > maximum ? maximum : value;
}

/* round(value * multiplier / 2^31), ties up. value is not INT32_MIN. */
static inline int32_t mk_multiply_high(int32_t value, int32_t multiplier)
{
    return (int32_t)(((int64_t)value * multiplier + ((int64_t)1 << 30)) >> 31);
}

MK_STATIC_ASSERT(-3 >> 1 == -2, right_shifts_of_negative_numbers_are_arithmetic);

/*
 * round(value / 2^exponent), ties away from zero. value is not INT32_MIN. The last bit is shifted out apart: adding
 * half of 2^exponent first would overflow for large values.
 */
static inline int32_t mk_rounding_divide(int32_t value, int exponent)
{
    if (exponent == 0) {
        return value;
    }
    return (((value - (value < 0)) >> (exponent - 1)) + 1) >> 1;
}

/*
 * value * multiplier * 2^(shift - 31) with the two roundings of TensorFlow Lite Micro. The compiler of the model has
 * proved that value << shift stays below 2^31 for positive shifts.
 */
static inline int32_t mk_requantize(int32_t value, int32_t multiplier, int shift)
{
    int32_t left = shift > 0 ? (int32_t)((uint32_t)value << shift) : value;
    return mk_rounding_divide(mk_multiply_high(left, multiplier), shift > 0 ? 0 : -shift);
}

#endif

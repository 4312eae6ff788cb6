/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multiplication with DSP instructions: four values at a time, scaled in as few instructions as two roundings leave.
 */
#include "mk_mul_s8_dsp.h"

#include "mk_dsp.h"

#if !MK_DSP

void mk_mul_s8_dsp(const mk_mul_s8_dsp_params *params, const mk_map *a, const mk_map *b, const mk_map *output,
                   uint16_t first_row, uint16_t last_row)
{
    mk_mul_s8(params, a, b, output, first_row, last_row);
}

#else

/*
 * a_zero, b_zero: zero points, negative, in both halves. doubled, offset: as of mk_requantize_to_byte. right: one
 * less than the shift to the right.
 */
typedef struct multiplication {
    uint32_t a_zero, b_zero, doubled;
    int32_t right, offset;
} multiplication;

/* Twice the scaled product, and perhaps 1 more: mk_requantize_twice where the shift is to the right. */
static inline int32_t scale_twice(const multiplication *m, int32_t product)
{
    int32_t value = mk_multiply_high_rounded(product, m->doubled, product);
    value += value >> 31;
    return (value >> m->right) + m->offset;
}

static inline int32_t product_of_low_halves(uint32_t a, uint32_t b)
{
    return (int16_t)a * (int16_t)b;
}

static inline int32_t product_of_high_halves(uint32_t a, uint32_t b)
{
    return ((int32_t)a >> 16) * ((int32_t)b >> 16);
}

/* `count` products of values that follow each other. `out` may be one of the operands. */
static __attribute__((noinline)) void multiply(const multiplication *p, const int8_t *a, const int8_t *b, int8_t *out,
                                               uint32_t count)
{
    const multiplication m = *p;
    for (; count >= 4; count -= 4, a += 4, b += 4, out += 4) {
        const uint32_t word_a = mk_load_word(a), word_b = mk_load_word(b);
        const uint32_t even_a = mk_add_even(m.a_zero, word_a), even_b = mk_add_even(m.b_zero, word_b);
        const uint32_t odd_a = mk_add_odd(m.a_zero, word_a), odd_b = mk_add_odd(m.b_zero, word_b);
        uint32_t word = (uint32_t)mk_halve_to_byte(scale_twice(&m, product_of_low_halves(even_a, even_b)));
        MK_INSERT(word, mk_halve_to_byte(scale_twice(&m, product_of_low_halves(odd_a, odd_b))), 8, 8);
        MK_INSERT(word, mk_halve_to_byte(scale_twice(&m, product_of_high_halves(even_a, even_b))), 16, 8);
        MK_INSERT(word, mk_halve_to_byte(scale_twice(&m, product_of_high_halves(odd_a, odd_b))), 24, 8);
        mk_store_word(out, word);
    }
    for (; count != 0; --count) {
        const int32_t product = (*a++ + (int16_t)m.a_zero) * (*b++ + (int16_t)m.b_zero);
        *out++ = (int8_t)mk_halve_to_byte(scale_twice(&m, product));
    }
}

void mk_mul_s8_dsp(const mk_mul_s8_dsp_params *params, const mk_map *a, const mk_map *b, const mk_map *output,
                   uint16_t first_row, uint16_t last_row)
{
    const uint32_t a_zero = (uint32_t)-params->a_zero_point, b_zero = (uint32_t)-params->b_zero_point;
    const multiplication m = {
        .a_zero = mk_low_halves(a_zero, a_zero),
        .b_zero = mk_low_halves(b_zero, b_zero),
        .doubled = (uint32_t)params->multiplier << 1,
        .right = -params->shift - 1,
        .offset = 2 * params->output_zero_point + 1,
    };
    /* Without broadcasting a row is a single pixel with many channels. */
    const uint32_t values = (uint32_t)output->columns * output->channels;
    const bool is_flat = mk_is_full(a, output) && mk_is_full(b, output);
    const uint32_t pixels = is_flat ? 1 : output->columns, channels = is_flat ? values : output->channels;
    for (int32_t y = first_row; y < last_row; ++y) {
        mk_operand row_a = mk_operand_row(a, output, y), row_b = mk_operand_row(b, output, y);
        int8_t *const row = mk_row(output, y), *out = row;
        for (uint32_t x = 0; x < pixels; ++x, out += channels) {
            multiply(&m, row_a.data, row_b.data, out, channels);
            row_a.data += row_a.pixel_step;
            row_b.data += row_b.pixel_step;
        }
        mk_limit_bytes(row, values, params->minimum, params->maximum);
    }
}

#endif

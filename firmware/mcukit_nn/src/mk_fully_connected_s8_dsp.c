/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fully connected layer with DSP instructions: four filters at a time, so that every four inputs are loaded and
 * expanded once for sixteen products.
 */
#include "mk_fully_connected_s8_dsp.h"

#include "mk_dsp.h"

#if !MK_DSP

void mk_fully_connected_s8_dsp(const mk_fully_connected_s8_dsp_params *params, const mk_map *input,
                               const mk_map *output, uint16_t first_row, uint16_t last_row)
{
    mk_fully_connected_s8(params, input, output, first_row, last_row);
}

#else

#define FILTERS 4

static inline int32_t multiply_word(uint32_t weights, uint32_t even, uint32_t odd, int32_t sum)
{
    return mk_multiply_pairs(mk_extend_odd(weights), odd, mk_multiply_pairs(mk_extend_even(weights), even, sum));
}

/* Adds the products of `count` inputs with four filters, which are `step` bytes apart. */
static __attribute__((noinline)) void add_products(const int8_t *in, uint32_t count, const int8_t *weights, size_t step,
                                                   int32_t sums[FILTERS])
{
    const int8_t *w = weights, *last = weights + 3 * step;
    const int8_t *const end = in + count / 4 * 4;
    int32_t sum0 = sums[0], sum1 = sums[1], sum2 = sums[2], sum3 = sums[3];
    for (; in != end; in += 4, w += 4, last += 4) {
        const uint32_t word = mk_load_word(in), even = mk_extend_even(word), odd = mk_extend_odd(word);
        sum0 = multiply_word(mk_load_word(w), even, odd, sum0);
        sum1 = multiply_word(mk_load_word(w + step), even, odd, sum1);
        sum2 = multiply_word(mk_load_word(w + 2 * step), even, odd, sum2);
        sum3 = multiply_word(mk_load_word(last), even, odd, sum3);
    }
    for (uint32_t left = count % 4; left != 0; --left, ++w) {
        const int32_t value = *in++;
        sum0 += value * w[0];
        sum1 += value * w[step];
        sum2 += value * w[2 * step];
        sum3 += value * w[3 * step];
    }
    sums[0] = sum0;
    sums[1] = sum1;
    sums[2] = sum2;
    sums[3] = sum3;
}

/* The same with one filter. */
static int32_t add_products_of_one(const int8_t *in, uint32_t count, const int8_t *weights, int32_t sum)
{
    uint32_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const uint32_t word = mk_load_word(in + i);
        sum = multiply_word(mk_load_word(weights + i), mk_extend_even(word), mk_extend_odd(word), sum);
    }
    for (; i < count; ++i) {
        sum += in[i] * weights[i];
    }
    return sum;
}

/* Adds the products of all inputs with `count` filters, the first of which begins at `weights`. */
static void add_map(const mk_map *input, uint32_t count, const int8_t *weights, size_t step, int32_t sums[FILTERS])
{
    const uint32_t row_elements = (uint32_t)input->width * input->channels;
    for (int32_t y = 0; y < input->height; ++y, weights += row_elements) {
        const int8_t *row = mk_row(input, y);
        if (count == FILTERS) {
            add_products(row, row_elements, weights, step, sums);
            continue;
        }
        for (uint32_t i = 0; i < count; ++i) {
            sums[i] = add_products_of_one(row, row_elements, weights + i * step, sums[i]);
        }
    }
}

void mk_fully_connected_s8_dsp(const mk_fully_connected_s8_dsp_params *params, const mk_map *input,
                               const mk_map *output, uint16_t first_row, uint16_t last_row)
{
    const mk_fully_connected_s8_params *p = params;
    const size_t elements = (size_t)input->height * input->width * input->channels;
    if (first_row >= last_row || output->columns == 0) {
        return;
    }
    int8_t *out = mk_row(output, first_row);
    for (uint32_t channel = 0; channel < output->channels; channel += FILTERS) {
        const uint32_t left = output->channels - channel, count = left < FILTERS ? left : FILTERS;
        int32_t sums[FILTERS] = {0, 0, 0, 0};
        add_map(input, count, p->weights + channel * elements, elements, sums);
        for (uint32_t i = 0; i < count; ++i) {
            const uint32_t doubled = (uint32_t)p->multiplier[channel + i] << 1;
            const int32_t sum = p->bias[channel + i] + sums[i];
            out[channel + i] =
                mk_requantize_to_byte(sum, doubled, p->shift[channel + i], 2 * p->output_zero_point + 1);
        }
    }
    mk_limit_bytes(out, output->channels, p->minimum, p->maximum);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Portable fully connected layer: two filters at a time, so that every input is loaded once for two products. The
 * zero points of the input and of the weights are not seen here: one is part of the bias, the other is zero.
 */
#include "mk_fully_connected_s8.h"

static int8_t finish(const mk_fully_connected_s8_params *p, int32_t sum, uint32_t channel)
{
    const int32_t scaled = mk_requantize(sum, p->multiplier[channel], p->shift[channel]) + p->output_zero_point;
    return (int8_t)mk_clamp(scaled, p->minimum, p->maximum);
}

/* Adds the products of `count` inputs with two filters to two sums. */
static void add_products(const int8_t *in, const int8_t *w0, const int8_t *w1, uint32_t count, int32_t *sums)
{
    const int8_t *const end = in + count;
    int32_t sum0 = sums[0], sum1 = sums[1];
    while (in != end) {
        const int32_t value = *in++;
        sum0 += value * *w0++;
        sum1 += value * *w1++;
    }
    sums[0] = sum0;
    sums[1] = sum1;
}

void mk_fully_connected_s8(const mk_fully_connected_s8_params *params, const mk_map *input, const mk_map *output,
                           uint16_t first_row, uint16_t last_row)
{
    const uint32_t row_elements = (uint32_t)input->width * input->channels;
    const uint32_t elements = input->height * row_elements;
    if (first_row >= last_row || output->columns == 0) {
        return;
    }
    int8_t *out = mk_row(output, first_row);
    for (uint32_t channel = 0; channel < output->channels; channel += 2) {
        /* A lone last filter is computed twice: the second sum is dropped. */
        const bool pair = channel + 1 < output->channels;
        const int8_t *w0 = params->weights + (size_t)channel * elements, *w1 = pair ? w0 + elements : w0;
        int32_t sums[2] = {params->bias[channel], params->bias[channel + (uint32_t)pair]};
        for (int32_t y = 0; y < input->height; ++y, w0 += row_elements, w1 += row_elements) {
            add_products(mk_row(input, y), w0, w1, row_elements, sums);
        }
        out[channel] = finish(params, sums[0], channel);
        if (pair) {
            out[channel + 1] = finish(params, sums[1], channel + 1);
        }
    }
}

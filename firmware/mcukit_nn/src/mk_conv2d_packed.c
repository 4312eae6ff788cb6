/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Portable convolution of packed maps or weights: the windows of two neighbouring pixels are unpacked to bytes once for
 * all filters, then multiplied with two filters at a time, so that every weight is taken out of its word once for two
 * products. Inputs stay as they are stored: what they are too large by is a part of the bias.
 */
#include "mk_conv2d_packed.h"

#include <string.h>

#include "mk_packed.h"
#include "mk_packed_weights.h"

/*
 * What stays the same during a call. depth: input channels of a group. words: of a filter. values: in scratch, the
 * outputs of a pixel; windows: behind them. Both are [pixel computed at a time][..._bytes].
 */
typedef struct shape {
    const mk_conv2d_packed_params *params;
    const mk_map *input, *output;
    uint32_t depth, taps, filters, words, pixel_bytes, window_bytes;
    int8_t *values, *windows;
    bool is_direct;
} shape;

/* Input channels [first, first + count) of a pixel, as they are stored. */
static void take(const int8_t *pixel, uint32_t first, uint32_t count, uint32_t bits, int8_t *out)
{
    if (first * bits % 8 == 0) {
        mk_unpack_stored(pixel + first * bits / 8, count, bits, out);
        return;
    }
    const uint8_t *packed = (const uint8_t *)pixel;
    for (uint32_t bit = first * bits; count != 0; --count, bit += bits) {
        *out++ = (int8_t)(packed[bit / 8] >> bit % 8 & ((1u << bits) - 1));
    }
}

/* One row of the window; pixels that don't exist hold the input's zero point. */
static void gather_row(const shape *s, int32_t y, int32_t x, uint32_t group, int8_t *out)
{
    const mk_window *w = &s->params->window;
    const mk_map *input = s->input;
    const uint32_t depth = s->depth, bits = input->bits;
    if (!mk_has_row(input, y)) {
        memset(out, s->params->input_zero_point, (size_t)w->kernel_width * depth);
        return;
    }
    const int8_t *row = mk_row(input, y);
    const int32_t first = x, last = x + (w->kernel_width - 1) * (int32_t)w->dilation_x;
    if (first >= 0 && last < input->width && w->dilation_x == 1 && depth == input->channels && depth * bits % 8 == 0) {
        mk_unpack_stored(row + (uint32_t)(first - input->first_column) * s->pixel_bytes, w->kernel_width * depth, bits,
                         out);
        return;
    }
    for (int32_t column = first; column <= last; column += w->dilation_x, out += depth) {
        if (column < 0 || column >= input->width) {
            memset(out, s->params->input_zero_point, depth);
        } else {
            take(row + (uint32_t)(column - input->first_column) * s->pixel_bytes, group * depth, depth, bits, out);
        }
    }
}

/* The inputs of one output pixel, in the order of the weights. */
static const int8_t *gather(const shape *s, int32_t y, int32_t x, uint32_t group, int8_t *buffer)
{
    const mk_window *w = &s->params->window;
    const int32_t top = y * w->stride_y - w->pad_top, left = x * w->stride_x - w->pad_left;
    if (s->is_direct && mk_has_row(s->input, top) && left >= 0 && left < s->input->width) {
        return mk_row(s->input, top) + (uint32_t)(left - s->input->first_column) * s->pixel_bytes;
    }
    for (uint32_t row = 0; row < w->kernel_height; ++row) {
        gather_row(s, top + (int32_t)(row * w->dilation_y), left, group, buffer + row * w->kernel_width * s->depth);
    }
    return buffer;
}

static int8_t finish(const mk_conv2d_packed_params *p, int32_t sum, uint32_t channel)
{
    const int32_t scaled = mk_requantize(sum, p->multiplier[channel], p->shift[channel]) + p->output_zero_point;
    return (int8_t)mk_clamp(scaled, p->minimum, p->maximum);
}

/* The filters of a group for one pixel whose inputs are a, or with b for two. */
static void multiply(const shape *s, const int8_t *a, const int8_t *b, uint32_t group, int8_t *out_a, int8_t *out_b)
{
    const mk_conv2d_packed_params *p = s->params;
    const uint32_t words = s->words, bits = p->weight_bits, last = (group + 1) * s->filters;
    for (uint32_t channel = group * s->filters; channel < last; channel += 2) {
        /* A lone last filter is computed twice: the second sums are dropped. */
        const uint32_t other = channel + (channel + 1 < last);
        const void *w0 = mk_weights_at(p->weights, channel * words), *w1 = mk_weights_at(p->weights, other * words);
        mk_sums sums = {p->bias[channel], p->bias[other], p->bias[channel], p->bias[other]};
        if (b == NULL) {
            sums = mk_multiply_one(sums, w0, w1, words, bits, a);
        } else {
            sums = mk_multiply_two(sums, w0, w1, words, bits, a, b);
            out_b[channel] = finish(p, sums.b0, channel);
            out_b[other] = finish(p, other == channel ? sums.b0 : sums.b1, other);
        }
        out_a[channel] = finish(p, sums.a0, channel);
        out_a[other] = finish(p, other == channel ? sums.a0 : sums.a1, other);
    }
}

/* The pixels x and, if there are two, x + 1 of row y. */
static void compute(const shape *s, int32_t y, int32_t x, bool are_two, int8_t *out_a, int8_t *out_b)
{
    const uint32_t channels = s->output->channels, bits = s->output->bits;
    int8_t *values_a = bits == 8 ? out_a : s->values, *values_b = bits == 8 ? out_b : s->values + channels;
    int8_t *const second = are_two && !s->is_direct ? s->windows + s->window_bytes : s->windows;
    for (uint32_t group = 0; group < s->params->groups; ++group) {
        const int8_t *a = gather(s, y, x, group, s->windows);
        multiply(s, a, are_two ? gather(s, y, x + 1, group, second) : NULL, group, values_a, values_b);
    }
    if (bits != 8) {
        mk_pack(values_a, channels, bits, out_a);
        if (are_two) {
            mk_pack(values_b, channels, bits, out_b);
        }
    }
}

static shape shape_of(const mk_conv2d_packed_params *p, const mk_map *input, const mk_map *output, int8_t *scratch)
{
    const mk_window *w = &p->window;
    const uint32_t per_word = 32u / p->weight_bits, depth = input->channels / (uint32_t)p->groups;
    const uint32_t taps = (uint32_t)w->kernel_height * w->kernel_width * depth;
    const uint32_t words = mk_weight_words(taps, p->weight_bits);
    const shape s = {
        .params = p,
        .input = input,
        .output = output,
        .depth = depth,
        .taps = taps,
        .filters = output->channels / (uint32_t)p->groups,
        .words = words,
        .pixel_bytes = MK_PIXEL_BYTES(input->channels, input->bits),
        .window_bytes = words * per_word,
        .values = scratch,
        .windows = output->bits == 8 ? scratch : scratch + (uint32_t)p->pixels * output->channels,
        .is_direct = w->kernel_height == 1 && w->kernel_width == 1 && p->groups == 1 && input->bits == 8 &&
                     taps % per_word == 0,
    };
    return s;
}

void mk_conv2d_packed(const mk_conv2d_packed_params *params, const mk_map *input, const mk_map *output,
                      uint16_t first_row, uint16_t last_row, void *scratch)
{
    if (first_row >= last_row || output->columns == 0) {
        return;
    }
    const shape s = shape_of(params, input, output, scratch);
    const uint32_t step = MK_PIXEL_BYTES(output->channels, output->bits), pixels = params->pixels;
    for (uint32_t i = 0; s.taps != s.window_bytes && i < pixels; ++i) {
        /* Nothing is gathered behind the last tap: these inputs of filled up words stay 0. */
        memset(s.windows + i * s.window_bytes + s.taps, 0, s.window_bytes - s.taps);
    }
    for (int32_t y = first_row; y < last_row; ++y) {
        int8_t *out = mk_row(output, y);
        for (uint32_t i = 0; i < output->columns; i += pixels, out += pixels * step) {
            const bool are_two = pixels == 2 && i + 1 < output->columns;
            compute(&s, y, output->first_column + (int32_t)i, are_two, out, out + step);
        }
    }
}

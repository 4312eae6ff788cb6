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
 * What stays the same during a call. depth: input channels of a group. words: of a pair of filters of 4 or 2 bits, or
 * four taps of 8 bits. group_bytes: weights of a group. signs: see mk_pair_signs, is_wide: see mk_pair_at. values: in scratch, the
 * outputs of a pixel; windows: behind them. Both are [pixel computed at a time][..._bytes].
 */
typedef struct shape {
    const mk_conv2d_packed_params *params;
    const mk_map *input, *output;
    uint32_t depth, taps, filters, words, group_bytes, signs, pixel_bytes, window_bytes;
    int8_t *values, *windows;
    bool is_direct, is_wide;
} shape;

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
            mk_unpack_channels(row + (uint32_t)(column - input->first_column) * s->pixel_bytes, group * depth, depth, bits, out);
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

/* Writes output channel `channel` of two pixels, or of one where out_b is null. */
static inline __attribute__((always_inline)) void finish(const mk_conv2d_packed_params *p, uint32_t channel,
                                                         int32_t sum_a, int32_t sum_b, int8_t *out_a, int8_t *out_b)
{
    const int32_t multiplier = p->multiplier[channel], zero_point = p->output_zero_point;
    const int32_t minimum = p->minimum, maximum = p->maximum;
    const int shift = p->shift[channel];
    out_a[channel] = (int8_t)mk_clamp(mk_requantize(sum_a, multiplier, shift) + zero_point, minimum, maximum);
    if (out_b != NULL) {
        out_b[channel] = (int8_t)mk_clamp(mk_requantize(sum_b, multiplier, shift) + zero_point, minimum, maximum);
    }
}

/* An input of two pixels with two filters. */
#define MULTIPLY_TWO_AT(input, weight0, weight1) \
    do { \
        const int32_t x0 = (weight0), x1 = (weight1), ya = a[input], yb = b[input]; \
        sums.a0 += x0 * ya; \
        sums.b0 += x0 * yb; \
        sums.a1 += x1 * ya; \
        sums.b1 += x1 * yb; \
    } while (0)

/* The next input. */
#define MULTIPLY_TWO(weight0, weight1) \
    do { \
        MULTIPLY_TWO_AT(0, weight0, weight1); \
        ++a; \
        ++b; \
    } while (0)

/*
 * Adds the products of `words` fours of taps with two filters over two pixels. Not inlined: with the variables of its
 * surroundings it has more than registers hold.
 */
static __attribute__((noinline)) void multiply_two_bytes(mk_sums *result, const int8_t *w, uint32_t words,
                                                         const int8_t *a, const int8_t *b)
{
    mk_sums sums = *result;
    for (const int8_t *const end = a + 4 * (size_t)words; a != end; a += 4, b += 4, w += 8) {
        MULTIPLY_TWO_AT(0, w[0], w[1]);
        MULTIPLY_TWO_AT(2, w[2], w[3]);
        MULTIPLY_TWO_AT(1, w[4], w[5]);
        MULTIPLY_TWO_AT(3, w[6], w[7]);
    }
    *result = sums;
}

/* The same for words of fields. bits and signs are constants wherever this is inlined. */
static inline __attribute__((always_inline)) mk_sums multiply_two_fields(mk_sums sums, mk_pair filters, uint32_t words,
                                                                         uint32_t bits, uint32_t signs,
                                                                         const int8_t *a, const int8_t *b)
{
    const uint32_t *next = filters.words;
    if (bits == 4) {
        MK_EACH_WORD_OF_4_BITS(MULTIPLY_TWO);
    } else {
        MK_EACH_WORD_OF_2_BITS(MULTIPLY_TWO);
    }
    return sums;
}

/* The same over one pixel. */
static mk_sums multiply_one_bytes(mk_sums sums, const int8_t *w, uint32_t words, const int8_t *a)
{
    for (; words != 0; --words, a += 4, w += 8) {
        sums.a0 += w[0] * a[0] + w[2] * a[2] + w[4] * a[1] + w[6] * a[3];
        sums.a1 += w[1] * a[0] + w[3] * a[2] + w[5] * a[1] + w[7] * a[3];
    }
    return sums;
}

/* The filters of a group for one pixel, whose inputs are a. channel: the group's first. */
static void one_pixel(const shape *s, const int8_t *a, const void *weights, uint32_t channel, int8_t *out)
{
    const mk_conv2d_packed_params *p = s->params;
    const int8_t *bytes = weights;
    for (uint32_t i = 0; i < s->filters; i += 2, channel += 2, bytes += 8 * (size_t)s->words) {
        /* A lone last filter stands beside zeros: the second sum is dropped. */
        const bool pair = i + 1 < s->filters;
        mk_sums sums = {p->bias[channel], p->bias[channel + (uint32_t)pair], 0, 0};
        if (p->weight_bits == 8) {
            sums = multiply_one_bytes(sums, bytes, s->words, a);
        } else {
            const mk_pair filters = mk_pair_at(weights, i, s->filters, s->words, s->is_wide);
            sums = mk_multiply_one(sums, filters, s->words, p->weight_bits, s->signs, a);
        }
        finish(p, channel, sums.a0, 0, out, NULL);
        if (pair) {
            finish(p, channel + 1, sums.a1, 0, out, NULL);
        }
    }
}

/* The same for two pixels, whose inputs are a and b. bits and input_bits are constants wherever this is inlined. */
static inline __attribute__((always_inline)) void two_pixels(const shape *s, uint32_t bits, uint32_t input_bits,
                                                             const int8_t *a, const int8_t *b, const void *weights,
                                                             uint32_t channel, int8_t *out_a, int8_t *out_b)
{
    const mk_conv2d_packed_params *p = s->params;
    const uint32_t words = s->words, signs = mk_pair_signs(bits, input_bits);
    const int8_t *bytes = weights;
    for (uint32_t i = 0; i < s->filters; i += 2, channel += 2, bytes += 8 * (size_t)words) {
        const bool pair = i + 1 < s->filters;
        const int32_t bias0 = p->bias[channel], bias1 = p->bias[channel + (uint32_t)pair];
        mk_sums sums = {bias0, bias1, bias0, bias1};
        if (bits == 8) {
            multiply_two_bytes(&sums, bytes, words, a, b);
        } else {
            const mk_pair filters = mk_pair_at(weights, i, s->filters, words, bits == 4 && input_bits == 8);
            sums = multiply_two_fields(sums, filters, words, bits, signs, a, b);
        }
        finish(p, channel, sums.a0, sums.b0, out_a, out_b);
        if (pair) {
            finish(p, channel + 1, sums.a1, sums.b1, out_a, out_b);
        }
    }
}

/* The filters of a group for one pixel whose inputs are a or, unless out_b is null, for two. */
static void multiply(const shape *s, const int8_t *a, const int8_t *b, uint32_t group, int8_t *out_a, int8_t *out_b)
{
    const uint32_t channel = group * s->filters, bits = s->params->weight_bits;
    const void *weights = (const int8_t *)s->params->weights + group * (size_t)s->group_bytes;
    if (out_b == NULL) {
        one_pixel(s, a, weights, channel, out_a);
    } else if (bits == 8) {
        two_pixels(s, 8, 8, a, b, weights, channel, out_a, out_b);
    } else if (bits == 2) {
        two_pixels(s, 2, 2, a, b, weights, channel, out_a, out_b);
    } else if (s->is_wide) {
        two_pixels(s, 4, 8, a, b, weights, channel, out_a, out_b);
    } else {
        two_pixels(s, 4, 4, a, b, weights, channel, out_a, out_b);
    }
}

/* Pixel x of row y and, unless out_b is null, the one behind it. */
static void compute(const shape *s, int32_t y, int32_t x, int8_t *out_a, int8_t *out_b)
{
    const uint32_t channels = s->output->channels, bits = s->output->bits;
    int8_t *values_a = out_a, *values_b = out_b;
    if (bits != 8) {
        values_a = s->values;
        values_b = out_b == NULL ? NULL : s->values + channels;
    }
    for (uint32_t group = 0; group < s->params->groups; ++group) {
        const int8_t *a = gather(s, y, x, group, s->windows), *b = a;
        if (out_b != NULL) {
            b = gather(s, y, x + 1, group, s->windows == NULL ? NULL : s->windows + s->window_bytes);
        }
        multiply(s, a, b, group, values_a, values_b);
    }
    if (bits != 8) {
        mk_pack(values_a, channels, bits, out_a);
        if (out_b != NULL) {
            mk_pack(values_b, channels, bits, out_b);
        }
    }
}

static shape shape_of(const mk_conv2d_packed_params *p, const mk_map *input, const mk_map *output, int8_t *scratch)
{
    const mk_window *w = &p->window;
    const uint32_t depth = input->channels / (uint32_t)p->groups, filters = output->channels / (uint32_t)p->groups;
    const uint32_t taps = (uint32_t)w->kernel_height * w->kernel_width * depth;
    const uint32_t per_word = p->weight_bits == 2 ? 8 : 4, words = (taps + per_word - 1) / per_word;
    const shape s = {
        .params = p,
        .input = input,
        .output = output,
        .depth = depth,
        .taps = taps,
        .filters = filters,
        .words = words,
        .group_bytes = (filters + 1) / 2 * words * (p->weight_bits == 8 ? 8 : 4),
        .signs = mk_pair_signs(p->weight_bits, input->bits),
        .pixel_bytes = MK_PIXEL_BYTES(input->channels, input->bits),
        .window_bytes = words * per_word,
        .values = scratch,
        .windows = output->bits == 8 ? scratch : scratch + (uint32_t)p->pixels * output->channels,
        .is_wide = p->weight_bits == 4 && input->bits == 8,
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
            const bool pair = pixels == 2 && i + 1 < output->columns;
            compute(&s, y, output->first_column + (int32_t)i, out, pair ? out + step : NULL);
        }
    }
}

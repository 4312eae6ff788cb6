/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Portable convolution: a window of the input is gathered for each of two neighbouring pixels, then multiplied with
 * two filters at a time, so that every weight and every input is loaded once for two products. 1x1 kernels read the
 * input where it lies.
 */
#include "mk_conv2d_s8.h"

#include <string.h>

/* Copies one row of the window to `out`; pixels that don't exist hold the input's zero point. */
static void gather_row(const mk_conv2d_s8_params *p, const mk_map *input, int32_t y, int32_t x, uint32_t group,
                       uint32_t depth, int8_t *out)
{
    const mk_window *w = &p->window;
    if (!mk_has_row(input, y)) {
        memset(out, p->input_zero_point, (size_t)w->kernel_width * depth);
        return;
    }
    const int8_t *row = mk_row(input, y) + group * depth;
    const int32_t first = x, last = x + (w->kernel_width - 1) * (int32_t)w->dilation_x;
    if (first >= 0 && last < input->width && w->dilation_x == 1 && depth == input->channels) {
        memcpy(out, row + (uint32_t)(first - input->first_column) * depth, (size_t)w->kernel_width * depth);
        return;
    }
    for (int32_t column = first; column <= last; column += w->dilation_x, out += depth) {
        if (column < 0 || column >= input->width) {
            memset(out, p->input_zero_point, depth);
        } else {
            memcpy(out, row + (uint32_t)(column - input->first_column) * input->channels, depth);
        }
    }
}

/* The inputs of one output pixel, in the order of the weights. */
static const int8_t *gather(const mk_conv2d_s8_params *p, const mk_map *input, int32_t y, int32_t x, uint32_t group,
                            int8_t *buffer)
{
    const mk_window *w = &p->window;
    const uint32_t depth = input->channels / (uint32_t)p->groups;
    const int32_t top = y * w->stride_y - w->pad_top, left = x * w->stride_x - w->pad_left;
    if (w->kernel_height == 1 && w->kernel_width == 1 && p->groups == 1 && mk_has_row(input, top) && left >= 0 &&
        left < input->width) {
        return mk_row(input, top) + (uint32_t)(left - input->first_column) * depth;
    }
    for (uint32_t row = 0; row < w->kernel_height; ++row) {
        gather_row(p, input, top + (int32_t)(row * w->dilation_y), left, group, depth,
                   buffer + row * w->kernel_width * depth);
    }
    return buffer;
}

/* Writes output channel `channel` of two pixels. */
static void finish(const mk_conv2d_s8_params *p, uint32_t channel, int32_t sum_a, int32_t sum_b, int8_t *out_a,
                   int8_t *out_b)
{
    const int32_t multiplier = p->multiplier[channel], zero_point = p->output_zero_point;
    const int32_t minimum = p->minimum, maximum = p->maximum;
    const int shift = p->shift[channel];
    const int32_t a = mk_requantize(sum_a, multiplier, shift) + zero_point;
    const int32_t b = mk_requantize(sum_b, multiplier, shift) + zero_point;
    out_a[channel] = (int8_t)mk_clamp(a, minimum, maximum);
    out_b[channel] = (int8_t)mk_clamp(b, minimum, maximum);
}

/* One tap of two filters, whose weights stand side by side, and two pixels. */
#define MULTIPLY_TAP(input, weight) \
    do { \
        const int32_t x0 = w[weight], x1 = w[(weight) + 1], ya = pa[input], yb = pb[input]; \
        a0 += x0 * ya; \
        b0 += x0 * yb; \
        a1 += x1 * ya; \
        b1 += x1 * yb; \
    } while (0)

/* Output channels [first, last) of two pixels whose inputs are a and b, `taps` values each. */
static void two_pixels(const mk_conv2d_s8_params *p, const int8_t *a, const int8_t *b, const int8_t *weights,
                       uint32_t taps, uint32_t first, uint32_t last, int8_t *out_a, int8_t *out_b)
{
    const int8_t *w = weights;
    for (uint32_t channel = first; channel < last; channel += 2) {
        /* Beside a lone last filter stand zeros. */
        const bool pair = channel + 1 < last;
        const int8_t *pa = a, *pb = b;
        int32_t a0 = p->bias[channel], a1 = p->bias[channel + (uint32_t)pair], b0 = a0, b1 = a1;
        /* Four taps a turn, in the order of the weights; the loop itself would cost a fifth of the time. */
        for (const int8_t *const end = a + taps / 4 * 4; pa != end; pa += 4, pb += 4, w += 8) {
            MULTIPLY_TAP(0, 0);
            MULTIPLY_TAP(2, 2);
            MULTIPLY_TAP(1, 4);
            MULTIPLY_TAP(3, 6);
        }
        if (taps % 4 != 0) {
            MULTIPLY_TAP(0, 0);
            if (taps % 4 > 1) {
                MULTIPLY_TAP(1, 4);
            }
            if (taps % 4 > 2) {
                MULTIPLY_TAP(2, 2);
            }
            w += 8;
        }
        finish(p, channel, a0, b0, out_a, out_b);
        if (pair) {
            finish(p, channel + 1, a1, b1, out_a, out_b);
        }
    }
}

void mk_conv2d_s8(const mk_conv2d_s8_params *params, const mk_map *input, const mk_map *output, uint16_t first_row,
                  uint16_t last_row, void *scratch)
{
    const mk_window *w = &params->window;
    const uint32_t taps = (uint32_t)w->kernel_height * w->kernel_width * (input->channels / (uint32_t)params->groups);
    const uint32_t filters = output->channels / (uint32_t)params->groups;
    const uint32_t group_weights = MK_CONV2D_S8_WEIGHTS(filters, taps);
    int8_t *buffer = scratch;
    for (int32_t y = first_row; y < last_row; ++y) {
        int8_t *out = mk_row(output, y);
        for (uint32_t i = 0; i < output->columns; i += 2, out += 2 * output->channels) {
            const int32_t x = output->first_column + (int32_t)i;
            const bool pair = i + 1 < output->columns;
            for (uint32_t group = 0; group < params->groups; ++group) {
                const int8_t *a = gather(params, input, y, x, group, buffer);
                /* A lone last pixel is computed twice: into itself. */
                const int8_t *b = pair ? gather(params, input, y, x + 1, group, buffer ? buffer + taps : buffer) : a;
                two_pixels(params, a, b, params->weights + group * group_weights, taps, group * filters,
                           (group + 1) * filters, out, pair ? out + output->channels : out);
            }
        }
    }
}

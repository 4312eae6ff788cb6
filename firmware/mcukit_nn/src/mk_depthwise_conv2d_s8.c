/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Portable depthwise convolution. Where the whole window of a pixel lies inside the map and each channel has one
 * filter, sums stay in registers, two channels at a time; elsewhere (borders, several filters per channel) they are
 * kept in scratch, tap by tap.
 */
#include "mk_depthwise_conv2d_s8.h"

static inline int8_t finish(const mk_depthwise_conv2d_s8_params *p, int32_t sum, uint32_t channel)
{
    const int32_t scaled = mk_requantize(sum, p->multiplier[channel], p->shift[channel]) + p->output_zero_point;
    return (int8_t)mk_clamp(scaled, p->minimum, p->maximum);
}

/* Adds one tap of every output channel: `pixel` holds the input channels, or is null outside of the map. */
static void add_tap(const mk_depthwise_conv2d_s8_params *p, const int8_t *pixel, const int8_t *weights,
                    uint32_t channels, int32_t *sums)
{
    if (pixel == NULL) {
        for (uint32_t c = 0; c < channels; ++c) {
            sums[c] += p->input_zero_point * weights[c];
        }
        return;
    }
    uint32_t left = p->channel_multiplier;
    for (uint32_t c = 0; c < channels; ++c) {
        sums[c] += *pixel * weights[c];
        if (--left == 0) {
            left = p->channel_multiplier;
            ++pixel;
        }
    }
}

/* Any pixel: every tap is checked against the map's borders. */
static void border_pixel(const mk_depthwise_conv2d_s8_params *p, const mk_map *input, int32_t top, int32_t left,
                         uint32_t channels, int32_t *sums, int8_t *out)
{
    const mk_window *w = &p->window;
    const int8_t *weights = p->weights;
    for (uint32_t c = 0; c < channels; ++c) {
        sums[c] = p->bias[c];
    }
    for (int32_t row = 0; row < w->kernel_height; ++row) {
        const int32_t y = top + row * (int32_t)w->dilation_y;
        const int8_t *line = mk_has_row(input, y) ? mk_row(input, y) : NULL;
        for (int32_t column = 0; column < w->kernel_width; ++column, weights += channels) {
            const int32_t x = left + column * (int32_t)w->dilation_x;
            const bool inside = line != NULL && x >= 0 && x < input->width;
            add_tap(p, inside ? line + (uint32_t)(x - input->first_column) * input->channels : NULL, weights, channels,
                    sums);
        }
    }
    for (uint32_t c = 0; c < channels; ++c) {
        out[c] = finish(p, sums[c], c);
    }
}

/* A 3x3 window that lies inside the map: nine taps unrolled, `step` bytes from one pixel to the next tap's. */
static void inner_pixel_3x3(const mk_depthwise_conv2d_s8_params *p, const int8_t *r0, const int8_t *r1,
                            const int8_t *r2, uint32_t step, uint32_t channels, int8_t *out)
{
    const int8_t *w = p->weights;
    for (uint32_t c = 0; c < channels; ++c, ++w) {
        const int8_t *v = w;
        int32_t sum = p->bias[c];
        sum += r0[c] * v[0];
        sum += r0[c + step] * v[channels];
        sum += r0[c + 2 * step] * v[2 * channels];
        v += 3 * channels;
        sum += r1[c] * v[0];
        sum += r1[c + step] * v[channels];
        sum += r1[c + 2 * step] * v[2 * channels];
        v += 3 * channels;
        sum += r2[c] * v[0];
        sum += r2[c + step] * v[channels];
        sum += r2[c + 2 * step] * v[2 * channels];
        out[c] = finish(p, sum, c);
    }
}

void mk_depthwise_conv2d_s8(const mk_depthwise_conv2d_s8_params *params, const mk_map *input, const mk_map *output,
                            uint16_t first_row, uint16_t last_row, void *scratch)
{
    const mk_window *w = &params->window;
    const uint32_t channels = output->channels;
    const uint32_t step = (uint32_t)w->dilation_x * input->channels;
    const bool unrolled = w->kernel_height == 3 && w->kernel_width == 3 && params->channel_multiplier == 1;
    for (int32_t y = first_row; y < last_row; ++y) {
        const int32_t top = y * w->stride_y - w->pad_top;
        const int32_t middle = top + w->dilation_y, bottom = middle + w->dilation_y;
        const bool rows_inside = unrolled && top >= 0 && bottom < (int32_t)input->height;
        int8_t *out = mk_row(output, y);
        for (uint32_t i = 0; i < output->columns; ++i, out += channels) {
            const int32_t left = ((int32_t)i + output->first_column) * w->stride_x - w->pad_left;
            if (rows_inside && left >= 0 && left + 2 * (int32_t)w->dilation_x < (int32_t)input->width) {
                const uint32_t offset = (uint32_t)(left - input->first_column) * input->channels;
                inner_pixel_3x3(params, mk_row(input, top) + offset, mk_row(input, middle) + offset,
                                mk_row(input, bottom) + offset, step, channels, out);
            } else {
                border_pixel(params, input, top, left, channels, scratch, out);
            }
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Portable depthwise convolution of packed maps or weights. For each pixel the places of its taps are looked up once;
 * a tap outside of the map has its place in scratch, in a pixel of zero points. Then eight channels at a time are
 * multiplied where they lie: their inputs and weights are taken out of words, and their sums stay in registers.
 * Channels that don't fill eight, and those of several filters per channel, are computed one by one.
 *
 * A kernel that multiplies 16-bit halves of registers gets the weights of channels 0 and 2 of four, or 1 and 3, with
 * one shift and one AND, as it gets the inputs: two taps of a channel then meet in one register by packing halves.
 */
#include "mk_depthwise_conv2d_packed.h"

#include <string.h>

#include "mk_packed.h"
#include "mk_packed_weights.h"

/* What stays the same during a call. tap_words: from the weights of a tap to those of the next. */
typedef struct shape {
    const mk_depthwise_conv2d_packed_params *params;
    uint32_t taps, tap_words, bits;
    const int8_t **pixels; /* [tap] */
} shape;

/* Eight packed inputs in the order of their channels, the first one lowest, from any address. */
static inline uint32_t load_inputs(const int8_t *pixel, uint32_t bits)
{
    const uint8_t *p = (const uint8_t *)pixel;
    const uint32_t low = p[0] | (uint32_t)p[1] << 8;
    return bits == 2 ? low : low | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static int8_t finish(const mk_depthwise_conv2d_packed_params *p, int32_t sum, uint32_t channel)
{
    const int32_t scaled = mk_requantize(sum, p->multiplier[channel], p->shift[channel]) + p->output_zero_point;
    return (int8_t)mk_clamp(scaled, p->minimum, p->maximum);
}

#define INPUT(i) (bits == 8 ? pixel[i] : (int32_t)(inputs >> (bits * (i)) & ((1u << bits) - 1)))
#define WEIGHT(i) (weight_bits == 8 ? bytes[i] : MK_WEIGHT(word, weight_bits, MK_WEIGHT_POSITION(weight_bits, i)))

/*
 * Sums of channels [channel, channel + 8), one filter each. Widths are constants wherever this is inlined. Of a word of
 * 2-bit weights eight are every other byte, and the other eight lie 8 bits higher.
 */
static inline __attribute__((always_inline)) void eight_channels(const shape *s, uint32_t channel, uint32_t bits,
                                                                uint32_t weight_bits, int32_t *sums)
{
    const mk_depthwise_conv2d_packed_params *p = s->params;
    const int32_t *bias = p->bias + channel;
    int32_t s0 = bias[0], s1 = bias[1], s2 = bias[2], s3 = bias[3];
    int32_t s4 = bias[4], s5 = bias[5], s6 = bias[6], s7 = bias[7];
    const void *weights = mk_weights_at(p->weights, channel * weight_bits / 32);
    const uint32_t first_byte = channel * bits / 8, half = weight_bits == 2 ? channel & 8 : 0;
    const int8_t *const *end = s->pixels + s->taps;
    for (const int8_t *const *tap = s->pixels; tap != end; ++tap, weights = mk_weights_at(weights, s->tap_words)) {
        const int8_t *pixel = *tap + first_byte, *bytes = weights;
        const uint32_t inputs = bits == 8 ? 0 : load_inputs(pixel, bits);
        const uint32_t word =
            weight_bits == 8 ? 0 : mk_signed_weights(*(const uint32_t *)weights, weight_bits) >> half;
        s0 += INPUT(0) * WEIGHT(0);
        s1 += INPUT(1) * WEIGHT(1);
        s2 += INPUT(2) * WEIGHT(2);
        s3 += INPUT(3) * WEIGHT(3);
        s4 += INPUT(4) * WEIGHT(4);
        s5 += INPUT(5) * WEIGHT(5);
        s6 += INPUT(6) * WEIGHT(6);
        s7 += INPUT(7) * WEIGHT(7);
    }
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
    sums[4] = s4;
    sums[5] = s5;
    sums[6] = s6;
    sums[7] = s7;
}

/* Output channels [channel, channel + 8). */
static void any_eight_channels(const shape *s, uint32_t channel, int8_t *out)
{
    int32_t sums[8];
    switch (s->bits * 16 + s->params->weight_bits) {
    case 0x88: eight_channels(s, channel, 8, 8, sums); break;
    case 0x84: eight_channels(s, channel, 8, 4, sums); break;
    case 0x82: eight_channels(s, channel, 8, 2, sums); break;
    case 0x48: eight_channels(s, channel, 4, 8, sums); break;
    case 0x44: eight_channels(s, channel, 4, 4, sums); break;
    case 0x42: eight_channels(s, channel, 4, 2, sums); break;
    case 0x28: eight_channels(s, channel, 2, 8, sums); break;
    case 0x24: eight_channels(s, channel, 2, 4, sums); break;
    default: eight_channels(s, channel, 2, 2, sums); break;
    }
    for (uint32_t i = 0; i < 8; ++i) {
        out[i] = finish(s->params, sums[i], channel + i);
    }
}

/* Any output channel. */
static int8_t one_channel(const shape *s, uint32_t channel)
{
    const mk_depthwise_conv2d_packed_params *p = s->params;
    const uint32_t bits = s->bits, weight_bits = p->weight_bits;
    const uint32_t input_bit = channel / p->channel_multiplier * bits, mask = (1u << bits) - 1;
    const uint32_t in_word = channel % (32 / weight_bits), position = MK_WEIGHT_POSITION(weight_bits, in_word);
    const void *weights = mk_weights_at(p->weights, channel * weight_bits / 32);
    int32_t sum = p->bias[channel];
    for (uint32_t tap = 0; tap < s->taps; ++tap, weights = mk_weights_at(weights, s->tap_words)) {
        const int8_t byte = s->pixels[tap][input_bit / 8];
        const int32_t input = bits == 8 ? byte : (int32_t)((uint32_t)(uint8_t)byte >> input_bit % 8 & mask);
        int32_t weight;
        if (weight_bits == 8) {
            weight = ((const int8_t *)weights)[in_word];
        } else {
            const uint32_t word = mk_signed_weights(*(const uint32_t *)weights, weight_bits);
            weight = MK_WEIGHT(word, weight_bits, position);
        }
        sum += input * weight;
    }
    return finish(p, sum, channel);
}

/* Where the taps of a window are. outside: a pixel of zero points. */
static void find_taps(const mk_window *w, const mk_map *input, int32_t top, int32_t left, const int8_t *outside,
                      const int8_t **pixels)
{
    const uint32_t pixel_bytes = MK_PIXEL_BYTES(input->channels, input->bits);
    for (int32_t row = 0; row < w->kernel_height; ++row) {
        const int32_t y = top + row * (int32_t)w->dilation_y;
        const int8_t *line = mk_has_row(input, y) ? mk_row(input, y) : NULL;
        for (int32_t column = 0; column < w->kernel_width; ++column) {
            const int32_t x = left + column * (int32_t)w->dilation_x;
            const bool inside = line != NULL && x >= 0 && x < input->width;
            *pixels++ = inside ? line + (uint32_t)(x - input->first_column) * pixel_bytes : outside;
        }
    }
}

void mk_depthwise_conv2d_packed(const mk_depthwise_conv2d_packed_params *params, const mk_map *input,
                                const mk_map *output, uint16_t first_row, uint16_t last_row, void *scratch)
{
    const mk_window *w = &params->window;
    const uint32_t channels = output->channels, taps = (uint32_t)w->kernel_height * w->kernel_width;
    const uint32_t input_bytes = MK_PIXEL_BYTES(input->channels, input->bits);
    const uint32_t output_step = MK_PIXEL_BYTES(channels, output->bits);
    const uint32_t wide = params->channel_multiplier == 1 ? channels / 8 * 8 : 0;
    if (first_row >= last_row || output->columns == 0) {
        return;
    }
    const uintptr_t aligned = ((uintptr_t)scratch + sizeof(int8_t *) - 1) / sizeof(int8_t *) * sizeof(int8_t *);
    const int8_t **const pixels = (const int8_t **)aligned;
    int8_t *const outside = (int8_t *)scratch + MK_DEPTHWISE_CONV2D_PACKED_POINTERS(taps);
    const shape s = {params, taps, mk_weight_words(channels, params->weight_bits), input->bits, pixels};
    /* A zero point in every field of a byte. */
    memset(outside, params->input_zero_point * (input->bits == 8 ? 1 : input->bits == 4 ? 0x11 : 0x55), input_bytes);
    for (int32_t y = first_row; y < last_row; ++y) {
        int8_t *out = mk_row(output, y);
        for (uint32_t i = 0; i < output->columns; ++i, out += output_step) {
            int8_t *const values = output->bits == 8 ? out : outside + input_bytes;
            find_taps(w, input, y * w->stride_y - w->pad_top,
                      ((int32_t)i + output->first_column) * w->stride_x - w->pad_left, outside, pixels);
            for (uint32_t channel = 0; channel < wide; channel += 8) {
                any_eight_channels(&s, channel, values + channel);
            }
            for (uint32_t channel = wide; channel < channels; ++channel) {
                values[channel] = one_channel(&s, channel);
            }
            if (output->bits != 8) {
                mk_pack(values, channels, output->bits, out);
            }
        }
    }
}

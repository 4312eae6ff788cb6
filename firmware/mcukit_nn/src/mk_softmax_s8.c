/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Softmax in 32-bit fixed point, as TensorFlow Lite Micro computes it. The exponentials of all 256 differences between
 * two bytes come in a table; what remains is their sum, its reciprocal and a product for each channel.
 */
#include "mk_softmax_s8.h"

/* Exponentials lose this many bits before they are added, so that a sum of 4095 fits 32 bits. */
#define SUM_INTEGER_BITS 12

/* `value` as a multiple of 2^-31, shifted left until its highest bit is set; *shift is how far. value is not 0. */
static uint32_t normalize(uint32_t value, int *shift)
{
    *shift = 0;
    while ((value & 0x80000000u) == 0) {
        value <<= 1;
        ++*shift;
    }
    return value;
}

/* 1 / (1 + x) for x in [0, 1), both with 31 fraction bits: three Newton-Raphson steps for 2 / (1 + x). */
static int32_t reciprocal(int32_t x)
{
    const int32_t one = (int32_t)1 << 29; /* the steps have 29 fraction bits */
    const int32_t half_denominator = (int32_t)(((uint32_t)x + 0x80000000u) >> 1);
    int32_t estimate = 1515870810 + mk_multiply_high(half_denominator, -1010580540); /* 48/17 - 32/17 of it */
    for (int step = 0; step < 3; ++step) {
        const int32_t error = one - mk_multiply_high(half_denominator, estimate);
        estimate += mk_multiply_high(estimate, error) * 4;
    }
    return estimate >= (int32_t)1 << 30 ? INT32_MAX : estimate * 2;
}

static uint32_t sum_of(const int32_t *exponentials, const int8_t *in, uint32_t channels, int32_t largest)
{
    uint32_t sum = 0;
    for (uint32_t c = 0; c < channels; ++c) {
        sum += ((uint32_t)exponentials[largest - in[c]] + (1u << (SUM_INTEGER_BITS - 1))) >> SUM_INTEGER_BITS;
    }
    return sum;
}

static void softmax_pixel(const int32_t *exponentials, const int8_t *in, uint32_t channels, int8_t *out)
{
    int32_t largest = in[0];
    for (uint32_t c = 1; c < channels; ++c) {
        largest = in[c] > largest ? in[c] : largest;
    }
    int leading_zeros;
    const uint32_t mantissa = normalize(sum_of(exponentials, in, channels, largest), &leading_zeros);
    const int32_t scale = reciprocal((int32_t)(mantissa - 0x80000000u));
    const int shift = SUM_INTEGER_BITS - leading_zeros + 31 - 8;
    for (uint32_t c = 0; c < channels; ++c) {
        const uint32_t product = (uint32_t)mk_multiply_high(exponentials[largest - in[c]], scale);
        /* Where the sum reaches 512 every output rounds to 0. */
        const uint32_t rounded = shift > 31 ? 0 : (product + (1u << (shift - 1))) >> shift;
        out[c] = (int8_t)(rounded > 255 ? 127 : (int32_t)rounded - 128);
    }
}

void mk_softmax_s8(const mk_softmax_s8_params *params, const mk_map *input, const mk_map *output, uint16_t first_row,
                   uint16_t last_row)
{
    const uint32_t channels = output->channels;
    const int32_t skipped = ((int32_t)output->first_column - input->first_column) * (int32_t)channels;
    for (int32_t y = first_row; y < last_row; ++y) {
        const int8_t *in = mk_row(input, y) + skipped;
        int8_t *out = mk_row(output, y);
        for (uint32_t x = 0; x < output->columns; ++x, in += channels, out += channels) {
            softmax_pixel(params->exponentials, in, channels, out);
        }
    }
}

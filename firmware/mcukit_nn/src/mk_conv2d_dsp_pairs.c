/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convolution with DSP instructions, weights of 8 bits: two filters meet three pixels at a time. That are six sums, and
 * as many registers as the core has.
 */
#include "mk_conv2d_dsp_finish.h"

#if MK_DSP

#define PIXELS MK_DSP_PIXELS
#define WORDS_OF_FOUR_TAPS MK_DSP_WORDS_OF_FOUR_TAPS

typedef mk_conv2d_dsp_block block;

#if MK_DSP_INSTRUCTIONS

/*
 * Four taps of two filters and three pixels: 24 products in 19 instructions. r0 to r2 are the sums of the first filter,
 * r3 to r5 those of the second; r6 to r8 pairs of inputs, r9 and r10 weights of two taps of both filters, r11 a pair
 * of weights; r12 and lr point to weights and inputs. No register is left over: all else is on the stack. Compilers
 * spill in the midst of it, and don't fold the rotation into SXTB16: the same loop of intrinsics takes half as many
 * instructions more.
 */
#define TAKE_TWO_TAPS(word) \
    "ldm.w  lr!, {r6, r7, r8}\n" \
    "sxtb16 r11, " word "\n" \
    "sxtb16 " word ", " word ", ror #8\n"
#define ADD_TWO_TAPS(word) \
    "smlad  r0, r11, r6, r0\n" \
    "smlad  r1, r11, r7, r1\n" \
    "smlad  r2, r11, r8, r2\n" \
    "smlad  r3, " word ", r6, r3\n" \
    "smlad  r4, " word ", r7, r4\n" \
    "smlad  r5, " word ", r8, r5\n"
#define FOUR_TAPS \
    "ldrd   r9, r10, [r12], #8\n" \
    TAKE_TWO_TAPS("r9") ADD_TWO_TAPS("r9") TAKE_TWO_TAPS("r10") ADD_TWO_TAPS("r10")

/* The same for the first four taps: the sums begin with the biases r0 and r3. */
#define FIRST_FOUR_TAPS \
    "ldrd   r9, r10, [r12], #8\n" \
    TAKE_TWO_TAPS("r9") \
    "smlad  r1, r11, r7, r0\n" \
    "smlad  r2, r11, r8, r0\n" \
    "smlad  r0, r11, r6, r0\n" \
    "smlad  r4, r9, r7, r3\n" \
    "smlad  r5, r9, r8, r3\n" \
    "smlad  r3, r9, r6, r3\n" \
    TAKE_TWO_TAPS("r10") ADD_TWO_TAPS("r10")

#define BYTES_OF_FOUR_TAPS (19 * 4)

static __attribute__((noinline)) void multiply_pairs(const block *b)
{
    register const block *r0 __asm__("r0") = b;
    __asm__ volatile(
        MAKE_FRAME
        "1:\n" /* the next pair of filters */
        "ldr    r6, [sp]\n"
        "ldrd   r0, r3, [r6], #8\n"
        "str    r6, [sp]\n"
        "ldr    lr, [sp, #12]\n"
        FIRST_FOUR_TAPS
        "ldr    pc, [sp, #44]\n"
        ".p2align 2\n"
        "2:\n"
        FOUR_TAPS FOUR_TAPS FOUR_TAPS FOUR_TAPS FOUR_TAPS FOUR_TAPS FOUR_TAPS FOUR_TAPS
        "ldr    r6, [sp, #16]\n"
        "cmp    lr, r6\n"
        "bne.w  2b\n"
        FINISH_PAIR
        "ldr    r7, [sp, #40]\n"
        "cmp    r6, r7\n"
        "bne.w  1b\n"
        DROP_FRAME
        : "+r"(r0)
        :
        : "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
}

#else

#define BYTES_OF_FOUR_TAPS 0

/* Both filters of a pair; w: their weights for four taps. */
static void multiply_four_taps(const int8_t *w, const uint32_t *x, int32_t sums[2][PIXELS])
{
    for (uint32_t half = 0; half < 2; ++half, w += 4, x += PIXELS) {
        const uint32_t word = mk_load_word(w);
        for (uint32_t i = 0; i < PIXELS; ++i) {
            sums[0][i] = mk_multiply_pairs(mk_extend_even(word), x[i], sums[0][i]);
            sums[1][i] = mk_multiply_pairs(mk_extend_odd(word), x[i], sums[1][i]);
        }
    }
}

static void multiply_pairs(const block *b)
{
    const int8_t *w = b->weights;
    for (uint32_t channel = 0; channel < b->filters; channel += 2) {
        int32_t sums[2][PIXELS];
        for (uint32_t i = 0; i < PIXELS; ++i) {
            sums[0][i] = b->bias[channel];
            sums[1][i] = b->bias[channel + 1];
        }
        for (const uint32_t *x = b->inputs; x != b->inputs_end; x += WORDS_OF_FOUR_TAPS, w += 8) {
            multiply_four_taps(w, x, sums);
        }
        const ptrdiff_t steps[PIXELS] = {0, b->step1, b->step2};
        for (uint32_t i = 0; i < PIXELS; ++i) {
            const int32_t of_pixel[2] = {sums[0][i], sums[1][i]};
            mk_conv2d_dsp_store(b, channel, 2, of_pixel, b->out + steps[i]);
        }
    }
}

#endif

/* The loop takes 32 taps a turn, the first four apart; where there are no others it is entered at its end. */
uint32_t mk_conv2d_dsp_entry(uint32_t taps)
{
    const uint32_t four_taps = (taps + 3) / 4;
    return (four_taps == 1 ? 8 : (8 - (four_taps - 1) % 8) % 8) * BYTES_OF_FOUR_TAPS + 1;
}

/* The last filter of a group where their number is odd; its weights stand beside zeros. */
static __attribute__((noinline)) void multiply_lone_filter(const block *b)
{
    const uint32_t channel = b->filters, doubled = (uint32_t)b->multiplier[channel] << 1;
    const int shift = b->shift[channel];
    /* A pair of filters takes as many bytes as a third of the expanded inputs. */
    const int8_t *w = b->weights + channel / 2 * ((uint32_t)(b->inputs_end - b->inputs) / PIXELS * 4);
    int32_t sums[PIXELS] = {b->bias[channel], b->bias[channel], b->bias[channel]};
    for (const uint32_t *x = b->inputs; x != b->inputs_end; x += PIXELS, w += 4) {
        const uint32_t pair = mk_extend_even(mk_load_word(w));
        for (uint32_t i = 0; i < PIXELS; ++i) {
            sums[i] = mk_multiply_pairs(pair, x[i], sums[i]);
        }
    }
    int8_t *out = b->out + channel;
    out[b->step1] = mk_requantize_to_byte(sums[1], doubled, shift, b->offset);
    out[b->step2] = mk_requantize_to_byte(sums[2], doubled, shift, b->offset);
    *out = mk_requantize_to_byte(sums[0], doubled, shift, b->offset);
}

/* The sums of `count` filters, 4 or fewer, over the first pixel alone. step: bytes of a pair of filters. */
static inline void sum_one_pixel(const block *b, const int8_t *w, uint32_t step, uint32_t count, int32_t sums[4])
{
    const int8_t *v = count > 2 ? w + step : w;
    int32_t sum0 = sums[0], sum1 = sums[1], sum2 = sums[2], sum3 = sums[3];
    for (const uint32_t *x = b->inputs; x != b->inputs_end; x += PIXELS, w += 4, v += 4) {
        const uint32_t pair = *x, word = mk_load_word(w), other = mk_load_word(v);
        sum0 = mk_multiply_pairs(mk_extend_even(word), pair, sum0);
        sum1 = mk_multiply_pairs(mk_extend_odd(word), pair, sum1);
        sum2 = mk_multiply_pairs(mk_extend_even(other), pair, sum2);
        sum3 = mk_multiply_pairs(mk_extend_odd(other), pair, sum3);
    }
    sums[0] = sum0;
    sums[1] = sum1;
    sums[2] = sum2;
    sums[3] = sum3;
}

void mk_conv2d_dsp_store(const block *b, uint32_t channel, uint32_t count, const int32_t *sums, int8_t *out)
{
    const uint32_t bits = b->bits, first_bit = channel * bits % 8;
    uint32_t fields = 0;
    for (uint32_t i = 0; i < count; ++i) {
        const uint32_t doubled = (uint32_t)b->multiplier[channel + i] << 1;
        const int32_t value = mk_requantize_twice(sums[i], doubled, b->shift[channel + i], b->offset);
        if (bits == 8) {
            out[channel + i] = (int8_t)mk_halve_to_byte(value);
        } else {
            fields |= mk_halve_to_field(value, bits) << i * bits;
        }
    }
    if (bits != 8) {
        uint8_t *place = (uint8_t *)out + channel * bits / 8;
        *place = (uint8_t)(first_bit == 0 ? fields : *place | fields << first_bit);
        if (count * bits > 8) {
            place[1] = (uint8_t)(fields >> 8);
        }
    }
}

static __attribute__((noinline)) void multiply_one_pixel(const block *b, uint32_t filters)
{
    const uint32_t step = (uint32_t)(b->inputs_end - b->inputs) / PIXELS * 4;
    const int8_t *w = b->weights;
    for (uint32_t channel = 0; channel < filters; channel += 4, w += 2 * step) {
        const uint32_t count = filters - channel < 4 ? filters - channel : 4;
        int32_t sums[4] = {0, 0, 0, 0};
        memcpy(sums, b->bias + channel, count * sizeof sums[0]);
        sum_one_pixel(b, w, step, count, sums);
        mk_conv2d_dsp_store(b, channel, count, sums, b->out);
    }
}

void mk_conv2d_dsp_multiply_bytes(const mk_conv2d_dsp_layer *layer, const block *b, bool is_one)
{
    if (is_one) {
        multiply_one_pixel(b, layer->filters);
    } else {
        if (b->filters != 0) {
            multiply_pairs(b);
        }
        if (layer->filters != b->filters) {
            multiply_lone_filter(b);
        }
    }
    mk_conv2d_dsp_limit(layer, b);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convolution with DSP instructions, weights of 8 bits: two filters meet three pixels at a time. That are six sums, and
 * as many registers as the core has.
 */
#include "mk_conv2d_dsp.h"

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

/* mk_requantize_twice for a shift of -(e + 1). r6: offset. */
#define REQUANTIZE(sum, doubled, e) \
    "smmlar " sum ", " sum ", " doubled ", " sum "\n" \
    "add    " sum ", " sum ", " sum ", asr #31\n" \
    "asr.w  " sum ", " sum ", " e "\n" \
    "add    " sum ", " sum ", r6\n"

/* The same for a shift that is not negative. r7 is free. */
#define REQUANTIZE_LEFT(sum, doubled, shift) \
    "lsl.w  " sum ", " sum ", " shift "\n" \
    "and    r7, " sum ", " doubled ", asr #31\n" \
    "smmlar " sum ", " sum ", " doubled ", r7\n" \
    "ssat   " sum ", #16, " sum "\n" \
    "add    " sum ", r6, " sum ", lsl #1\n"

/* mk_halve_to_byte or mk_halve_to_field of all sums. */
#define HALVE_ONE(saturate, bits, sum) saturate "   " sum ", #" bits ", " sum ", asr #1\n"
#define HALVE(saturate, bits) \
    HALVE_ONE(saturate, bits, "r0") HALVE_ONE(saturate, bits, "r1") HALVE_ONE(saturate, bits, "r2") \
    HALVE_ONE(saturate, bits, "r3") HALVE_ONE(saturate, bits, "r4") HALVE_ONE(saturate, bits, "r5")

/* Puts the fields of the second filter above those of the first. */
#define JOIN(bits) \
    "orr    r0, r0, r3, lsl #" bits "\n" \
    "orr    r1, r1, r4, lsl #" bits "\n" \
    "orr    r2, r2, r5, lsl #" bits "\n"

#define LOAD_PLACES \
    "ldrd   r6, r7, [sp, #28]\n" \
    "ldr    r8, [sp, #36]\n"

MK_STATIC_ASSERT(offsetof(block, inputs) == 12 && offsetof(block, offset) == 20 && offsetof(block, out) == 24 &&
                     offsetof(block, step1) == 28 && offsetof(block, out_bytes) == 36 &&
                     offsetof(block, weights) == 40 && offsetof(block, entry) == 44 && offsetof(block, bits) == 48,
                 members_are_where_the_assembly_expects_them);

static __attribute__((noinline)) void multiply_pairs(const block *b)
{
    register const block *r0 __asm__("r0") = b;
    /* r7, which may be the frame pointer, is saved here: compilers refuse to. */
    __asm__ volatile(
        "ldm    r0!, {r1, r2, r3, r4, r5, r6, r8, r9, r10}\n"
        "ldm    r0!, {r11, r12, lr}\n"
        "ldr    r0, [r0]\n"
        "cmp    r0, #4\n"
        "adr.w  r0, 8f\n"
        "it     eq\n"
        "adreq.w r0, 9f\n"
        "it     lt\n"
        "adrlt.w r0, 10f\n"
        "add    r0, r0, #1\n"
        "push   {r0}\n"
        "add    r11, r11, r8\n"
        "adr.w  r0, 2f\n"
        "add    lr, lr, r0\n"
        /* From sp: 0 bias, 4 multiplier, 8 shift, 12 inputs, 16 their end, 20 offset, 24 r7, 28 out, 32 step1,
         * 36 step2, 40 end of out, 44 address of entry, 48 of how outputs are stored. */
        "push   {r1, r2, r3, r4, r5, r6, r7, r8, r9, r10, r11, lr}\n"
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
        "ldrd   r6, r7, [sp, #4]\n"
        "ldrd   r9, r10, [r6], #8\n" /* multipliers */
        "ldrsb  r8, [r7], #1\n" /* shifts */
        "ldrsb  r11, [r7], #1\n"
        "strd   r6, r7, [sp, #4]\n"
        "ldr    r6, [sp, #20]\n"
        "lsl    r9, r9, #1\n"
        "lsl    r10, r10, #1\n"
        "mvns   r8, r8\n"
        "bmi    5f\n"
        REQUANTIZE("r0", "r9", "r8") REQUANTIZE("r1", "r9", "r8") REQUANTIZE("r2", "r9", "r8")
        "3:\n"
        "mvns   r11, r11\n"
        "bmi    6f\n"
        REQUANTIZE("r3", "r10", "r11") REQUANTIZE("r4", "r10", "r11") REQUANTIZE("r5", "r10", "r11")
        "4:\n"
        "ldr    pc, [sp, #48]\n"
        ".p2align 2\n"
        "9:\n" /* of 4 bits: a byte for each pixel */
        HALVE("usat", "4") JOIN("4")
        LOAD_PLACES
        "strb   r1, [r6, r7]\n"
        "strb   r2, [r6, r8]\n"
        "strb   r0, [r6], #1\n"
        "b      11f\n"
        ".p2align 2\n"
        "8:\n" /* outputs of 8 bits */
        HALVE("ssat", "8")
        LOAD_PLACES
        "strb   r1, [r6, r7]\n"
        "strb   r2, [r6, r8]\n"
        "strb   r0, [r6], #1\n"
        "strb   r4, [r6, r7]\n"
        "strb   r5, [r6, r8]\n"
        "strb   r3, [r6], #1\n"
        "11:\n"
        "ldr    r7, [sp, #40]\n"
        "str    r6, [sp, #28]\n"
        "cmp    r6, r7\n"
        "bne.w  1b\n"
        "b      7f\n"
        ".p2align 2\n"
        "10:\n" /* of 2 bits: half a byte, where the next pair finds it */
        HALVE("usat", "2") JOIN("2")
        LOAD_PLACES
        "strb   r1, [r6, r7]\n"
        "strb   r2, [r6, r8]\n"
        "strb   r0, [r6]\n"
        "adr.w  r9, 12f\n"
        "add    r9, r9, #1\n"
        "str    r9, [sp, #48]\n"
        "b      1b\n"
        ".p2align 2\n"
        "12:\n"
        HALVE("usat", "2") JOIN("2")
        LOAD_PLACES
        "ldrb   r9, [r6, r7]\n"
        "ldrb   r10, [r6, r8]\n"
        "ldrb   r11, [r6]\n"
        "orr    r1, r9, r1, lsl #4\n"
        "orr    r2, r10, r2, lsl #4\n"
        "orr    r0, r11, r0, lsl #4\n"
        "strb   r1, [r6, r7]\n"
        "strb   r2, [r6, r8]\n"
        "strb   r0, [r6], #1\n"
        "adr.w  r9, 10b\n"
        "add    r9, r9, #1\n"
        "str    r9, [sp, #48]\n"
        "b      11b\n"
        "5:\n"
        "mvn    r8, r8\n"
        REQUANTIZE_LEFT("r0", "r9", "r8") REQUANTIZE_LEFT("r1", "r9", "r8") REQUANTIZE_LEFT("r2", "r9", "r8")
        "b      3b\n"
        "6:\n"
        "mvn    r11, r11\n"
        REQUANTIZE_LEFT("r3", "r10", "r11") REQUANTIZE_LEFT("r4", "r10", "r11") REQUANTIZE_LEFT("r5", "r10", "r11")
        "b      4b\n"
        "7:\n"
        "ldr    r7, [sp, #24]\n"
        "add    sp, sp, #52\n"
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

/* Puts the outputs of two filters, `channel` the first of them, for one pixel at `out`. */
static void store_pair(const block *b, uint32_t channel, const int32_t sums[2], int8_t *out)
{
    uint32_t fields = 0;
    for (uint32_t i = 0; i < 2; ++i) {
        const uint32_t doubled = (uint32_t)b->multiplier[channel + i] << 1;
        const int32_t value = mk_requantize_twice(sums[i], doubled, b->shift[channel + i], b->offset);
        if (b->bits == 8) {
            out[channel + i] = (int8_t)mk_halve_to_byte(value);
        } else {
            fields |= mk_halve_to_field(value, b->bits) << i * b->bits;
        }
    }
    if (b->bits == 4) {
        out[channel / 2] = (int8_t)fields;
    } else if (b->bits == 2) {
        const uint32_t before = channel % 4 == 0 ? 0 : (uint8_t)out[channel / 4];
        out[channel / 4] = (int8_t)(before | fields << channel % 4 * 2);
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
        for (uint32_t i = PIXELS; i != 0; --i) {
            store_pair(b, channel, (const int32_t[]){sums[0][i - 1], sums[1][i - 1]}, b->out + steps[i - 1]);
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

/* Stores `count` outputs, 4 or fewer, of the first pixel from `channel` on. Those of 4 and 2 bits fill bytes. */
static inline void store_one_pixel(const block *b, uint32_t channel, uint32_t count, const int32_t sums[4])
{
    uint32_t fields = 0;
    for (uint32_t i = 0; i < count; ++i) {
        const uint32_t doubled = (uint32_t)b->multiplier[channel + i] << 1;
        const int32_t sum = b->bias[channel + i] + sums[i];
        const int32_t value = mk_requantize_twice(sum, doubled, b->shift[channel + i], b->offset);
        if (b->bits == 8) {
            b->out[channel + i] = (int8_t)mk_halve_to_byte(value);
        } else {
            fields |= mk_halve_to_field(value, b->bits) << i * b->bits;
        }
    }
    if (b->bits != 8) {
        int8_t *out = b->out + channel * b->bits / 8;
        *out = (int8_t)fields;
        if (count * b->bits > 8) {
            out[1] = (int8_t)(fields >> 8);
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
        sum_one_pixel(b, w, step, count, sums);
        store_one_pixel(b, channel, count, sums);
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
    if (b->bits == 8 && (layer->minimum > -128 || layer->maximum < 127)) {
        mk_limit_bytes(b->out, layer->filters, layer->minimum, layer->maximum);
        mk_limit_bytes(b->out + b->step1, layer->filters, layer->minimum, layer->maximum);
        mk_limit_bytes(b->out + b->step2, layer->filters, layer->minimum, layer->maximum);
    }
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convolution with DSP instructions, inputs of 8 and weights of 4 bits: two filters meet three pixels at a time, as they
 * do for weights of 8 bits.
 *
 * Two taps of a filter are taken out of a word by one AND, for taps 1 and 3 such that they are 2^8 times as large as they
 * are: so are the inputs that meet the others, and all sums. Weights are multiplied as they are stored, from 0 on: that
 * is too much by a constant times the sum of the inputs, which sums begin with the negative of.
 */
#include "mk_conv2d_dsp_fields.h"

#include "mk_conv2d_dsp_finish.h"

#if MK_DSP

#define PIXELS MK_DSP_PIXELS

typedef mk_conv2d_dsp_block block;

/* A block, and what its sums begin with. The assembly below relies on the order of the members. */
typedef struct pairs {
    block block;
    int32_t first[PIXELS];
} pairs;

#if MK_DSP_INSTRUCTIONS

/*
 * Four taps of two filters and three pixels: 24 products in 20 instructions. r0 to r2 are the sums of the first filter,
 * r3 to r5 those of the second; r6 to r8 pairs of inputs, r9 a word of weights, r10 the same such that the second filter
 * is where the first one was, r11 a pair of weights; r12 and lr point to weights and inputs.
 */
#define ADD_TWO_TAPS(word, mask, sum0, sum1, sum2) \
    "and    r11, " word ", #" mask "\n" \
    "smlad  " sum0 ", r11, r6, " sum0 "\n" \
    "smlad  " sum1 ", r11, r7, " sum1 "\n" \
    "smlad  " sum2 ", r11, r8, " sum2 "\n"
#define TWO_TAPS(mask) \
    "ldm.w  lr!, {r6, r7, r8}\n" \
    ADD_TWO_TAPS("r9", mask, "r0", "r1", "r2") ADD_TWO_TAPS("r10", mask, "r3", "r4", "r5")
#define FOUR_TAPS \
    "ldr    r9, [r12], #4\n" \
    "ror.w  r10, r9, #12\n" \
    TWO_TAPS("0x000F000F") TWO_TAPS("0x0F000F00")

#define BYTES_OF_FOUR_TAPS (20 * 4)

#define ADD_BIAS(sum, bias) "add    " sum ", " bias ", " sum ", asr #8\n"

MK_STATIC_ASSERT(offsetof(pairs, first) == 56 && sizeof(pairs) == 68, members_are_where_the_assembly_expects_them);

static __attribute__((noinline)) void multiply_pairs(const pairs *p)
{
    register const pairs *r0 __asm__("r0") = p;
    /* From sp, behind the frame: 52 what sums begin with. */
    __asm__ volatile(
        "add    r1, r0, #56\n"
        "ldm    r1, {r2, r3, r4}\n"
        "push   {r2, r3, r4}\n"
        MAKE_FRAME
        "1:\n" /* the next pair of filters */
        "add    r6, sp, #52\n"
        "ldm    r6, {r0, r1, r2}\n"
        "mov    r3, r0\n"
        "mov    r4, r1\n"
        "mov    r5, r2\n"
        "ldr    lr, [sp, #12]\n"
        "ldr    pc, [sp, #44]\n"
        ".p2align 2\n"
        "2:\n"
        FOUR_TAPS FOUR_TAPS FOUR_TAPS FOUR_TAPS FOUR_TAPS FOUR_TAPS FOUR_TAPS FOUR_TAPS
        "ldr    r6, [sp, #16]\n"
        "cmp    lr, r6\n"
        "bne.w  2b\n"
        "ldr    r6, [sp]\n"
        "ldrd   r9, r10, [r6], #8\n"
        "str    r6, [sp]\n"
        ADD_BIAS("r0", "r9") ADD_BIAS("r1", "r9") ADD_BIAS("r2", "r9")
        ADD_BIAS("r3", "r10") ADD_BIAS("r4", "r10") ADD_BIAS("r5", "r10")
        FINISH_PAIR
        "ldr    r7, [sp, #40]\n"
        "cmp    r6, r7\n"
        "bne.w  1b\n"
        DROP_FRAME
        "add    sp, sp, #12\n"
        : "+r"(r0)
        :
        : "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
}

/* Makes X02 2^8 times as large. */
static inline void scale_inputs(const block *b)
{
    uint32_t *x = b->inputs;
    __asm__ volatile(
        "1:\n"
        "ldm    %0, {r4, r5, r6}\n"
        "lsl    r4, r4, #8\n"
        "lsl    r5, r5, #8\n"
        "lsl    r6, r6, #8\n"
        "and    r4, r4, #0xFF00FF00\n"
        "and    r5, r5, #0xFF00FF00\n"
        "and    r6, r6, #0xFF00FF00\n"
        "stm    %0, {r4, r5, r6}\n"
        "adds   %0, %0, #24\n"
        "cmp    %0, %1\n"
        "bne    1b\n"
        : "+r"(x)
        : "r"(b->inputs_end)
        : "r4", "r5", "r6", "cc", "memory");
}

#else

#define BYTES_OF_FOUR_TAPS 0

static void multiply_pairs(const pairs *p)
{
    const block *b = &p->block;
    const uint32_t *w = (const uint32_t *)(const void *)b->weights;
    const ptrdiff_t steps[PIXELS] = {0, b->step1, b->step2};
    for (uint32_t channel = 0; channel < b->filters; channel += 2) {
        int32_t sums[PIXELS][2];
        for (uint32_t i = 0; i < PIXELS; ++i) {
            sums[i][0] = sums[i][1] = p->first[i];
        }
        for (const uint32_t *x = b->inputs; x != b->inputs_end; ++w) {
            const uint32_t other = *w >> 12 | *w << 20;
            for (uint32_t shift = 0; shift < 16; shift += 8, x += PIXELS) {
                const uint32_t mask = 0x000F000Fu << shift;
                for (uint32_t i = 0; i < PIXELS; ++i) {
                    sums[i][0] = mk_multiply_pairs(*w & mask, x[i], sums[i][0]);
                    sums[i][1] = mk_multiply_pairs(other & mask, x[i], sums[i][1]);
                }
            }
        }
        for (uint32_t i = 0; i < PIXELS; ++i) {
            const int32_t of_pixel[2] = {b->bias[channel] + (sums[i][0] >> 8), b->bias[channel + 1] + (sums[i][1] >> 8)};
            mk_conv2d_dsp_store(b, channel, 2, of_pixel, b->out + steps[i]);
        }
    }
}

static void scale_inputs(const block *b)
{
    for (uint32_t *x = b->inputs; x < b->inputs_end; x += MK_DSP_WORDS_OF_FOUR_TAPS) {
        for (uint32_t i = 0; i < PIXELS; ++i) {
            x[i] = x[i] << 8 & 0xFF00FF00u;
        }
    }
}

#endif

void mk_conv2d_dsp_multiply_wide(const mk_conv2d_dsp_layer *layer, const block *b, bool is_one)
{
    const uint32_t fours = (layer->taps + 3) / 4, in_pairs = is_one ? 0 : b->filters;
    int32_t totals[PIXELS];
    mk_conv2d_dsp_add_inputs(b, totals);
    scale_inputs(b);
    if (in_pairs != 0) {
        pairs p = {.block = *b};
        p.block.entry = (8 - fours % 8) % 8 * BYTES_OF_FOUR_TAPS + 1;
        for (uint32_t i = 0; i < PIXELS; ++i) {
            p.first[i] = -totals[i] * 2048;
        }
        multiply_pairs(&p);
    }
    mk_conv2d_dsp_multiply_rest(layer, b, in_pairs, is_one ? 1 : PIXELS, totals);
    mk_conv2d_dsp_limit(layer, b);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convolution with DSP instructions, weights of 4 and 2 bits: four filters meet three pixels at a time.
 *
 * A pair of filters shares its products: two taps of both, as mk_packed_weights.h has them, are multiplied with two
 * inputs by one instruction. What it adds up holds the sum of the first filter in its lower bits and that of the second
 * one above them. The lower sum is never negative and must not outgrow its bits: after so many taps as that is sure for,
 * `sum_taps` of the parameters, it is moved to memory. Inputs of 8 bits are signed, so that such a sum begins with half
 * of what its bits hold.
 *
 * The first filters are multiplied as they are stored, from 0 on: that is too much by a constant times the sum of the
 * inputs, which is the same for all filters.
 */
#include "mk_conv2d_dsp_fields.h"

#include "mk_conv2d_dsp_finish.h"

#if MK_DSP

#define PIXELS MK_DSP_PIXELS

typedef mk_conv2d_dsp_block block;

/* Bits of the lower sum. */
#define LOWER_4 "12"
#define LOWER_2 "14"

/*
 * A block, and how its taps are cut: the loop is entered at block.entry and goes on until first_end; from then on it is
 * entered at next_entry for the next chunk_bytes of inputs. half: what lower sums begin with. corrections: of the first
 * filters' sums, for each pixel. The assembly below relies on the order of the members.
 */
typedef struct fours {
    block block;
    const uint32_t *first_end;
    uint32_t next_entry, chunk_bytes;
    int32_t half, corrections[PIXELS];
} fours;

#if MK_DSP_INSTRUCTIONS

/*
 * Two taps of four filters and three pixels: 24 products in 10 instructions. r0 to r2 are the sums of the first pair of
 * filters, r3 to r5 those of the second; r6 to r8 pairs of inputs, r9 and r10 words of weights, r11 what masks them; r12
 * and lr point to weights and inputs. Words are loaded anew for every pair of taps: no register is left to keep them.
 */
#define TWO_TAPS(next, rotated) \
    "ldrd   r9, r10, [r12]" next "\n" \
    "ldm.w  lr!, {r6, r7, r8}\n" \
    "and.w  r9, r11, r9" rotated "\n" \
    "and.w  r10, r11, r10" rotated "\n" \
    "smlad  r0, r9, r6, r0\n" \
    "smlad  r1, r9, r7, r1\n" \
    "smlad  r2, r9, r8, r2\n" \
    "smlad  r3, r10, r6, r3\n" \
    "smlad  r4, r10, r7, r4\n" \
    "smlad  r5, r10, r8, r5\n"
#define WORD_4 TWO_TAPS("", "") TWO_TAPS(", #8", ", ror #8")
#define WORD_2 \
    TWO_TAPS("", "") TWO_TAPS("", ", ror #4") TWO_TAPS("", ", ror #8") TWO_TAPS(", #8", ", ror #12")

#define BYTES_OF_WORD_4 (20 * 4)
#define BYTES_OF_WORD_2 (40 * 4)

#define LOAD_MASK_4 "movw   r11, #0xF00F\nmovt   r11, #0xF00F\n"
#define LOAD_MASK_2 "movw   r11, #0xC003\nmovt   r11, #0xC003\n"

/* Moves a lower sum to one in memory; r11 is what it begins with. */
#define EMPTY(lower, sum, memory) \
    "ubfx   r10, " sum ", #0, #" lower "\n" \
    "add    " memory ", " memory ", r10\n" \
    "bfi    " sum ", r11, #0, #" lower "\n"

/* The sums of both filters: r10 and r11 are their biases, `memory` what was moved there. */
#define SPLIT(lower, sum, upper, memory) \
    "add    " memory ", " memory ", r10\n" \
    "add    " upper ", r11, " sum ", asr #" lower "\n" \
    "ubfx   " sum ", " sum ", #0, #" lower "\n" \
    "add    " sum ", " sum ", " memory "\n"

MK_STATIC_ASSERT(offsetof(fours, first_end) == 56 && offsetof(fours, corrections) == 72 && sizeof(fours) == 84,
                 members_are_where_the_assembly_expects_them);

/* From sp, behind the frame: 52 where the chunk ends, 56 whether the second pair is next, 60 sums of the second pair, 72
 * lower sums of both pairs, 96 first_end, 100 next_entry, 104 chunk_bytes, 108 half, 112 corrections. */
#define MULTIPLY_FOURS(lower, load_mask, turn) \
    "add    r1, r0, #56\n" \
    "ldm    r1, {r2, r3, r4, r5, r6, r8, r9}\n" \
    "push   {r2, r3, r4, r5, r6, r8, r9}\n" \
    "sub    sp, sp, #44\n" \
    MAKE_FRAME \
    "ldr    r1, [sp, #100]\n" \
    "add    r1, r1, r0\n" \
    "str    r1, [sp, #100]\n" \
    "1:\n" /* the next four filters */ \
    "add    r6, sp, #112\n" \
    "ldm    r6, {r8, r9, r10}\n" \
    "add    r6, sp, #72\n" \
    "stm    r6!, {r8, r9, r10}\n" \
    "stm    r6, {r8, r9, r10}\n" \
    "ldr    r0, [sp, #108]\n" \
    "mov    r1, r0\n" \
    "mov    r2, r0\n" \
    "mov    r3, r0\n" \
    "mov    r4, r0\n" \
    "mov    r5, r0\n" \
    "ldr    r6, [sp, #96]\n" \
    "str    r6, [sp, #52]\n" \
    load_mask \
    "ldr    lr, [sp, #12]\n" \
    "ldr    pc, [sp, #44]\n" \
    ".p2align 2\n" \
    "2:\n" \
    turn \
    "ldr    r6, [sp, #52]\n" \
    "cmp    lr, r6\n" \
    "bne.w  2b\n" \
    "ldr    r7, [sp, #16]\n" \
    "cmp    lr, r7\n" \
    "beq    13f\n" \
    "ldr    r11, [sp, #108]\n" \
    "add    r6, sp, #72\n" \
    "ldm    r6, {r7, r8, r9}\n" \
    EMPTY(lower, "r0", "r7") EMPTY(lower, "r1", "r8") EMPTY(lower, "r2", "r9") \
    "stm    r6!, {r7, r8, r9}\n" \
    "ldm    r6, {r7, r8, r9}\n" \
    EMPTY(lower, "r3", "r7") EMPTY(lower, "r4", "r8") EMPTY(lower, "r5", "r9") \
    "stm    r6, {r7, r8, r9}\n" \
    load_mask \
    "ldrd   r8, r9, [sp, #100]\n" \
    "add    r9, r9, lr\n" \
    "str    r9, [sp, #52]\n" \
    "bx     r8\n" \
    "13:\n" \
    "add    r6, sp, #56\n" \
    "movs   r7, #0\n" \
    "str    r7, [r6], #4\n" \
    "stm    r6!, {r3, r4, r5}\n" \
    "14:\n" /* the next pair of them */ \
    "ldm    r6, {r7, r8, r9}\n" \
    "ldr    r6, [sp]\n" \
    "ldrd   r10, r11, [r6], #8\n" \
    "str    r6, [sp]\n" \
    SPLIT(lower, "r0", "r3", "r7") SPLIT(lower, "r1", "r4", "r8") SPLIT(lower, "r2", "r5", "r9") \
    FINISH_PAIR \
    "ldr    r7, [sp, #56]\n" \
    "eors   r7, r7, #1\n" \
    "str    r7, [sp, #56]\n" \
    "beq    15f\n" \
    "add    r6, sp, #60\n" \
    "ldm    r6!, {r0, r1, r2}\n" \
    "add    r6, r6, #12\n" \
    "b      14b\n" \
    "15:\n" \
    "ldr    r7, [sp, #40]\n" \
    "cmp    r6, r7\n" \
    "bne.w  1b\n" \
    DROP_FRAME \
    "add    sp, sp, #72\n"

#define CLOBBERED "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory"

static __attribute__((noinline)) void multiply_fours_4(const fours *f)
{
    register const fours *r0 __asm__("r0") = f;
    __asm__ volatile(MULTIPLY_FOURS(LOWER_4, LOAD_MASK_4, WORD_4 WORD_4 WORD_4 WORD_4 WORD_4 WORD_4 WORD_4 WORD_4)
                     : "+r"(r0)
                     :
                     : CLOBBERED);
}

static __attribute__((noinline)) void multiply_fours_2(const fours *f)
{
    register const fours *r0 __asm__("r0") = f;
    __asm__ volatile(MULTIPLY_FOURS(LOWER_2, LOAD_MASK_2, WORD_2 WORD_2 WORD_2 WORD_2) : "+r"(r0) : : CLOBBERED);
}

static void multiply_fours(const fours *f, uint32_t bits)
{
    if (bits == 4) {
        multiply_fours_4(f);
    } else {
        multiply_fours_2(f);
    }
}

#else

#define BYTES_OF_WORD_4 0
#define BYTES_OF_WORD_2 0

static uint32_t rotate_right(uint32_t word, uint32_t amount)
{
    return amount == 0 ? word : word >> amount | word << (32 - amount);
}

/* Both filters of a pair over one pixel, whose sums are b->bias and what products add to it. */
static void multiply_pair(const fours *f, const uint32_t *w, uint32_t bits, uint32_t pixel, int32_t sums[2])
{
    const block *b = &f->block;
    const uint32_t lower = 16 - bits, mask = bits == 4 ? 0xF00FF00Fu : 0xC003C003u, field = (1u << lower) - 1;
    int32_t sum = f->half, moved = f->corrections[pixel];
    const uint32_t *chunk_end = f->first_end;
    for (const uint32_t *x = b->inputs + pixel; x < b->inputs_end; w += 2) {
        for (uint32_t rotation = 0; rotation < 16; rotation += 2 * bits, x += PIXELS) {
            sum = mk_multiply_pairs(rotate_right(*w, rotation) & mask, *x, sum);
        }
        if (x - pixel == chunk_end && chunk_end != b->inputs_end) {
            const int32_t low = (int32_t)((uint32_t)sum & field);
            moved += low;
            sum += f->half - low;
            chunk_end += f->chunk_bytes / 4;
        }
    }
    sums[0] += moved + (int32_t)((uint32_t)sum & field);
    sums[1] += sum >> lower;
}

static void multiply_fours(const fours *f, uint32_t bits)
{
    const block *b = &f->block;
    const uint32_t words = (uint32_t)(b->inputs_end - b->inputs) / PIXELS / (8 / bits);
    const uint32_t *w = (const uint32_t *)(const void *)b->weights;
    const ptrdiff_t steps[PIXELS] = {0, b->step1, b->step2};
    for (uint32_t channel = 0; channel < b->filters; channel += 4, w += 2 * words) {
        for (uint32_t i = 0; i < PIXELS; ++i) {
            int32_t sums[4];
            memcpy(sums, b->bias + channel, sizeof sums);
            multiply_pair(f, w, bits, i, sums);
            multiply_pair(f, w + 1, bits, i, sums + 2);
            mk_conv2d_dsp_store(b, channel, 4, sums, b->out + steps[i]);
        }
    }
}

#endif

/* Where the loop is entered for so many words of a pair, as a Thumb address. */
static uint32_t entry_of(uint32_t words, uint32_t bits)
{
    const uint32_t turn = bits == 4 ? 8 : 4, bytes = bits == 4 ? BYTES_OF_WORD_4 : BYTES_OF_WORD_2;
    return (turn - words % turn) % turn * bytes + 1;
}

void mk_conv2d_dsp_multiply_fields(const mk_conv2d_dsp_layer *layer, const block *b, bool is_one)
{
    const uint32_t bits = layer->weight_bits, words = mk_pair_words(layer->taps, bits);
    const uint32_t chunk = layer->sum_taps * bits / 16, inputs_of_word = PIXELS * 8 / bits;
    const uint32_t in_fours = is_one ? 0 : b->filters;
    int32_t totals[PIXELS];
    mk_conv2d_dsp_add_inputs(b, totals);
    if (in_fours != 0) {
        const uint32_t first = (words - 1) % chunk + 1, chunks = (words + chunk - 1) / chunk;
        fours f = {.block = *b, .next_entry = entry_of(chunk, bits)};
        f.block.entry = entry_of(first, bits);
        f.first_end = b->inputs + first * inputs_of_word;
        f.chunk_bytes = 4 * chunk * inputs_of_word;
        f.half = layer->input->bits == 8 ? 1 << (15 - bits) : 0;
        for (uint32_t i = 0; i < PIXELS; ++i) {
            f.corrections[i] = -totals[i] * (1 << (bits - 1)) - (int32_t)chunks * f.half;
        }
        multiply_fours(&f, bits);
    }
    mk_conv2d_dsp_multiply_rest(layer, b, in_fours, is_one ? 1 : PIXELS, totals);
    mk_conv2d_dsp_limit(layer, b);
}

#endif

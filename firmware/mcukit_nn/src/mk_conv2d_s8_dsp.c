/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convolution with DSP instructions: the windows of three pixels are expanded to pairs of 16 bits once for all
 * filters, side by side, then multiplied with two filters at a time. That are six sums, and as many registers as the
 * core has.
 *
 * Pixels are taken three at a time across the ends of rows, so that narrow maps waste none. This keeps the rules of
 * maps: the windows of all three are read before the first of them is written, and those of a later row only need what
 * the rows before it leave in place. With several groups it would not, because the windows are read again for each:
 * then every row ends with as many pixels as are left.
 */
#include "mk_conv2d_s8_dsp.h"

#include "mk_dsp.h"

#if !MK_DSP

void mk_conv2d_s8_dsp(const mk_conv2d_s8_dsp_params *params, const mk_map *input, const mk_map *output,
                      uint16_t first_row, uint16_t last_row, void *scratch)
{
    mk_conv2d_s8(params, input, output, first_row, last_row, scratch);
}

#else

#define PIXELS 3
#define WORDS_OF_FOUR_TAPS (2 * PIXELS)

/*
 * What stays the same during a call. depth: input channels of a group; segment: bytes of one row of a window; step:
 * from the window of one pixel to that of the next. inner_columns: columns of the input where windows can begin whose
 * rows, if they exist, can be read where they lie.
 */
typedef struct shape {
    const mk_conv2d_s8_params *params;
    const mk_map *input;
    uint32_t groups, depth, segment, taps, filters, step, inner_columns;
    int8_t *copies;
    bool is_copied_whole, is_limited;
} shape;

/* Where an output pixel is and where its window begins. */
typedef struct pixel {
    int8_t *out;
    int32_t top, left;
} pixel;

/*
 * The windows of three pixels: any, or, where `pixels` is null, of three inner ones side by side of which the first one
 * begins at row `top` and `offset` bytes behind the beginning of the rows.
 */
typedef struct windows {
    const pixel *pixels;
    int32_t top, offset;
} windows;

/*
 * Pairs of filters over three pixels whose windows are at `inputs`: words X02 of the three pixels, then words X13, for
 * every four taps. offset: see mk_requantize_to_byte. out: first channel of the first pixel; step1, step2: from there
 * to the other pixels. filters: an even number. entry: from the beginning of the multiplying loop to where it is
 * entered, as a Thumb address. The assembly below relies on the order of the members.
 */
typedef struct block {
    const int32_t *bias, *multiplier;
    const int8_t *shift;
    uint32_t *inputs, *inputs_end;
    int32_t offset;
    int8_t *out;
    ptrdiff_t step1, step2;
    uint32_t filters;
    const int8_t *weights;
    uint32_t entry;
} block;

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


/* mk_requantize_to_byte for a shift of -(e + 1). r6: offset. */
#define TO_BYTE(sum, doubled, e) \
    "smmlar " sum ", " sum ", " doubled ", " sum "\n" \
    "add    " sum ", " sum ", " sum ", asr #31\n" \
    "asr.w  " sum ", " sum ", " e "\n" \
    "add    " sum ", " sum ", r6\n" \
    "ssat   " sum ", #8, " sum ", asr #1\n"

/* The same for a shift that is not negative. r7 is free. */
#define TO_BYTE_LEFT(sum, doubled, shift) \
    "lsl.w  " sum ", " sum ", " shift "\n" \
    "and    r7, " sum ", " doubled ", asr #31\n" \
    "smmlar " sum ", " sum ", " doubled ", r7\n" \
    "add    " sum ", " sum ", r6, asr #1\n" \
    "ssat   " sum ", #8, " sum "\n"

MK_STATIC_ASSERT(offsetof(block, inputs) == 12 && offsetof(block, offset) == 20 && offsetof(block, out) == 24 &&
                     offsetof(block, step1) == 28 && offsetof(block, filters) == 36 && offsetof(block, weights) == 40 &&
                     offsetof(block, entry) == 44,
                 members_are_where_the_assembly_expects_them);

static __attribute__((noinline)) void multiply_pairs(const block *b)
{
    register const block *r0 __asm__("r0") = b;
    /* r7, which may be the frame pointer, is saved here: compilers refuse to. */
    __asm__ volatile(
        "ldm    r0!, {r1, r2, r3, r4, r5, r6, r8, r9, r10}\n"
        "ldm    r0, {r11, r12, lr}\n"
        "add    r11, r11, r8\n"
        "adr.w  r0, 2f\n"
        "add    lr, lr, r0\n"
        /* From sp: 0 bias, 4 multiplier, 8 shift, 12 inputs, 16 their end, 20 offset, 24 r7, 28 out, 32 step1,
         * 36 step2, 40 end of out, 44 address of entry. */
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
        TO_BYTE("r0", "r9", "r8") TO_BYTE("r1", "r9", "r8") TO_BYTE("r2", "r9", "r8")
        "3:\n"
        "mvns   r11, r11\n"
        "bmi    6f\n"
        TO_BYTE("r3", "r10", "r11") TO_BYTE("r4", "r10", "r11") TO_BYTE("r5", "r10", "r11")
        "4:\n"
        "ldrd   r6, r7, [sp, #28]\n"
        "ldr    r8, [sp, #36]\n"
        "strb   r1, [r6, r7]\n"
        "strb   r2, [r6, r8]\n"
        "strb   r0, [r6], #1\n"
        "strb   r4, [r6, r7]\n"
        "strb   r5, [r6, r8]\n"
        "strb   r3, [r6], #1\n"
        "ldr    r7, [sp, #40]\n"
        "str    r6, [sp, #28]\n"
        "cmp    r6, r7\n"
        "bne.w  1b\n"
        "b      7f\n"
        "5:\n"
        "mvn    r8, r8\n"
        TO_BYTE_LEFT("r0", "r9", "r8") TO_BYTE_LEFT("r1", "r9", "r8") TO_BYTE_LEFT("r2", "r9", "r8")
        "b      3b\n"
        "6:\n"
        "mvn    r11, r11\n"
        TO_BYTE_LEFT("r3", "r10", "r11") TO_BYTE_LEFT("r4", "r10", "r11") TO_BYTE_LEFT("r5", "r10", "r11")
        "b      4b\n"
        "7:\n"
        "ldr    r7, [sp, #24]\n"
        "add    sp, sp, #48\n"
        : "+r"(r0)
        :
        : "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
}

/* Expands `words` words of each of three runs of bytes; where it ends. */
static inline uint32_t *expand_words(const int8_t *const sources[PIXELS], uint32_t words, uint32_t *out)
{
    const int8_t *a = sources[0], *b = sources[1], *c = sources[2];
    /* Where there is a frame pointer, compilers for cores with Helium do not find this register by themselves. */
    register uint32_t *to __asm__("r12") = out;
    __asm__ volatile(
        "1:\n"
        "ldr    r8, [%0], #4\n"
        "ldr    r9, [%1], #4\n"
        "ldr    r10, [%2], #4\n"
        "sxtb16 r4, r8\n"
        "sxtb16 r5, r9\n"
        "sxtb16 r6, r10\n"
        "sxtb16 r8, r8, ror #8\n"
        "sxtb16 r9, r9, ror #8\n"
        "sxtb16 r10, r10, ror #8\n"
        "subs   %3, %3, #1\n"
        "stm    %4!, {r4, r5, r6, r8, r9, r10}\n"
        "bne    1b\n"
        : "+r"(a), "+r"(b), "+r"(c), "+r"(words), "+r"(to)
        :
        : "r4", "r5", "r6", "r8", "r9", "r10", "cc", "memory");
    return to;
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
        for (uint32_t i = 0; i < 2; ++i) {
            const uint32_t doubled = (uint32_t)b->multiplier[channel + i] << 1;
            const int shift = b->shift[channel + i];
            int8_t *out = b->out + channel + i;
            out[b->step1] = mk_requantize_to_byte(sums[i][1], doubled, shift, b->offset);
            out[b->step2] = mk_requantize_to_byte(sums[i][2], doubled, shift, b->offset);
            *out = mk_requantize_to_byte(sums[i][0], doubled, shift, b->offset);
        }
    }
}

static uint32_t *expand_words(const int8_t *const sources[PIXELS], uint32_t words, uint32_t *out)
{
    for (uint32_t word = 0; word < words; ++word, out += WORDS_OF_FOUR_TAPS) {
        for (uint32_t i = 0; i < PIXELS; ++i) {
            const uint32_t four = mk_load_word(sources[i] + 4 * word);
            out[i] = mk_extend_even(four);
            out[PIXELS + i] = mk_extend_odd(four);
        }
    }
    return out;
}

#endif

/* Expands `count` bytes of each of three runs of bytes, with zeros behind those that fill no word; where it ends. */
static uint32_t *expand(const int8_t *const sources[PIXELS], uint32_t count, uint32_t *out)
{
    const uint32_t words = count / 4, left = count % 4;
    if (words != 0) {
        out = expand_words(sources, words, out);
    }
    if (left != 0) {
        for (uint32_t i = 0; i < PIXELS; ++i) {
            const uint32_t last = mk_load_part_of_word(sources[i] + 4 * words, left);
            out[i] = mk_extend_even(last);
            out[PIXELS + i] = mk_extend_odd(last);
        }
        out += WORDS_OF_FOUR_TAPS;
    }
    return out;
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

/* A copy of a row of a window that is not inside the map or whose columns are not side by side. */
static __attribute__((noinline)) const int8_t *copy_row(const shape *s, int32_t y, int32_t left, uint32_t group,
                                                        int8_t *copy)
{
    const mk_map *input = s->input;
    if (!mk_has_row(input, y)) {
        memset(copy, s->params->input_zero_point, s->segment);
        return copy;
    }
    const int8_t *row = mk_row(input, y) + group * s->depth;
    int8_t *out = copy;
    for (uint32_t i = 0; i < s->params->window.kernel_width; ++i, out += s->depth) {
        const int32_t x = left + (int32_t)(i * s->params->window.dilation_x);
        if (x < 0 || x >= input->width) {
            memset(out, s->params->input_zero_point, s->depth);
        } else {
            mk_copy_bytes(out, row + (uint32_t)(x - input->first_column) * input->channels, s->depth);
        }
    }
    return copy;
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

/* All output channels of one group of the first pixel alone. */
static __attribute__((noinline)) void multiply_one_pixel(const block *b, uint32_t filters)
{
    const uint32_t step = (uint32_t)(b->inputs_end - b->inputs) / PIXELS * 4;
    const int8_t *w = b->weights;
    for (uint32_t channel = 0; channel < filters; channel += 4, w += 2 * step) {
        const uint32_t count = filters - channel < 4 ? filters - channel : 4;
        int32_t sums[4] = {0, 0, 0, 0};
        sum_one_pixel(b, w, step, count, sums);
        for (uint32_t i = channel; i < channel + count; ++i) {
            const uint32_t doubled = (uint32_t)b->multiplier[i] << 1;
            b->out[i] = mk_requantize_to_byte(b->bias[i] + sums[i - channel], doubled, b->shift[i], b->offset);
        }
    }
}

/* One row of three windows, each where it lies or, at `copies` and every `step` bytes on, as a copy. */
static inline void window_rows(const shape *s, const windows *at, int32_t below, uint32_t group, int8_t *copies,
                               uint32_t step, const int8_t *sources[PIXELS])
{
    if (at->pixels == NULL) {
        const int32_t y = at->top + below;
        if (!mk_has_row(s->input, y)) {
            sources[0] = sources[1] = sources[2] = copy_row(s, y, 0, group, copies);
            return;
        }
        const int8_t *row = mk_row(s->input, y) + at->offset + group * s->depth;
        sources[0] = row;
        sources[1] = row + s->step;
        sources[2] = row + 2 * s->step;
        return;
    }
    for (uint32_t i = 0; i < PIXELS; ++i, copies += step) {
        const int32_t y = at->pixels[i].top + below, left = at->pixels[i].left;
        if ((uint32_t)left < s->inner_columns && mk_has_row(s->input, y)) {
            const int32_t column = left - s->input->first_column;
            sources[i] = mk_row(s->input, y) + column * (int32_t)s->input->channels + group * s->depth;
        } else {
            sources[i] = copy_row(s, y, left, group, copies);
        }
    }
}

/* Copies three runs of bytes to places that are `step` bytes apart; a run may be there already. */
static inline void copy_three(const int8_t *const sources[PIXELS], uint32_t count, int8_t *to, uint32_t step)
{
    const int8_t *a = sources[0], *b = sources[1], *c = sources[2];
    if (count < 4) {
        for (uint32_t i = 0; i < count; ++i, ++to) {
            to[0] = a[i];
            to[step] = b[i];
            to[2 * step] = c[i];
        }
        return;
    }
    /* The last word may overlap the one before it. */
    for (uint32_t i = 0;; i = i + 8 <= count ? i + 4 : count - 4) {
        mk_store_word(to + i, mk_load_word(a + i));
        mk_store_word(to + i + step, mk_load_word(b + i));
        mk_store_word(to + i + 2 * step, mk_load_word(c + i));
        if (i + 4 == count) {
            return;
        }
    }
}

/*
 * Expands windows whose rows don't fill words: all rows of each are copied one behind the other before. What stands
 * behind a window up to a whole word does not matter, because the weights are zero there.
 */
static __attribute__((noinline)) void gather_copies(const shape *s, const windows *at, uint32_t group, uint32_t *out)
{
    const mk_window *w = &s->params->window;
    const uint32_t window_bytes = (s->taps + 3) / 4 * 4;
    const int8_t *sources[PIXELS];
    int8_t *copies = s->copies;
    int32_t below = 0;
    for (uint32_t row = w->kernel_height; row != 0; --row, below += w->dilation_y, copies += s->segment) {
        window_rows(s, at, below, group, copies, window_bytes, sources);
        copy_three(sources, s->segment, copies, window_bytes);
    }
    for (uint32_t i = 0; i < PIXELS; ++i) {
        sources[i] = s->copies + i * window_bytes;
    }
    expand_words(sources, window_bytes / 4, out);
}

/* Expands the windows of three pixels. */
static inline void gather(const shape *s, const windows *at, uint32_t group, uint32_t *out)
{
    const mk_window *w = &s->params->window;
    const uint32_t row_bytes = (s->segment + 3) / 4 * 4;
    const int8_t *sources[PIXELS];
    int32_t below = 0;
    for (uint32_t row = w->kernel_height; row != 0; --row, below += w->dilation_y) {
        window_rows(s, at, below, group, s->copies, row_bytes, sources);
        out = expand(sources, s->segment, out);
    }
}

/* All output channels of three pixels, or of one. b: of the first group, with the places of its outputs. */
static __attribute__((noinline)) void compute(const shape *s, const windows *at, const block *b, bool is_one)
{
    block other;
    for (uint32_t group = 0;; b = &other) {
        if (s->is_copied_whole) {
            gather_copies(s, at, group, b->inputs);
        } else {
            gather(s, at, group, b->inputs);
        }
        if (is_one) {
            multiply_one_pixel(b, s->filters);
        } else {
            if (b->filters != 0) {
                multiply_pairs(b);
            }
            if (s->filters != b->filters) {
                multiply_lone_filter(b);
            }
        }
        if (s->is_limited) {
            mk_limit_bytes(b->out, s->filters, s->params->minimum, s->params->maximum);
            mk_limit_bytes(b->out + b->step1, s->filters, s->params->minimum, s->params->maximum);
            mk_limit_bytes(b->out + b->step2, s->filters, s->params->minimum, s->params->maximum);
        }
        if (++group == s->groups) {
            return;
        }
        other = *b;
        other.bias += s->filters;
        other.multiplier += s->filters;
        other.shift += s->filters;
        other.out += s->filters;
        other.weights += MK_CONV2D_S8_WEIGHTS(s->filters, s->taps);
    }
}

/* `count` pixels wherever they are. */
static void compute_pixels(const shape *s, pixel pixels[PIXELS], uint32_t count, block *b)
{
    /* Pixels that are missing are the last one once more. */
    for (uint32_t i = count; i < PIXELS; ++i) {
        pixels[i] = pixels[count - 1];
    }
    const windows at = {pixels, 0, 0};
    b->out = pixels[0].out;
    b->step1 = pixels[1].out - b->out;
    b->step2 = pixels[2].out - b->out;
    compute(s, &at, b, count == 1);
}

/* Three inner pixels side by side. */
static inline void compute_inner(const shape *s, const pixel *first, uint32_t out_step, block *b)
{
    const int32_t column = first->left - s->input->first_column;
    const windows at = {NULL, first->top, column * (int32_t)s->input->channels};
    b->out = first->out;
    b->step1 = (ptrdiff_t)out_step;
    b->step2 = (ptrdiff_t)(2 * out_step);
    compute(s, &at, b, false);
}

static shape shape_of(const mk_conv2d_s8_params *p, const mk_map *input, const mk_map *output, uint32_t *scratch)
{
    const mk_window *w = &p->window;
    shape s = {.params = p, .input = input, .groups = p->groups};
    s.depth = input->channels / (uint32_t)p->groups;
    s.segment = w->kernel_width * s.depth;
    s.taps = w->kernel_height * s.segment;
    s.filters = output->channels / (uint32_t)p->groups;
    s.copies = (int8_t *)(scratch + (s.taps + 3) / 4 * WORDS_OF_FOUR_TAPS);
    s.step = (uint32_t)w->stride_x * input->channels;
    const bool side_by_side = w->kernel_width == 1 || (w->dilation_x == 1 && p->groups == 1);
    const int32_t reach = (w->kernel_width - 1) * (int32_t)w->dilation_x;
    s.inner_columns = side_by_side && reach < input->width ? (uint32_t)(input->width - reach) : 0;
    s.is_copied_whole = s.segment % 4 != 0 && w->kernel_height != 1;
    s.is_limited = p->minimum > -128 || p->maximum < 127;
    return s;
}

static block block_of(const shape *s, uint32_t *scratch)
{
    const mk_conv2d_s8_params *p = s->params;
    const uint32_t four_taps = (s->taps + 3) / 4;
    block b = {.bias = p->bias, .multiplier = p->multiplier, .shift = p->shift, .weights = p->weights};
    b.inputs = scratch;
    b.inputs_end = scratch + four_taps * WORDS_OF_FOUR_TAPS;
    b.offset = 2 * p->output_zero_point + 1;
    b.filters = s->filters / 2 * 2;
    /* The loop takes 32 taps a turn, the first four apart; where there are no others it is entered at its end. */
    b.entry = (four_taps == 1 ? 8 : (8 - (four_taps - 1) % 8) % 8) * BYTES_OF_FOUR_TAPS + 1;
    return b;
}

void mk_conv2d_s8_dsp(const mk_conv2d_s8_dsp_params *params, const mk_map *input, const mk_map *output,
                      uint16_t first_row, uint16_t last_row, void *scratch)
{
    const mk_window *w = &params->window;
    const shape s = shape_of(params, input, output, scratch);
    block b = block_of(&s, scratch);
    const int32_t stride = w->stride_x;
    pixel pixels[PIXELS];
    uint32_t count = 0;
    for (int32_t y = first_row; y < last_row; ++y) {
        pixel next = {mk_row(output, y), y * w->stride_y - w->pad_top, output->first_column * stride - w->pad_left};
        for (uint32_t left = output->columns; left != 0;) {
            const bool are_inner = (uint32_t)next.left < s.inner_columns &&
                                   (uint32_t)(next.left + (PIXELS - 1) * stride) < s.inner_columns;
            if (count == 0 && left >= PIXELS && are_inner) {
                compute_inner(&s, &next, output->channels, &b);
                next.out += PIXELS * output->channels;
                next.left += PIXELS * stride;
                left -= PIXELS;
                continue;
            }
            pixels[count++] = next;
            next.out += output->channels;
            next.left += stride;
            --left;
            if (count == PIXELS) {
                compute_pixels(&s, pixels, PIXELS, &b);
                count = 0;
            }
        }
        if (count != 0 && (s.groups != 1 || y + 1 == last_row)) {
            compute_pixels(&s, pixels, count, &b);
            count = 0;
        }
    }
}

#endif

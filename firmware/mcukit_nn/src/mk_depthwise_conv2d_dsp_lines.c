/* SPDX-License-Identifier: Apache-2.0 */
/* Outputs of depthwise 3x3 convolutions with DSP instructions, channel by channel: mk_depthwise_conv2d_dsp.h. */
#include "mk_depthwise_conv2d_dsp.h"

#if MK_DSP

/* `count` channels of one pixel, or of two that are `step` bytes apart. bits: a constant where this is inlined. */
static inline void pack_pair(const uint32_t *words, uint32_t count, bool is_one, uint32_t step, uint32_t bits,
                             int8_t *out)
{
    uint32_t both = words[0];
    for (uint32_t k = 1; k < count; ++k) {
        both |= words[k] << k * bits;
    }
    for (uint32_t i = 0; i < (count * bits + 7) / 8; ++i) {
        out[i] = (int8_t)(uint8_t)(both >> 8 * i);
        if (!is_one) {
            out[step + i] = (int8_t)(uint8_t)(both >> (16 + 8 * i));
        }
    }
}

#if MK_DSP_INSTRUCTIONS

MK_STATIC_ASSERT(offsetof(mk_depthwise_lines, out) == 4 && offsetof(mk_depthwise_lines, fours_end) == 8 &&
                     offsetof(mk_depthwise_lines, step) == 12 && offsetof(mk_depthwise_lines, end) == 16 &&
                     offsetof(mk_depthwise_lines, odd) == 20 && offsetof(mk_depthwise_lines, has_twos) == 24 &&
                     offsetof(mk_depthwise_lines, count) == 28 && offsetof(mk_depthwise_lines, channels) == 32 &&
                     offsetof(mk_depthwise_channel, multiplier) == 20 &&
                     offsetof(mk_depthwise_channel, offset) == 24 && offsetof(mk_depthwise_channel, right) == 28 &&
                     offsetof(mk_depthwise_channel, bias) == 32 && sizeof(mk_depthwise_channel) == 36,
                 members_are_where_the_assembly_expects_them);

/*
 * r0 to r3 are the sums of neighbouring outputs, r3 the bias before it is the last sum; r4, r12 and lr a record and
 * then factors; r5 to r9 weights, r10 records, r11 out. From sp: 0 multiplier, 4 offset, 8 right, 12 bias; 16 the end
 * of turns of four outputs, 20 step, 24 end; 28 records and 32 out of the next channel; 36 that channel, 40 where
 * channels end; 44 whether there are turns of two; 48 odd, negative while that output is computed; 52 step, 56 r7,
 * which may be the frame pointer. next_line: bytes from the outputs of a channel to those of the next.
 */
#define BEGIN_LINES \
    "sub    sp, sp, #64\n" \
    "str    r7, [sp, #56]\n" \
    "ldm    r0!, {r1, r2, r3, r4, r5, r6, r7, r8}\n" \
    "mov    r9, #36\n" \
    "mla    r8, r8, r9, r0\n" \
    "sub    r3, r3, #12\n" \
    "sub    r5, r5, #12\n" \
    "strd   r3, r4, [sp, #16]\n" \
    "strd   r5, r1, [sp, #24]\n" \
    "str    r2, [sp, #32]\n" \
    "strd   r8, r7, [sp, #40]\n" \
    "strd   r6, r4, [sp, #48]\n"
#define BEGIN_LINE(next_line) \
    "1:\n" \
    "ldm    r0!, {r5, r6, r7, r8, r9}\n" \
    "ldm    r0!, {r1, r2, r3, r4}\n" \
    "stm    sp, {r1, r2, r3, r4}\n" \
    "str    r0, [sp, #36]\n" \
    "add    r0, sp, #16\n" \
    "ldm    r0, {r2, r3, r4, r10, r11}\n" \
    "adds   r2, r2, #12\n" \
    "adds   r4, r4, #12\n" \
    "add    r12, r10, #12\n" \
    "add    lr, r11, #" next_line "\n" \
    "stm    r0, {r2, r3, r4, r12, lr}\n"

/* Sums of two outputs side by side: what one record of two columns and what the next one adds. */
#define BEGIN_BOTH(a, b) \
    "smlad  " a ", r4, r5, r3\n" \
    "smlad  " a ", r12, r6, " a "\n" \
    "smlad  " a ", lr, r8, " a "\n" \
    "smlad  " b ", r12, r5, r3\n" \
    "smlatb " b ", lr, r8, " b "\n"
#define END_BOTH(a, b) \
    "smlad  " a ", r4, r7, " a "\n" \
    "smlabt " a ", lr, r9, " a "\n" \
    "smlad  " b ", r4, r6, " b "\n" \
    "smlad  " b ", r12, r7, " b "\n" \
    "smlad  " b ", lr, r9, " b "\n"

/* The same of one output, where records have no more than their column in common. */
#define BEGIN_ONE(a) \
    "smlad  " a ", r4, r5, r3\n" \
    "smlad  " a ", r12, r6, " a "\n" \
    "smlad  " a ", lr, r8, " a "\n"
#define END_ONE(a) \
    "smlad  " a ", r4, r7, " a "\n" \
    "smlabt " a ", lr, r9, " a "\n"

#define FIRST_RECORD \
    "ldr    r3, [sp, #12]\n" \
    "ldm    r10, {r4, r12, lr}\n"
#define NEXT_RECORD \
    "add    r10, r10, #48\n" \
    "ldm    r10, {r4, r12, lr}\n"

/* Sums of two and of four outputs. The bias is in the register of the last one: its sum begins last. */
#define TWO_WITH_STRIDE_1 FIRST_RECORD BEGIN_BOTH("r0", "r1") NEXT_RECORD END_BOTH("r0", "r1")
#define FOUR_WITH_STRIDE_1 TWO_WITH_STRIDE_1 BEGIN_BOTH("r2", "r3") NEXT_RECORD END_BOTH("r2", "r3")
#define TWO_WITH_STRIDE_2 \
    FIRST_RECORD BEGIN_ONE("r0") NEXT_RECORD END_ONE("r0") BEGIN_ONE("r1") NEXT_RECORD END_ONE("r1")
#define FOUR_WITH_STRIDE_2 \
    TWO_WITH_STRIDE_2 BEGIN_ONE("r2") NEXT_RECORD END_ONE("r2") BEGIN_ONE("r3") NEXT_RECORD END_ONE("r3")

#define EACH_OF_2(f) f("r0") f("r1")
#define EACH_OF_4(f) EACH_OF_2(f) f("r2") f("r3")

/* Outputs of sums; `each`: EACH_OF_2 or EACH_OF_4. */
#define FACTORS "ldm    sp, {r4, r12, lr}\n"
#define MULTIPLY_FAST(sum) "smmla  " sum ", " sum ", r4, r12\n"
#define FINISH_FAST(each, saturate) FACTORS each(MULTIPLY_FAST) each(saturate##_SHIFTED_BY_10)

/* mk_requantize_to_byte or the same to a field, for shifts to the right and to the left. */
#define MULTIPLY(sum) "smmlar " sum ", " sum ", r4, " sum "\n"
#define ROUND_TIES(sum) "add    " sum ", " sum ", " sum ", asr #31\n"
#define SHIFT(sum) "asr    " sum ", " sum ", lr\n"
#define ADD_OFFSET(sum) "add    " sum ", " sum ", r12\n"
#define FINISH_RIGHT(each, saturate) \
    FACTORS each(MULTIPLY) each(ROUND_TIES) each(SHIFT) each(ADD_OFFSET) each(saturate##_SHIFTED_BY_1)
#define MULTIPLY_LEFT(sum) \
    "lsl    " sum ", " sum ", lr\n" \
    "and    r12, " sum ", r4, asr #31\n" \
    "smmlar " sum ", " sum ", r4, r12\n"
#define ADD_HALF_OFFSET(sum) "add    " sum ", " sum ", r12, asr #1\n"
#define FINISH_LEFT(each, saturate) \
    FACTORS \
    "mvn    lr, lr\n" \
    each(MULTIPLY_LEFT) \
    "ldr    r12, [sp, #4]\n" \
    each(ADD_HALF_OFFSET) each(saturate)

#define TO_BYTE(sum) "ssat   " sum ", #8, " sum "\n"
#define TO_BYTE_SHIFTED_BY_1(sum) "ssat   " sum ", #8, " sum ", asr #1\n"
#define TO_BYTE_SHIFTED_BY_10(sum) "ssat   " sum ", #8, " sum ", asr #10\n"
#define TO_4_BITS(sum) "usat   " sum ", #4, " sum "\n"
#define TO_4_BITS_SHIFTED_BY_1(sum) "usat   " sum ", #4, " sum ", asr #1\n"
#define TO_4_BITS_SHIFTED_BY_10(sum) "usat   " sum ", #4, " sum ", asr #10\n"
#define TO_2_BITS(sum) "usat   " sum ", #2, " sum "\n"
#define TO_2_BITS_SHIFTED_BY_1(sum) "usat   " sum ", #2, " sum ", asr #1\n"
#define TO_2_BITS_SHIFTED_BY_10(sum) "usat   " sum ", #2, " sum ", asr #10\n"

/* lr: of those that finish fast, three steps. */
#define STORE_4_BYTES_FAST \
    "ldrd   r4, r12, [sp, #16]\n" \
    "strb   r0, [r11]\n" \
    "strb   r1, [r11, r12]\n" \
    "strb   r2, [r11, r12, lsl #1]\n" \
    "strb   r3, [r11, lr]\n" \
    "add    r11, r11, r12, lsl #2\n"
#define STORE_4_BYTES \
    "ldrd   r4, r12, [sp, #16]\n" \
    "strb   r0, [r11]\n" \
    "strb   r1, [r11, r12]\n" \
    "add    r11, r11, r12, lsl #1\n" \
    "strb   r2, [r11]\n" \
    "strb   r3, [r11, r12]\n" \
    "add    r11, r11, r12, lsl #1\n"

/* The lone last output is stored over the one behind it. */
#define STORE_2_BYTES \
    "ldrd   r12, r4, [sp, #20]\n" \
    "strb   r1, [r11, r12]\n" \
    "strb   r0, [r11]\n" \
    "add    r11, r11, r12, lsl #1\n"

/* A lone last output has another one beside it, which nobody reads. */
#define STORE_4_FIELDS \
    "ldr    r4, [sp, #16]\n" \
    "pkhbt  r0, r0, r1, lsl #16\n" \
    "pkhbt  r2, r2, r3, lsl #16\n" \
    "str    r0, [r11], #16\n" \
    "str    r2, [r11], #16\n"
#define STORE_4_FIELDS_FAST STORE_4_FIELDS
#define STORE_2_FIELDS \
    "ldr    r4, [sp, #24]\n" \
    "pkhbt  r0, r0, r1, lsl #16\n" \
    "str    r0, [r11], #16\n"

/* Outputs of one channel by turns of four, and then by turns of two. r2: where turns of four end. */
#define FOURS(products, finish, saturate, store) \
    "cmp    r10, r2\n" \
    "beq    3f\n" \
    "2:\n" products finish(EACH_OF_4, saturate) store \
    "cmp    r10, r4\n" \
    "bne    2b\n" \
    "ldr    r2, [sp, #44]\n" \
    "cmp    r2, #0\n" \
    "beq    4f\n" \
    "3:\n"
#define TWOS(products, finish, saturate, store) \
    "ldr    r4, [sp, #24]\n" \
    "cmp    r10, r4\n" \
    "beq    3f\n" \
    "2:\n" products finish(EACH_OF_2, saturate) store \
    "cmp    r10, r4\n" \
    "blo    2b\n" \
    "3:\n" \
    "ldr    r2, [sp, #48]\n" \
    "cmp    r2, #0\n" \
    "beq    4f\n" \
    "rsbs   r2, r2, #0\n" \
    "str    r2, [sp, #48]\n" \
    "ite    mi\n" \
    "movmi  r3, #0\n" \
    "ldrpl  r3, [sp, #52]\n" \
    "str    r3, [sp, #20]\n" \
    "bmi    2b\n"

#define LINES(stride, next_line, saturate, kind) \
    BEGIN_LINES \
    BEGIN_LINE(next_line) \
    "cmp    r1, #0\n" \
    "ble    5f\n" \
    FOURS(FOUR_WITH_STRIDE_##stride, FINISH_FAST, saturate, STORE_4_##kind##_FAST) \
    TWOS(TWO_WITH_STRIDE_##stride, FINISH_FAST, saturate, STORE_2_##kind) \
    "b      4f\n" \
    "5:\n" \
    "ldr    r3, [sp, #8]\n" \
    "cmp    r3, #0\n" \
    "blt    6f\n" \
    FOURS(FOUR_WITH_STRIDE_##stride, FINISH_RIGHT, saturate, STORE_4_##kind) \
    TWOS(TWO_WITH_STRIDE_##stride, FINISH_RIGHT, saturate, STORE_2_##kind) \
    "b      4f\n" \
    "6:\n" \
    TWOS(TWO_WITH_STRIDE_##stride, FINISH_LEFT, saturate, STORE_2_##kind) \
    "4:\n" \
    "ldrd   r0, r1, [sp, #36]\n" \
    "cmp    r0, r1\n" \
    "bne    1b\n" \
    "ldr    r7, [sp, #56]\n" \
    "add    sp, sp, #64\n"

#define LINE_CLOBBERS \
    "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory"

#define COMPUTE(bits, stride, next_line, saturate, kind) \
    static void compute_##bits##_with_stride_##stride(const mk_depthwise_lines *l) \
    { \
        register const mk_depthwise_lines *r0 __asm__("r0") = l; \
        __asm__ volatile(LINES(stride, next_line, saturate, kind) : "+r"(r0) : : LINE_CLOBBERS); \
    }
#define COMPUTE_BITS(bits, next_line, saturate, kind) \
    COMPUTE(bits, 1, next_line, saturate, kind) \
    COMPUTE(bits, 2, next_line, saturate, kind)

COMPUTE_BITS(8, "1", TO_BYTE, BYTES)
COMPUTE_BITS(4, "4", TO_4_BITS, FIELDS)
COMPUTE_BITS(2, "4", TO_2_BITS, FIELDS)

/* The next two pixels, all four channels of them, into r4, one in each half. */
#define PACK_TWO(bits, two_fields) \
    "ldm    %0!, {r4, r5, r6, r8}\n" \
    "orr    r4, r4, r5, lsl #" bits "\n" \
    "orr    r6, r6, r8, lsl #" bits "\n" \
    "orr    r4, r4, r6, lsl #" two_fields "\n"

/* Packs two pixels at a time, by turns of four pixels, and then two more; where it ends. */
#define PACK_PAIRS(name, bits, two_fields, store) \
    static inline int8_t *name(const uint32_t *words, uint32_t pairs, uint32_t step, int8_t *out) \
    { \
        const uint32_t *const end = words + MK_DEPTHWISE_DSP_CHANNELS * pairs; \
        __asm__ volatile("lsls   r4, %4, #31\n" \
                         "bne    2f\n" \
                         "1:\n" PACK_TWO(bits, two_fields) \
                         store " r4, [%1]\n" \
                         "lsr    r4, r4, #16\n" \
                         store " r4, [%1, %2]\n" \
                         "add    %1, %1, %2, lsl #1\n" \
                         "2:\n" PACK_TWO(bits, two_fields) \
                         store " r4, [%1]\n" \
                         "lsr    r4, r4, #16\n" \
                         store " r4, [%1, %2]\n" \
                         "add    %1, %1, %2, lsl #1\n" \
                         "cmp    %0, %3\n" \
                         "bne    1b\n" \
                         : "+r"(words), "+r"(out) \
                         : "r"(step), "r"(end), "r"(pairs) \
                         : "r4", "r5", "r6", "r8", "cc", "memory"); \
        return out; \
    }

PACK_PAIRS(pack_pairs_4, "4", "8", "strh  ")
PACK_PAIRS(pack_pairs_2, "2", "4", "strb  ")

#else

typedef struct turn {
    int32_t first, second;
} turn;

/* Sums of the two outputs of a turn, whose first record is `r`. */
static turn sum_turn(const mk_depthwise_channel *c, const mk_depthwise_record *r, uint32_t stride)
{
    const uint32_t *w = c->weights;
    const mk_depthwise_record *const next = r + MK_DEPTHWISE_DSP_CHANNELS;
    turn t = {c->bias, c->bias};
    t.first = mk_multiply_pairs(r->first, w[0], t.first);
    t.first = mk_multiply_pairs(r->second, w[1], t.first);
    t.first = mk_multiply_pairs(next->first, w[2], t.first);
    t.first = mk_multiply_pairs(r->last_row, w[3], t.first);
    t.first = mk_multiply_low_high(next->last_row, w[4], t.first);
    if (stride == 1) {
        t.second = mk_multiply_pairs(r->second, w[0], t.second);
        t.second = mk_multiply_pairs(next->first, w[1], t.second);
        t.second = mk_multiply_pairs(next->second, w[2], t.second);
        t.second = mk_multiply_high_low(r->last_row, w[3], t.second);
        t.second = mk_multiply_pairs(next->last_row, w[4], t.second);
    } else {
        const mk_depthwise_record *const last = next + MK_DEPTHWISE_DSP_CHANNELS;
        t.second = mk_multiply_pairs(next->first, w[0], t.second);
        t.second = mk_multiply_pairs(next->second, w[1], t.second);
        t.second = mk_multiply_pairs(last->first, w[2], t.second);
        t.second = mk_multiply_pairs(next->last_row, w[3], t.second);
        t.second = mk_multiply_low_high(last->last_row, w[4], t.second);
    }
    return t;
}

/* The output of a sum, but for its saturation. */
static int32_t finish(const mk_depthwise_channel *c, int32_t sum)
{
    if (c->multiplier > 0) {
        return ((int32_t)(((int64_t)sum * c->multiplier) >> 32) + c->offset) >> MK_DEPTHWISE_FAST_SHIFT;
    }
    return mk_requantize_twice(sum, (uint32_t)c->multiplier, -c->right - 1, c->offset) >> 1;
}

static void compute_bytes(const mk_depthwise_lines *l, uint32_t stride)
{
    for (uint32_t k = 0; k < l->count; ++k) {
        const mk_depthwise_channel *c = &l->channels[k];
        const uint32_t step = stride * MK_DEPTHWISE_DSP_CHANNELS;
        const mk_depthwise_record *r = l->records + k, *const end = l->end + k;
        int8_t *out = l->out + k;
        for (; r != end; r += step, out += 2 * l->step) {
            const turn t = sum_turn(c, r, stride);
            /* A lone output is stored over the one behind it. */
            out[l->step] = (int8_t)mk_to_byte(finish(c, t.second));
            *out = (int8_t)mk_to_byte(finish(c, t.first));
        }
        if (l->odd != 0) {
            *out = (int8_t)mk_to_byte(finish(c, sum_turn(c, r, stride).first));
        }
    }
}

static void compute_fields(const mk_depthwise_lines *l, uint32_t stride, uint32_t bits)
{
    for (uint32_t k = 0; k < l->count; ++k) {
        const mk_depthwise_channel *c = &l->channels[k];
        const uint32_t step = stride * MK_DEPTHWISE_DSP_CHANNELS;
        const mk_depthwise_record *r = l->records + k, *const end = l->end + k;
        for (int8_t *out = l->out + k * sizeof(uint32_t); r != end; r += step, out += 4 * sizeof(uint32_t)) {
            const turn t = sum_turn(c, r, stride);
            const int32_t most = (1 << bits) - 1;
            const uint32_t first = (uint32_t)mk_clamp(finish(c, t.first), 0, most);
            const uint32_t second = (uint32_t)mk_clamp(finish(c, t.second), 0, most);
            mk_store_word(out, mk_low_halves(first, second));
        }
    }
}

#define COMPUTE_BITS(bits, compute) \
    static void compute_##bits##_with_stride_1(const mk_depthwise_lines *l) \
    { \
        compute(l, 1); \
    } \
    static void compute_##bits##_with_stride_2(const mk_depthwise_lines *l) \
    { \
        compute(l, 2); \
    }

#define COMPUTE_4(l, stride) compute_fields(l, stride, 4)
#define COMPUTE_2(l, stride) compute_fields(l, stride, 2)

COMPUTE_BITS(8, compute_bytes)
COMPUTE_BITS(4, COMPUTE_4)
COMPUTE_BITS(2, COMPUTE_2)

#define PACK_PAIRS(name, bits) \
    static int8_t *name(const uint32_t *words, uint32_t pairs, uint32_t step, int8_t *out) \
    { \
        for (; pairs != 0; --pairs, words += MK_DEPTHWISE_DSP_CHANNELS, out += 2 * step) { \
            pack_pair(words, MK_DEPTHWISE_DSP_CHANNELS, false, step, bits, out); \
        } \
        return out; \
    }

PACK_PAIRS(pack_pairs_4, 4)
PACK_PAIRS(pack_pairs_2, 2)

#endif

mk_depthwise_computers mk_depthwise_compute_8 = {compute_8_with_stride_1, compute_8_with_stride_2};
mk_depthwise_computers mk_depthwise_compute_4 = {compute_4_with_stride_1, compute_4_with_stride_2};
mk_depthwise_computers mk_depthwise_compute_2 = {compute_2_with_stride_1, compute_2_with_stride_2};

#define PACK(bits) \
    static __attribute__((noinline)) void pack_few_##bits(const uint32_t *words, uint32_t count, uint32_t pixels, \
                                                          uint32_t step, int8_t *out) \
    { \
        for (uint32_t i = 0; i < pixels; i += 2, words += MK_DEPTHWISE_DSP_CHANNELS, out += 2 * step) { \
            pack_pair(words, count, i + 1 == pixels, step, bits, out); \
        } \
    } \
    void mk_depthwise_pack_##bits(const uint32_t *words, uint32_t count, uint32_t pixels, uint32_t step, int8_t *out) \
    { \
        if (count < MK_DEPTHWISE_DSP_CHANNELS) { \
            pack_few_##bits(words, count, pixels, step, out); \
            return; \
        } \
        if (pixels >= 2) { \
            out = pack_pairs_##bits(words, pixels / 2, step, out); \
        } \
        if (pixels % 2 != 0) { \
            words += pixels / 2 * MK_DEPTHWISE_DSP_CHANNELS; \
            pack_pair(words, MK_DEPTHWISE_DSP_CHANNELS, true, step, bits, out); \
        } \
    }

PACK(4)
PACK(2)

#endif

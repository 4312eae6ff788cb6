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

MK_STATIC_ASSERT(offsetof(mk_depthwise_lines, out) == 8 && offsetof(mk_depthwise_lines, step) == 12 &&
                     offsetof(mk_depthwise_lines, offset) == 16 && offsetof(mk_depthwise_lines, odd) == 20 &&
                     offsetof(mk_depthwise_lines, count) == 24 && offsetof(mk_depthwise_lines, channels) == 28 &&
                     offsetof(mk_depthwise_channel, bias) == 20 && offsetof(mk_depthwise_channel, doubled) == 24 &&
                     sizeof(mk_depthwise_channel) == 32,
                 members_are_where_the_assembly_expects_them);

/*
 * r0 and r1 are the sums of two neighbouring outputs, r2 to r4 a record, r5 to r9 weights, r10 records, r11 out, r12
 * step, lr offset. From sp: 0 bias, 4 doubled, 8 right, 12 end, 16 whether an odd output is to come; and for the next
 * channel: 20 records, 24 end, 28 out; 32 step, 36 offset, 40 odd, 44 channels left, 48 the next channel, 52 r7, which
 * may be the frame pointer. next_line: bytes from the outputs of a channel to those of the next.
 */
#define BEGIN_LINE(next_line) \
    "sub    sp, sp, #56\n" \
    "str    r7, [sp, #52]\n" \
    "ldm    r0!, {r1, r2, r3, r4, r5, r6, r7}\n" \
    "add    r8, sp, #20\n" \
    "stm    r8, {r1, r2, r3, r4, r5, r6, r7}\n" \
    "mov    lr, r5\n" \
    "1:\n" \
    "ldm    r0!, {r5, r6, r7, r8, r9}\n" \
    "ldm    r0!, {r1, r2, r3}\n" \
    "str    r0, [sp, #48]\n" \
    "ldrd   r10, r4, [sp, #20]\n" \
    "ldrd   r11, r12, [sp, #28]\n" \
    "ldr    r0, [sp, #40]\n" \
    "stm    sp, {r1, r2, r3, r4}\n" \
    "str    r0, [sp, #16]\n" \
    "add    r0, r10, #12\n" \
    "add    r4, r4, #12\n" \
    "strd   r0, r4, [sp, #20]\n" \
    "add    r0, r11, #" next_line "\n" \
    "str    r0, [sp, #28]\n"

/* mk_requantize_to_byte or the same to a field of both sums, for shifts to the right and to the left. */
#define FINISH(saturate) \
    "ldrd   r2, r3, [sp, #4]\n" \
    "smmlar r0, r0, r2, r0\n" \
    "smmlar r1, r1, r2, r1\n" \
    "add    r0, r0, r0, asr #31\n" \
    "add    r1, r1, r1, asr #31\n" \
    "asrs   r0, r0, r3\n" \
    "asrs   r1, r1, r3\n" \
    "add    r0, r0, lr\n" \
    "add    r1, r1, lr\n" \
    saturate("r0", ", asr #1") \
    saturate("r1", ", asr #1")
#define FINISH_LEFT(saturate) \
    "ldrd   r2, r3, [sp, #4]\n" \
    "mvn    r3, r3\n" \
    "lsls   r0, r0, r3\n" \
    "lsls   r1, r1, r3\n" \
    "and    r3, r0, r2, asr #31\n" \
    "smmlar r0, r0, r2, r3\n" \
    "and    r3, r1, r2, asr #31\n" \
    "smmlar r1, r1, r2, r3\n" \
    "add    r0, r0, lr, asr #1\n" \
    "add    r1, r1, lr, asr #1\n" \
    saturate("r0", "") \
    saturate("r1", "")
#define TO_BYTE(sum, shift) "ssat   " sum ", #8, " sum shift "\n"
#define TO_4_BITS(sum, shift) "usat   " sum ", #4, " sum shift "\n"
#define TO_2_BITS(sum, shift) "usat   " sum ", #2, " sum shift "\n"

/* The next turn of bytes; the lone last output is stored over the one behind it. `bytes`: of the records of a turn. */
#define NEXT_BYTES(bytes, turn) \
    "ldr    r4, [sp, #12]\n" \
    "strb   r1, [r11, r12]\n" \
    "strb   r0, [r11]\n" \
    "add    r11, r11, r12, lsl #1\n" \
    "cmp    r10, r4\n" \
    "bne    " turn "b\n" \
    "ldr    r2, [sp, #16]\n" \
    "cmp    r2, #0\n" \
    "beq.w  4f\n" \
    "movs   r2, #0\n" \
    "str    r2, [sp, #16]\n" \
    "mov    r12, r2\n" \
    "add    r4, r4, #" bytes "\n" \
    "str    r4, [sp, #12]\n" \
    "b      " turn "b\n"

/* The next turn of fields. A lone last output has another one beside it, which nobody reads. */
#define NEXT_FIELDS(bytes, turn) \
    "ldr    r4, [sp, #12]\n" \
    "pkhbt  r0, r0, r1, lsl #16\n" \
    "str    r0, [r11], #16\n" \
    "cmp    r10, r4\n" \
    "bne    " turn "b\n" \
    "b      4f\n"

#define LINES(products, bytes, next_line, saturate, next_turn) \
    BEGIN_LINE(next_line) \
    "cmp    r3, #0\n" \
    "blt    3f\n" \
    "2:\n" products FINISH(saturate) next_turn(bytes, "2") \
    "3:\n" products FINISH_LEFT(saturate) next_turn(bytes, "3") \
    "4:\n" \
    "ldrd   r2, r0, [sp, #44]\n" \
    "subs   r2, r2, #1\n" \
    "str    r2, [sp, #44]\n" \
    "bne.w  1b\n" \
    "ldr    r7, [sp, #52]\n" \
    "add    sp, sp, #56\n"

#define LINE_CLOBBERS \
    "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory"

#define PRODUCTS_OF_STRIDE_1 \
    "ldr    r1, [sp]\n" \
    "ldm    r10, {r2, r3, r4}\n" \
    "smlad  r0, r2, r5, r1\n" \
    "smlad  r1, r3, r5, r1\n" \
    "smlad  r0, r3, r6, r0\n" \
    "smlad  r0, r4, r8, r0\n" \
    "smlatb r1, r4, r8, r1\n" \
    "add    r10, r10, #48\n" \
    "ldm    r10, {r2, r3, r4}\n" \
    "smlad  r0, r2, r7, r0\n" \
    "smlad  r1, r2, r6, r1\n" \
    "smlad  r1, r3, r7, r1\n" \
    "smlabt r0, r4, r9, r0\n" \
    "smlad  r1, r4, r9, r1\n"

#define PRODUCTS_OF_STRIDE_2 \
    "ldr    r1, [sp]\n" \
    "ldm    r10, {r2, r3, r4}\n" \
    "smlad  r0, r2, r5, r1\n" \
    "smlad  r0, r3, r6, r0\n" \
    "smlad  r0, r4, r8, r0\n" \
    "add    r10, r10, #48\n" \
    "ldm    r10, {r2, r3, r4}\n" \
    "smlad  r0, r2, r7, r0\n" \
    "smlad  r1, r2, r5, r1\n" \
    "smlad  r1, r3, r6, r1\n" \
    "smlabt r0, r4, r9, r0\n" \
    "smlad  r1, r4, r8, r1\n" \
    "ldr    r2, [r10, #48]!\n" \
    "ldr    r4, [r10, #8]\n" \
    "smlad  r1, r2, r7, r1\n" \
    "smlabt r1, r4, r9, r1\n"

#define COMPUTE(name, products, bytes, next_line, saturate, next_turn) \
    static void name(const mk_depthwise_lines *l) \
    { \
        register const mk_depthwise_lines *r0 __asm__("r0") = l; \
        __asm__ volatile(LINES(products, bytes, next_line, saturate, next_turn) : "+r"(r0) : : LINE_CLOBBERS); \
    }
#define COMPUTE_BITS(bits, next_line, saturate, next_turn) \
    COMPUTE(compute_##bits##_with_stride_1, PRODUCTS_OF_STRIDE_1, "48", next_line, saturate, next_turn) \
    COMPUTE(compute_##bits##_with_stride_2, PRODUCTS_OF_STRIDE_2, "96", next_line, saturate, next_turn)

COMPUTE_BITS(8, "1", TO_BYTE, NEXT_BYTES)
COMPUTE_BITS(4, "4", TO_4_BITS, NEXT_FIELDS)
COMPUTE_BITS(2, "4", TO_2_BITS, NEXT_FIELDS)

/* Packs two pixels at a time, all four channels of them; where it ends. */
#define PACK_PAIRS(name, bits, two_fields, store) \
    static inline int8_t *name(const uint32_t *words, uint32_t pairs, uint32_t step, int8_t *out) \
    { \
        const uint32_t *const end = words + MK_DEPTHWISE_DSP_CHANNELS * pairs; \
        __asm__ volatile("1:\n" \
                         "ldm    %0!, {r4, r5, r6, r8}\n" \
                         "orr    r4, r4, r5, lsl #" bits "\n" \
                         "orr    r6, r6, r8, lsl #" bits "\n" \
                         "orr    r4, r4, r6, lsl #" two_fields "\n" \
                         store " r4, [%1]\n" \
                         "lsr    r4, r4, #16\n" \
                         store " r4, [%1, %2]\n" \
                         "add    %1, %1, %2, lsl #1\n" \
                         "cmp    %0, %3\n" \
                         "bne    1b\n" \
                         : "+r"(words), "+r"(out) \
                         : "r"(step), "r"(end) \
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
            out[l->step] = mk_requantize_to_byte(t.second, c->doubled, -c->right - 1, l->offset);
            *out = mk_requantize_to_byte(t.first, c->doubled, -c->right - 1, l->offset);
        }
        if (l->odd != 0) {
            *out = mk_requantize_to_byte(sum_turn(c, r, stride).first, c->doubled, -c->right - 1, l->offset);
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
            const int32_t first = mk_requantize_twice(t.first, c->doubled, -c->right - 1, l->offset);
            const int32_t second = mk_requantize_twice(t.second, c->doubled, -c->right - 1, l->offset);
            mk_store_word(out, mk_low_halves(mk_halve_to_field(first, bits), mk_halve_to_field(second, bits)));
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

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addition with DSP instructions: four values at a time, and each in as few instructions as the
 * three roundings of TensorFlow Lite Micro leave.
 */
#include "mk_add_s8_dsp.h"

#include "mk_dsp.h"

#if !MK_DSP

void mk_add_s8_dsp(const mk_add_s8_dsp_params *params, const mk_map *a, const mk_map *b, const mk_map *output,
                   uint16_t first_row, uint16_t last_row)
{
    mk_add_s8(params, a, b, output, first_row, last_row);
}

#else

/*
 * zero: zero point, negative; doubled: 2 * multiplier; right: shift to the right, at least 1. For the output offset is
 * as of mk_requantize_to_byte, and output_right one less than the shift. b, out: from a to the other operand and to
 * the output. The assembly below relies on the order of members.
 */
typedef struct addition {
    const int8_t *a, *end;
    ptrdiff_t b, out;
    int32_t a_zero;
    uint32_t a_doubled;
    int32_t a_right;
    int32_t b_zero;
    uint32_t b_doubled;
    int32_t b_right;
    uint32_t output_doubled;
    int32_t output_right;
    int32_t offset;
} addition;

/*
 * 2 * multiplier, of which 2^32 is left out: adding the value once makes it good. The largest factor, 1/2, comes as
 * 2^30 without a shift; here it is 1 and a shift.
 */
static uint32_t doubled_of(int32_t multiplier, int shift)
{
    return shift < 0 ? (uint32_t)multiplier << 1 : 0;
}

/* The scaled operand: mk_requantize of its distance from the zero point, shifted to the left. */
static inline int32_t scale(int32_t value, int32_t zero, uint32_t doubled, int32_t right)
{
    const int32_t wide = (value + zero) * ((int32_t)1 << MK_SUM_LEFT_SHIFT);
    return mk_rounding_divide(mk_multiply_high_rounded(wide, doubled, wide), right);
}

/* `count` sums one by one. */
static void add_values(const addition *s, const int8_t *a, uint32_t count)
{
    for (; count != 0; --count, ++a) {
        const int32_t sum = scale(*a, s->a_zero, s->a_doubled, s->a_right) +
                            scale(a[s->b], s->b_zero, s->b_doubled, s->b_right);
        /* The output takes the place of an operand or is a map of its own. */
        int8_t *out = (int8_t *)(uintptr_t)((uintptr_t)a + (uintptr_t)s->out);
        *out = mk_requantize_to_byte(sum, s->output_doubled, -s->output_right - 1, s->offset);
    }
}

#if MK_DSP_INSTRUCTIONS

MK_STATIC_ASSERT(offsetof(addition, b) == 8 && offsetof(addition, a_zero) == 16 && offsetof(addition, output_doubled) == 40 &&
                     offsetof(addition, offset) == 48,
                 members_are_where_the_assembly_expects_them);

/*
 * One byte of r11 and r12, the result into that of r11. r0 is a; r1 to r3 a's zero, doubled and right, r4 to r6 b's;
 * r8 and r9 the output's doubled and right, r10 its offset. Shifting to the right leaves the last bit that it shifts
 * out in the carry: adding that rounds.
 */
#define ADD_BYTE(rotation, byte) \
    "sxtab  r7, r1, r11" rotation "\n" \
    "sxtab  lr, r4, r12" rotation "\n" \
    "lsl    r7, r7, #20\n" \
    "lsl    lr, lr, #20\n" \
    "smmlar r7, r7, r2, r7\n" \
    "smmlar lr, lr, r5, lr\n" \
    "add    r7, r7, r7, asr #31\n" \
    "add    lr, lr, lr, asr #31\n" \
    "asrs   r7, r7, r3\n" \
    "adc    r7, r7, #0\n" \
    "asrs   lr, lr, r6\n" \
    "adc    r7, r7, lr\n" \
    "smmlar r7, r7, r8, r7\n" \
    "add    r7, r7, r7, asr #31\n" \
    "asrs   r7, r7, r9\n" \
    "add    r7, r7, r10\n" \
    "ssat   r7, #8, r7, asr #1\n" \
    "bfi    r11, r7, #" byte ", #8\n"

/* Words of four sums, from a to end. */
static __attribute__((noinline)) void add_words(const addition *s)
{
    register const addition *r0 __asm__("r0") = s;
    __asm__ volatile(
        "push   {r7}\n"
        "ldrd   r11, r1, [r0], #8\n"
        "ldrd   r2, r3, [r0], #8\n"
        "push   {r1, r2, r3}\n" /* [sp] end, [sp, #4] b, [sp, #8] out */
        "ldm    r0!, {r1, r2, r3, r4, r5, r6}\n"
        "ldm    r0, {r8, r9, r10}\n"
        "mov    r0, r11\n"
        "1:\n"
        "ldr    r7, [sp, #4]\n"
        "ldr    r12, [r0, r7]\n"
        "ldr    r11, [r0]\n"
        ADD_BYTE("", "0")
        ADD_BYTE(", ror #8", "8")
        ADD_BYTE(", ror #16", "16")
        ADD_BYTE(", ror #24", "24")
        "ldrd   r7, lr, [sp, #4]\n"
        "ldr    r7, [sp]\n"
        "str    r11, [r0, lr]\n"
        "adds   r0, r0, #4\n"
        "cmp    r0, r7\n"
        "bne    1b\n"
        "add    sp, sp, #12\n"
        "pop    {r7}\n"
        : "+r"(r0)
        :
        : "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory");
}

#endif

static void add_row(addition *s, const int8_t *a, const int8_t *b, int8_t *out, uint32_t count)
{
    s->b = (ptrdiff_t)((uintptr_t)b - (uintptr_t)a);
    s->out = (ptrdiff_t)((uintptr_t)out - (uintptr_t)a);
#if MK_DSP_INSTRUCTIONS
    const uint32_t words = count / 4 * 4;
    s->a = a;
    s->end = a + words;
    if (words != 0) {
        add_words(s);
    }
    add_values(s, a + words, count % 4);
#else
    add_values(s, a, count);
#endif
}

void mk_add_s8_dsp(const mk_add_s8_dsp_params *params, const mk_map *a, const mk_map *b, const mk_map *output,
                   uint16_t first_row, uint16_t last_row)
{
    const mk_sum_s8_params *p = params;
    addition s = {
        .a_zero = -p->a_zero_point,
        .a_doubled = doubled_of(p->a_multiplier, p->a_shift),
        .a_right = p->a_shift < 0 ? -p->a_shift : 1,
        .b_zero = -p->b_zero_point,
        .b_doubled = doubled_of(p->b_multiplier, p->b_shift),
        .b_right = p->b_shift < 0 ? -p->b_shift : 1,
        .output_doubled = (uint32_t)p->output_multiplier << 1,
        .output_right = -p->output_shift - 1,
        .offset = 2 * p->output_zero_point + 1,
    };
    const uint32_t count = (uint32_t)output->columns * output->channels;
    for (int32_t y = first_row; y < last_row; ++y) {
        int8_t *out = mk_row(output, y);
        add_row(&s, mk_operand_row(a, output, y).data, mk_operand_row(b, output, y).data, out, count);
        mk_limit_bytes(out, count, p->minimum, p->maximum);
    }
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Records of depthwise 3x3 convolutions with DSP instructions: mk_depthwise_conv2d_dsp.h. */
#include "mk_depthwise_conv2d_dsp.h"

#if MK_DSP

#if MK_DSP_INSTRUCTIONS

MK_STATIC_ASSERT(offsetof(mk_depthwise_strip, out) == 4 && offsetof(mk_depthwise_strip, end) == 8 &&
                     offsetof(mk_depthwise_strip, beyond) == 12 && offsetof(mk_depthwise_strip, has_left) == 16 &&
                     offsetof(mk_depthwise_strip, has_right) == 20 && offsetof(mk_depthwise_strip, odd) == 24,
                 members_are_where_the_assembly_expects_them);

/*
 * Row `row` of a record: its second column into `second`, its first one into `first`. r0 to r2 are the rows, r3 the
 * step, r4 what is beyond. ldr: loads four channels.
 */
#define LOAD_COLUMNS(ldr, row, first, second) \
    ldr " " second ", [" row ", r3]\n" \
    ldr " " first ", [" row "]\n" \
    "add    " row ", " row ", r3, lsl #1\n"
#define LOAD_SECOND(ldr, row, first, second) \
    ldr " " second ", [" row ", r3]\n" \
    "mov    " first ", r4\n" \
    "add    " row ", " row ", r3, lsl #1\n"
#define LOAD_FIRST(ldr, row, first, second) \
    ldr " " first ", [" row "]\n" \
    "mov    " second ", r4\n"
#define LOAD_BEYOND(first, second) \
    "ldr    " first ", [sp, #4]\n" \
    "mov    " second ", " first "\n"

/* Rows that exist, of columns that `load` loads. */
#define ALL_ROWS(load, ldr) load(ldr, "r0", "r5", "r6") load(ldr, "r1", "r7", "r8") load(ldr, "r2", "r9", "r10")
#define LOWER_ROWS(load, ldr) LOAD_BEYOND("r5", "r6") load(ldr, "r1", "r7", "r8") load(ldr, "r2", "r9", "r10")
#define UPPER_ROWS(load, ldr) load(ldr, "r0", "r5", "r6") load(ldr, "r1", "r7", "r8") LOAD_BEYOND("r9", "r10")

/*
 * Channels of 8 bits: 0 and 1 of both rows, or of both columns of the last row, meet in r4, r11 and lr, channels 2 and
 * 3 in r5, r6 and r9.
 */
#define SPLIT_BYTES \
    "pkhbt  r4, r5, r7, lsl #16\n" \
    "pkhbt  r11, r6, r8, lsl #16\n" \
    "pkhbt  lr, r9, r10, lsl #16\n" \
    "pkhtb  r5, r7, r5, asr #16\n" \
    "pkhtb  r6, r8, r6, asr #16\n" \
    "pkhtb  r9, r10, r9, asr #16\n" \
    "sxtb16 r7, r4\n" \
    "sxtb16 r8, r11\n" \
    "sxtb16 r10, lr\n" \
    "stm    r12!, {r7, r8, r10}\n" \
    "sxtb16 r4, r4, ror #8\n" \
    "sxtb16 r11, r11, ror #8\n" \
    "sxtb16 lr, lr, ror #8\n" \
    "stm    r12!, {r4, r11, lr}\n" \
    "sxtb16 r7, r5\n" \
    "sxtb16 r8, r6\n" \
    "sxtb16 r10, r9\n" \
    "stm    r12!, {r7, r8, r10}\n" \
    "sxtb16 r5, r5, ror #8\n" \
    "sxtb16 r6, r6, ror #8\n" \
    "sxtb16 r9, r9, ror #8\n" \
    "stm    r12!, {r5, r6, r9}\n"

/*
 * Fields: all channels of both rows, or of both columns of the last row, meet in r5, r6 and r9, and a mask, r11, takes
 * out one of them at a time.
 */
#define SPLIT_FIELD(shift) \
    "and    r7, r11, r5" shift "\n" \
    "and    r8, r11, r6" shift "\n" \
    "and    r10, r11, r9" shift "\n" \
    "stm    r12!, {r7, r8, r10}\n"
#define SPLIT_FIELDS(shift1, shift2, shift3) \
    "pkhbt  r5, r5, r7, lsl #16\n" \
    "pkhbt  r6, r6, r8, lsl #16\n" \
    "pkhbt  r9, r9, r10, lsl #16\n" \
    SPLIT_FIELD("") \
    SPLIT_FIELD(", lsr #" shift1) \
    SPLIT_FIELD(", lsr #" shift2) \
    SPLIT_FIELD(", lsr #" shift3)

/*
 * r12 is out. From sp: 0 end, 4 beyond, 8 and 12 whether there is half a record to the left and to the right, 16 odd.
 * A turn makes two records; where their number is odd, the first turn makes the second one only.
 */
#define MAKE_RECORDS(name, existing, ldr, mask, split) \
    static __attribute__((noinline)) void name(const mk_depthwise_strip *strip, const int8_t *const rows[3], \
                                               uint32_t offset) \
    { \
        register const mk_depthwise_strip *r0 __asm__("r0") = strip; \
        register const int8_t *const *r1 __asm__("r1") = rows; \
        register uint32_t r2 __asm__("r2") = offset; \
        __asm__ volatile( \
            "push   {r7}\n" \
            "ldm    r0!, {r3, r12}\n" \
            "ldm    r0, {r5, r6, r7, r8, r9}\n" \
            "push   {r5, r6, r7, r8, r9}\n" \
            "mov    r4, r6\n" \
            "mov    lr, r2\n" \
            "ldm    r1, {r0, r1, r2}\n" \
            "add    r0, r0, lr\n" \
            "add    r1, r1, lr\n" \
            "add    r2, r2, lr\n" \
            mask \
            "cmp    r7, #0\n" \
            "bne    6f\n" \
            "cmp    r9, #0\n" \
            "beq    2f\n" \
            "b      7f\n" \
            "6:\n" \
            existing(LOAD_SECOND, ldr) \
            "ldr    lr, [sp, #16]\n" \
            "cmp    lr, #0\n" \
            "bne    8f\n" \
            "b      3f\n" \
            "1:\n" \
            existing(LOAD_COLUMNS, ldr) \
            "3:\n" \
            split \
            "7:\n" \
            existing(LOAD_COLUMNS, ldr) \
            "8:\n" \
            split \
            "2:\n" \
            "ldr    lr, [sp]\n" \
            "cmp    r12, lr\n" \
            "bne    1b\n" \
            "ldr    r5, [sp, #12]\n" \
            "cmp    r5, #0\n" \
            "beq    5f\n" \
            "movs   r6, #0\n" \
            "str    r6, [sp, #12]\n" \
            "add    lr, lr, #48\n" \
            "str    lr, [sp]\n" \
            "ldr    r4, [sp, #4]\n" \
            existing(LOAD_FIRST, ldr) \
            "b      8b\n" \
            "5:\n" \
            "add    sp, sp, #20\n" \
            "pop    {r7}\n" \
            : "+r"(r0), "+r"(r1), "+r"(r2) \
            : \
            : "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory"); \
    }

#define MAKE_ALL_RECORDS(bits, ldr, mask, split) \
    MAKE_RECORDS(make_##bits, ALL_ROWS, ldr, mask, split) \
    MAKE_RECORDS(make_##bits##_below_nothing, LOWER_ROWS, ldr, mask, split) \
    MAKE_RECORDS(make_##bits##_above_nothing, UPPER_ROWS, ldr, mask, split) \
    mk_depthwise_makers mk_depthwise_makers_##bits = {make_##bits, make_##bits##_below_nothing, \
                                                      make_##bits##_above_nothing};

MAKE_ALL_RECORDS(8, "ldr", "", SPLIT_BYTES)
MAKE_ALL_RECORDS(4, "ldrh", "mov    r11, #0x000F000F\n", SPLIT_FIELDS("4", "8", "12"))
MAKE_ALL_RECORDS(2, "ldrb", "mov    r11, #0x00030003\n", SPLIT_FIELDS("2", "4", "6"))

#else

/* The records of a strip of which rows [first_row, end_row) exist. */
static void make(const mk_depthwise_strip *strip, const int8_t *const from[3], uint32_t offset, uint32_t bits,
                 mk_depthwise_load *load, uint32_t first_row, uint32_t end_row)
{
    const uint32_t beyond = 0x01010101u * (strip->beyond & ((1u << bits) - 1)), step = strip->step;
    const mk_depthwise_record *const end = strip->end + (strip->has_right != 0) * MK_DEPTHWISE_DSP_CHANNELS;
    const int8_t *rows[3] = {from[0] + offset, from[1] + offset, from[2] + offset};
    for (mk_depthwise_record *out = strip->out; out != end; out += MK_DEPTHWISE_DSP_CHANNELS) {
        const bool is_left = strip->has_left != 0 && out == strip->out, is_right = out == strip->end;
        uint32_t words[6];
        for (uint32_t row = 0; row < 3; rows[row++] += 2 * step) {
            const bool exists = row >= first_row && row < end_row;
            const bool has_first = exists && !is_left;
            words[2 * row] = has_first ? load(rows[row], MK_DEPTHWISE_DSP_CHANNELS) : beyond;
            words[2 * row + 1] = exists && !is_right ? load(rows[row] + step, MK_DEPTHWISE_DSP_CHANNELS) : beyond;
        }
        mk_depthwise_split(words, out);
    }
}

#define MAKE_RECORDS(name, bits, first_row, end_row) \
    static void name(const mk_depthwise_strip *strip, const int8_t *const rows[3], uint32_t offset) \
    { \
        make(strip, rows, offset, bits, mk_depthwise_load_##bits, first_row, end_row); \
    }
#define MAKE_ALL_RECORDS(bits) \
    MAKE_RECORDS(make_##bits, bits, 0, 3) \
    MAKE_RECORDS(make_##bits##_below_nothing, bits, 1, 3) \
    MAKE_RECORDS(make_##bits##_above_nothing, bits, 0, 2) \
    mk_depthwise_makers mk_depthwise_makers_##bits = {make_##bits, make_##bits##_below_nothing, \
                                                      make_##bits##_above_nothing};

MAKE_ALL_RECORDS(8)
MAKE_ALL_RECORDS(4)
MAKE_ALL_RECORDS(2)

#endif

uint32_t mk_depthwise_load_8(const int8_t *pixel, uint32_t count)
{
    return count >= MK_DEPTHWISE_DSP_CHANNELS ? mk_load_word(pixel) : mk_load_part_of_word(pixel, count);
}

uint32_t mk_depthwise_load_4(const int8_t *pixel, uint32_t count)
{
    const uint32_t fields = mk_load_part_of_word(pixel, (count + 1) / 2);
    const uint32_t pairs = (fields | fields << 8) & 0x00FF00FFu;
    return (pairs | pairs << 4) & 0x0F0F0F0Fu;
}

uint32_t mk_depthwise_load_2(const int8_t *pixel, uint32_t count)
{
    const uint32_t fields = (uint8_t)*pixel, pairs = (fields | fields << 12) & 0x000F000Fu;
    (void)count;
    return (pairs | pairs << 6) & 0x03030303u;
}

#endif

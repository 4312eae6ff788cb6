/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Depthwise 3x3 convolution with DSP instructions, channel by channel along a row, so that the weights of a channel
 * stay in registers. Before, the three input rows of four channels are turned into pairs of 16 bits: of the first two
 * rows in each column, and of two neighbouring columns of the last row. Five multiplications of pairs are then an
 * output.
 */
#include "mk_depthwise_conv2d_s8_dsp.h"

#include "mk_dsp.h"

#if !MK_DSP

void mk_depthwise_conv2d_s8_dsp(const mk_depthwise_conv2d_s8_dsp_params *params, const mk_map *input,
                                const mk_map *output, uint16_t first_row, uint16_t last_row, void *scratch)
{
    mk_depthwise_conv2d_s8(params, input, output, first_row, last_row, scratch);
}

#else

#define CHANNELS 4

/*
 * Two columns of one channel: the upper two rows of the first and of the second column, and the last row of both.
 * Records of four channels follow each other for every two columns.
 */
typedef struct record {
    uint32_t first, second, last_row;
} record;

MK_STATIC_ASSERT(CHANNELS * sizeof(record) == 48, the_header_says_how_large_records_are);

/*
 * One channel. weights: of the upper two rows by column, then of the last row of the columns 0 and 1, and 1 and 2.
 * right: the shift is -(right + 1). The assembly below relies on the order of members, here and in struct lines.
 */
typedef struct channel {
    uint32_t weights[5];
    int32_t bias;
    uint32_t doubled;
    int32_t right;
} channel;

/*
 * Outputs of up to four channels. records: of the first channel, up to `end`, two outputs a turn. step: between two
 * outputs. offset: see mk_requantize_to_byte. odd: whether there is one output more.
 */
typedef struct lines {
    const record *records, *end;
    int8_t *out;
    uint32_t step;
    int32_t offset;
    uint32_t odd, count;
    channel channels[CHANNELS];
} lines;

/* What stays the same during a call. width, channels: of the input; beyond: four of its zero points. */
typedef struct shape {
    const mk_depthwise_conv2d_s8_params *params;
    record *records;
    uint32_t stride, channels, beyond;
    int32_t width;
} shape;

#if MK_DSP_INSTRUCTIONS

MK_STATIC_ASSERT(offsetof(lines, out) == 8 && offsetof(lines, step) == 12 && offsetof(lines, offset) == 16 &&
                     offsetof(lines, odd) == 20 && offsetof(lines, count) == 24 && offsetof(lines, channels) == 28 &&
                     offsetof(channel, bias) == 20 && offsetof(channel, doubled) == 24 && sizeof(channel) == 32,
                 members_are_where_the_assembly_expects_them);

/*
 * r0 and r1 are the sums of two neighbouring outputs, r2 to r4 a record, r5 to r9 weights, r10 records, r11 out, r12
 * step, lr offset. From sp: 0 bias, 4 doubled, 8 right, 12 end, 16 whether an odd output is to come; and for the next
 * channel: 20 records, 24 end, 28 out; 32 step, 36 offset, 40 odd, 44 channels left, 48 the next channel, 52 r7, which
 * may be the frame pointer.
 */
#define BEGIN_LINE \
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
    "add    r0, r11, #1\n" \
    "str    r0, [sp, #28]\n"

/* mk_requantize_to_byte of both sums, for shifts to the right and to the left. */
#define TO_BYTES \
    "ldrd   r2, r3, [sp, #4]\n" \
    "smmlar r0, r0, r2, r0\n" \
    "smmlar r1, r1, r2, r1\n" \
    "add    r0, r0, r0, asr #31\n" \
    "add    r1, r1, r1, asr #31\n" \
    "asrs   r0, r0, r3\n" \
    "asrs   r1, r1, r3\n" \
    "add    r0, r0, lr\n" \
    "add    r1, r1, lr\n" \
    "ssat   r0, #8, r0, asr #1\n" \
    "ssat   r1, #8, r1, asr #1\n"
#define TO_BYTES_LEFT \
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
    "ssat   r0, #8, r0\n" \
    "ssat   r1, #8, r1\n"

/* The next turn; the lone last output is stored over the one behind it. `bytes`: of the records of a turn. */
#define NEXT_TURN(bytes, turn) \
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

#define LINES(products, bytes) \
    BEGIN_LINE \
    "cmp    r3, #0\n" \
    "blt    3f\n" \
    "2:\n" products TO_BYTES NEXT_TURN(bytes, "2") \
    "3:\n" products TO_BYTES_LEFT NEXT_TURN(bytes, "3") \
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

static __attribute__((noinline)) void compute_lines_of_stride_1(const lines *l)
{
    register const lines *r0 __asm__("r0") = l;
    __asm__ volatile(LINES(PRODUCTS_OF_STRIDE_1, "48") : "+r"(r0) : : LINE_CLOBBERS);
}

static __attribute__((noinline)) void compute_lines_of_stride_2(const lines *l)
{
    register const lines *r0 __asm__("r0") = l;
    __asm__ volatile(LINES(PRODUCTS_OF_STRIDE_2, "96") : "+r"(r0) : : LINE_CLOBBERS);
}

static void compute_lines(const lines *l, uint32_t stride)
{
    if (stride == 1) {
        compute_lines_of_stride_1(l);
    } else {
        compute_lines_of_stride_2(l);
    }
}

/*
 * Records of four channels of whole columns, and of one before and behind them: of the one before the first column is
 * beyond the map, of the one behind the second, or with a has_right of 2 both. rows: where the first record begins;
 * step: bytes of a pixel; end: of the whole columns' records; beyond: four zero points.
 */
typedef struct strip {
    const int8_t *rows[3];
    uint32_t step;
    record *out, *end;
    uint32_t beyond, has_left, has_right;
} strip;

MK_STATIC_ASSERT(offsetof(strip, step) == 12 && offsetof(strip, out) == 16 && offsetof(strip, beyond) == 24 &&
                     offsetof(strip, has_right) == 32,
                 members_are_where_the_assembly_expects_them_too);

/*
 * Row `row` of a record: its second column into `second`, its first one into `first`. r0 to r2 are the rows, r3 the
 * step, r4 what is beyond.
 */
#define LOAD_COLUMNS(row, first, second) \
    "ldr    " second ", [" row ", r3]\n" \
    "ldr    " first ", [" row "]\n" \
    "add    " row ", " row ", r3, lsl #1\n"
#define LOAD_SECOND(row, first, second) \
    "ldr    " second ", [" row ", r3]\n" \
    "mov    " first ", r4\n" \
    "add    " row ", " row ", r3, lsl #1\n"
#define LOAD_FIRST(row, first, second) \
    "ldr    " first ", [" row "]\n" \
    "mov    " second ", r4\n"
#define LOAD_NONE(row, first, second) \
    "mov    " first ", r4\n" \
    "mov    " second ", r4\n"
#define LOAD_BEYOND(first, second) \
    "ldr    " first ", [sp, #4]\n" \
    "mov    " second ", " first "\n"

/* Rows that exist, of columns that `load` loads. */
#define ALL_ROWS(load) load("r0", "r5", "r6") load("r1", "r7", "r8") load("r2", "r9", "r10")
#define LOWER_ROWS(load) LOAD_BEYOND("r5", "r6") load("r1", "r7", "r8") load("r2", "r9", "r10")
#define UPPER_ROWS(load) load("r0", "r5", "r6") load("r1", "r7", "r8") LOAD_BEYOND("r9", "r10")

/*
 * r12 is out. From sp: 0 end, 4 beyond, 8 and 12 whether there is half a record to the left and to the right. Channels
 * 0 and 1 are paired in r4, r11 and lr, channels 2 and 3 in r5, r6 and r9.
 */
#define MAKE_RECORDS(name, rows) \
    static __attribute__((noinline)) void name(const strip *strip_of_rows) \
    { \
        register const strip *r0 __asm__("r0") = strip_of_rows; \
        __asm__ volatile( \
            "push   {r7}\n" \
            "ldr    r3, [r0, #12]\n" \
            "ldr    r12, [r0, #16]\n" \
            "ldrd   r5, r4, [r0, #20]\n" \
            "ldrd   r6, r7, [r0, #28]\n" \
            "ldm    r0, {r0, r1, r2}\n" \
            "mov    r8, r5\n" \
            "mov    r5, r4\n" \
            "push   {r5, r6, r7}\n" \
            "push   {r8}\n" \
            "cmp    r6, #0\n" \
            "beq    2f\n" \
            rows(LOAD_SECOND) \
            "b      3f\n" \
            "1:\n" \
            rows(LOAD_COLUMNS) \
            "3:\n" \
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
            "stm    r12!, {r5, r6, r9}\n" \
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
            "cmp    r5, #1\n" \
            "bne    4f\n" \
            rows(LOAD_FIRST) \
            "b      3b\n" \
            "4:\n" \
            rows(LOAD_NONE) \
            "b      3b\n" \
            "5:\n" \
            "add    sp, sp, #16\n" \
            "pop    {r7}\n" \
            : "+r"(r0) \
            : \
            : "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory"); \
    }

MAKE_RECORDS(make_records, ALL_ROWS)
MAKE_RECORDS(make_records_below_nothing, LOWER_ROWS)
MAKE_RECORDS(make_records_above_nothing, UPPER_ROWS)

#else

/* The outputs of channel `k`. */
static void compute_line(const lines *l, uint32_t k, uint32_t stride)
{
    const channel *c = &l->channels[k];
    const uint32_t *w = c->weights;
    const uint32_t count = (uint32_t)(l->end - l->records) / (stride * CHANNELS) * 2 + l->odd;
    const record *r = l->records + k;
    int8_t *out = l->out + k;
    for (uint32_t i = 0; i < count; ++i, out += l->step) {
        const record *const next = r + CHANNELS;
        int32_t sum = c->bias;
        if (stride == 1 && i % 2 != 0) {
            sum = mk_multiply_pairs(r->second, w[0], sum);
            sum = mk_multiply_pairs(next->first, w[1], sum);
            sum = mk_multiply_pairs(next->second, w[2], sum);
            sum = mk_multiply_high_low(r->last_row, w[3], sum);
            sum = mk_multiply_pairs(next->last_row, w[4], sum);
            r = next;
        } else {
            sum = mk_multiply_pairs(r->first, w[0], sum);
            sum = mk_multiply_pairs(r->second, w[1], sum);
            sum = mk_multiply_pairs(next->first, w[2], sum);
            sum = mk_multiply_pairs(r->last_row, w[3], sum);
            sum = mk_multiply_low_high(next->last_row, w[4], sum);
            r = stride == 1 ? r : next;
        }
        /* Of a lone output two are computed: into each other's place, and the first one counts. */
        if (l->step != 0 || i == 0) {
            *out = mk_requantize_to_byte(sum, c->doubled, -c->right - 1, l->offset);
        }
    }
}

static void compute_lines(const lines *l, uint32_t stride)
{
    for (uint32_t k = 0; k < l->count; ++k) {
        compute_line(l, k, stride);
    }
}

#endif

/* The pairs of two words, a and b, of four channels: `store(channel, pair)` for each. */
#define FOR_PAIRS(a, b, store) \
    do { \
        const uint32_t low = mk_low_halves((a), (b)), high = mk_high_halves((a), (b)); \
        store(0, mk_extend_even(low)); \
        store(1, mk_extend_odd(low)); \
        store(2, mk_extend_even(high)); \
        store(3, mk_extend_odd(high)); \
    } while (0)

static __attribute__((noinline)) uint32_t load_few_channels(const int8_t *pixel, uint32_t channels)
{
    return mk_load_part_of_word(pixel, channels);
}

/* Four channels of a pixel, or as many as there are. */
static inline uint32_t load_channels(const int8_t *pixel, uint32_t channels)
{
    return channels >= CHANNELS ? mk_load_word(pixel) : load_few_channels(pixel, channels);
}

/*
 * What the records of a part of a row are made of. make: makes those at once that it can, from `strip`; null if none.
 * Then come those of the columns from x to `limit`, one by one, at `out`; of these, columns in [0, last) exist.
 */
typedef struct part {
#if MK_DSP_INSTRUCTIONS
    void (*make)(const strip *strip_of_rows);
    strip strip;
#endif
    int32_t x, limit, last;
    record *out;
} part;

/* rows: where column 0 of the map is, or would be; null for rows outside of it. */
static part part_of(const shape *s, const int8_t *const rows[3], int32_t x, int32_t limit)
{
    part p = {.x = x, .limit = limit, .last = limit < s->width ? limit : s->width, .out = s->records};
#if MK_DSP_INSTRUCTIONS
    const int32_t first = x < 0 ? x + 2 : x;
    const bool exist = rows[1] != NULL && (rows[0] != NULL || rows[2] != NULL);
    if (x < -1 || first > p.last || s->channels < CHANNELS || !exist) {
        return p;
    }
    const int32_t offset = x * (int32_t)s->channels, whole = (p.last - first) / 2;
    p.make = rows[0] == NULL ? make_records_below_nothing : rows[2] == NULL ? make_records_above_nothing : make_records;
    p.strip.rows[0] = (rows[0] != NULL ? rows[0] : rows[1]) + offset;
    p.strip.rows[1] = rows[1] + offset;
    p.strip.rows[2] = (rows[2] != NULL ? rows[2] : rows[1]) + offset;
    p.strip.step = s->channels;
    p.strip.out = s->records;
    p.strip.beyond = s->beyond;
    p.strip.has_left = x < 0;
    p.strip.has_right = (uint32_t)(p.last - first) % 2;
    p.x = first + 2 * whole;
    if (p.strip.has_right != 0) {
        p.x += 2;
    } else if (p.x < limit) {
        p.strip.has_right = 2;
        p.x += 2;
    }
    p.strip.end = s->records + ((x < 0) + whole) * CHANNELS;
    p.out = p.strip.end + (p.strip.has_right != 0) * CHANNELS;
#else
    (void)rows;
#endif
    return p;
}

/* The records of channels from `c` on that are made one by one. rows: see part_of. */
static __attribute__((noinline)) void make_border_records(const shape *s, const int8_t *const rows[3], uint32_t c,
                                                          const part *p)
{
    const uint32_t channels = s->channels, beyond = s->beyond;
    record *out = p->out;
    for (int32_t x = p->x; x < p->limit; x += 2, out += CHANNELS) {
        const int32_t first = x * (int32_t)channels + (int32_t)c, second = first + (int32_t)channels;
        const bool has_first = x >= 0 && x < p->last, has_second = x + 1 >= 0 && x + 1 < p->last;
        uint32_t words[6];
#define LOAD_ROW(row) \
        words[2 * (row)] = has_first && rows[row] != NULL ? load_channels(rows[row] + first, channels) : beyond; \
        words[2 * (row) + 1] = has_second && rows[row] != NULL ? load_channels(rows[row] + second, channels) : beyond
        LOAD_ROW(0);
        LOAD_ROW(1);
        LOAD_ROW(2);
#define STORE_FIRST(channel, pair) out[channel].first = (pair)
#define STORE_SECOND(channel, pair) out[channel].second = (pair)
#define STORE_LAST_ROW(channel, pair) out[channel].last_row = (pair)
        FOR_PAIRS(words[0], words[2], STORE_FIRST);
        FOR_PAIRS(words[1], words[3], STORE_SECOND);
        FOR_PAIRS(words[4], words[5], STORE_LAST_ROW);
    }
}

/* Weights, biases and factors of four channels from `c` on. */
static __attribute__((noinline)) void prepare_channels(const mk_depthwise_conv2d_s8_params *p, uint32_t c,
                                                       uint32_t channels, uint32_t count, channel out[CHANNELS])
{
    const uint32_t row = 3 * channels;
    const int8_t *weights = p->weights + c;
    uint32_t upper = load_channels(weights, channels), lower = load_channels(weights + row, channels);
#define STORE_WEIGHTS_0(channel, pair) out[channel].weights[0] = (pair)
#define STORE_WEIGHTS_1(channel, pair) out[channel].weights[1] = (pair)
#define STORE_WEIGHTS_2(channel, pair) out[channel].weights[2] = (pair)
#define STORE_WEIGHTS_3(channel, pair) out[channel].weights[3] = (pair)
#define STORE_WEIGHTS_4(channel, pair) out[channel].weights[4] = (pair)
    FOR_PAIRS(upper, lower, STORE_WEIGHTS_0);
    weights += channels;
    upper = load_channels(weights, channels), lower = load_channels(weights + row, channels);
    FOR_PAIRS(upper, lower, STORE_WEIGHTS_1);
    weights += channels;
    upper = load_channels(weights, channels), lower = load_channels(weights + row, channels);
    FOR_PAIRS(upper, lower, STORE_WEIGHTS_2);
    weights += row + channels;
    const uint32_t left = load_channels(weights, channels);
    weights += channels;
    const uint32_t middle = load_channels(weights, channels);
    FOR_PAIRS(left, middle, STORE_WEIGHTS_3);
    const uint32_t right = load_channels(weights + channels, channels);
    FOR_PAIRS(middle, right, STORE_WEIGHTS_4);
    const int32_t *bias = p->bias + c, *multiplier = p->multiplier + c;
    const int8_t *shift = p->shift + c;
#define PREPARE(k) \
    out[k].bias = bias[k]; \
    out[k].doubled = (uint32_t)multiplier[k] << 1; \
    out[k].right = ~shift[k]
    if (count == CHANNELS) {
        PREPARE(0);
        PREPARE(1);
        PREPARE(2);
        PREPARE(3);
        return;
    }
    for (uint32_t k = 0; k < count; ++k) {
        PREPARE(k);
    }
}

/* `count` outputs of a row, from column `x` of the input on. rows: see part_of. */
static void compute_columns(const shape *s, const int8_t *const rows[3], int32_t x, uint32_t count, int8_t *out)
{
    const uint32_t channels = s->channels, pairs = count / 2;
    part p = part_of(s, rows, x, x + (int32_t)((count - 1) * s->stride + 3));
    lines l;
    l.records = s->records;
    /* A lone output is computed as a pair whose second output has the place of the first one. */
    l.end = l.records + (pairs != 0 ? pairs : 1) * s->stride * CHANNELS;
    l.out = out;
    l.step = pairs != 0 ? channels : 0;
    l.odd = pairs != 0 ? count % 2 : 0;
    l.offset = 2 * s->params->output_zero_point + 1;
    l.count = channels < CHANNELS ? channels : CHANNELS;
    for (uint32_t c = 0;;) {
#if MK_DSP_INSTRUCTIONS
        if (p.make != NULL) {
            p.make(&p.strip);
        }
#endif
        if (p.x < p.limit) {
            make_border_records(s, rows, c, &p);
        }
        prepare_channels(s->params, c, channels, l.count, l.channels);
        compute_lines(&l, s->stride);
        if (c + CHANNELS >= channels) {
            return;
        }
        /* The last four channels overlap those before them, if need be. */
        const uint32_t next = c + 2 * CHANNELS <= channels ? CHANNELS : channels - CHANNELS - c;
        c += next;
        l.out += next;
#if MK_DSP_INSTRUCTIONS
        for (uint32_t row = 0; row < 3; ++row) {
            p.strip.rows[row] += next;
        }
#endif
    }
}

static void compute_row(const shape *s, const mk_map *input, const mk_map *output, int32_t y)
{
    const mk_window *w = &s->params->window;
    const uint32_t channels = s->channels, most = MK_DEPTHWISE_DSP_COLUMNS / s->stride;
    const int8_t *rows[3];
    for (int32_t row = 0; row < 3; ++row) {
        const int32_t at = y * w->stride_y - w->pad_top + row * (int32_t)w->dilation_y;
        rows[row] = mk_has_row(input, at) ? mk_row(input, at) - (size_t)input->first_column * channels : NULL;
    }
    int8_t *out = mk_row(output, y);
    uint32_t count;
    for (uint32_t i = 0; i < output->columns; i += count, out += count * channels) {
        count = output->columns - i < most ? output->columns - i : most;
        compute_columns(s, rows, (int32_t)(output->first_column + i) * w->stride_x - w->pad_left, count, out);
        mk_limit_bytes(out, count * channels, s->params->minimum, s->params->maximum);
    }
}

void mk_depthwise_conv2d_s8_dsp(const mk_depthwise_conv2d_s8_dsp_params *params, const mk_map *input,
                                const mk_map *output, uint16_t first_row, uint16_t last_row, void *scratch)
{
    const shape s = {
        .params = params,
        .records = scratch,
        .stride = params->window.stride_x,
        .channels = input->channels,
        .beyond = 0x01010101u * (uint8_t)params->input_zero_point,
        .width = input->width,
    };
    for (int32_t y = first_row; y < last_row; ++y) {
        compute_row(&s, input, output, y);
    }
}

#endif

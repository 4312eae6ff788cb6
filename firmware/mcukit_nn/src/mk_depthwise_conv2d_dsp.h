/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What depthwise 3x3 convolutions with DSP instructions share. Not part of the public interface.
 *
 * They go channel by channel along a row, so that the weights of a channel stay in registers. Before, the three input
 * rows of four channels are turned into pairs of 16 bits: of the first two rows in each column, and of two neighbouring
 * columns of the last row. Five multiplications of pairs are then an output. Some rows are computed together, because
 * weights and factors of four channels have to be prepared once for all of them. Maps of 8, 4 and 2 bits differ in how
 * pairs are made of what they store and in how outputs are stored; weights in how pairs are made of them.
 */
#ifndef MK_DEPTHWISE_CONV2D_DSP_H
#define MK_DEPTHWISE_CONV2D_DSP_H

#include "mk_dsp.h"

#if MK_DSP

#define MK_DEPTHWISE_DSP_CHANNELS 4

/*
 * Two columns of one channel: the upper two rows of the first and of the second column, and the last row of both.
 * Records of four channels follow each other for every two columns.
 */
typedef struct mk_depthwise_record {
    uint32_t first, second, last_row;
} mk_depthwise_record;

MK_STATIC_ASSERT(MK_DEPTHWISE_DSP_CHANNELS * sizeof(mk_depthwise_record) == 48, headers_say_how_large_records_are);

/*
 * One channel. weights: of the upper two rows by column, then of the last row of the columns 0 and 1, and 1 and 2.
 * Where the multiplier is positive, outputs finish fast: the upper word of a sum times the multiplier, and the offset,
 * is 2^MK_DEPTHWISE_FAST_SHIFT times the output and what rounds it when it is shifted out; `right` are three steps from
 * an output to the next, because there is a register for that. Else the shift is -(right + 1), and multiplier and
 * offset are those of mk_requantize_twice. Assembly relies on the order of members, here and in the structs below.
 */
typedef struct mk_depthwise_channel {
    uint32_t weights[5];
    int32_t multiplier, offset, right, bias;
} mk_depthwise_channel;

#define MK_DEPTHWISE_FAST_SHIFT 10

/* How many shifts to the right, from MK_DEPTHWISE_FAST_SHIFT - 1 down, leave scaled weights of so many bits 16 bits. */
#define MK_DEPTHWISE_FAST_SHIFTS(weight_bits) (15u - (weight_bits))

/*
 * Outputs of up to four channels. records: of the first channel, up to `end`, two outputs a turn, but up to `fours_end`
 * four. out: of bytes, the first one, and step bytes from one to the next; of fields, words. odd: whether there is one
 * output more. has_twos: whether there are outputs behind the last four.
 */
typedef struct mk_depthwise_lines {
    const mk_depthwise_record *records;
    int8_t *out;
    const mk_depthwise_record *fours_end;
    uint32_t step;
    const mk_depthwise_record *end;
    uint32_t odd, has_twos, count;
    mk_depthwise_channel channels[MK_DEPTHWISE_DSP_CHANNELS];
} mk_depthwise_lines;

/*
 * Records of four channels of whole columns, and of one before and behind them: of the one before the first column is
 * beyond the map, of the one behind the second. step: bytes of a pixel; end: of the whole
 * columns' records; beyond: a word full of zero points. odd: whether the number of records up to `end` is odd.
 */
typedef struct mk_depthwise_strip {
    uint32_t step;
    mk_depthwise_record *out, *end;
    uint32_t beyond, has_left, has_right, odd;
} mk_depthwise_strip;

typedef struct mk_depthwise_dsp_layer mk_depthwise_dsp_layer;

/*
 * Makes the records of a strip; there is one for three rows, one for the lower two and one for the upper two. rows:
 * where the first record begins, `offset` bytes before.
 */
typedef void mk_depthwise_make(const mk_depthwise_strip *strip, const int8_t *const rows[3], uint32_t offset);
typedef mk_depthwise_make *const mk_depthwise_makers[3];

/* Four channels of a pixel as bytes, or `count` of them, those behind being anything. */
typedef uint32_t mk_depthwise_load(const int8_t *pixel, uint32_t count);

/* Weights of up to four channels from `c` on. */
typedef void mk_depthwise_prepare(const mk_depthwise_dsp_layer *layer, uint32_t c, mk_depthwise_channel *out);

/* Outputs of lines: two a turn, of a lone one too. There is one for a stride of 1 and one for 2. */
typedef void mk_depthwise_compute(const mk_depthwise_lines *l);
typedef mk_depthwise_compute *const mk_depthwise_computers[2];

/* Packs fields, which are at `words`, of `count` channels of `pixels` pixels, that are `step` bytes apart. */
typedef void mk_depthwise_pack(const uint32_t *words, uint32_t count, uint32_t pixels, uint32_t step, int8_t *out);

/*
 * What stays the same during a call.
 *
 * bits: of the input, output_bits of the output. overlaps: whether four channels may begin anywhere, so that the last
 * ones overlap those before them where channels don't fill fours.
 * weight_step: bytes of 8-bit weights from a tap to the next, words of others.
 * pack: null where outputs are bytes. words: 4 for every two outputs that are computed together.
 * beyond: a word full of zero points as the input stores them.
 * offset: 2 * zero point of the output + 1. fast_shifts: MK_DEPTHWISE_FAST_SHIFTS of the weights.
 * rounds_negative: whether outputs may be less than the zero point.
 */
struct mk_depthwise_dsp_layer {
    const mk_window *window;
    const mk_map *input;
    const void *weights;
    const int32_t *bias, *multiplier;
    const int8_t *shift;
    mk_depthwise_record *records;
    uint32_t *words;
    mk_depthwise_make *const *makers;
    mk_depthwise_load *load;
    mk_depthwise_prepare *prepare;
    mk_depthwise_compute *compute;
    mk_depthwise_pack *pack;
    uint32_t stride, channels, bits, output_bits, pixel_bytes, out_step, weight_step, beyond, fast_shifts;
    int32_t offset, minimum, maximum;
    bool overlaps, rounds_negative;
};

/* Convolution of rows [first_row, last_row) of the output. */
void mk_depthwise_conv2d_dsp(const mk_depthwise_dsp_layer *layer, const mk_map *output, uint16_t first_row,
                             uint16_t last_row);

/* Channels of 8 bits; of 4 and 2 bits as they are stored. */
extern mk_depthwise_makers mk_depthwise_makers_8, mk_depthwise_makers_4, mk_depthwise_makers_2;
mk_depthwise_load mk_depthwise_load_8, mk_depthwise_load_4, mk_depthwise_load_2;

/* Weights of 8 bits, [tap][channel]. */
mk_depthwise_prepare mk_depthwise_prepare_bytes;

/*
 * Outputs as bytes in their places; or as fields of 4 or 2 bits, for two pixels a word for each of four channels: one
 * pixel in the low half, the next one in the high half.
 */
extern mk_depthwise_computers mk_depthwise_compute_8, mk_depthwise_compute_4, mk_depthwise_compute_2;
mk_depthwise_pack mk_depthwise_pack_4, mk_depthwise_pack_2;

/* Scales pairs of weights by 2^bits. Signs of the lower half reach into the upper one and are taken out there. */
static inline void mk_depthwise_scale(uint32_t weights[5], uint32_t bits)
{
    const uint32_t signs = ((1u << bits) - 1) << 16;
#if MK_DSP_INSTRUCTIONS
#define MK_SCALE(pair) \
    "lsl    " pair ", " pair ", %1\n" \
    "bic    " pair ", " pair ", %2\n"
    __asm__ volatile("ldm    %0, {r3, r4, r5, r6, r8}\n" MK_SCALE("r3") MK_SCALE("r4") MK_SCALE("r5") MK_SCALE("r6")
                         MK_SCALE("r8") "stm    %0, {r3, r4, r5, r6, r8}\n"
                     :
                     : "r"(weights), "r"(bits), "r"(signs)
                     : "r3", "r4", "r5", "r6", "r8", "memory");
#undef MK_SCALE
#else
    for (uint32_t i = 0; i < 5; ++i) {
        weights[i] = weights[i] << bits & ~signs;
    }
#endif
}

/* The pairs of two words, a and b, of four channels: `store(channel, pair)` for each. */
#define MK_FOR_PAIRS(a, b, store) \
    do { \
        const uint32_t low = mk_low_halves((a), (b)), high = mk_high_halves((a), (b)); \
        store(0, mk_extend_even(low)); \
        store(1, mk_extend_odd(low)); \
        store(2, mk_extend_even(high)); \
        store(3, mk_extend_odd(high)); \
    } while (0)

/*
 * Four weights as bytes. four: their word of 4 or 2 bits, shifted so that its lowest fields are channels 0 and 1 of
 * four, and channels 2 and 3 in the high half.
 */
static inline uint32_t mk_depthwise_unpack(uint32_t four, uint32_t bits)
{
    const uint32_t even = 0x00010001u * ((1u << bits) - 1);
    return mk_subtract_bytes((four & even) | (four & even << bits) << (8 - bits), 0x01010101u << (bits - 1));
}

/* Four channels, bytes, of both columns of three rows, [row][column], as records. */
static inline void mk_depthwise_split(const uint32_t words[6], mk_depthwise_record *out)
{
#define MK_STORE_FIRST(channel, pair) out[channel].first = (pair)
#define MK_STORE_SECOND(channel, pair) out[channel].second = (pair)
#define MK_STORE_LAST_ROW(channel, pair) out[channel].last_row = (pair)
    MK_FOR_PAIRS(words[0], words[2], MK_STORE_FIRST);
    MK_FOR_PAIRS(words[1], words[3], MK_STORE_SECOND);
    MK_FOR_PAIRS(words[4], words[5], MK_STORE_LAST_ROW);
}

/*
 * Stores the pairs of weights of four channels at `out`, which `for_pairs` makes of the words `load(tap)`: of the upper
 * two rows by column, then of neighbouring columns of the last row.
 */
#define MK_STORE_WEIGHTS_0(channel, pair) out[channel].weights[0] = (pair)
#define MK_STORE_WEIGHTS_1(channel, pair) out[channel].weights[1] = (pair)
#define MK_STORE_WEIGHTS_2(channel, pair) out[channel].weights[2] = (pair)
#define MK_STORE_WEIGHTS_3(channel, pair) out[channel].weights[3] = (pair)
#define MK_STORE_WEIGHTS_4(channel, pair) out[channel].weights[4] = (pair)
#define MK_STORE_WEIGHTS(load, for_pairs) \
    do { \
        uint32_t upper = load(0), lower = load(3); \
        for_pairs(upper, lower, MK_STORE_WEIGHTS_0); \
        upper = load(1), lower = load(4); \
        for_pairs(upper, lower, MK_STORE_WEIGHTS_1); \
        upper = load(2), lower = load(5); \
        for_pairs(upper, lower, MK_STORE_WEIGHTS_2); \
        const uint32_t left = load(6), middle = load(7); \
        for_pairs(left, middle, MK_STORE_WEIGHTS_3); \
        const uint32_t right = load(8); \
        for_pairs(middle, right, MK_STORE_WEIGHTS_4); \
    } while (0)

#endif

#endif

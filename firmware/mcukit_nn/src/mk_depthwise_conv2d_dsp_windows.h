/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What depthwise convolutions of any windows with DSP instructions share. Not part of the public interface.
 *
 * For four channels of a part of a row, each two rows of the input are turned into pairs of 16 bits, and each two rows
 * of the kernel too; then four outputs of a channel at a time take a pair of weights times a pair of inputs. The last
 * row of a kernel of an odd height is paired with weights of 0. Maps of 8, 4 and 2 bits differ in how pairs are made of
 * what they store and in how outputs are stored; weights in how they are loaded.
 */
#ifndef MK_DEPTHWISE_CONV2D_DSP_WINDOWS_H
#define MK_DEPTHWISE_CONV2D_DSP_WINDOWS_H

#include "mk_dsp.h"

#if MK_DSP

#define MK_DEPTHWISE_ANY_DSP_OUTPUTS 4

typedef struct mk_depthwise_windows mk_depthwise_windows;

/* Where to read a row of pixels: `step` bytes from one to the next. */
typedef struct mk_depthwise_source {
    const int8_t *pixel;
    uint32_t step;
} mk_depthwise_source;

/* Pairs of `count` columns of two rows with four channels; where they end. step: from a channel to the next one. */
typedef uint32_t *mk_depthwise_pair_columns(mk_depthwise_source upper, mk_depthwise_source lower, uint32_t count,
                                            uint32_t *out, uint32_t step);

/* Four channels of a pixel as bytes, or `count` of them, those behind being anything. */
typedef uint32_t mk_depthwise_load_pixel(const int8_t *pixel, uint32_t count);

/* Pairs of all weights of four channels from `c` on, at s->weights. */
typedef void mk_depthwise_pair_weights(const mk_depthwise_windows *s, uint32_t c);

/* `count` outputs of a channel, `step` bytes apart. k: among those that are prepared. */
typedef void mk_depthwise_compute_line(const mk_depthwise_windows *s, uint32_t c, uint32_t k, uint32_t count,
                                       int8_t *out, uint32_t step);

/*
 * What stays the same during a call or for a part of a row; a kernel sets what stands before `pairs`.
 *
 * bits: of the input, output_bits of the output, whose values go to `fields` first if they have fewer than 8: 4 bytes
 * for each pixel of a part. tap_bytes: of weights, from a tap to the next. beyond: a word full of zero points as the
 * input stores them. overlaps: whether four channels may begin anywhere, so that the last ones overlap those before
 * them where channels don't fill fours.
 *
 * pairs: of rows of the kernel; columns: of the input that are paired, beginning with column `left` of the map; needed:
 * where those end that outputs need. inputs: [channel][pair of rows][column], weights of a part: [channel][pair of
 * rows][column of the kernel].
 */
struct mk_depthwise_windows {
    const mk_window *window;
    const mk_map *input;
    const void *constants;
    const int32_t *bias, *multiplier;
    const int8_t *shift;
    mk_depthwise_pair_columns *pair_columns;
    mk_depthwise_load_pixel *load_pixel;
    mk_depthwise_pair_weights *pair_weights;
    mk_depthwise_compute_line *compute_line;
    uint32_t channels, bits, output_bits, pixel_bytes, tap_bytes, out_step, beyond;
    int32_t offset, minimum, maximum;
    bool overlaps;
    uint32_t pairs, columns;
    int32_t top, left, needed;
    uint32_t *inputs, *weights;
    int8_t *fields;
    void (*multiply)(const mk_depthwise_windows *s, const uint32_t *inputs, const uint32_t *weights,
                     int32_t sums[MK_DEPTHWISE_ANY_DSP_OUTPUTS]);
};

/* Convolution of rows [first_row, last_row) of the output. */
void mk_depthwise_windows_compute(mk_depthwise_windows *s, const mk_map *output, uint16_t first_row,
                                  uint16_t last_row, void *scratch);

/* Channels of 8 bits; of 4 and 2 bits as they are stored. */
mk_depthwise_pair_columns mk_depthwise_pair_columns_8, mk_depthwise_pair_columns_4, mk_depthwise_pair_columns_2;

/* Weights of 8 bits, [tap][channel]; of 4 and 2 bits, each tap in words of its own. */
mk_depthwise_pair_weights mk_depthwise_pair_weights_8, mk_depthwise_pair_weights_4, mk_depthwise_pair_weights_2;

/* Outputs of 8 bits; of 4 and 2 bits one byte each. */
mk_depthwise_compute_line mk_depthwise_line_of_8, mk_depthwise_line_of_4, mk_depthwise_line_of_2;

#endif

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What convolutions with DSP instructions share. Not part of the public interface.
 *
 * The windows of three pixels are expanded to pairs of 16 bits once for all filters, side by side, then multiplied with
 * several filters at a time. Maps of 8, 4 and 2 bits differ in how their bytes are expanded and how outputs are stored,
 * weights in the loop that multiplies.
 */
#ifndef MK_CONV2D_DSP_H
#define MK_CONV2D_DSP_H

#include "mk_dsp.h"

#if MK_DSP

#define MK_DSP_PIXELS 3
#define MK_DSP_WORDS_OF_FOUR_TAPS (2 * MK_DSP_PIXELS)

/*
 * Filters of one group over three pixels whose windows are at `inputs`: words X02 of the three pixels, then words X13,
 * for every four taps. bits: of the outputs. offset: see mk_requantize_twice; values of 4 and 2 bits are meant as they
 * are stored. out: first channel of the first pixel; step1, step2: bytes from there to the other pixels. filters: an
 * even number, out_bytes what their outputs take; those of 4 and 2 bits fill bytes. entry: from the beginning of the
 * multiplying loop to where it is entered, as a Thumb address. Assembly relies on the order of the members.
 */
typedef struct mk_conv2d_dsp_block {
    const int32_t *bias, *multiplier;
    const int8_t *shift;
    uint32_t *inputs, *inputs_end;
    int32_t offset;
    int8_t *out;
    ptrdiff_t step1, step2;
    uint32_t out_bytes;
    const int8_t *weights;
    uint32_t entry;
    uint32_t bits;
    uint32_t filters;
} mk_conv2d_dsp_block;

typedef struct mk_conv2d_dsp_layer mk_conv2d_dsp_layer;

/* Expands `count` bytes of each of three runs of bytes, zeros behind the last values of four; where it ends. */
typedef uint32_t *mk_conv2d_dsp_expand(const int8_t *const sources[MK_DSP_PIXELS], uint32_t count, uint32_t *out);

/* The channels of a group of one pixel, one byte each. */
typedef void mk_conv2d_dsp_take(const mk_conv2d_dsp_layer *layer, const int8_t *pixel, uint32_t group, int8_t *out);

/* The outputs of one group for the three pixels of a block, or for the first one alone. */
typedef void mk_conv2d_dsp_multiply(const mk_conv2d_dsp_layer *layer, const mk_conv2d_dsp_block *block, bool is_one);

/*
 * What stays the same during a call. Its maker sets what stands before `pixel_bytes`, and mk_conv2d_dsp_place the rest.
 *
 * bytes_of_four: what four taps take in the windows that `expand` gets: 4, 2 or 1. take: null where windows consist of
 * the bytes of the input, or else its channels are bytes of their own there. fill: the byte of pixels that don't exist.
 * group_weights, group_out: bytes from one group to the next. taps_of_word: windows are filled up with zeros to a
 * multiple of it. sum_taps: see mk_conv2d_packed_params.
 * values: null, or outputs of all groups go there as bytes, [pixel][channel], until `store` packs them.
 *
 * pixel_bytes: of the input. depth: bytes of a group in a pixel of a window; segment: of a row of a window; taps: of a filter. step: from the
 * window of one pixel to that of the next. inner_columns: columns of the input where windows can begin whose rows, if
 * they exist, can be read where they lie. copies: of rows or windows that cannot, behind the expanded ones.
 */
struct mk_conv2d_dsp_layer {
    const mk_window *window;
    const mk_map *input;
    uint32_t groups, bytes_of_four;
    mk_conv2d_dsp_expand *expand;
    mk_conv2d_dsp_take *take;
    mk_conv2d_dsp_multiply *multiply, *store;
    int8_t *values;
    int32_t fill, minimum, maximum;
    uint32_t filters, output_bits, group_weights, group_out;
    uint32_t weight_bits, taps_of_word, sum_taps;
    uint32_t pixel_bytes, depth, segment, taps, step, inner_columns;
    int8_t *copies;
    bool is_copied_whole;
};

/* Bytes that a row of a window, or a whole one, takes as a copy. */
#define MK_CONV2D_DSP_COPY(bytes) (((bytes) + 3u) / 4 * 4)

/* Completes a layer and says where in scratch memory the windows of a block and copies are; all else follows them. */
void mk_conv2d_dsp_place(mk_conv2d_dsp_layer *layer, mk_conv2d_dsp_block *block, void *scratch);

/* Convolution of rows [first_row, last_row) of the output. block: of the first group, but for places of outputs. */
void mk_conv2d_dsp(const mk_conv2d_dsp_layer *layer, mk_conv2d_dsp_block *block, const mk_map *output,
                   uint16_t first_row, uint16_t last_row);

/* Limits outputs of 8 bits of a group. Others are not limited before they are packed. */
static inline void mk_conv2d_dsp_limit(const mk_conv2d_dsp_layer *layer, const mk_conv2d_dsp_block *b)
{
    if (b->bits == 8 && (layer->minimum > -128 || layer->maximum < 127)) {
        mk_limit_bytes(b->out, layer->filters, layer->minimum, layer->maximum);
        mk_limit_bytes(b->out + b->step1, layer->filters, layer->minimum, layer->maximum);
        mk_limit_bytes(b->out + b->step2, layer->filters, layer->minimum, layer->maximum);
    }
}

/* Expand bytes as signed values; or values of 4 or 2 bits as they are stored. */
mk_conv2d_dsp_expand mk_conv2d_dsp_expand_8, mk_conv2d_dsp_expand_4, mk_conv2d_dsp_expand_2;

/*
 * Stores outputs of one pixel whose first channel is at `out`: 4 or fewer of 8 or 4 bits, which begin on a byte, or 2 or
 * 4 of 2 bits.
 */
void mk_conv2d_dsp_store(const mk_conv2d_dsp_block *block, uint32_t channel, uint32_t count, const int32_t *sums,
                         int8_t *out);

/*
 * Weights of 8 bits, which lie as mk_conv2d_s8.h says. The outputs of a lone last filter must be bytes.
 * mk_conv2d_dsp_entry is `entry` of a block.
 */
mk_conv2d_dsp_multiply mk_conv2d_dsp_multiply_bytes;
uint32_t mk_conv2d_dsp_entry(uint32_t taps);

/* Weights of 4 bits that meet inputs of 8; and all others of 4 and 2 bits. They lie as mk_packed_weights.h says. */
mk_conv2d_dsp_multiply mk_conv2d_dsp_multiply_wide, mk_conv2d_dsp_multiply_fields;

#endif

#endif

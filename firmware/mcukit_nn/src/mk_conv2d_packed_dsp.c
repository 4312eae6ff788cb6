/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution of packed maps or weights with DSP instructions: mk_conv2d_dsp.h. */
#include "mk_conv2d_packed_dsp.h"

#include "mk_conv2d_dsp.h"
#include "mk_packed.h"
#include "mk_packed_weights.h"

#if !MK_DSP

void mk_conv2d_packed_dsp(const mk_conv2d_packed_dsp_params *params, const mk_map *input, const mk_map *output,
                          uint16_t first_row, uint16_t last_row, void *scratch)
{
    mk_conv2d_packed(params, input, output, first_row, last_row, scratch);
}

#else

typedef mk_conv2d_packed_params parameters;

static void take(const mk_conv2d_dsp_layer *layer, const int8_t *pixel, uint32_t group, int8_t *out)
{
    mk_unpack_channels(pixel, group * layer->depth, layer->depth, layer->input->bits, out);
}

/* Packs the values of three pixels, or of the first one. */
static void store(const mk_conv2d_dsp_layer *layer, const mk_conv2d_dsp_block *b, bool is_one)
{
    const uint32_t channels = layer->filters * layer->groups, bits = layer->output_bits;
    mk_pack(layer->values, channels, bits, b->out);
    if (!is_one) {
        mk_pack(layer->values + channels, channels, bits, b->out + b->step1);
        mk_pack(layer->values + 2 * channels, channels, bits, b->out + b->step2);
    }
}

/* Inputs: bytes of windows are expanded, or else their values, where the channels of a group don't fill bytes. */
static void set_inputs(mk_conv2d_dsp_layer *layer, const parameters *p)
{
    const uint32_t bits = layer->input->bits, depth = layer->input->channels / layer->groups;
    layer->expand = mk_conv2d_dsp_expand_8;
    layer->bytes_of_four = 4;
    layer->fill = p->input_zero_point;
    if (depth * bits % 8 != 0) {
        layer->take = take;
    } else if (bits != 8) {
        layer->expand = bits == 4 ? mk_conv2d_dsp_expand_4 : mk_conv2d_dsp_expand_2;
        layer->bytes_of_four = bits / 2;
        layer->fill = p->input_zero_point * (bits == 4 ? 0x11 : 0x55);
    }
}

/* Weights: filters that loops take, two or four at a time. */
static void set_weights(mk_conv2d_dsp_layer *layer, mk_conv2d_dsp_block *b)
{
    const uint32_t bits = layer->weight_bits;
    const bool is_wide = bits == 4 && layer->input->bits == 8;
    layer->taps_of_word = bits == 2 ? 8 : 4;
    layer->multiply = mk_conv2d_dsp_multiply_fields;
    b->filters = layer->filters / 4 * 4;
    if (bits == 8 || is_wide) {
        layer->multiply = is_wide ? mk_conv2d_dsp_multiply_wide : mk_conv2d_dsp_multiply_bytes;
        b->filters = layer->filters / 2 * 2;
    }
}

static uint32_t bytes_of_group(const mk_conv2d_dsp_layer *layer)
{
    if (layer->weight_bits == 8) {
        return MK_CONV2D_S8_WEIGHTS(layer->filters, layer->taps);
    }
    return (layer->filters + 1) / 2 * mk_pair_words(layer->taps, layer->weight_bits) * 4;
}

/* Outputs: fields in their places, or else bytes, which are packed later. They wait where copies would begin. */
static void set_outputs(mk_conv2d_dsp_layer *layer, mk_conv2d_dsp_block *b, const parameters *p, const mk_map *output)
{
    const int32_t half = 1 << (output->bits - 1);
    const bool is_limited = p->minimum > -half || p->maximum < half - 1;
    b->bits = output->bits;
    if (output->bits != 8 && (is_limited || layer->filters * output->bits % 8 != 0)) {
        layer->values = layer->copies;
        layer->copies += MK_CONV2D_DSP_COPY(3 * output->channels);
        layer->store = store;
        b->bits = 8;
    }
    layer->output_bits = output->bits;
    layer->group_out = layer->filters * b->bits / 8;
    b->out_bytes = b->filters * b->bits / 8;
    b->offset = 2 * (p->output_zero_point + mk_packed_offset(b->bits)) + 1;
}

void mk_conv2d_packed_dsp(const mk_conv2d_packed_dsp_params *params, const mk_map *input, const mk_map *output,
                          uint16_t first_row, uint16_t last_row, void *scratch)
{
    /* Where nothing is computed there may be no scratch memory. */
    if (first_row >= last_row || output->columns == 0) {
        return;
    }
    const parameters *p = params;
    mk_conv2d_dsp_layer layer = {
        .window = &p->window,
        .input = input,
        .groups = p->groups,
        .minimum = p->minimum,
        .maximum = p->maximum,
        .filters = output->channels / (uint32_t)p->groups,
        .weight_bits = p->weight_bits,
        .sum_taps = p->sum_taps,
    };
    mk_conv2d_dsp_block block = {
        .bias = p->bias,
        .multiplier = p->multiplier,
        .shift = p->shift,
        .weights = p->weights,
    };
    set_inputs(&layer, p);
    set_weights(&layer, &block);
    mk_conv2d_dsp_place(&layer, &block, scratch);
    block.entry = mk_conv2d_dsp_entry(layer.taps);
    layer.group_weights = bytes_of_group(&layer);
    set_outputs(&layer, &block, p, output);
    mk_conv2d_dsp(&layer, &block, output, first_row, last_row);
}

#endif

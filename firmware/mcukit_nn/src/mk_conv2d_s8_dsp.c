/* SPDX-License-Identifier: Apache-2.0 */
/* Convolution of bytes with DSP instructions: mk_conv2d_dsp.h. */
#include "mk_conv2d_s8_dsp.h"

#include "mk_conv2d_dsp.h"

#if !MK_DSP

void mk_conv2d_s8_dsp(const mk_conv2d_s8_dsp_params *params, const mk_map *input, const mk_map *output,
                      uint16_t first_row, uint16_t last_row, void *scratch)
{
    mk_conv2d_s8(params, input, output, first_row, last_row, scratch);
}

#else

void mk_conv2d_s8_dsp(const mk_conv2d_s8_dsp_params *params, const mk_map *input, const mk_map *output,
                      uint16_t first_row, uint16_t last_row, void *scratch)
{
    /* Where nothing is computed there may be no scratch memory. */
    if (first_row >= last_row || output->columns == 0) {
        return;
    }
    const mk_conv2d_s8_params *p = params;
    const uint32_t filters = output->channels / (uint32_t)p->groups;
    mk_conv2d_dsp_layer layer = {
        .window = &p->window,
        .input = input,
        .groups = p->groups,
        .bytes_of_four = 4,
        .expand = mk_conv2d_dsp_expand_8,
        .multiply = mk_conv2d_dsp_multiply_bytes,
        .fill = p->input_zero_point,
        .minimum = p->minimum,
        .maximum = p->maximum,
        .group_out = filters,
        .filters = filters,
        .taps_of_word = 4,
    };
    mk_conv2d_dsp_block block = {
        .bias = p->bias,
        .multiplier = p->multiplier,
        .shift = p->shift,
        .weights = p->weights,
        .offset = 2 * p->output_zero_point + 1,
        .bits = 8,
        .out_bytes = filters / 2 * 2,
        .filters = filters / 2 * 2,
    };
    mk_conv2d_dsp_place(&layer, &block, scratch);
    layer.group_weights = MK_CONV2D_S8_WEIGHTS(filters, layer.taps);
    block.entry = mk_conv2d_dsp_entry(layer.taps);
    mk_conv2d_dsp(&layer, &block, output, first_row, last_row);
}

#endif

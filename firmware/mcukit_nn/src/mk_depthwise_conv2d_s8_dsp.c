/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise 3x3 convolution with DSP instructions: mk_depthwise_conv2d_dsp.h. */
#include "mk_depthwise_conv2d_s8_dsp.h"

#include "mk_depthwise_conv2d_dsp.h"

void mk_depthwise_conv2d_s8_dsp(const mk_depthwise_conv2d_s8_dsp_params *params, const mk_map *input,
                                const mk_map *output, uint16_t first_row, uint16_t last_row, void *scratch)
{
#if MK_DSP
    const mk_depthwise_dsp_layer layer = {
        .window = &params->window,
        .input = input,
        .weights = params->weights,
        .bias = params->bias,
        .multiplier = params->multiplier,
        .shift = params->shift,
        .records = scratch,
        .makers = mk_depthwise_makers_8,
        .load = mk_depthwise_load_8,
        .prepare = mk_depthwise_prepare_bytes,
        .compute = mk_depthwise_compute_8[params->window.stride_x != 1],
        .stride = params->window.stride_x,
        .channels = input->channels,
        .bits = 8,
        .output_bits = 8,
        .pixel_bytes = input->channels,
        .out_step = input->channels,
        .weight_step = input->channels,
        .beyond = 0x01010101u * (uint8_t)params->input_zero_point,
        .fast_shifts = MK_DEPTHWISE_FAST_SHIFTS(8),
        .offset = 2 * params->output_zero_point + 1,
        .minimum = params->minimum,
        .maximum = params->maximum,
        .overlaps = true,
        .rounds_negative = params->minimum < params->output_zero_point,
    };
    mk_depthwise_conv2d_dsp(&layer, output, first_row, last_row);
#else
    mk_depthwise_conv2d_s8(params, input, output, first_row, last_row, scratch);
#endif
}

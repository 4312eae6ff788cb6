/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution of any kernel with DSP instructions: mk_depthwise_conv2d_dsp_windows.h. */
#include "mk_depthwise_conv2d_any_s8_dsp.h"

#include "mk_depthwise_conv2d_dsp.h"
#include "mk_depthwise_conv2d_dsp_windows.h"

#if !MK_DSP

void mk_depthwise_conv2d_any_s8_dsp(const mk_depthwise_conv2d_any_s8_dsp_params *params, const mk_map *input,
                                    const mk_map *output, uint16_t first_row, uint16_t last_row, void *scratch)
{
    mk_depthwise_conv2d_s8(params, input, output, first_row, last_row, scratch);
}

#else

void mk_depthwise_conv2d_any_s8_dsp(const mk_depthwise_conv2d_any_s8_dsp_params *params, const mk_map *input,
                                    const mk_map *output, uint16_t first_row, uint16_t last_row, void *scratch)
{
    mk_depthwise_windows s = {
        .window = &params->window,
        .input = input,
        .constants = params->weights,
        .bias = params->bias,
        .multiplier = params->multiplier,
        .shift = params->shift,
        .pair_columns = mk_depthwise_pair_columns_8,
        .load_pixel = mk_depthwise_load_8,
        .pair_weights = mk_depthwise_pair_weights_8,
        .compute_line = mk_depthwise_line_of_8,
        .channels = input->channels,
        .bits = 8,
        .output_bits = 8,
        .pixel_bytes = input->channels,
        .tap_bytes = input->channels,
        .out_step = input->channels,
        .beyond = 0x01010101u * (uint8_t)params->input_zero_point,
        .offset = 2 * params->output_zero_point + 1,
        .minimum = params->minimum,
        .maximum = params->maximum,
        .overlaps = true,
    };
    mk_depthwise_windows_compute(&s, output, first_row, last_row, scratch);
}

#endif

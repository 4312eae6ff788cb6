/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolution of packed maps or weights, of any kernel: mk_depthwise_conv2d_dsp_windows.h. */
#include "mk_depthwise_conv2d_any_packed_dsp.h"

#include "mk_depthwise_conv2d_dsp.h"
#include "mk_depthwise_conv2d_dsp_windows.h"
#include "mk_packed.h"
#include "mk_packed_weights.h"

#if !MK_DSP

void mk_depthwise_conv2d_any_packed_dsp(const mk_depthwise_conv2d_any_packed_dsp_params *params, const mk_map *input,
                                        const mk_map *output, uint16_t first_row, uint16_t last_row, void *scratch)
{
    mk_depthwise_conv2d_packed(params, input, output, first_row, last_row, scratch);
}

#else

static void set_weights(mk_depthwise_windows *s, uint32_t bits)
{
    s->tap_bytes = 4 * mk_weight_words(s->channels, bits);
    s->pair_weights = bits == 8   ? mk_depthwise_pair_weights_8
                      : bits == 4 ? mk_depthwise_pair_weights_4
                                  : mk_depthwise_pair_weights_2;
}

static void set_input(mk_depthwise_windows *s, int32_t zero_point)
{
    s->bits = s->input->bits;
    s->pixel_bytes = MK_PIXEL_BYTES(s->channels, s->bits);
    switch (s->bits) {
    case 8:
        s->pair_columns = mk_depthwise_pair_columns_8;
        s->load_pixel = mk_depthwise_load_8;
        s->beyond = 0x01010101u * (uint8_t)zero_point;
        break;
    case 4:
        s->pair_columns = mk_depthwise_pair_columns_4;
        s->load_pixel = mk_depthwise_load_4;
        s->beyond = 0x11111111u * (uint32_t)zero_point;
        break;
    default:
        s->pair_columns = mk_depthwise_pair_columns_2;
        s->load_pixel = mk_depthwise_load_2;
        s->beyond = 0x55555555u * (uint32_t)zero_point;
    }
}

static void set_output(mk_depthwise_windows *s, uint32_t bits, int32_t zero_point)
{
    s->output_bits = bits;
    s->out_step = MK_PIXEL_BYTES(s->channels, bits);
    s->offset = 2 * (zero_point + mk_packed_offset(bits)) + 1;
    s->compute_line = bits == 8 ? mk_depthwise_line_of_8 : bits == 4 ? mk_depthwise_line_of_4 : mk_depthwise_line_of_2;
}

void mk_depthwise_conv2d_any_packed_dsp(const mk_depthwise_conv2d_any_packed_dsp_params *params, const mk_map *input,
                                        const mk_map *output, uint16_t first_row, uint16_t last_row, void *scratch)
{
    mk_depthwise_windows s = {
        .window = &params->window,
        .input = input,
        .constants = params->weights,
        .bias = params->bias,
        .multiplier = params->multiplier,
        .shift = params->shift,
        .channels = input->channels,
        .minimum = params->minimum,
        .maximum = params->maximum,
    };
    set_weights(&s, params->weight_bits);
    set_input(&s, params->input_zero_point);
    set_output(&s, output->bits, params->output_zero_point);
    mk_depthwise_windows_compute(&s, output, first_row, last_row, scratch);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Mean over rows and columns with DSP instructions: eight channels at a time are summed. */
#include "mk_mean_s8_dsp.h"

#include "mk_mean_dsp.h"

#if !MK_DSP

void mk_mean_s8_dsp(const mk_mean_s8_dsp_params *params, const mk_map *input, const mk_map *output, uint16_t first_row,
                    uint16_t last_row, void *scratch)
{
    mk_mean_s8(params, input, output, first_row, last_row, scratch);
}

#else

void mk_mean_s8_dsp(const mk_mean_s8_dsp_params *params, const mk_map *input, const mk_map *output, uint16_t first_row,
                    uint16_t last_row, void *scratch)
{
    const uint32_t channels = output->channels;
    if (first_row >= last_row || output->columns == 0) {
        return;
    }
    mk_sum_8_bits(input, mk_all_rows(input), mk_all_columns(input), params->offset, scratch);
    const mk_mean_scale scale = mk_mean_scale_of(params, 0, scratch, channels);
    int8_t *const out = mk_row(output, first_row);
    mk_write_means(&scale, scratch, channels, out);
    mk_limit_bytes(out, channels, params->minimum, params->maximum);
}

#endif

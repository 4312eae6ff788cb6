/* SPDX-License-Identifier: Apache-2.0 */
/* Portable mean over rows and columns: sums of all channels in scratch, pixel by pixel. */
#include "mk_mean_s8.h"

void mk_mean_s8(const mk_mean_s8_params *params, const mk_map *input, const mk_map *output, uint16_t first_row,
                uint16_t last_row, void *scratch)
{
    const uint32_t channels = output->channels;
    int32_t *sums = scratch;
    if (first_row >= last_row || output->columns == 0) {
        return;
    }
    for (uint32_t c = 0; c < channels; ++c) {
        sums[c] = params->offset;
    }
    for (int32_t y = 0; y < input->height; ++y) {
        const int8_t *in = mk_row(input, y);
        for (uint32_t x = 0; x < input->width; ++x) {
            for (uint32_t c = 0; c < channels; ++c) {
                sums[c] += *in++;
            }
        }
    }
    int8_t *out = mk_row(output, first_row);
    for (uint32_t c = 0; c < channels; ++c) {
        const int32_t scaled = mk_requantize(sums[c], params->multiplier, params->shift) + params->output_zero_point;
        out[c] = (int8_t)mk_clamp(scaled, params->minimum, params->maximum);
    }
}

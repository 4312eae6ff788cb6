/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of stored values, which begin so that the offset of all of them is taken off in the end. */
#include "mk_mean_packed.h"

#include "mk_packed.h"

void mk_mean_packed(const mk_mean_packed_params *params, const mk_map *input, const mk_map *output, uint16_t first_row,
                    uint16_t last_row, void *scratch)
{
    const uint32_t channels = output->channels;
    const int32_t pixels = (int32_t)input->height * input->width;
    int32_t *sums = scratch;
    if (first_row >= last_row || output->columns == 0) {
        return;
    }
    for (uint32_t c = 0; c < channels; ++c) {
        sums[c] = params->offset - pixels * mk_packed_offset(input->bits);
    }
    for (int32_t y = 0; y < input->height; ++y) {
        mk_add_stored(mk_row(input, y), input->width, channels, input->bits, sums);
    }
    int8_t *means = scratch; /* take the place of the sums, byte by byte */
    for (uint32_t c = 0; c < channels; ++c) {
        const int32_t scaled = mk_requantize(sums[c], params->multiplier, params->shift) + params->output_zero_point;
        means[c] = (int8_t)mk_clamp(scaled, params->minimum, params->maximum);
    }
    mk_pack(means, channels, output->bits, mk_row(output, first_row));
}

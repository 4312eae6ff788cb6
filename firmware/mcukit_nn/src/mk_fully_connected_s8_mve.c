/* SPDX-License-Identifier: Apache-2.0 */
/* Fully connected layer with Helium: four filters at a time, so that 16 inputs are loaded once for 64 products. */
#include "mk_fully_connected_s8_mve.h"

#include "mk_mve.h"

#define FILTERS 4

void mk_fully_connected_s8_mve(const mk_fully_connected_s8_mve_params *params, const mk_map *input,
                               const mk_map *output, uint16_t first_row, uint16_t last_row)
{
    const mk_fully_connected_s8_params *p = params;
    const uint32_t row_elements = (uint32_t)input->width * input->channels, channels = output->channels;
    const size_t elements = (size_t)input->height * row_elements;
    const mk_mve_output finish = {p->multiplier, p->shift, p->output_zero_point, mk_mve_any_left(p->shift, channels)};
    if (first_row >= last_row || output->columns == 0) {
        return;
    }
    int8_t *out = mk_row(output, first_row);
    for (uint32_t channel = 0; channel < channels; channel += FILTERS) {
        const uint32_t left = channels - channel, last = left < FILTERS ? left - 1 : FILTERS - 1;
        const int8_t *w[FILTERS];
        int32_t sums[FILTERS];
        for (uint32_t i = 0; i < FILTERS; ++i) {
            /* In place of filters that do not exist the last one is computed again. */
            const uint32_t filter = channel + (i < last ? i : last);
            w[i] = p->weights + filter * elements;
            sums[i] = p->bias[filter];
        }
        for (int32_t y = 0; y < input->height; ++y) {
            mk_mve_add_products(mk_row(input, y), w, row_elements, sums);
            for (uint32_t i = 0; i < FILTERS; ++i) {
                w[i] += row_elements;
            }
        }
        mk_mve_finish(&finish, vldrwq_s32(sums), channel, last + 1, out + channel);
    }
    mk_mve_limit(out, channels, p->minimum, p->maximum);
}

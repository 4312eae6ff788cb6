/* SPDX-License-Identifier: Apache-2.0 */
/* Mean over rows and columns of packed maps with DSP instructions. */
#include "mk_mean_packed_dsp.h"

#include "mk_mean_dsp.h"

#if !MK_DSP

void mk_mean_packed_dsp(const mk_mean_packed_dsp_params *params, const mk_map *input, const mk_map *output,
                        uint16_t first_row, uint16_t last_row, void *scratch)
{
    mk_mean_packed(params, input, output, first_row, last_row, scratch);
}

#else

/* Means as they are stored, a byte of them at a time. */
static void write_means_of_4_bits(const mk_mean_scale *scale, const int32_t *sums, uint32_t channels, int8_t *out)
{
    for (; channels >= 2; channels -= 2, sums += 2) {
        const int32_t first = mk_halve_to_4_bits(mk_scaled_twice(scale, sums[0]));
        *out++ = (int8_t)(first | mk_halve_to_4_bits(mk_scaled_twice(scale, sums[1])) << 4);
    }
    if (channels != 0) {
        *out = (int8_t)mk_halve_to_4_bits(mk_scaled_twice(scale, *sums));
    }
}

static void write_means_of_2_bits(const mk_mean_scale *scale, const int32_t *sums, uint32_t channels, int8_t *out)
{
    for (; channels >= 4; channels -= 4, sums += 4) {
        int32_t byte = mk_halve_to_2_bits(mk_scaled_twice(scale, sums[0]));
        byte |= mk_halve_to_2_bits(mk_scaled_twice(scale, sums[1])) << 2;
        byte |= mk_halve_to_2_bits(mk_scaled_twice(scale, sums[2])) << 4;
        *out++ = (int8_t)(byte | mk_halve_to_2_bits(mk_scaled_twice(scale, sums[3])) << 6);
    }
    if (channels != 0) {
        int32_t byte = 0;
        while (channels != 0) {
            --channels;
            byte = byte << 2 | mk_halve_to_2_bits(mk_scaled_twice(scale, sums[channels]));
        }
        *out = (int8_t)byte;
    }
}

void mk_mean_packed_dsp(const mk_mean_packed_dsp_params *params, const mk_map *input, const mk_map *output,
                        uint16_t first_row, uint16_t last_row, void *scratch)
{
    const uint32_t channels = output->channels;
    const mk_span rows = mk_all_rows(input), columns = mk_all_columns(input);
    const int32_t pixels = rows.last * columns.last;
    const int32_t start = params->offset - pixels * mk_packed_offset(input->bits);
    if (first_row >= last_row || output->columns == 0) {
        return;
    }
    mk_sum_stored *const sum = input->bits == 8 ? mk_sum_8_bits : input->bits == 4 ? mk_sum_4_bits : mk_sum_2_bits;
    sum(input, rows, columns, start, scratch);
    int8_t *const out = mk_row(output, first_row);
    const mk_mean_scale scale = mk_mean_scale_of(params, mk_packed_offset(output->bits), scratch, channels);
    if (output->bits == 8) {
        mk_write_means(&scale, scratch, channels, out);
    } else if (output->bits == 4) {
        write_means_of_4_bits(&scale, scratch, channels, out);
    } else {
        write_means_of_2_bits(&scale, scratch, channels, out);
    }
    mk_limit_pixels(out, 1, 0, channels, output->bits, params->minimum, params->maximum);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise 3x3 convolution of packed maps or weights with DSP instructions: mk_depthwise_conv2d_dsp.h. */
#include "mk_depthwise_conv2d_packed_dsp.h"

#include "mk_depthwise_conv2d_dsp.h"
#include "mk_packed.h"
#include "mk_packed_weights.h"

#if !MK_DSP

void mk_depthwise_conv2d_packed_dsp(const mk_depthwise_conv2d_packed_dsp_params *params, const mk_map *input,
                                    const mk_map *output, uint16_t first_row, uint16_t last_row, void *scratch)
{
    mk_depthwise_conv2d_packed(params, input, output, first_row, last_row, scratch);
}

#else

/*
 * Weights of 4 or 2 bits: of words whose lowest fields are channels 0 and 1 of four, and channels 2 and 3 in the high
 * half, like MK_FOR_PAIRS.
 */
#define FOR_FIELD_PAIRS(a, b, store) \
    do { \
        const uint32_t low = mk_low_halves((a), (b)), high = mk_high_halves((a), (b)); \
        store(0, mk_subtract_pairs(low & mask, offset)); \
        store(1, mk_subtract_pairs(low >> bits & mask, offset)); \
        store(2, mk_subtract_pairs(high & mask, offset)); \
        store(3, mk_subtract_pairs(high >> bits & mask, offset)); \
    } while (0)

/* bits: a constant wherever this is inlined. */
static inline __attribute__((always_inline)) void prepare_fields(const mk_depthwise_dsp_layer *layer, uint32_t c,
                                                                uint32_t bits, mk_depthwise_channel *out)
{
    const uint32_t per_word = 32 / bits, mask = 0x00010001u * ((1u << bits) - 1), offset = 0x00010001u << (bits - 1);
    const uint32_t *const words = (const uint32_t *)layer->weights + c / per_word;
    const uint32_t step = layer->weight_step, shift = c % per_word / 4 * 2 * bits;
#define LOAD_WORD(tap) (words[(tap) * step] >> shift)
    MK_STORE_WEIGHTS(LOAD_WORD, FOR_FIELD_PAIRS);
}

static void prepare_4(const mk_depthwise_dsp_layer *layer, uint32_t c, mk_depthwise_channel *out)
{
    prepare_fields(layer, c, 4, out);
}

static void prepare_2(const mk_depthwise_dsp_layer *layer, uint32_t c, mk_depthwise_channel *out)
{
    prepare_fields(layer, c, 2, out);
}

static void set_input(mk_depthwise_dsp_layer *layer, int32_t zero_point)
{
    layer->bits = layer->input->bits;
    layer->pixel_bytes = MK_PIXEL_BYTES(layer->channels, layer->bits);
    switch (layer->bits) {
    case 8:
        layer->makers = mk_depthwise_makers_8;
        layer->load = mk_depthwise_load_8;
        layer->beyond = 0x01010101u * (uint8_t)zero_point;
        break;
    case 4:
        layer->makers = mk_depthwise_makers_4;
        layer->load = mk_depthwise_load_4;
        layer->beyond = 0x11111111u * (uint32_t)zero_point;
        break;
    default:
        layer->makers = mk_depthwise_makers_2;
        layer->load = mk_depthwise_load_2;
        layer->beyond = 0x55555555u * (uint32_t)zero_point;
    }
}

/* The first word of scratch memory behind what outputs need. */
static uint32_t *set_output(mk_depthwise_dsp_layer *layer, const mk_map *output, int32_t zero_point)
{
    const uint32_t most = MK_DEPTHWISE_DSP_COLUMNS / layer->stride;
    const uint32_t columns = output->columns < most ? output->columns : most;
    uint32_t *next = (uint32_t *)layer->records + MK_DEPTHWISE_DSP_RECORDS(columns, layer->stride) / sizeof(uint32_t);
    layer->output_bits = output->bits;
    layer->out_step = MK_PIXEL_BYTES(layer->channels, output->bits);
    layer->offset = 2 * (zero_point + mk_packed_offset(output->bits)) + 1;
    layer->compute = mk_depthwise_compute_8[layer->stride != 1];
    if (output->bits != 8) {
        layer->compute = (output->bits == 4 ? mk_depthwise_compute_4 : mk_depthwise_compute_2)[layer->stride != 1];
        layer->pack = output->bits == 4 ? mk_depthwise_pack_4 : mk_depthwise_pack_2;
        layer->words = next;
        next += MK_DEPTHWISE_PACKED_DSP_WORDS(columns) / sizeof(uint32_t);
    }
    return next;
}

/* `count` words of weights of 4 or 2 bits as bytes, all channels of a tap and then those of the next one. */
static inline void unpack_weights(const uint32_t *words, uint32_t count, uint32_t bits, uint32_t *out)
{
    for (; count != 0; --count) {
        const uint32_t word = *words++;
        for (uint32_t shift = 0; shift < 16; shift += 2 * bits) {
            *out++ = mk_depthwise_unpack(word >> shift, bits);
        }
    }
}

/*
 * Weights that are few are unpacked at once for all rows of a call, others for rows that are computed together; to
 * `bytes`.
 */
static void set_weights(mk_depthwise_dsp_layer *layer, uint32_t bits, uint32_t *bytes)
{
    const uint32_t words = mk_weight_words(layer->channels, bits), of_tap = 32 / bits * words;
    layer->prepare = mk_depthwise_prepare_bytes;
    layer->weight_step = of_tap;
    if (bits != 8 && MK_DEPTHWISE_PACKED_DSP_WEIGHTS(of_tap) == 0) {
        layer->prepare = bits == 4 ? prepare_4 : prepare_2;
        layer->weight_step = words;
    } else if (bits == 4) {
        unpack_weights(layer->weights, 9 * words, 4, bytes);
        layer->weights = bytes;
    } else if (bits == 2) {
        unpack_weights(layer->weights, 9 * words, 2, bytes);
        layer->weights = bytes;
    }
}

void mk_depthwise_conv2d_packed_dsp(const mk_depthwise_conv2d_packed_dsp_params *params, const mk_map *input,
                                    const mk_map *output, uint16_t first_row, uint16_t last_row, void *scratch)
{
    /* Where nothing is computed there may be no scratch memory. */
    if (first_row >= last_row || output->columns == 0) {
        return;
    }
    mk_depthwise_dsp_layer layer = {
        .window = &params->window,
        .input = input,
        .weights = params->weights,
        .bias = params->bias,
        .multiplier = params->multiplier,
        .shift = params->shift,
        .records = scratch,
        .stride = params->window.stride_x,
        .channels = input->channels,
        .minimum = params->minimum,
        .fast_shifts = MK_DEPTHWISE_FAST_SHIFTS(params->weight_bits),
        .maximum = params->maximum,
        .rounds_negative = params->minimum < params->output_zero_point,
    };
    set_input(&layer, params->input_zero_point);
    set_weights(&layer, params->weight_bits, set_output(&layer, output, params->output_zero_point));
    mk_depthwise_conv2d_dsp(&layer, output, first_row, last_row);
}

#endif

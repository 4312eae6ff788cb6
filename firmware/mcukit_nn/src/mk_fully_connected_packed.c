/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Portable fully connected layer for packed maps or weights. The input is unpacked to bytes a segment at a time, each
 * for a block of filters whose sums wait in memory; so scratch stays small however large the map is, and unpacking
 * costs little beside the products.
 */
#include "mk_fully_connected_packed.h"

#include <string.h>

#include "mk_packed.h"
#include "mk_packed_weights.h"

/* Filters that share an unpacked segment: even, and a multiple of the channels in a byte. */
#define FILTERS 16

/* Where reading goes on: a channel of pixel x of row y. The map is read once y is its height. */
typedef struct reader {
    const mk_map *map;
    int32_t y;
    uint32_t x, channel;
} reader;

/* The next elements as they are stored, at most `room`; whole bytes of pixels. Returns how many. */
static uint32_t read_elements(reader *r, uint32_t room, int8_t *out)
{
    const uint32_t channels = r->map->channels, bits = r->map->bits, step = MK_PIXEL_BYTES(channels, bits);
    uint32_t filled = 0;
    while (r->y < r->map->height) {
        uint32_t count = channels - r->channel;
        if (count > room - filled) {
            count = (room - filled) & ~3u;
        }
        if (count == 0) {
            break;
        }
        mk_unpack_stored(mk_row(r->map, r->y) + r->x * step + r->channel * bits / 8, count, bits, out + filled);
        filled += count;
        r->channel += count;
        if (r->channel == channels) {
            r->channel = 0;
            if (++r->x == r->map->width) {
                r->x = 0;
                ++r->y;
            }
        }
    }
    return filled;
}

/* Adds the products of inputs with two rows of bytes. */
static mk_sums multiply_rows(mk_sums sums, const int8_t *u, const int8_t *v, uint32_t words, const int8_t *a)
{
    for (; words != 0; --words) {
        MK_FOUR_BYTES(MK_MULTIPLY_ONE);
    }
    return sums;
}

/*
 * Adds the products of inputs with `words` words of each of `count` filters of a block, from word `first` on.
 */
static void add_products(const mk_fully_connected_packed_params *p, const void *filters, uint32_t filter_words,
                         uint32_t count, uint32_t first, uint32_t words, uint32_t signs, const int8_t *inputs,
                         int32_t *sums)
{
    for (uint32_t i = 0; i < count; i += 2) {
        /* A lone last filter is computed twice or beside zeros: the second sum is dropped. */
        const uint32_t other = i + (i + 1 < count);
        mk_sums pair = {sums[i], sums[other], 0, 0};
        if (p->weight_bits == 8) {
            const int8_t *w0 = mk_weights_at(filters, i * filter_words + first);
            const int8_t *w1 = mk_weights_at(filters, other * filter_words + first);
            pair = multiply_rows(pair, w0, w1, words, inputs);
        } else {
            mk_pair at = mk_pair_at(filters, i, count, filter_words, signs == mk_pair_signs(4, 8));
            at.words += first * at.step;
            pair = mk_multiply_one(pair, at, words, p->weight_bits, signs, inputs);
        }
        sums[other] = pair.a1;
        sums[i] = pair.a0;
    }
}

/* The sums of `count` filters over the whole input. */
static void sum_block(const mk_fully_connected_packed_params *p, const mk_map *input, const void *filters,
                      uint32_t filter_words, uint32_t count, int8_t *segment, int32_t *sums)
{
    const uint32_t per_word = p->weight_bits == 2 ? 8 : 4, signs = mk_pair_signs(p->weight_bits, input->bits);
    reader r = {input, 0, 0, 0};
    uint32_t held = 0;
    for (uint32_t first = 0; first < filter_words;) {
        held += read_elements(&r, p->segment - held, segment + held);
        if (r.y == input->height) {
            for (; held % per_word != 0; ++held) {
                segment[held] = 0;
            }
        }
        const uint32_t words = held / per_word, used = words * per_word;
        add_products(p, filters, filter_words, count, first, words, signs, segment, sums);
        first += words;
        held -= used;
        memmove(segment, segment + used, held);
    }
}

void mk_fully_connected_packed(const mk_fully_connected_packed_params *params, const mk_map *input,
                               const mk_map *output, uint16_t first_row, uint16_t last_row, void *scratch)
{
    if (first_row >= last_row || output->columns == 0) {
        return;
    }
    const uint32_t elements = (uint32_t)input->height * input->width * input->channels;
    /* Words of a filter of 8 bits, or of a pair of others; from one block of filters to the next. */
    const bool are_bytes = params->weight_bits == 8;
    const uint32_t filter_words = are_bytes ? (elements + 3) / 4 : mk_pair_words(elements, params->weight_bits);
    const uint32_t block_words = FILTERS * filter_words / (are_bytes ? 1 : 2);
    const void *filters = params->weights;
    int8_t *const out = mk_row(output, first_row);
    for (uint32_t first = 0; first < output->channels; first += FILTERS) {
        const uint32_t left = output->channels - first, count = left < FILTERS ? left : FILTERS;
        int32_t sums[FILTERS];
        int8_t values[FILTERS];
        memcpy(sums, params->bias + first, count * sizeof sums[0]);
        sum_block(params, input, filters, filter_words, count, scratch, sums);
        for (uint32_t i = 0; i < count; ++i) {
            const int32_t scaled = mk_requantize(sums[i], params->multiplier[first + i], params->shift[first + i]);
            values[i] = (int8_t)mk_clamp(scaled + params->output_zero_point, params->minimum, params->maximum);
        }
        mk_pack(values, count, output->bits, out + first * output->bits / 8);
        filters = mk_weights_at(filters, block_words);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fully connected layer for packed maps or weights with DSP instructions. The input is expanded to pairs of 16 bits a
 * segment at a time, each for a block of filters whose sums wait in memory; four filters at a time meet it.
 *
 * Weights of 4 and 2 bits stand in pairs of filters, which share their products as those of convolutions do: see
 * mk_conv2d_dsp_fields.c. But where weights of 4 bits meet inputs of 8, each filter has its own.
 */
#include "mk_fully_connected_packed_dsp.h"

#include "mk_fully_connected_loops.h"
#include "mk_packed.h"
#include "mk_packed_weights.h"

#if !MK_DSP

void mk_fully_connected_packed_dsp(const mk_fully_connected_packed_dsp_params *params, const mk_map *input,
                                   const mk_map *output, uint16_t first_row, uint16_t last_row, void *scratch)
{
    mk_fully_connected_packed(params, input, output, first_row, last_row, scratch);
}

#else

/* Filters that share an expanded segment: a multiple of four, and of the channels in a byte. */
#define FILTERS 32

/* Where reading goes on: value `at` of row y, whose values follow each other. The map is read once y is its height. */
typedef struct reader {
    const mk_map *map;
    int32_t y;
    uint32_t at;
} reader;

/* What stays the same during a call. chunk: words of a pair of filters after which sums are moved; half: see there. */
typedef struct shape {
    const mk_fully_connected_packed_params *params;
    const mk_map *input;
    uint32_t row_values, taps_of_word, words, chunk;
    int32_t half;
    uint32_t *segment;
    int8_t *bytes;
    bool is_wide, is_direct;
} shape;

/* Expands `count` values, a multiple of four, that begin at a byte: X02, then X13 of each four. */
static uint32_t *expand(const int8_t *in, uint32_t count, uint32_t bits, uint32_t *out)
{
    const uint32_t *const end = out + count / 2;
    if (bits == 8) {
        for (; out != end; out += 2, in += 4) {
            const uint32_t four = mk_load_word(in);
            out[0] = mk_extend_even(four);
            out[1] = mk_extend_odd(four);
        }
    } else if (bits == 4) {
        for (; out != end; out += 2, in += 2) {
            const uint32_t four = (uint8_t)in[0] | (uint32_t)(uint8_t)in[1] << 16;
            out[0] = four & 0x000F000Fu;
            out[1] = four >> 4 & 0x000F000Fu;
        }
    } else {
        for (; out != end; out += 2, ++in) {
            const uint32_t four = (uint8_t)*in | (uint32_t)(uint8_t)*in << 12;
            out[0] = four & 0x00030003u;
            out[1] = four >> 2 & 0x00030003u;
        }
    }
    return out;
}

/* Value `at` of a row, as it is stored. */
static int8_t value_at(const int8_t *row, uint32_t at, uint32_t channels, uint32_t bits)
{
    int8_t value;
    const uint32_t pixel = at / channels;
    mk_unpack_channels(row + pixel * MK_PIXEL_BYTES(channels, bits), at - pixel * channels, 1, bits, &value);
    return value;
}

/* The next values, `room` or as many as there are, expanded; zeros fill a last word of weights. Returns how many. */
static uint32_t read_segment(const shape *s, reader *r, uint32_t room)
{
    const mk_map *map = s->input;
    uint32_t filled = 0;
    while (r->y < map->height && filled != room) {
        const int8_t *row = mk_row(map, r->y);
        uint32_t count = s->row_values - r->at;
        count = count < room - filled ? count : room - filled;
        if (s->is_direct) {
            expand(row + r->at * map->bits / 8, count, map->bits, s->segment + filled / 2);
        } else {
            for (uint32_t i = 0; i < count; ++i) {
                s->bytes[filled + i] = value_at(row, r->at + i, map->channels, map->bits);
            }
        }
        filled += count;
        r->at += count;
        if (r->at == s->row_values) {
            r->at = 0;
            ++r->y;
        }
    }
    const uint32_t fours = (filled + 3) / 4 * 4, words = (filled + s->taps_of_word - 1) / s->taps_of_word;
    if (!s->is_direct) {
        memset(s->bytes + filled, 0, fours - filled);
        expand(s->bytes, fours, 8, s->segment);
    }
    memset(s->segment + fours / 2, 0, 2 * (words * s->taps_of_word - fours));
    return words;
}

static int32_t sum_of_inputs(const uint32_t *x, uint32_t count)
{
    int32_t sum = 0;
    for (const uint32_t *const end = x + count; x != end; x += 2) {
        sum = mk_multiply_pairs(x[1], 0x00010001u, mk_multiply_pairs(x[0], 0x00010001u, sum));
    }
    return sum;
}

/* The sums of `count` filters, four or fewer. Where their number is odd there is room for one more. */
static mk_four_sums load_sums(const int32_t *sums, uint32_t count)
{
    const mk_four_sums found = {sums[0], sums[1], count > 2 ? sums[2] : 0, count > 3 ? sums[3] : 0};
    return found;
}

static void store_sums(int32_t *sums, uint32_t count, mk_four_sums found)
{
    sums[0] = found.s0;
    sums[1] = found.s1;
    if (count > 2) {
        sums[2] = found.s2;
        sums[3] = found.s3;
    }
}

/* Adds the products of `fours` fours of inputs with `count` rows of bytes, four or fewer, `step` bytes apart. */
static void add_rows(const uint32_t *x, uint32_t fours, const int8_t *rows, size_t step, uint32_t count, int32_t *sums)
{
    if (count == 4) {
        store_sums(sums, 4, mk_multiply_rows(x, fours, rows, step, load_sums(sums, 4)));
        return;
    }
    for (uint32_t i = 0; i < count; ++i) {
        for (uint32_t four = 0; four < fours; ++four) {
            const uint32_t word = mk_load_word(rows + i * step + 4 * four);
            sums[i] = mk_multiply_pairs(mk_extend_even(word), x[2 * four], sums[i]);
            sums[i] = mk_multiply_pairs(mk_extend_odd(word), x[2 * four + 1], sums[i]);
        }
    }
}

/* The same for filters of 4 bits with inputs of 8; step: words of a pair. */
static void add_wide(const uint32_t *x, uint32_t fours, const uint32_t *w, uint32_t step, uint32_t count, int32_t *sums)
{
    const uint32_t *other = count > 2 ? w + step : w;
    store_sums(sums, count, mk_multiply_wide(x, fours, w, other, load_sums(sums, count)));
}

static mk_four_sums multiply_shared(const uint32_t **x, uint32_t words, const uint32_t *w, uint32_t bits, bool is_lone,
                                    mk_four_sums sums)
{
    if (bits == 4) {
        return is_lone ? mk_multiply_lone_4(x, words, w, sums) : mk_multiply_shared_4(x, words, w, sums);
    }
    return is_lone ? mk_multiply_lone_2(x, words, w, sums) : mk_multiply_shared_2(x, words, w, sums);
}

/*
 * The same for filters that share their products. The lower sums are moved after every chunk, the upper ones in the end:
 * they have room for a segment.
 */
static void add_shared(const shape *s, uint32_t words, const uint32_t *w, uint32_t count, int32_t *sums)
{
    const uint32_t bits = s->params->weight_bits, step = count <= 2 ? 1 : 2;
    const int32_t half = s->half, field = (1 << (16 - bits)) - 1;
    const uint32_t *x = s->segment;
    int32_t moved0 = 0, moved2 = 0;
    mk_four_sums shared = {half, half, 0, 0};
    while (words != 0) {
        const uint32_t taken = words < s->chunk ? words : s->chunk;
        shared = multiply_shared(&x, taken, w, bits, step == 1, shared);
        const int32_t low0 = (shared.s0 & field) - half, low2 = (shared.s1 & field) - half;
        moved0 += low0;
        moved2 += low2;
        shared.s0 -= low0;
        shared.s1 -= low2;
        words -= taken;
        w += step * taken;
    }
    sums[0] += moved0;
    sums[1] += shared.s0 >> (16 - bits);
    if (step == 2) {
        sums[2] += moved2;
        sums[3] += shared.s1 >> (16 - bits);
    }
}

/*
 * Adds the products of a segment, `words` words from word `first` on, with `count` filters of a block, of which the
 * first one is at `filters`.
 */
static void add_segment(const shape *s, const void *filters, uint32_t count, uint32_t first, uint32_t words, int32_t *sums)
{
    const uint32_t bits = s->params->weight_bits;
    for (uint32_t i = 0; i < count; i += 4) {
        const uint32_t left = count - i < 4 ? count - i : 4;
        if (bits == 8) {
            const int8_t *rows = (const int8_t *)filters + 4 * (size_t)(i * s->words + first);
            add_rows(s->segment, words, rows, 4 * (size_t)s->words, left, sums + i);
        } else if (s->is_wide) {
            const uint32_t *w = (const uint32_t *)filters + i / 2 * s->words + first;
            add_wide(s->segment, words, w, s->words, left, sums + i);
        } else {
            const uint32_t *w = (const uint32_t *)filters + i / 2 * s->words + (left <= 2 ? 1 : 2) * first;
            add_shared(s, words, w, left, sums + i);
        }
    }
}

/* The sums of `count` filters over the whole input. */
static void sum_block(const shape *s, const void *filters, uint32_t count, int32_t *sums)
{
    const uint32_t bits = s->params->weight_bits;
    reader r = {s->input, 0, 0};
    int32_t total = 0;
    for (uint32_t first = 0; first < s->words;) {
        const uint32_t words = read_segment(s, &r, s->params->segment);
        add_segment(s, filters, count, first, words, sums);
        if (bits != 8) {
            total += sum_of_inputs(s->segment, words * s->taps_of_word / 2);
        }
        first += words;
    }
    /* Distances are larger than the weights, whose sums they stand for. */
    if (bits != 8) {
        for (uint32_t i = 0; i < count; i += s->is_wide ? 1 : 2) {
            sums[i] -= total * (1 << (bits - 1));
        }
    }
}

static shape shape_of(const mk_fully_connected_packed_params *p, const mk_map *input, void *scratch)
{
    const uint32_t bits = p->weight_bits, row_values = (uint32_t)input->width * input->channels;
    const uint32_t taps_of_word = bits == 2 ? 8 : 4;
    const shape s = {
        .params = p,
        .input = input,
        .row_values = row_values,
        .taps_of_word = taps_of_word,
        .words = (input->height * row_values + taps_of_word - 1) / taps_of_word,
        .chunk = p->sum_taps / taps_of_word,
        .half = input->bits == 8 ? 1 << (15 - bits) : 0,
        .segment = scratch,
        .bytes = (int8_t *)scratch + 2 * (size_t)p->segment,
        .is_wide = bits == 4 && input->bits == 8,
        .is_direct = input->channels * input->bits % 8 == 0 && row_values % 4 == 0,
    };
    return s;
}

void mk_fully_connected_packed_dsp(const mk_fully_connected_packed_dsp_params *params, const mk_map *input,
                                   const mk_map *output, uint16_t first_row, uint16_t last_row, void *scratch)
{
    const mk_fully_connected_packed_params *p = params;
    if (first_row >= last_row || output->columns == 0) {
        return;
    }
    const shape s = shape_of(p, input, scratch);
    const void *filters = p->weights;
    int8_t *const out = mk_row(output, first_row);
    for (uint32_t first = 0; first < output->channels; first += FILTERS) {
        const uint32_t left = output->channels - first, count = left < FILTERS ? left : FILTERS;
        int32_t sums[FILTERS];
        int8_t values[FILTERS];
        memset(sums, 0, sizeof sums);
        memcpy(sums, p->bias + first, count * sizeof sums[0]);
        sum_block(&s, filters, count, sums);
        for (uint32_t i = 0; i < count; ++i) {
            const uint32_t doubled = (uint32_t)p->multiplier[first + i] << 1;
            const int32_t offset = 2 * p->output_zero_point + 1;
            const int32_t value = mk_requantize_to_byte(sums[i], doubled, p->shift[first + i], offset);
            values[i] = (int8_t)mk_clamp(value, p->minimum, p->maximum);
        }
        mk_pack(values, count, output->bits, out + first * output->bits / 8);
        filters = mk_weights_at(filters, FILTERS * s.words / (p->weight_bits == 8 ? 1 : 2));
    }
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise 3x3 convolutions with DSP instructions, row by row, four channels at a time: mk_depthwise_conv2d_dsp.h. */
#include "mk_depthwise_conv2d_dsp.h"

#if MK_DSP

#include "mk_depthwise_conv2d_s8_dsp.h"
#include "mk_packed.h"

#define CHANNELS MK_DEPTHWISE_DSP_CHANNELS

#define ROWS MK_DEPTHWISE_DSP_MOST_ROWS

typedef mk_depthwise_dsp_layer layer;
typedef mk_depthwise_record record;

/*
 * Columns [left, limit) of the input, which the records of a part of a row are made of; those in [0, last) exist.
 * strip: how they are made at once, if the rows allow it.
 */
typedef struct part {
    int32_t left, limit, last;
    mk_depthwise_strip strip;
} part;

/*
 * One row of the output. rows: where the first column of the input is, or would be, of those that exist; exist: a bit
 * for each. make: makes records at once; null where it cannot. out: the first output.
 */
typedef struct line {
    const int8_t *rows[3];
    uint32_t exist;
    mk_depthwise_make *make;
    int8_t *out;
} line;

/* Four channels beyond the map, as `load` would load them. */
static inline uint32_t beyond_bytes(const layer *s)
{
    return 0x01010101u * (s->beyond & ((1u << s->bits) - 1));
}

/* Prepares the strip, and what it does not make, if the columns allow for one. */
static bool set_strip(const layer *s, part *p)
{
    const int32_t first = p->left < 0 ? p->left + 2 : p->left, whole = (p->last - first) / 2;
    if (s->channels < CHANNELS || p->left < -1 || first > p->last) {
        return false;
    }
    p->strip.step = s->pixel_bytes;
    p->strip.out = s->records;
    p->strip.beyond = s->beyond;
    p->strip.has_left = p->left < 0;
    p->strip.has_right = (uint32_t)(p->last - first) % 2;
    p->strip.end = s->records + ((p->left < 0) + whole) * CHANNELS;
    p->strip.odd = (uint32_t)((p->left < 0) + whole) % 2;
    /* Records behind the map are the same for all channels and rows. */
    const uint32_t beyond = beyond_bytes(s), words[6] = {beyond, beyond, beyond, beyond, beyond, beyond};
    record *out = p->strip.end + p->strip.has_right * CHANNELS;
    for (int32_t x = first + 2 * (whole + (int32_t)p->strip.has_right); x < p->limit; x += 2, out += CHANNELS) {
        mk_depthwise_split(words, out);
    }
    return true;
}

/* The records of `count` channels from `c` on, one by one. */
static __attribute__((noinline)) void make_one_by_one(const layer *s, const part *p, const line *row, uint32_t c,
                                                      uint32_t count)
{
    const uint32_t beyond = beyond_bytes(s);
    const int32_t step = (int32_t)s->pixel_bytes, offset = (int32_t)(c * s->bits / 8);
    record *out = s->records;
    for (int32_t x = p->left; x < p->limit; x += 2, out += CHANNELS) {
        const int32_t first = (x - p->left) * step + offset, second = first + step;
        const bool has_first = x >= 0 && x < p->last, has_second = x + 1 >= 0 && x + 1 < p->last;
        uint32_t words[6];
        for (uint32_t k = 0; k < 3; ++k) {
            const bool exists = (row->exist >> k & 1) != 0;
            words[2 * k] = has_first && exists ? s->load(row->rows[k] + first, count) : beyond;
            words[2 * k + 1] = has_second && exists ? s->load(row->rows[k] + second, count) : beyond;
        }
        mk_depthwise_split(words, out);
    }
}

void mk_depthwise_prepare_bytes(const layer *s, uint32_t c, mk_depthwise_channel *out)
{
    const int8_t *const weights = (const int8_t *)s->weights + c;
    const uint32_t step = s->weight_step;
#define LOAD_TAP(tap) mk_load_word(weights + (tap) * step)
#define LOAD_FEW(tap) mk_depthwise_load_8(weights + (tap) * step, step)
    if (step >= CHANNELS) {
        MK_STORE_WEIGHTS(LOAD_TAP, MK_FOR_PAIRS);
    } else {
        MK_STORE_WEIGHTS(LOAD_FEW, MK_FOR_PAIRS);
    }
}

/*
 * Biases and factors of `count` channels from `c` on.
 *
 * An output is the sum times m / 2^31, rounded, and that shifted to the right, rounded again, which is the same as to
 * add what both roundings add and then to cut off all of the fraction at once. So where weights can be scaled so that
 * all channels have the same shift, that can be the saturation's: the upper word of the product of a sum and m has as
 * many bits of the fraction as MK_DEPTHWISE_FAST_SHIFT says. Negative values are rounded the other way by shifts to the
 * right, which matters where there are negative outputs.
 */
static __attribute__((noinline)) void prepare_factors(const layer *s, uint32_t c, uint32_t count,
                                                      mk_depthwise_channel *out)
{
    const int32_t *bias = s->bias + c, *multiplier = s->multiplier + c;
    const int8_t *shift = s->shift + c;
    const int32_t offset = s->offset;
    const uint32_t fast_shifts = s->fast_shifts;
    const bool is_positive = !s->rounds_negative;
    for (const mk_depthwise_channel *const end = out + count; out != end; ++out) {
        const int32_t right = -*shift++, factor = *multiplier++, sum = *bias++;
        const uint32_t below = (uint32_t)(MK_DEPTHWISE_FAST_SHIFT - 1 - right);
        if (below < fast_shifts && factor != 0 && (is_positive || right <= 0)) {
            const int32_t half = right > 0 ? 1 << below : 0;
            mk_depthwise_scale(out->weights, below + 2);
            out->bias = (int32_t)((uint32_t)sum << (below + 2));
            out->multiplier = factor;
            out->offset = (int32_t)((uint32_t)offset << (MK_DEPTHWISE_FAST_SHIFT - 1)) + half;
            out->right = (int32_t)(3 * s->out_step);
        } else {
            out->bias = sum;
            out->multiplier = (int32_t)((uint32_t)factor << 1);
            out->offset = offset;
            out->right = right - 1;
        }
    }
}

/* Lines of `pixels` outputs of a row, but for their channels and where they are. */
static inline void set_lines(const layer *s, uint32_t pixels, mk_depthwise_lines *l)
{
    const uint32_t pairs = pixels / 2, turn = 2 * s->stride * CHANNELS;
    l->records = s->records;
    l->count = s->channels < CHANNELS ? s->channels : CHANNELS;
    if (s->pack != NULL) {
        l->fours_end = l->records + (pixels + 1) / 4 * turn;
        l->end = l->records + (pixels + 1) / 2 * (turn / 2);
        l->out = (int8_t *)s->words;
        l->step = l->odd = 0;
    } else {
        /* A lone output is computed as a pair whose second output has the place of the first one. */
        l->fours_end = l->records + pixels / 4 * turn;
        l->end = l->records + (pairs != 0 ? pairs : 1) * (turn / 2);
        l->step = pairs != 0 ? s->out_step : 0;
        l->odd = pairs != 0 ? pixels % 2 : 0;
    }
    l->has_twos = l->odd != 0 || l->end != l->fours_end;
}

/* `pixels` outputs of each row, from column `left` of the input on; all rows of four channels before the next ones. */
static void compute_columns(const layer *s, line *rows, uint32_t count, int32_t left, uint32_t pixels)
{
    const uint32_t channels = s->channels;
    /* From four channels to the next, in bytes. */
    uint32_t input_step = CHANNELS * s->bits / 8, out_step = CHANNELS * s->output_bits / 8;
    const int32_t limit = left + (int32_t)((pixels - 1) * s->stride + 3), width = s->input->width;
    part p = {.left = left, .limit = limit, .last = limit < width ? limit : width};
    bool has_strip = set_strip(s, &p);
    mk_depthwise_lines l;
    set_lines(s, pixels, &l);
    for (uint32_t c = 0, input_offset = 0, out_offset = 0;;) {
        s->prepare(s, c, l.channels);
        prepare_factors(s, c, l.count, l.channels);
        for (const line *row = rows, *const end = rows + count; row != end; ++row) {
            if (has_strip && row->make != NULL) {
                row->make(&p.strip, row->rows, input_offset);
            } else {
                make_one_by_one(s, &p, row, c, l.count);
            }
            int8_t *const out = row->out + out_offset;
            if (s->pack == NULL) {
                l.out = out;
                s->compute(&l);
            } else {
                s->compute(&l);
                s->pack(s->words, l.count, pixels, s->out_step, out);
            }
        }
        c += CHANNELS;
        if (c + CHANNELS > channels) {
            if (c >= channels) {
                return;
            }
            if (s->overlaps) {
                /* The last four channels overlap those before them. */
                c = channels - CHANNELS;
                input_step = out_step = channels % CHANNELS;
            } else {
                l.count = channels - c;
                /* What is made at once reads as many bytes as four channels have. */
                has_strip = has_strip && (l.count * s->bits + 7) / 8 == CHANNELS * s->bits / 8;
            }
        }
        input_offset += input_step;
        out_offset += out_step;
    }
}

/* The rows of the input for output row `y`, `offset` bytes behind where they begin. */
static inline void set_rows(const layer *s, int32_t y, int32_t offset, line *row)
{
    const mk_window *w = s->window;
    const mk_map *input = s->input;
    const int32_t height = input->height;
    int32_t at = y * w->stride_y - w->pad_top;
    uint32_t exist = 0;
    for (uint32_t k = 0; k < 3; ++k, at += w->dilation_y) {
        const bool exists = (uint32_t)at < (uint32_t)height;
        row->rows[k] = (exists ? mk_row(input, at) : input->data) + offset;
        exist |= (uint32_t)exists << k;
    }
    row->exist = exist;
    row->make = exist == 7 ? s->makers[0] : exist == 6 ? s->makers[1] : exist == 3 ? s->makers[2] : NULL;
}

/* `count` rows of the output from `y` on. */
static void compute_rows(const layer *s, const mk_map *output, int32_t y, uint32_t count)
{
    const mk_window *w = s->window;
    const uint32_t most = MK_DEPTHWISE_DSP_COLUMNS / s->stride;
    uint32_t pixels;
    for (uint32_t first = 0; first < output->columns; first += pixels) {
        const int32_t left = (int32_t)(output->first_column + first) * w->stride_x - w->pad_left;
        const int32_t offset = (left - (int32_t)s->input->first_column) * (int32_t)s->pixel_bytes;
        line rows[ROWS];
        for (uint32_t k = 0; k < count; ++k) {
            set_rows(s, y + (int32_t)k, offset, &rows[k]);
            rows[k].out = mk_row(output, y + (int32_t)k) + first * s->out_step;
        }
        pixels = output->columns - first < most ? output->columns - first : most;
        compute_columns(s, rows, count, left, pixels);
        for (uint32_t k = 0; k < count; ++k) {
            mk_limit_pixels(rows[k].out, pixels, s->out_step, s->channels, s->output_bits, s->minimum, s->maximum);
        }
    }
}

void mk_depthwise_conv2d_dsp(const layer *s, const mk_map *output, uint16_t first_row, uint16_t last_row)
{
    const uint32_t most = MK_DEPTHWISE_DSP_ROWS(output->width);
    uint32_t count;
    for (uint32_t y = first_row; y < last_row; y += count) {
        count = last_row - y < most ? last_row - y : most;
        compute_rows(s, output, (int32_t)y, count);
    }
}

#endif

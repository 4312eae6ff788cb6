/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise 3x3 convolutions with DSP instructions, row by row, four channels at a time: mk_depthwise_conv2d_dsp.h. */
#include "mk_depthwise_conv2d_dsp.h"

#if MK_DSP

#include "mk_depthwise_conv2d_s8_dsp.h"
#include "mk_packed.h"

#define CHANNELS MK_DEPTHWISE_DSP_CHANNELS

typedef mk_depthwise_dsp_layer layer;
typedef mk_depthwise_record record;

/*
 * What the records of a part of a row are made of. make: makes those at once that it can, from `strip`; null if none.
 * Then come those of the columns from x to `limit`, one by one, at `out`; of these, columns in [0, last) exist.
 * left: the first column of all.
 */
typedef struct part {
    mk_depthwise_make *make;
    mk_depthwise_strip strip;
    int32_t left, x, limit, last;
    record *out;
} part;

/* The part whose records are all made one by one. */
static part slow_part_of(const layer *s, int32_t left, int32_t limit)
{
    const int32_t width = s->input->width;
    return (part){.left = left, .x = left, .limit = limit, .last = limit < width ? limit : width, .out = s->records};
}

/* rows: where column `left` of the map is, or would be; null for rows outside of it. */
static part part_of(const layer *s, const int8_t *const rows[3], int32_t left, int32_t limit)
{
    part p = slow_part_of(s, left, limit);
    const int32_t first = left < 0 ? left + 2 : left;
    const bool exist = rows[1] != NULL && (rows[0] != NULL || rows[2] != NULL);
    if (s->channels < CHANNELS || left < -1 || first > p.last || !exist) {
        return p;
    }
    const int32_t whole = (p.last - first) / 2;
    p.make = s->makers[rows[0] == NULL ? 1 : rows[2] == NULL ? 2 : 0];
    p.strip.rows[0] = rows[0] != NULL ? rows[0] : rows[1];
    p.strip.rows[1] = rows[1];
    p.strip.rows[2] = rows[2] != NULL ? rows[2] : rows[1];
    p.strip.step = s->pixel_bytes;
    p.strip.out = s->records;
    p.strip.beyond = s->beyond;
    p.strip.has_left = left < 0;
    p.strip.has_right = (uint32_t)(p.last - first) % 2;
    p.x = first + 2 * whole;
    if (p.strip.has_right != 0) {
        p.x += 2;
    } else if (p.x < limit) {
        p.strip.has_right = 2;
        p.x += 2;
    }
    p.strip.end = s->records + ((left < 0) + whole) * CHANNELS;
    p.out = p.strip.end + (p.strip.has_right != 0) * CHANNELS;
    return p;
}

/* The records of `count` channels from `c` on that are made one by one. rows: see part_of. */
static __attribute__((noinline)) void make_one_by_one(const layer *s, const part *p, const int8_t *const rows[3],
                                                      uint32_t c, uint32_t count)
{
    const uint32_t beyond = 0x01010101u * (s->beyond & ((1u << s->bits) - 1));
    const int32_t step = (int32_t)s->pixel_bytes, offset = (int32_t)(c * s->bits / 8);
    record *out = p->out;
    for (int32_t x = p->x; x < p->limit; x += 2, out += CHANNELS) {
        const int32_t first = (x - p->left) * step + offset, second = first + step;
        const bool has_first = x >= 0 && x < p->last, has_second = x + 1 >= 0 && x + 1 < p->last;
        uint32_t words[6];
        for (uint32_t row = 0; row < 3; ++row) {
            const bool exists = rows[row] != NULL;
            words[2 * row] = has_first && exists ? s->load(rows[row] + first, count) : beyond;
            words[2 * row + 1] = has_second && exists ? s->load(rows[row] + second, count) : beyond;
        }
        mk_depthwise_split(words, out);
    }
}

/* What is made at once reads as many bytes as four channels have: where `count` channels have fewer, nothing is. */
static void make_few(const layer *s, uint32_t count, part *p)
{
    if ((count * s->bits + 7) / 8 < CHANNELS * s->bits / 8) {
        *p = slow_part_of(s, p->left, p->limit);
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

/* Biases and factors of `count` channels from `c` on. */
static inline void prepare_factors(const layer *s, uint32_t c, uint32_t count, mk_depthwise_channel *out)
{
    const int32_t *bias = s->bias + c, *multiplier = s->multiplier + c;
    const int8_t *shift = s->shift + c;
    const int32_t is_signed = s->rounds_negative ? MK_DEPTHWISE_SIGNED : 0, offset = s->offset;
#define PREPARE(k) \
    do { \
        const int32_t right = -shift[k]; \
        out[k].bias = bias[k]; \
        out[k].multiplier = multiplier[k]; \
        out[k].offset = right > 0 ? (int32_t)((uint32_t)offset << (right - 1)) : offset >> 1; \
        out[k].right = right > 0 ? right + is_signed : right; \
    } while (0)
    if (count == CHANNELS) {
        PREPARE(0);
        PREPARE(1);
        PREPARE(2);
        PREPARE(3);
        return;
    }
    for (uint32_t k = 0; k < count; ++k) {
        PREPARE(k);
    }
}

/* Lines of `pixels` outputs at `out`, but for their channels. */
static inline void set_lines(const layer *s, uint32_t pixels, int8_t *out, mk_depthwise_lines *l)
{
    const uint32_t pairs = pixels / 2;
    l->records = s->records;
    l->count = s->channels < CHANNELS ? s->channels : CHANNELS;
    if (s->pack != NULL) {
        l->fours_end = l->records + (pixels + 1) / 4 * 2 * s->stride * CHANNELS;
        l->end = l->records + (pixels + 1) / 2 * s->stride * CHANNELS;
        l->out = (int8_t *)s->words;
        l->step = l->odd = 0;
    } else {
        /* A lone output is computed as a pair whose second output has the place of the first one. */
        l->fours_end = l->records + pixels / 4 * 2 * s->stride * CHANNELS;
        l->end = l->records + (pairs != 0 ? pairs : 1) * s->stride * CHANNELS;
        l->out = out;
        l->step = pairs != 0 ? s->out_step : 0;
        l->odd = pairs != 0 ? pixels % 2 : 0;
    }
}

/* `pixels` outputs of a row, from column `left` of the input on. rows: where that is, or would be; null if missing. */
static void compute_columns(const layer *s, const int8_t *const rows[3], int32_t left, uint32_t pixels, int8_t *out)
{
    const uint32_t channels = s->channels;
    /* From four channels to the next, in bytes. */
    uint32_t input_step = CHANNELS * s->bits / 8, out_step = CHANNELS * s->output_bits / 8;
    uint32_t line_step = s->pack != NULL ? 0 : out_step;
    part p = part_of(s, rows, left, left + (int32_t)((pixels - 1) * s->stride + 3));
    mk_depthwise_lines l;
    set_lines(s, pixels, out, &l);
    for (uint32_t c = 0;;) {
        if (p.make != NULL) {
            p.make(&p.strip);
        }
        if (p.x < p.limit) {
            make_one_by_one(s, &p, rows, c, l.count);
        }
        s->prepare(s, c, l.channels);
        prepare_factors(s, c, l.count, l.channels);
        s->compute(&l);
        if (s->pack != NULL) {
            s->pack(s->words, l.count, pixels, s->out_step, out);
        }
        c += CHANNELS;
        if (c + CHANNELS > channels) {
            if (c >= channels) {
                return;
            }
            if (s->overlaps) {
                /* The last four channels overlap those before them. */
                c = channels - CHANNELS;
                input_step = out_step = line_step = channels % CHANNELS;
            } else {
                l.count = channels - c;
                make_few(s, l.count, &p);
            }
        }
        p.strip.rows[0] += input_step;
        p.strip.rows[1] += input_step;
        p.strip.rows[2] += input_step;
        out += out_step;
        l.out += line_step;
    }
}

static void compute_row(const layer *s, const mk_map *output, int32_t y)
{
    const mk_window *w = s->window;
    const mk_map *input = s->input;
    const uint32_t most = MK_DEPTHWISE_DSP_COLUMNS / s->stride;
    int8_t *out = mk_row(output, y);
    uint32_t pixels;
    for (uint32_t first = 0; first < output->columns; first += pixels, out += pixels * s->out_step) {
        const int32_t left = (int32_t)(output->first_column + first) * w->stride_x - w->pad_left;
        const int8_t *rows[3];
        int32_t at = y * w->stride_y - w->pad_top;
        for (uint32_t row = 0; row < 3; ++row, at += w->dilation_y) {
            const int32_t offset = (left - (int32_t)input->first_column) * (int32_t)s->pixel_bytes;
            rows[row] = mk_has_row(input, at) ? mk_row(input, at) + offset : NULL;
        }
        pixels = output->columns - first < most ? output->columns - first : most;
        compute_columns(s, rows, left, pixels, out);
        mk_limit_pixels(out, pixels, s->out_step, s->channels, s->output_bits, s->minimum, s->maximum);
    }
}

void mk_depthwise_conv2d_dsp(const layer *s, const mk_map *output, uint16_t first_row, uint16_t last_row)
{
    for (int32_t y = first_row; y < last_row; ++y) {
        compute_row(s, output, y);
    }
}

#endif

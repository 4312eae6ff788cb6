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
 * What the records of a part of a row are made of. strip: of those that are made at once, if the rows allow it. Then
 * come those of the columns from x to `limit`, one by one, at `out`; of these, columns in [0, last) exist. left: the
 * first column of all.
 */
typedef struct part {
    mk_depthwise_strip strip;
    int32_t left, x, limit, last;
    record *out;
} part;

/*
 * One row of the output. rows: where the first column of the input is, or would be; of those that exist. make: makes
 * records at once; null where it cannot. out: the first output.
 */
typedef struct line {
    const int8_t *rows[3];
    bool exist[3];
    mk_depthwise_make *make;
    int8_t *out;
} line;

/* The part whose records are all made one by one. */
static part slow_part_of(const layer *s, int32_t left, int32_t limit)
{
    const int32_t width = s->input->width;
    return (part){.left = left, .x = left, .limit = limit, .last = limit < width ? limit : width, .out = s->records};
}

/* Whether the records of four channels of whole columns can be made at once. */
static bool is_fast(const layer *s, const part *slow)
{
    const int32_t left = slow->left;
    return s->channels >= CHANNELS && left >= -1 && (left < 0 ? left + 2 : left) <= slow->last;
}

static part fast_part_of(const layer *s, const part *slow)
{
    part p = *slow;
    const int32_t first = p.left < 0 ? p.left + 2 : p.left, whole = (p.last - first) / 2;
    p.strip.step = s->pixel_bytes;
    p.strip.out = s->records;
    p.strip.beyond = s->beyond;
    p.strip.has_left = p.left < 0;
    p.strip.has_right = (uint32_t)(p.last - first) % 2;
    p.x = first + 2 * whole;
    if (p.strip.has_right != 0) {
        p.x += 2;
    } else if (p.x < p.limit) {
        p.strip.has_right = 2;
        p.x += 2;
    }
    p.strip.end = s->records + ((p.left < 0) + whole) * CHANNELS;
    p.strip.odd = (uint32_t)((p.left < 0) + whole) % 2;
    p.out = p.strip.end + (p.strip.has_right != 0) * CHANNELS;
    return p;
}

/* The records of `count` channels from `c` on that are made one by one. */
static __attribute__((noinline)) void make_one_by_one(const layer *s, const part *p, const line *row, uint32_t c,
                                                      uint32_t count)
{
    const uint32_t beyond = 0x01010101u * (s->beyond & ((1u << s->bits) - 1));
    const int32_t step = (int32_t)s->pixel_bytes, offset = (int32_t)(c * s->bits / 8);
    record *out = p->out;
    for (int32_t x = p->x; x < p->limit; x += 2, out += CHANNELS) {
        const int32_t first = (x - p->left) * step + offset, second = first + step;
        const bool has_first = x >= 0 && x < p->last, has_second = x + 1 >= 0 && x + 1 < p->last;
        uint32_t words[6];
        for (uint32_t k = 0; k < 3; ++k) {
            words[2 * k] = has_first && row->exist[k] ? s->load(row->rows[k] + first, count) : beyond;
            words[2 * k + 1] = has_second && row->exist[k] ? s->load(row->rows[k] + second, count) : beyond;
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
 * Biases and factors of `count` channels from `c` on; weights of those that finish fast are scaled. The output is the
 * sum times a factor m / 2^31, with 0 <= `right` shifts, rounded: with the sum times 2^scale, the upper word of its
 * product with m has 2^MK_DEPTHWISE_FAST_SHIFT times the output, and nothing of its fraction is lost but what is below
 * that of either rounding.
 */
static __attribute__((noinline)) void prepare_factors(const layer *s, uint32_t c, uint32_t count,
                                                      mk_depthwise_channel *out)
{
    const int32_t *bias = s->bias + c, *multiplier = s->multiplier + c;
    const int8_t *shift = s->shift + c;
    const int32_t offset = s->offset;
    const uint32_t fast_shifts = s->rounds_negative ? 0 : MK_DEPTHWISE_FAST_SHIFTS;
    for (const mk_depthwise_channel *const end = out + count; out != end; ++out) {
        const int32_t right = -*shift++, factor = *multiplier++, sum = *bias++;
        const uint32_t below = (uint32_t)(MK_DEPTHWISE_FAST_SHIFT - 1 - right);
        if (below < fast_shifts) {
            mk_depthwise_scale(out->weights, below + 2);
            out->bias = (int32_t)((uint32_t)sum << (below + 2));
            out->multiplier = factor;
            out->offset = (int32_t)((uint32_t)offset << (MK_DEPTHWISE_FAST_SHIFT - 1)) + (1 << below);
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
    const part slow = slow_part_of(s, left, left + (int32_t)((pixels - 1) * s->stride + 3));
    bool fast = is_fast(s, &slow);
    part p = fast ? fast_part_of(s, &slow) : slow;
    mk_depthwise_lines l;
    set_lines(s, pixels, &l);
    for (uint32_t c = 0, input_offset = 0, out_offset = 0;;) {
        s->prepare(s, c, l.channels);
        prepare_factors(s, c, l.count, l.channels);
        for (const line *row = rows, *const end = rows + count; row != end; ++row) {
            if (fast && row->make != NULL) {
                p.strip.rows[0] = row->rows[0] + input_offset;
                p.strip.rows[1] = row->rows[1] + input_offset;
                p.strip.rows[2] = row->rows[2] + input_offset;
                row->make(&p.strip);
                if (p.x < p.limit) {
                    make_one_by_one(s, &p, row, c, l.count);
                }
            } else {
                make_one_by_one(s, &slow, row, c, l.count);
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
                fast = fast && (l.count * s->bits + 7) / 8 == CHANNELS * s->bits / 8;
            }
        }
        input_offset += input_step;
        out_offset += out_step;
    }
}

/* The rows of the input for output row `y` from column `left` on. */
static void set_rows(const layer *s, int32_t y, int32_t left, line *row)
{
    const mk_window *w = s->window;
    const mk_map *input = s->input;
    const int32_t offset = (left - (int32_t)input->first_column) * (int32_t)s->pixel_bytes;
    int32_t at = y * w->stride_y - w->pad_top;
    for (uint32_t k = 0; k < 3; ++k, at += w->dilation_y) {
        row->exist[k] = mk_has_row(input, at);
        row->rows[k] = (row->exist[k] ? mk_row(input, at) : input->data) + offset;
    }
    const bool *exist = row->exist;
    const bool can = exist[1] && (exist[0] || exist[2]);
    row->make = can ? s->makers[!exist[0] ? 1 : !exist[2] ? 2 : 0] : NULL;
}

/* `count` rows of the output from `y` on. */
static void compute_rows(const layer *s, const mk_map *output, int32_t y, uint32_t count)
{
    const mk_window *w = s->window;
    const uint32_t most = MK_DEPTHWISE_DSP_COLUMNS / s->stride;
    uint32_t pixels;
    for (uint32_t first = 0; first < output->columns; first += pixels) {
        const int32_t left = (int32_t)(output->first_column + first) * w->stride_x - w->pad_left;
        line rows[ROWS];
        for (uint32_t k = 0; k < count; ++k) {
            set_rows(s, y + (int32_t)k, left, &rows[k]);
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

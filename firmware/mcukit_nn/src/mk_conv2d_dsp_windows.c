/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gathers the windows of convolutions with DSP instructions, three pixels at a time.
 *
 * Pixels are taken across the ends of rows, so that narrow maps waste none. This keeps the rules of maps: the windows
 * of all three are read before the first of them is written, and those of a later row only need what the rows before it
 * leave in place. With several groups it would not, because the windows are read again for each: then every row ends
 * with as many pixels as are left.
 */
#include "mk_conv2d_dsp.h"

#if MK_DSP

#define PIXELS MK_DSP_PIXELS

typedef mk_conv2d_dsp_layer shape;
typedef mk_conv2d_dsp_block block;

/* Where an output pixel is and where its window begins. */
typedef struct pixel {
    int8_t *out;
    int32_t top, left;
} pixel;

/*
 * The windows of three pixels: any, or, where `pixels` is null, of three inner ones side by side of which the first one
 * begins at row `top` and `offset` bytes behind the beginning of the rows.
 */
typedef struct windows {
    const pixel *pixels;
    int32_t top, offset;
} windows;

/* The channels of a group of pixel x of a row that holds it. */
static inline void copy_pixel(const shape *s, const int8_t *row, int32_t x, uint32_t group, int8_t *out)
{
    const int8_t *pixel = row + (uint32_t)(x - s->input->first_column) * s->pixel_bytes;
    if (s->take != NULL) {
        s->take(s, pixel, group, out);
    } else {
        mk_copy_bytes(out, pixel + group * s->depth, s->depth);
    }
}

/* A copy of a row of a window that is not inside the map or whose columns are not side by side. */
static __attribute__((noinline)) const int8_t *copy_row(const shape *s, int32_t y, int32_t left, uint32_t group,
                                                        int8_t *copy)
{
    const mk_map *input = s->input;
    if (!mk_has_row(input, y)) {
        memset(copy, s->fill, s->segment);
        return copy;
    }
    const int8_t *row = mk_row(input, y);
    int8_t *out = copy;
    for (uint32_t i = 0; i < s->window->kernel_width; ++i, out += s->depth) {
        const int32_t x = left + (int32_t)(i * s->window->dilation_x);
        if (x < 0 || x >= input->width) {
            memset(out, s->fill, s->depth);
        } else {
            copy_pixel(s, row, x, group, out);
        }
    }
    return copy;
}

/* One row of three windows, each where it lies or, at `copies` and every `step` bytes on, as a copy. */
static inline void window_rows(const shape *s, const windows *at, int32_t below, uint32_t group, int8_t *copies,
                               uint32_t step, const int8_t *sources[PIXELS])
{
    if (at->pixels == NULL) {
        const int32_t y = at->top + below;
        if (!mk_has_row(s->input, y)) {
            sources[0] = sources[1] = sources[2] = copy_row(s, y, 0, group, copies);
            return;
        }
        const int8_t *row = mk_row(s->input, y) + at->offset + group * s->depth;
        sources[0] = row;
        sources[1] = row + s->step;
        sources[2] = row + 2 * s->step;
        return;
    }
    for (uint32_t i = 0; i < PIXELS; ++i, copies += step) {
        const int32_t y = at->pixels[i].top + below, left = at->pixels[i].left;
        if ((uint32_t)left < s->inner_columns && mk_has_row(s->input, y)) {
            const int32_t column = left - s->input->first_column;
            sources[i] = mk_row(s->input, y) + column * (int32_t)s->pixel_bytes + group * s->depth;
        } else {
            sources[i] = copy_row(s, y, left, group, copies);
        }
    }
}

/* Copies three runs of bytes to places that are `step` bytes apart; a run may be there already. */
static inline void copy_three(const int8_t *const sources[PIXELS], uint32_t count, int8_t *to, uint32_t step)
{
    const int8_t *a = sources[0], *b = sources[1], *c = sources[2];
    if (count < 4) {
        for (uint32_t i = 0; i < count; ++i, ++to) {
            to[0] = a[i];
            to[step] = b[i];
            to[2 * step] = c[i];
        }
        return;
    }
    /* The last word may overlap the one before it. */
    for (uint32_t i = 0;; i = i + 8 <= count ? i + 4 : count - 4) {
        mk_store_word(to + i, mk_load_word(a + i));
        mk_store_word(to + i + step, mk_load_word(b + i));
        mk_store_word(to + i + 2 * step, mk_load_word(c + i));
        if (i + 4 == count) {
            return;
        }
    }
}

/*
 * Expands windows whose rows don't fill words: all rows of each are copied one behind the other before. Zeros stand
 * behind them up to a whole word.
 */
static __attribute__((noinline)) void gather_copies(const shape *s, const windows *at, uint32_t group, uint32_t *out)
{
    const mk_window *w = s->window;
    const uint32_t bytes = (s->taps + 3) / 4 * s->bytes_of_four, window_bytes = MK_CONV2D_DSP_COPY(bytes);
    const int8_t *sources[PIXELS];
    int8_t *copies = s->copies;
    int32_t below = 0;
    for (uint32_t row = w->kernel_height; row != 0; --row, below += w->dilation_y, copies += s->segment) {
        window_rows(s, at, below, group, copies, window_bytes, sources);
        copy_three(sources, s->segment, copies, window_bytes);
    }
    for (uint32_t i = 0; i < PIXELS; ++i) {
        sources[i] = s->copies + i * window_bytes;
    }
    s->expand(sources, bytes, out);
}

/* Expands the windows of three pixels. */
static inline void gather(const shape *s, const windows *at, uint32_t group, uint32_t *out)
{
    const mk_window *w = s->window;
    const uint32_t row_bytes = MK_CONV2D_DSP_COPY(s->segment);
    const int8_t *sources[PIXELS];
    int32_t below = 0;
    for (uint32_t row = w->kernel_height; row != 0; --row, below += w->dilation_y) {
        window_rows(s, at, below, group, s->copies, row_bytes, sources);
        out = s->expand(sources, s->segment, out);
    }
}

/* All output channels of three pixels, or of one. b: of the first group, with the places of its outputs. */
static __attribute__((noinline)) void compute(const shape *s, const windows *at, const block *b, bool is_one)
{
    const block *whole = b;
    block other;
    if (s->values != NULL) {
        other = *b;
        other.out = s->values;
        other.step1 = (ptrdiff_t)(s->filters * s->groups);
        other.step2 = 2 * other.step1;
        b = &other;
    }
    for (uint32_t group = 0;; b = &other) {
        if (s->is_copied_whole) {
            gather_copies(s, at, group, b->inputs);
        } else {
            gather(s, at, group, b->inputs);
        }
        s->multiply(s, b, is_one);
        if (++group == s->groups) {
            break;
        }
        other = *b;
        other.bias += s->filters;
        other.multiplier += s->filters;
        other.shift += s->filters;
        other.out += s->group_out;
        other.weights += s->group_weights;
    }
    if (s->values != NULL) {
        s->store(s, whole, is_one);
    }
}

/* `count` pixels wherever they are. */
static void compute_pixels(const shape *s, pixel pixels[PIXELS], uint32_t count, block *b)
{
    /* Pixels that are missing are the last one once more. */
    for (uint32_t i = count; i < PIXELS; ++i) {
        pixels[i] = pixels[count - 1];
    }
    const windows at = {pixels, 0, 0};
    b->out = pixels[0].out;
    b->step1 = pixels[1].out - b->out;
    b->step2 = pixels[2].out - b->out;
    compute(s, &at, b, count == 1);
}

/* Three inner pixels side by side. */
static inline void compute_inner(const shape *s, const pixel *first, uint32_t out_step, block *b)
{
    const int32_t column = first->left - s->input->first_column;
    const windows at = {NULL, first->top, column * (int32_t)s->pixel_bytes};
    b->out = first->out;
    b->step1 = (ptrdiff_t)out_step;
    b->step2 = (ptrdiff_t)(2 * out_step);
    compute(s, &at, b, false);
}

void mk_conv2d_dsp_place(mk_conv2d_dsp_layer *s, block *b, void *scratch)
{
    const mk_window *w = s->window;
    const uint32_t channels = s->input->channels / s->groups;
    s->pixel_bytes = MK_PIXEL_BYTES(s->input->channels, s->input->bits);
    s->depth = s->take != NULL ? channels : channels * s->input->bits / 8;
    s->segment = w->kernel_width * s->depth;
    s->taps = (uint32_t)w->kernel_height * w->kernel_width * channels;
    s->step = (uint32_t)w->stride_x * s->pixel_bytes;
    const bool side_by_side = s->take == NULL && (w->kernel_width == 1 || (w->dilation_x == 1 && s->groups == 1));
    const int32_t reach = (w->kernel_width - 1) * (int32_t)w->dilation_x;
    s->inner_columns = side_by_side && reach < s->input->width ? (uint32_t)(s->input->width - reach) : 0;
    s->is_copied_whole = s->segment % s->bytes_of_four != 0 && w->kernel_height != 1;
    b->inputs = scratch;
    b->inputs_end = b->inputs + (s->taps + 3) / 4 * MK_DSP_WORDS_OF_FOUR_TAPS;
    /* Nothing is gathered behind the last four taps. */
    for (uint32_t taps = (s->taps + 3) / 4 * 4; taps % s->taps_of_word != 0; taps += 4) {
        memset(b->inputs_end, 0, MK_DSP_WORDS_OF_FOUR_TAPS * sizeof *b->inputs_end);
        b->inputs_end += MK_DSP_WORDS_OF_FOUR_TAPS;
    }
    s->copies = (int8_t *)b->inputs_end;
}

/* Puts zeros behind what is copied of windows, where nothing else is written. */
static void end_copies(const shape *s)
{
    const uint32_t bytes = s->window->kernel_height * s->segment, step = MK_CONV2D_DSP_COPY(bytes);
    for (uint32_t i = 0; i < PIXELS; ++i) {
        memset(s->copies + i * step + bytes, 0, step - bytes);
    }
}

void mk_conv2d_dsp(const mk_conv2d_dsp_layer *layer, mk_conv2d_dsp_block *block, const mk_map *output,
                   uint16_t first_row, uint16_t last_row)
{
    const mk_window *w = layer->window;
    const uint32_t out_step = MK_PIXEL_BYTES(output->channels, output->bits);
    const int32_t stride = w->stride_x;
    if (layer->is_copied_whole) {
        end_copies(layer);
    }
    pixel pixels[PIXELS];
    uint32_t count = 0;
    for (int32_t y = first_row; y < last_row; ++y) {
        pixel next = {mk_row(output, y), y * w->stride_y - w->pad_top, output->first_column * stride - w->pad_left};
        for (uint32_t left = output->columns; left != 0;) {
            const bool are_inner = (uint32_t)next.left < layer->inner_columns &&
                                   (uint32_t)(next.left + (PIXELS - 1) * stride) < layer->inner_columns;
            if (count == 0 && left >= PIXELS && are_inner) {
                compute_inner(layer, &next, out_step, block);
                next.out += PIXELS * out_step;
                next.left += PIXELS * stride;
                left -= PIXELS;
                continue;
            }
            pixels[count++] = next;
            next.out += out_step;
            next.left += stride;
            --left;
            if (count == PIXELS) {
                compute_pixels(layer, pixels, PIXELS, block);
                count = 0;
            }
        }
        if (count != 0 && (layer->groups != 1 || y + 1 == last_row)) {
            compute_pixels(layer, pixels, count, block);
            count = 0;
        }
    }
}

#endif

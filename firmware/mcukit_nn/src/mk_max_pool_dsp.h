/* SPDX-License-Identifier: Apache-2.0 */
/* What the DSP kernels of max pooling share: the way through the windows. Not part of the public interface. */
#ifndef MK_MAX_POOL_DSP_H
#define MK_MAX_POOL_DSP_H

#include <string.h>

#include "mk_dsp.h"
#include "mk_max_pool_s8.h"
#include "mk_span.h"

#if MK_DSP

/* Pixels that are compared at once: as many as the most frequent window, 2x2, has. */
#define MK_LARGEST_OF 4

/*
 * What is compared for `count` pixels of the output that follow each other: `bytes` bytes of them, a multiple of 4.
 * The first of the pixels may be `out` itself. The jumps lead from the end of these bytes to those of the next pixel.
 */
typedef struct mk_comparison {
    const int8_t *pixels[MK_LARGEST_OF];
    int8_t *out;
    uint32_t bytes, count;
    uint32_t first_jump, jump, out_jump; /* of pixels[0], of the other pixels, of `out` */
} mk_comparison;

/*
 * Writes the largest values of each channel. Not to be inlined: among the variables of the walk through the windows
 * its loop lacks registers.
 */
typedef void mk_largest(const mk_comparison *comparison);

/* The same for all channels of a word. */
typedef uint32_t mk_largest_word(uint32_t a, uint32_t b, uint32_t c, uint32_t d);

/* An mk_largest of `word`, which is a constant. Two of the pixels are found from another one: fewer pointers move. */
static inline void mk_largest_words(const mk_comparison *s, mk_largest_word *word)
{
    const int8_t *first = s->pixels[0], *in = s->pixels[1];
    /* From behind the word of the second pixel, so that the load of that can move the pointer. */
    const uintptr_t to_third = (uintptr_t)s->pixels[2] - (uintptr_t)in - 4;
    const uintptr_t to_fourth = (uintptr_t)s->pixels[3] - (uintptr_t)in - 4;
    int8_t *out = s->out;
    for (uint32_t left = s->count; left != 0; --left) {
        const int8_t *const end = in + s->bytes;
        do {
            const uint32_t a = mk_load_word(first), b = mk_load_word(in);
            first += 4;
            in += 4;
            const uint32_t c = mk_load_word((const int8_t *)((uintptr_t)in + to_third));
            const uint32_t d = mk_load_word((const int8_t *)((uintptr_t)in + to_fourth));
            mk_store_word(out, word(a, b, c, d));
            out += 4;
        } while (in != end);
        first += s->first_jump;
        in += s->jump;
        out += s->out_jump;
    }
}

/* Pixels of the output whose windows have as many columns inside of the map. Counts are not 0, sizes are in bytes. */
typedef struct mk_max_pool_run {
    const mk_map *input;
    mk_span rows;
    uint32_t offset, width; /* of the first window: from the row's beginning, and pixels */
    uint32_t step, stride;  /* from a pixel to the next, and from a window to the next */
    uint32_t count;
    int8_t *out;
} mk_max_pool_run;

/*
 * Compares the pixels at four places of each window, the first of which may be the output's. At least 4 bytes a
 * pixel.
 */
static __attribute__((noinline)) void mk_compare(const mk_max_pool_run *r, const int8_t *const *pixels,
                                                 mk_largest *largest)
{
    const uint32_t words = r->step & ~3u, last = r->step - 4, first = pixels[0] == r->out ? r->step : r->stride;
    mk_comparison comparison = {
        .pixels = {pixels[0], pixels[1], pixels[2], pixels[3]},
        .out = r->out,
        .bytes = words,
        .count = r->count,
        .first_jump = first - words,
        .jump = r->stride - words,
        .out_jump = r->step - words,
    };
    largest(&comparison);
    if (words == r->step) {
        return;
    }
    /* The last word of a pixel overlaps the one before it: what is compared twice stays the same. */
    for (uint32_t i = 0; i < MK_LARGEST_OF; ++i) {
        comparison.pixels[i] += last;
    }
    comparison.out += last;
    comparison.bytes = 4;
    comparison.first_jump = first - 4;
    comparison.jump = r->stride - 4;
    comparison.out_jump = last;
    largest(&comparison);
}

/* All pixels of the windows of a run, four at a time: then the first one is the largest so far. */
static inline void mk_max_pool_pixels(const mk_max_pool_run *r, mk_largest *largest)
{
    const int8_t *pixels[MK_LARGEST_OF];
    uint32_t count = 0;
    for (int32_t row = r->rows.first; row < r->rows.last; ++row) {
        const int8_t *in = mk_row(r->input, row) + r->offset;
        for (uint32_t left = r->width; left != 0; --left, in += r->step) {
            if (count == MK_LARGEST_OF) {
                mk_compare(r, pixels, largest);
                pixels[0] = r->out;
                count = 1;
            }
            pixels[count++] = in;
        }
    }
    /* A pixel that is compared with itself changes nothing. */
    for (const int8_t *const again = pixels[count - 1]; count < MK_LARGEST_OF;) {
        pixels[count++] = again;
    }
    mk_compare(r, pixels, largest);
}

/*
 * The largest values of each window, without the activation's limits. Where a window holds only padding, all bytes
 * are `least`. step: bytes of a pixel.
 */
static inline void mk_max_pool_row(const mk_window *w, const mk_map *input, const mk_map *output, int32_t y,
                                   uint32_t step, int least, mk_largest *largest)
{
    const int32_t width = input->width, whole = width - w->kernel_width;
    mk_max_pool_run run = {
        .input = input,
        .rows = mk_inside(y * w->stride_y - w->pad_top, w->kernel_height, input->height),
        .step = step,
        .stride = w->stride_x * step,
        .out = mk_row(output, y),
    };
    int32_t left = (int32_t)output->first_column * w->stride_x - w->pad_left;
    for (uint32_t todo = output->columns; todo != 0; todo -= run.count) {
        const mk_span columns = mk_inside(left, w->kernel_width, width);
        run.count = 1;
        if (run.rows.first == run.rows.last || columns.first == columns.last) {
            memset(run.out, least, step);
        } else {
            if (left >= 0 && left <= whole) {
                const uint32_t following = (uint32_t)(whole - left) / w->stride_x + 1;
                run.count = following < todo ? following : todo;
            }
            run.offset = (uint32_t)(columns.first - input->first_column) * step;
            run.width = (uint32_t)(columns.last - columns.first);
            mk_max_pool_pixels(&run, largest);
        }
        run.out += run.count * step;
        left += (int32_t)run.count * w->stride_x;
    }
}

#endif

#endif

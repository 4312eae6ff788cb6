/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Depthwise convolution with Helium: 16 channels at a time, pixel by pixel. Two products of 8 bits fit 16 bits, without
 * weights of -128; so the taps of a row of the kernel are multiplied and added two by two, and then widened.
 *
 * With few channels, as many pixels as fill a vector are computed together where they lie side by side, as if they were
 * one with more channels.
 *
 * Weights and parameters of 16 channels are laid out in scratch memory, in the order in which they are read.
 */
#include "mk_depthwise_conv2d_s8_mve.h"

#include "mk_depthwise_sums_mve.h"
#include "mk_mve.h"

/*
 * A call, and what it derives from the parameters. rows: what mk_mve_find_rows finds for a row of the output. weights:
 * [row][column][MK_MVE_BYTES]. step: from one column of a window to the next, in bytes. together: neighbouring pixels
 * that are computed as one.
 */
typedef struct call {
    const mk_depthwise_conv2d_s8_params *p;
    const mk_map *input;
    mk_depthwise_record *r;
    int32_t *rows;
    int8_t *weights;
    uint32_t channels, together;
    int32_t step;
    bool any_left;
} call;

static inline void set_shifts(mk_depthwise_record *r, uint32_t place, int32x4_t shifts)
{
    const int32x4_t zero = vdupq_n_s32(0);
    vstrwq_s32(r->right + place, vminq_s32(shifts, zero));
    vstrwq_s32(r->left + place, vmaxq_s32(shifts, zero));
}

/* Lays out parameters of 16 channels, from `first` on. */
static void lay_out(const call *c, uint32_t first)
{
    const mk_depthwise_conv2d_s8_params *p = c->p;
    mk_depthwise_record *r = c->r;
    const int32x4x4_t bias = vld4q_s32(p->bias + first), multiplier = vld4q_s32(p->multiplier + first);
    for (int i = 0; i < 4; ++i) {
        vstrwq_s32(r->bias + 4 * i, bias.val[i]);
        vstrwq_s32(r->multiplier + 4 * i, multiplier.val[i]);
    }
    const int8x16_t shift = vldrbq_s8(p->shift + first);
    const int16x8_t even = vmovlbq_s8(shift), odd = vmovltq_s8(shift);
    if (!c->any_left) {
        vstrwq_s32(r->right, vmovlbq_s16(even));
        vstrwq_s32(r->right + 4, vmovlbq_s16(odd));
        vstrwq_s32(r->right + 8, vmovltq_s16(even));
        vstrwq_s32(r->right + 12, vmovltq_s16(odd));
        return;
    }
    set_shifts(r, 0, vmovlbq_s16(even));
    set_shifts(r, 4, vmovlbq_s16(odd));
    set_shifts(r, 8, vmovltq_s16(even));
    set_shifts(r, 12, vmovltq_s16(odd));
}

/* The same of fewer channels: lane i is channel `first` + i % count, as often as that fits; others are 0. */
static void lay_out_copies(const call *c, uint32_t first, uint32_t count)
{
    const mk_depthwise_conv2d_s8_params *p = c->p;
    mk_depthwise_record *r = c->r;
    const uint32_t lanes = MK_MVE_BYTES / count * count;
    for (uint32_t i = 0, channel = first; i < MK_MVE_BYTES; ++i) {
        const uint32_t place = i % 4 * 4 + i / 4;
        r->bias[place] = i < lanes ? p->bias[channel] : 0;
        r->multiplier[place] = i < lanes ? p->multiplier[channel] : 0;
        const int32_t shift = i < lanes ? p->shift[channel] : 0;
        r->right[place] = shift < 0 ? shift : 0;
        r->left[place] = shift > 0 ? shift : 0;
        channel = channel + 1 < first + count ? channel + 1 : first;
    }
}

/* Lays out everything of channels [first, first + count). */
static void fill_record(const call *c, uint32_t first, uint32_t count)
{
    const mk_depthwise_conv2d_s8_params *p = c->p;
    const int8_t *from = p->weights + first;
    const int8_t *const end = from + (size_t)p->window.kernel_height * p->window.kernel_width * c->channels;
    int8_t *to = c->weights;
    if (count == MK_MVE_BYTES) {
        lay_out(c, first);
        for (; from != end; from += c->channels, to += MK_MVE_BYTES) {
            vstrbq_s8(to, vldrbq_s8(from));
        }
        return;
    }
    lay_out_copies(c, first, count);
    const mve_pred16_t lanes = vctp8q(count);
    for (; from != end; from += c->channels, to += MK_MVE_BYTES) {
        vstrbq_s8(to, vdupq_n_s8(0));
        for (uint32_t copy = 0; copy + count <= MK_MVE_BYTES; copy += count) {
            vstrbq_p_s8(to + copy, vldrbq_z_s8(from, lanes), lanes);
        }
    }
}

/* Adds `count` taps: of pixels from x on that are `step` bytes apart, with weights from w on. */
static inline __attribute__((always_inline)) void add_taps(mk_depthwise_sums *s, const int8_t *x, int32_t step,
                                                           const int8_t **w, uint32_t count, mk_depthwise_lanes l)
{
    for (; count >= 2; count -= 2, x += 2 * step) {
        mk_add_two_taps(s, x, x + step, w, l);
    }
    if (count != 0) {
        mk_add_one_tap(s, x, w, l);
    }
}

/* Rare: apart, so that its addresses don't take registers of the loops. */
static __attribute__((noinline)) mk_depthwise_sums shift_left(const mk_depthwise_record *r, mk_depthwise_sums s)
{
    s.of0 = vshlq_s32(s.of0, vldrwq_s32(r->left));
    s.of1 = vshlq_s32(s.of1, vldrwq_s32(r->left + 4));
    s.of2 = vshlq_s32(s.of2, vldrwq_s32(r->left + 8));
    s.of3 = vshlq_s32(s.of3, vldrwq_s32(r->left + 12));
    return s;
}

/* Requantizes sums and writes them side by side. */
static inline __attribute__((always_inline)) void finish(const call *c, mk_depthwise_sums s, int8_t *out,
                                                         mk_depthwise_lanes l)
{
    const mk_depthwise_record *r = c->r;
    if (c->any_left) {
        s = shift_left(r, s);
    }
    const int8x16_t bytes = mk_depthwise_bytes(r, s, c->p->output_zero_point);
    if (l.all) {
        vstrbq_s8(out, bytes);
    } else {
        vstrbq_p_s8(out, bytes, l.predicate);
    }
}

/*
 * Pixels of whose windows all columns exist. offset: of the first window in its rows, in bytes. advance, out_advance:
 * from one window, and from one output, to the next, in bytes.
 */
typedef struct run {
    uint32_t count;
    int32_t offset, advance, out_advance;
} run;

/* Kernels of 3x3 with all lanes, whose rows all exist. */
static inline __attribute__((always_inline)) void inner_3x3(const call *c, run pixels, int8_t *out)
{
    const mk_depthwise_lanes all = {true, 0xFFFF};
    const int32_t step = c->step;
    const int8_t *const data = c->input->data + pixels.offset;
    const int8_t *x0 = data + c->rows[0], *x1 = data + c->rows[1], *x2 = data + c->rows[2];
    for (; pixels.count != 0; --pixels.count) {
        const int8_t *weights = c->weights;
        mk_depthwise_sums s = mk_depthwise_biases(c->r);
        /* Two by two across the ends of rows: one sum less to be widened than if each row had a tap of its own. */
        mk_add_two_taps(&s, x0, x0 + step, &weights, all);
        mk_add_two_taps(&s, x0 + 2 * step, x1, &weights, all);
        mk_add_two_taps(&s, x1 + step, x1 + 2 * step, &weights, all);
        mk_add_two_taps(&s, x2, x2 + step, &weights, all);
        mk_add_one_tap(&s, x2 + 2 * step, &weights, all);
        finish(c, s, out, all);
        x0 += pixels.advance;
        x1 += pixels.advance;
        x2 += pixels.advance;
        out += pixels.out_advance;
    }
}

/* Kernels of 3x3 with some lanes, or of whose rows some don't exist: these are one pixel, again and again. */
static __attribute__((noinline)) void inner_3x3_with_border(const call *c, run pixels, int8_t *out, mk_depthwise_lanes l)
{
    const mk_depthwise_lanes some = {false, l.predicate};
    const int8_t *x[3];
    int32_t step[3], advance[3];
    for (int i = 0; i < 3; ++i) {
        const bool exists = c->rows[i] != MK_MVE_OUTSIDE;
        x[i] = exists ? c->input->data + pixels.offset + c->rows[i] : c->r->outside;
        step[i] = exists ? c->step : 0;
        advance[i] = exists ? pixels.advance : 0;
    }
    for (; pixels.count != 0; --pixels.count) {
        const int8_t *weights = c->weights;
        mk_depthwise_sums s = mk_depthwise_biases(c->r);
        mk_add_two_taps(&s, x[0], x[0] + step[0], &weights, some);
        mk_add_two_taps(&s, x[0] + 2 * step[0], x[1], &weights, some);
        mk_add_two_taps(&s, x[1] + step[1], x[1] + 2 * step[1], &weights, some);
        mk_add_two_taps(&s, x[2], x[2] + step[2], &weights, some);
        mk_add_one_tap(&s, x[2] + 2 * step[2], &weights, some);
        finish(c, s, out, some);
        for (int i = 0; i < 3; ++i) {
            x[i] += advance[i];
        }
        out += pixels.out_advance;
    }
}

/* Any kernel. */
static inline void inner_any(const call *c, run pixels, int8_t *out, mk_depthwise_lanes l)
{
    const mk_depthwise_lanes some = {false, l.predicate};
    const uint32_t width = c->p->window.kernel_width;
    const int32_t *const end = c->rows + c->p->window.kernel_height;
    const int8_t *data = c->input->data + pixels.offset;
    for (; pixels.count != 0; --pixels.count, data += pixels.advance) {
        const int8_t *weights = c->weights;
        mk_depthwise_sums s = mk_depthwise_biases(c->r);
        for (const int32_t *row = c->rows; row != end; ++row) {
            const bool exists = *row != MK_MVE_OUTSIDE;
            add_taps(&s, exists ? data + *row : c->r->outside, exists ? c->step : 0, &weights, width, some);
        }
        finish(c, s, out, some);
        out += pixels.out_advance;
    }
}

/* Any pixel: the window begins at column `left` of the map, and channels at byte `first` of a pixel. */
static void border_pixel(const call *c, int32_t left, uint32_t first, int8_t *out, mk_depthwise_lanes l)
{
    const mk_window *w = &c->p->window;
    const int32_t dilation = w->dilation_x, columns = w->kernel_width;
    /* Columns [begin, end) of the window exist. */
    int32_t begin = left < 0 ? (-left + dilation - 1) / dilation : 0;
    int32_t end = left < c->input->width ? (c->input->width - left + dilation - 1) / dilation : 0;
    begin = begin < columns ? begin : columns;
    end = end < columns ? end : columns;
    end = end > begin ? end : begin;
    const int32_t x = left + begin * dilation - c->input->first_column;
    const int32_t offset = x * (int32_t)c->input->channels + (int32_t)first;
    const mk_depthwise_lanes some = {false, l.predicate};
    const int8_t *weights = c->weights;
    mk_depthwise_sums s = mk_depthwise_biases(c->r);
    for (uint32_t row = 0; row < w->kernel_height; ++row) {
        if (c->rows[row] == MK_MVE_OUTSIDE || begin == end) {
            add_taps(&s, c->r->outside, 0, &weights, (uint32_t)columns, some);
            continue;
        }
        add_taps(&s, c->r->outside, 0, &weights, (uint32_t)begin, some);
        add_taps(&s, c->input->data + c->rows[row] + offset, c->step, &weights, (uint32_t)(end - begin), some);
        add_taps(&s, c->r->outside, 0, &weights, (uint32_t)(columns - end), some);
    }
    finish(c, s, out, some);
}

/*
 * The same of kernels of 3x3. Of each row that exists the three taps are in the map or not, as `inside` says; `offset`
 * is that of the first tap.
 */
static void border_3x3(const call *c, int32_t left, uint32_t first, int8_t *out, mk_depthwise_lanes l)
{
    const int32_t width = c->input->width, dilation = c->p->window.dilation_x, step = c->step;
    const int32_t middle = left + dilation, right = middle + dilation;
    const bool has_left = left >= 0 && left < width, has_middle = middle >= 0 && middle < width;
    const bool has_right = right >= 0 && right < width;
    const int32_t offset = (left - c->input->first_column) * (int32_t)c->input->channels + (int32_t)first;
    const mk_depthwise_lanes some = {false, l.predicate};
    const int8_t *weights = c->weights, *const outside = c->r->outside, *const data = c->input->data;
    mk_depthwise_sums s = mk_depthwise_biases(c->r);
    const int8_t *taps[9], **tap = taps;
    for (const int32_t *row = c->rows; row != c->rows + 3; ++row, tap += 3) {
        const bool exists = *row != MK_MVE_OUTSIDE;
        const int32_t at = *row + offset;
        tap[0] = exists && has_left ? data + at : outside;
        tap[1] = exists && has_middle ? data + (at + step) : outside;
        tap[2] = exists && has_right ? data + (at + 2 * step) : outside;
    }
    for (int i = 0; i < 8; i += 2) {
        mk_add_two_taps(&s, taps[i], taps[i + 1], &weights, some);
    }
    mk_add_one_tap(&s, taps[8], &weights, some);
    finish(c, s, out, some);
}

static inline bool all_exist(const int32_t *rows, uint32_t count)
{
    for (uint32_t i = 0; i < count; ++i) {
        if (rows[i] == MK_MVE_OUTSIDE) {
            return false;
        }
    }
    return true;
}

/* Channels [first, first + count) of a row of the output. */
static void part_of_row(const call *c, const mk_map *output, uint32_t first, uint32_t count, int8_t *out)
{
    const mk_window *w = &c->p->window;
    const int32_t stride = w->stride_x, reach = (w->kernel_width - 1) * (int32_t)w->dilation_x;
    const int32_t together = (int32_t)c->together, bytes = (int32_t)c->channels;
    const int32_t width = c->input->width, end = output->columns;
    const bool is_3x3 = w->kernel_height == 3 && w->kernel_width == 3;
    const mk_depthwise_lanes one = {count == MK_MVE_BYTES, vctp8q(count)};
    const mk_depthwise_lanes several = {count * c->together == MK_MVE_BYTES, vctp8q(count * c->together)};
    int32_t left = output->first_column * stride - w->pad_left, column = 0;
    out += first;
    while (column < end) {
        /* So many windows begin at this column and at later ones, and end inside of the map. */
        const int32_t room = left < 0 || left + reach >= width ? 0 : (width - 1 - left - reach) / stride + 1;
        const int32_t inner = (room < end - column ? room : end - column) / together * together;
        const int32_t done = inner > 0 ? inner : 1;
        if (inner > 0) {
            const run pixels = {
                .count = (uint32_t)(inner / together),
                .offset = (left - c->input->first_column) * bytes + (int32_t)first,
                .advance = together * stride * bytes,
                .out_advance = together * bytes,
            };
            if (is_3x3 && several.all && all_exist(c->rows, 3)) {
                inner_3x3(c, pixels, out);
            } else if (is_3x3) {
                inner_3x3_with_border(c, pixels, out, several);
            } else {
                inner_any(c, pixels, out, several);
            }
        } else if (is_3x3) {
            border_3x3(c, left, first, out, one);
        } else {
            border_pixel(c, left, first, out, one);
        }
        column += done;
        left += done * stride;
        out += done * bytes;
    }
}

void mk_depthwise_conv2d_s8_mve(const mk_depthwise_conv2d_s8_mve_params *params, const mk_map *input,
                                const mk_map *output, uint16_t first_row, uint16_t last_row, void *scratch)
{
    const mk_window *w = &params->window;
    const uint32_t channels = output->channels;
    mk_depthwise_record *const r = scratch;
    int32_t *const rows = (int32_t *)(r + 1);
    const call c = {
        .p = params,
        .input = input,
        .r = r,
        .rows = rows,
        .weights = (int8_t *)(rows + w->kernel_height),
        .channels = channels,
        .together = w->stride_x == 1 && channels < MK_MVE_BYTES ? MK_MVE_BYTES / channels : 1,
        .step = w->dilation_x * (int32_t)channels,
        .any_left = mk_mve_any_left(params->shift, channels),
    };
    if (first_row >= last_row || output->columns == 0) {
        return;
    }
    vstrbq_s8(r->minimum, vdupq_n_s8((int8_t)params->minimum));
    vstrbq_s8(r->maximum, vdupq_n_s8((int8_t)params->maximum));
    vstrbq_s8(r->outside, vdupq_n_s8((int8_t)params->input_zero_point));
    if (channels <= MK_MVE_BYTES) {
        fill_record(&c, 0, channels);
    }
    for (int32_t y = first_row; y < last_row; ++y) {
        mk_mve_find_rows(w, input, y, rows);
        for (uint32_t first = 0, count; first < channels; first += count) {
            count = channels - first < MK_MVE_BYTES ? channels - first : MK_MVE_BYTES;
            if (channels > MK_MVE_BYTES) {
                fill_record(&c, first, count);
            }
            part_of_row(&c, output, first, count, mk_row(output, y));
        }
    }
}

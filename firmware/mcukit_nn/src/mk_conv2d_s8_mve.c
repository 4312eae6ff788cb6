/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convolution with Helium. Three neighbouring pixels are multiplied with two filters at a time: 16 taps of them take
 * five loads and six multiplications, for 96 products. The sums of four filters, two and two, then fill a vector for
 * each pixel. What is left of a row is multiplied pixel by pixel with four filters.
 *
 * Windows that are one run of bytes are read where they lie, others are gathered in scratch memory.
 */
#include "mk_conv2d_s8_mve.h"

#include "mk_mve.h"

enum { PIXELS = 3, FILTERS = 4 };

/*
 * A call, and what it derives from the parameters. taps: of a filter. depth, filters: of a group. rows_are_runs:
 * whether rows of windows are single runs of bytes, where they lie inside of the map.
 */
typedef struct call {
    const mk_conv2d_s8_mve_params *p;
    const mk_map *input;
    mk_mve_output finish;
    uint32_t taps, depth, filters;
    bool rows_are_runs;
} call;

/* One row of a window, from column `left` on, of which some columns don't exist or lie apart. */
static void gather_columns(const call *c, const int8_t *row, int32_t left, int8_t *out)
{
    const mk_window *w = &c->p->window;
    const int32_t last = left + (w->kernel_width - 1) * (int32_t)w->dilation_x;
    for (int32_t column = left; column <= last; column += w->dilation_x, out += c->depth) {
        if (column < 0 || column >= c->input->width) {
            mk_mve_fill(out, (int8_t)c->p->input_zero_point, c->depth);
        } else {
            mk_mve_copy(out, row + (column - c->input->first_column) * (int32_t)c->input->channels, c->depth);
        }
    }
}

/*
 * Where the first window of row y of the output lies in the map, if every window of the row is one run of bytes there;
 * or else null.
 */
static const int8_t *first_in_map(const call *c, const mk_map *output, int32_t y)
{
    const mk_window *w = &c->p->window;
    const mk_map *input = c->input;
    const int32_t row = y * w->stride_y - w->pad_top, left = output->first_column * w->stride_x - w->pad_left;
    const int32_t reach = (w->kernel_width - 1) * (int32_t)w->dilation_x;
    const int32_t last = left + (output->columns - 1) * (int32_t)w->stride_x + reach;
    const bool inside = left >= 0 && last < (int32_t)input->width && mk_has_row(input, row);
    if (!inside || w->kernel_height != 1 || !c->rows_are_runs) {
        return NULL;
    }
    return mk_row(input, row) + (left - input->first_column) * (ptrdiff_t)input->channels;
}

/* One row of the windows of `count` pixels, where it has gaps or does not exist; then it is null. */
static __attribute__((noinline)) void gather_row(const call *c, const int8_t *row, int32_t left, uint32_t count,
                                                 int8_t *to)
{
    const uint32_t row_taps = c->p->window.kernel_width * c->depth;
    for (; count != 0; --count, left += c->p->window.stride_x, to += c->taps) {
        if (row == NULL) {
            mk_mve_fill(to, (int8_t)c->p->input_zero_point, row_taps);
        } else {
            gather_columns(c, row, left, to);
        }
    }
}

/*
 * Copies the inputs of `count` neighbouring pixels, in the order of the weights. left: where the first window begins.
 * rows: what mk_mve_find_rows finds for their row.
 */
static inline void gather(const call *c, const int32_t *rows, int32_t left, uint32_t count, uint32_t group, int8_t *to)
{
    const mk_window *w = &c->p->window;
    const mk_map *input = c->input;
    const uint32_t row_taps = w->kernel_width * c->depth, taps = c->taps;
    const uint32_t step = (uint32_t)w->stride_x * input->channels;
    const int32_t reach = (w->kernel_width - 1) * (int32_t)w->dilation_x + (int32_t)(count - 1) * w->stride_x;
    const bool in_one_piece = left >= 0 && left + reach < (int32_t)input->width && c->rows_are_runs;
    const int8_t *const data = input->data + group * c->depth;
    const int32_t offset = (left - input->first_column) * (int32_t)input->channels;
    for (const int32_t *const end = rows + w->kernel_height; rows != end; ++rows, to += row_taps) {
        if (!in_one_piece || *rows == MK_MVE_OUTSIDE) {
            gather_row(c, *rows == MK_MVE_OUTSIDE ? NULL : data + *rows, left, count, to);
        } else if (count == PIXELS) {
            mk_mve_copy_three(to, taps, data + (*rows + offset), step, row_taps);
        } else {
            mk_mve_copy(to, data + (*rows + offset), row_taps);
        }
    }
}

/*
 * Three windows and four filters. x, taps: the windows. bias: that of the first filter. w: the filters, one behind the
 * other. The assembly below relies on the order of members.
 */
typedef struct block {
    const int8_t *x[PIXELS];
    uint32_t taps;
    const int32_t *bias;
    const int8_t *w;
} block;

#if MK_MVE

/*
 * Lanes `lane` and `lane` + 2 of every pixel's sums: its products with two filters. Registers are named because sums of
 * vmladava need even ones, which compilers do not find among so many operands: r0, r2 and r4 of the one filter, r6, r8
 * and r10 of the other. r1, r3 and r5 are the windows, r9 and r11 the filters.
 */
#define ADD_TWO_FILTERS(lane, lane_after_next, bias_bytes, bias_bytes_after_next, skip) \
    "ldm %[b], {r1, r3, r5, lr} \n" \
    "ldrd r10, r9, [%[b], #16] \n" \
    "ldr r0, [r10, #" bias_bytes "] \n" \
    "ldr r6, [r10, #" bias_bytes_after_next "] \n" \
    "mov r2, r0 \n" \
    "mov r4, r0 \n" \
    "mov r8, r6 \n" \
    "mov r10, r6 \n" \
    skip \
    "add r11, r9, lr, lsl #1 \n" \
    "dlstp.8 lr, lr \n" \
    "1: vldrb.8 q0, [r9], #16 \n" \
    "vldrb.8 q1, [r1], #16 \n" \
    "vmladava.s8 r0, q0, q1 \n" \
    "vldrb.8 q2, [r3], #16 \n" \
    "vmladava.s8 r2, q0, q2 \n" \
    "vldrb.8 q3, [r5], #16 \n" \
    "vmladava.s8 r4, q0, q3 \n" \
    "vldrb.8 q0, [r11], #16 \n" \
    "vmladava.s8 r6, q0, q1 \n" \
    "vmladava.s8 r8, q0, q2 \n" \
    "vmladava.s8 r10, q0, q3 \n" \
    "letp lr, 1b \n" \
    "vmov %q[s0][" lane_after_next "], %q[s0][" lane "], r0, r6 \n" \
    "vmov %q[s1][" lane_after_next "], %q[s1][" lane "], r2, r8 \n" \
    "vmov %q[s2][" lane_after_next "], %q[s2][" lane "], r4, r10 \n"

static inline void add_four_filters(const block *b, int32x4_t *sums0, int32x4_t *sums1, int32x4_t *sums2)
{
    /* Where there is a frame pointer, compilers do not find this register by themselves. */
    register const block *at __asm__("r12") = b;
    int32x4_t s0, s1, s2;
    __asm__ volatile(ADD_TWO_FILTERS("0", "2", "0", "8", "") ADD_TWO_FILTERS("1", "3", "4", "12", "add r9, r9, lr \n")
                     : [s0] "=&w"(s0), [s1] "=&w"(s1), [s2] "=&w"(s2)
                     : [b] "r"(at)
                     : "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "lr", "q0", "q1", "q2",
                       "q3", "memory");
    *sums0 = s0;
    *sums1 = s1;
    *sums2 = s2;
}

/* Both of lanes `lane` and `lane` + 2, as above, but of filters that fit a vector. */
#define MULTIPLY_TWO_FILTERS(lane, lane_after_next) \
    "vpstttt \n" \
    "vldrbt.8 %q[w], [%[w0]] \n" \
    "vmladavt.s8 r0, %q[w], %q[x0] \n" \
    "vmladavt.s8 r2, %q[w], %q[x1] \n" \
    "vmladavt.s8 r4, %q[w], %q[x2] \n" \
    "vpstttt \n" \
    "vldrbt.8 %q[w], [%[w2]] \n" \
    "vmladavt.s8 r6, %q[w], %q[x0] \n" \
    "vmladavt.s8 r8, %q[w], %q[x1] \n" \
    "vmladavt.s8 r10, %q[w], %q[x2] \n" \
    "vmov %q[s0][" lane_after_next "], %q[s0][" lane "], r0, r6 \n" \
    "vmov %q[s1][" lane_after_next "], %q[s1][" lane "], r2, r8 \n" \
    "vmov %q[s2][" lane_after_next "], %q[s2][" lane "], r4, r10 \n"

static inline void add_four_short_filters(const block *b, int8x16_t x0, int8x16_t x1, int8x16_t x2, int32x4_t *sums0,
                                          int32x4_t *sums1, int32x4_t *sums2)
{
    const int8_t *w0 = b->w, *w2 = w0 + 2 * b->taps;
    const int32x4_t bias = vldrwq_s32(b->bias);
    int32x4_t s0, s1, s2;
    int8x16_t w;
    __asm__ volatile("vctp.8 %[taps] \n" MULTIPLY_TWO_FILTERS("0", "2")
                     "add %[w0], %[w0], %[taps] \n"
                     "add %[w2], %[w2], %[taps] \n" MULTIPLY_TWO_FILTERS("1", "3")
                     : [s0] "=&w"(s0), [s1] "=&w"(s1), [s2] "=&w"(s2), [w] "=&w"(w), [w0] "+r"(w0), [w2] "+r"(w2)
                     : [x0] "w"(x0), [x1] "w"(x1), [x2] "w"(x2), [taps] "r"(b->taps)
                     : "r0", "r2", "r4", "r6", "r8", "r10", "p0", "memory");
    *sums0 = vaddq_s32(s0, bias);
    *sums1 = vaddq_s32(s1, bias);
    *sums2 = vaddq_s32(s2, bias);
}

#else

static void add_four_filters(const block *b, int32x4_t *sums0, int32x4_t *sums1, int32x4_t *sums2)
{
    int32x4_t *const sums[PIXELS] = {sums0, sums1, sums2};
    for (uint32_t pixel = 0; pixel < PIXELS; ++pixel) {
        for (uint32_t filter = 0; filter < FILTERS; ++filter) {
            int32_t sum = b->bias[filter];
            for (uint32_t i = 0; i < b->taps; ++i) {
                sum += b->x[pixel][i] * b->w[filter * b->taps + i];
            }
            sums[pixel]->lane[filter] = sum;
        }
    }
}

static void add_four_short_filters(const block *b, int8x16_t x0, int8x16_t x1, int8x16_t x2, int32x4_t *sums0,
                                   int32x4_t *sums1, int32x4_t *sums2)
{
    const block same = {{x0.lane, x1.lane, x2.lane}, b->taps, b->bias, b->w};
    add_four_filters(&same, sums0, sums1, sums2);
}

#endif

/* Filters [first, c->filters) of a group for a pixel; `channel` is the first output channel of the group. */
static void one_pixel(const call *c, const int8_t *x, uint32_t channel, uint32_t first, int8_t *out)
{
    for (uint32_t filter = first; filter < c->filters; filter += FILTERS) {
        const uint32_t left = c->filters - filter, last = left < FILTERS ? left - 1 : FILTERS - 1;
        const int8_t *w[FILTERS];
        int32_t sums[FILTERS];
        for (uint32_t i = 0; i < FILTERS; ++i) {
            /* In place of filters that do not exist the last one is computed again. */
            const uint32_t place = channel + filter + (i < last ? i : last);
            w[i] = c->p->weights + place * c->taps;
            sums[i] = c->p->bias[place];
        }
        mk_mve_add_products(x, w, c->taps, sums);
        mk_mve_finish(&c->finish, vldrwq_s32(sums), channel + filter, last + 1, out + channel + filter);
    }
}

/* Writes four channels of three pixels, which are `step` bytes apart. */
static inline void finish_block(int32x4_t sums0, int32x4_t sums1, int32x4_t sums2, int32x4_t multiplier,
                                int32x4_t shift, int32_t zero_point, bool any_left, int8_t *out, uint32_t step)
{
    const int32x4_t values0 = mk_mve_requantize(sums0, multiplier, shift, any_left);
    vstrbq_s32(out, mk_mve_saturate(vaddq_n_s32(values0, zero_point)));
    const int32x4_t values1 = mk_mve_requantize(sums1, multiplier, shift, any_left);
    vstrbq_s32(out + step, mk_mve_saturate(vaddq_n_s32(values1, zero_point)));
    const int32x4_t values2 = mk_mve_requantize(sums2, multiplier, shift, any_left);
    vstrbq_s32(out + 2 * step, mk_mve_saturate(vaddq_n_s32(values2, zero_point)));
}

/* Pixels side by side, three at a time. */
typedef struct run {
    const int8_t *first;      /* the first one's window */
    uint32_t apart;           /* bytes from one window to the next */
    uint32_t threes;
    uint32_t channel;         /* the first output channel */
    int8_t *out;              /* where that goes */
    uint32_t step;            /* bytes from one output to the next */
} run;

/* All filters of a group but the last ones that are fewer than four. are_short: whether they fit a vector. */
static inline __attribute__((always_inline)) void four_filters_at_a_time(const call *c, run r, bool any_left,
                                                                         bool are_short)
{
    const int32_t *const first_bias = c->p->bias + r.channel;
    const int8_t *const first_weight = c->p->weights + (size_t)r.channel * c->taps;
    const mk_mve_output finish = c->finish;
    const mve_pred16_t p = vctp8q(c->taps);
    for (; r.threes != 0; --r.threes, r.first += 3 * r.apart, r.out += 3 * r.step) {
        block b = {{r.first, r.first + r.apart, r.first + 2 * r.apart}, c->taps, first_bias, first_weight};
        const int8x16_t x0 = vldrbq_z_s8(b.x[0], p), x1 = vldrbq_z_s8(b.x[1], p), x2 = vldrbq_z_s8(b.x[2], p);
        const int32_t *multiplier = finish.multiplier + r.channel;
        const int8_t *shift = finish.shift + r.channel;
        int8_t *out = r.out;
        for (uint32_t fours = c->filters / FILTERS; fours != 0; --fours) {
            int32x4_t sums0, sums1, sums2;
            if (are_short) {
                add_four_short_filters(&b, x0, x1, x2, &sums0, &sums1, &sums2);
            } else {
                add_four_filters(&b, &sums0, &sums1, &sums2);
            }
            b.bias += FILTERS;
            b.w += FILTERS * b.taps;
            finish_block(sums0, sums1, sums2, vldrwq_s32(multiplier), vldrbq_s32(shift), finish.zero_point, any_left,
                         out, r.step);
            multiplier += FILTERS;
            shift += FILTERS;
            out += FILTERS;
        }
    }
}

/* All filters of a group for a run of pixels. */
static __attribute__((noinline)) void three_at_a_time(const call *c, const run *r)
{
    if (c->finish.any_left) {
        four_filters_at_a_time(c, *r, true, false);
    } else if (c->taps <= MK_MVE_BYTES) {
        four_filters_at_a_time(c, *r, false, true);
    } else {
        four_filters_at_a_time(c, *r, false, false);
    }
    const uint32_t left = c->filters % FILTERS;
    for (uint32_t i = 0; i < PIXELS * r->threes && left != 0; ++i) {
        one_pixel(c, r->first + i * r->apart, r->channel, c->filters - left, r->out + i * r->step - r->channel);
    }
}

/* Channels of a group in a row of the output, whose first window is at `first`. */
static void row_in_map(const call *c, const mk_map *output, uint32_t group, const int8_t *first, int8_t *out)
{
    const uint32_t apart = (uint32_t)c->p->window.stride_x * c->input->channels, channel = group * c->filters;
    const uint32_t done = output->columns / PIXELS * PIXELS;
    first += group * c->depth;
    const run r = {first, apart, output->columns / PIXELS, channel, out + channel, output->channels};
    three_at_a_time(c, &r);
    for (uint32_t i = done; i < output->columns; ++i) {
        one_pixel(c, first + i * apart, channel, 0, out + i * output->channels);
    }
}

/* The same of row y, whose windows are gathered before. */
static void gathered_row(const call *c, const mk_map *output, uint32_t group, int32_t y, int32_t *rows)
{
    const mk_window *w = &c->p->window;
    const uint32_t channel = group * c->filters, channels = output->channels;
    int8_t *const buffer = (int8_t *)(rows + w->kernel_height);
    int8_t *out = mk_row(output, y);
    int32_t left = output->first_column * w->stride_x - w->pad_left;
    uint32_t columns = output->columns;
    mk_mve_find_rows(w, c->input, y, rows);
    for (; columns >= PIXELS; columns -= PIXELS, left += PIXELS * w->stride_x, out += PIXELS * channels) {
        const run r = {buffer, c->taps, 1, channel, out + channel, channels};
        gather(c, rows, left, PIXELS, group, buffer);
        three_at_a_time(c, &r);
    }
    for (; columns != 0; --columns, left += w->stride_x, out += channels) {
        gather(c, rows, left, 1, group, buffer);
        one_pixel(c, buffer, channel, 0, out);
    }
}

void mk_conv2d_s8_mve(const mk_conv2d_s8_mve_params *params, const mk_map *input, const mk_map *output,
                      uint16_t first_row, uint16_t last_row, void *scratch)
{
    const mk_window *w = &params->window;
    const uint32_t channels = output->channels, depth = input->channels / (uint32_t)params->groups;
    const call c = {
        .p = params,
        .input = input,
        .finish = {params->multiplier, params->shift, params->output_zero_point,
                   mk_mve_any_left(params->shift, channels)},
        .taps = (uint32_t)w->kernel_height * w->kernel_width * depth,
        .depth = depth,
        .filters = channels / (uint32_t)params->groups,
        .rows_are_runs = w->kernel_width == 1 || (w->dilation_x == 1 && params->groups == 1),
    };
    for (int32_t y = first_row; y < last_row && output->columns != 0; ++y) {
        const int8_t *in_map = first_in_map(&c, output, y);
        for (uint32_t group = 0; group < params->groups; ++group) {
            if (in_map != NULL) {
                row_in_map(&c, output, group, in_map, mk_row(output, y));
            } else {
                gathered_row(&c, output, group, y, scratch);
            }
        }
        mk_mve_limit(mk_row(output, y), output->columns * channels, params->minimum, params->maximum);
    }
}

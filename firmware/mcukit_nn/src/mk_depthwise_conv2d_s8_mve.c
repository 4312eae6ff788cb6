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

#include "mk_mve.h"

enum { LANES = MK_MVE_BYTES };

/*
 * 16 channels or, of fewer, copies of them. Products of even and odd bytes, widened by even and odd halves, leave sums
 * apart by the remainder of their channel by four: so words are apart, [remainder][channel / 4]. right: shifts to the
 * right, negative, and left: shifts to the left. The assembly below relies on the order of members.
 */
typedef struct record {
    int32_t bias[LANES], multiplier[LANES], right[LANES], left[LANES];
    int8_t minimum[LANES], maximum[LANES];
    int8_t outside[LANES];    /* a pixel that does not exist */
} record;

/*
 * A call, and what it derives from the parameters. rows: what mk_mve_find_rows finds for a row of the output. weights: [row][column][LANES]. step: from one column of a window to
 * the next, in bytes. together: neighbouring pixels that are computed as one.
 */
typedef struct call {
    const mk_depthwise_conv2d_s8_params *p;
    const mk_map *input;
    record *r;
    int32_t *rows;
    int8_t *weights;
    uint32_t channels, together;
    int32_t step;
    bool any_left;
} call;

static inline void set_shifts(record *r, uint32_t place, int32x4_t shifts)
{
    const int32x4_t zero = vdupq_n_s32(0);
    vstrwq_s32(r->right + place, vminq_s32(shifts, zero));
    vstrwq_s32(r->left + place, vmaxq_s32(shifts, zero));
}

/* Lays out parameters of 16 channels, from `first` on. */
static void lay_out(const call *c, uint32_t first)
{
    const mk_depthwise_conv2d_s8_params *p = c->p;
    record *r = c->r;
    const int32x4x4_t bias = vld4q_s32(p->bias + first), multiplier = vld4q_s32(p->multiplier + first);
    for (int i = 0; i < 4; ++i) {
        vstrwq_s32(r->bias + 4 * i, bias.val[i]);
        vstrwq_s32(r->multiplier + 4 * i, multiplier.val[i]);
    }
    const int8x16_t shift = vldrbq_s8(p->shift + first);
    const int16x8_t even = vmovlbq_s8(shift), odd = vmovltq_s8(shift);
    set_shifts(r, 0, vmovlbq_s16(even));
    set_shifts(r, 4, vmovlbq_s16(odd));
    set_shifts(r, 8, vmovltq_s16(even));
    set_shifts(r, 12, vmovltq_s16(odd));
}

/* The same of fewer channels: lane i is channel `first` + i % count, as often as that fits; others are 0. */
static void lay_out_copies(const call *c, uint32_t first, uint32_t count)
{
    const mk_depthwise_conv2d_s8_params *p = c->p;
    record *r = c->r;
    const uint32_t lanes = LANES / count * count;
    for (uint32_t i = 0, channel = first; i < LANES; ++i) {
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
    if (count == LANES) {
        lay_out(c, first);
        for (; from != end; from += c->channels, to += LANES) {
            vstrbq_s8(to, vldrbq_s8(from));
        }
        return;
    }
    lay_out_copies(c, first, count);
    const mve_pred16_t lanes = vctp8q(count);
    for (; from != end; from += c->channels, to += LANES) {
        vstrbq_s8(to, vdupq_n_s8(0));
        for (uint32_t copy = 0; copy + count <= LANES; copy += count) {
            vstrbq_p_s8(to + copy, vldrbq_z_s8(from, lanes), lanes);
        }
    }
}

/* Sums of 16 channels, by the remainder of the channel by four. */
typedef struct sums {
    int32x4_t of0, of1, of2, of3;
} sums;

/* The lanes of a vector that count: all of them, or those of a predicate. */
typedef struct lanes {
    bool all;
    mve_pred16_t predicate;
} lanes;

#if MK_MVE

/*
 * Compilers keep too few sums in registers here: with them, one vector less than there are is left for products. A second
 * load of weights is what it takes.
 */
#define WIDEN \
    "vmovlb.s16 %q[v], %q[even] \n" \
    "vadd.i32 %q[of0], %q[of0], %q[v] \n" \
    "vmovlt.s16 %q[v], %q[even] \n" \
    "vadd.i32 %q[of2], %q[of2], %q[v] \n" \
    "vmovlb.s16 %q[v], %q[odd] \n" \
    "vadd.i32 %q[of1], %q[of1], %q[v] \n" \
    "vmovlt.s16 %q[v], %q[odd] \n" \
    "vadd.i32 %q[of3], %q[of3], %q[v] \n"
#define TWO_TAPS(load) \
    load " %q[odd], [%[x0]] \n" \
    "vldrb.8 %q[v], [%[w]], #16 \n" \
    "vmullb.s8 %q[even], %q[odd], %q[v] \n" \
    "vmullt.s8 %q[odd], %q[odd], %q[v] \n" \
    load " %q[v], [%[x1]] \n" \
    "vldrb.8 %q[u], [%[w]] \n" \
    "vmullt.s8 %q[u], %q[v], %q[u] \n" \
    "vadd.i16 %q[odd], %q[odd], %q[u] \n" \
    "vldrb.8 %q[u], [%[w]], #16 \n" \
    "vmullb.s8 %q[u], %q[v], %q[u] \n" \
    "vadd.i16 %q[even], %q[even], %q[u] \n" WIDEN
#define ONE_TAP(load) \
    load " %q[odd], [%[x0]] \n" \
    "vldrb.8 %q[v], [%[w]], #16 \n" \
    "vmullb.s8 %q[even], %q[odd], %q[v] \n" \
    "vmullt.s8 %q[odd], %q[odd], %q[v] \n" WIDEN
#define SUMS(s) [of0] "+w"((s)->of0), [of1] "+w"((s)->of1), [of2] "+w"((s)->of2), [of3] "+w"((s)->of3)
#define ALL "vldrb.8"
#define SOME "vpst \n vldrbt.8"

static inline __attribute__((always_inline)) void add_two_taps(sums *s, const int8_t *x0, const int8_t *x1,
                                                               const int8_t **weights, lanes l)
{
    int8x16_t even, odd, u, v;
    const int8_t *w = *weights;
    if (l.all) {
        __asm__ volatile(TWO_TAPS(ALL)
                         : SUMS(s), [even] "=&w"(even), [odd] "=&w"(odd), [u] "=&w"(u), [v] "=&w"(v), [w] "+r"(w)
                         : [x0] "r"(x0), [x1] "r"(x1)
                         : "memory");
    } else {
        __asm__ volatile("vmsr p0, %[lanes] \n" TWO_TAPS(SOME)
                         : SUMS(s), [even] "=&w"(even), [odd] "=&w"(odd), [u] "=&w"(u), [v] "=&w"(v), [w] "+r"(w)
                         : [x0] "r"(x0), [x1] "r"(x1), [lanes] "r"((uint32_t)l.predicate)
                         : "p0", "memory");
    }
    *weights = w;
}

static inline __attribute__((always_inline)) void add_one_tap(sums *s, const int8_t *x0, const int8_t **weights, lanes l)
{
    int8x16_t even, odd, v;
    const int8_t *w = *weights;
    if (l.all) {
        __asm__ volatile(ONE_TAP(ALL)
                         : SUMS(s), [even] "=&w"(even), [odd] "=&w"(odd), [v] "=&w"(v), [w] "+r"(w)
                         : [x0] "r"(x0)
                         : "memory");
    } else {
        __asm__ volatile("vmsr p0, %[lanes] \n" ONE_TAP(SOME)
                         : SUMS(s), [even] "=&w"(even), [odd] "=&w"(odd), [v] "=&w"(v), [w] "+r"(w)
                         : [x0] "r"(x0), [lanes] "r"((uint32_t)l.predicate)
                         : "p0", "memory");
    }
    *weights = w;
}

static inline __attribute__((always_inline)) sums biases(const record *r)
{
    sums s;
    __asm__ volatile("vldrw.32 %q[of0], [%[r]] \n"
                     "vldrw.32 %q[of1], [%[r], #16] \n"
                     "vldrw.32 %q[of2], [%[r], #32] \n"
                     "vldrw.32 %q[of3], [%[r], #48]"
                     : [of0] "=&w"(s.of0), [of1] "=&w"(s.of1), [of2] "=&w"(s.of2), [of3] "=&w"(s.of3)
                     : [r] "r"(r)
                     : "memory");
    return s;
}

/* mk_mve_scale of sums, with the multipliers and shifts that stand in the record at these bytes. */
#define SCALE(sums, multiplier, right) \
    "vldrw.32 %q[u], [%[r], #" multiplier "] \n" \
    "vqrdmulh.s32 %q[" sums "], %q[" sums "], %q[u] \n" \
    "vldrw.32 %q[v], [%[r], #" right "] \n" \
    "vand %q[u], %q[" sums "], %q[v] \n" \
    "vshr.s32 %q[u], %q[u], #31 \n" \
    "vadd.i32 %q[" sums "], %q[" sums "], %q[u] \n" \
    "vrshl.s32 %q[" sums "], %q[" sums "], %q[v] \n"

/* Bytes of sums, side by side. */
static inline __attribute__((always_inline)) int8x16_t scaled_bytes(const record *r, sums s, int32_t zero_point)
{
    int32x4_t u, v;
    __asm__ volatile(SCALE("of0", "64", "128") SCALE("of1", "80", "144") SCALE("of2", "96", "160")
                     SCALE("of3", "112", "176")
                     "vqmovnb.s32 %q[of0], %q[of0] \n"
                     "vqmovnt.s32 %q[of0], %q[of2] \n"
                     "vqadd.s16 %q[of0], %q[of0], %[zero_point] \n"
                     "vqmovnb.s32 %q[of1], %q[of1] \n"
                     "vqmovnt.s32 %q[of1], %q[of3] \n"
                     "vqadd.s16 %q[of1], %q[of1], %[zero_point] \n"
                     "vqmovnb.s16 %q[of0], %q[of0] \n"
                     "vqmovnt.s16 %q[of0], %q[of1] \n"
                     "vldrb.8 %q[u], [%[limits]] \n"
                     "vmax.s8 %q[of0], %q[of0], %q[u] \n"
                     "vldrb.8 %q[u], [%[limits], #16] \n"
                     "vmin.s8 %q[of0], %q[of0], %q[u]"
                     : SUMS(&s), [u] "=&w"(u), [v] "=&w"(v)
                     : [r] "r"(r), [limits] "r"(r->minimum), [zero_point] "r"(zero_point)
                     : "memory");
    return vreinterpretq_s8_s32(s.of0);
}

#else

static inline void widen(sums *s, int16x8_t even, int16x8_t odd)
{
    s->of0 = vaddq_s32(s->of0, vmovlbq_s16(even));
    s->of2 = vaddq_s32(s->of2, vmovltq_s16(even));
    s->of1 = vaddq_s32(s->of1, vmovlbq_s16(odd));
    s->of3 = vaddq_s32(s->of3, vmovltq_s16(odd));
}

static inline void add_two_taps(sums *s, const int8_t *x0, const int8_t *x1, const int8_t **w, lanes l)
{
    const int8x16_t v0 = vldrbq_z_s8(x0, l.predicate), w0 = vldrbq_s8(*w);
    const int8x16_t v1 = vldrbq_z_s8(x1, l.predicate), w1 = vldrbq_s8(*w + LANES);
    widen(s, vaddq_s16(vmullbq_int_s8(v0, w0), vmullbq_int_s8(v1, w1)),
          vaddq_s16(vmulltq_int_s8(v0, w0), vmulltq_int_s8(v1, w1)));
    *w += 2 * LANES;
}

static inline void add_one_tap(sums *s, const int8_t *x0, const int8_t **w, lanes l)
{
    const int8x16_t v0 = vldrbq_z_s8(x0, l.predicate), w0 = vldrbq_s8(*w);
    widen(s, vmullbq_int_s8(v0, w0), vmulltq_int_s8(v0, w0));
    *w += LANES;
}

static inline sums biases(const record *r)
{
    const sums s = {vldrwq_s32(r->bias), vldrwq_s32(r->bias + 4), vldrwq_s32(r->bias + 8), vldrwq_s32(r->bias + 12)};
    return s;
}

/* Even and odd lanes of a vector, as near as 16 bits come to them, after adding a number. */
static inline int16x8_t halves(int32x4_t even, int32x4_t odd, int32_t addend)
{
    return vqaddq_n_s16(vqmovntq_s32(vqmovnbq_s32(vreinterpretq_s16_s32(even), even), odd), (int16_t)addend);
}

/* Bytes of sums, side by side. */
static inline int8x16_t scaled_bytes(const record *r, sums s, int32_t zero_point)
{
    const int32_t *m = r->multiplier, *right = r->right;
    s.of0 = mk_mve_scale(s.of0, vldrwq_s32(m), vldrwq_s32(right));
    s.of1 = mk_mve_scale(s.of1, vldrwq_s32(m + 4), vldrwq_s32(right + 4));
    s.of2 = mk_mve_scale(s.of2, vldrwq_s32(m + 8), vldrwq_s32(right + 8));
    s.of3 = mk_mve_scale(s.of3, vldrwq_s32(m + 12), vldrwq_s32(right + 12));
    const int16x8_t even = halves(s.of0, s.of2, zero_point), odd = halves(s.of1, s.of3, zero_point);
    const int8x16_t bytes = vqmovntq_s16(vqmovnbq_s16(vreinterpretq_s8_s16(even), even), odd);
    return vminq_s8(vmaxq_s8(bytes, vldrbq_s8(r->minimum)), vldrbq_s8(r->maximum));
}

#endif

/* Adds `count` taps: of pixels from x on that are `step` bytes apart, with weights from w on. */
static inline __attribute__((always_inline)) void add_taps(sums *s, const int8_t *x, int32_t step, const int8_t **w,
                                                           uint32_t count, lanes l)
{
    for (; count >= 2; count -= 2, x += 2 * step) {
        add_two_taps(s, x, x + step, w, l);
    }
    if (count != 0) {
        add_one_tap(s, x, w, l);
    }
}

/* Requantizes sums and writes them side by side. */
static inline __attribute__((always_inline)) void finish(const call *c, sums s, int8_t *out, lanes l)
{
    const record *r = c->r;
    if (c->any_left) {
        s.of0 = vshlq_s32(s.of0, vldrwq_s32(r->left));
        s.of1 = vshlq_s32(s.of1, vldrwq_s32(r->left + 4));
        s.of2 = vshlq_s32(s.of2, vldrwq_s32(r->left + 8));
        s.of3 = vshlq_s32(s.of3, vldrwq_s32(r->left + 12));
    }
    const int8x16_t bytes = scaled_bytes(r, s, c->p->output_zero_point);
    if (l.all) {
        vstrbq_s8(out, bytes);
    } else {
        vstrbq_p_s8(out, bytes, l.predicate);
    }
}

/*
 * Pixels of whose windows all columns exist. offset: in bytes, of the first window in its rows. advance: from one window
 * to the next one and from one output to the next one, in bytes.
 */
typedef struct run {
    uint32_t count;
    int32_t offset, advance, out_advance;
} run;

/* Kernels of 3x3 with all lanes, whose rows all exist. */
static inline __attribute__((always_inline)) void inner_3x3(const call *c, run pixels, int8_t *out)
{
    const lanes all = {true, 0xFFFF};
    const int32_t step = c->step;
    const int8_t *const data = c->input->data + pixels.offset;
    const int8_t *x0 = data + c->rows[0], *x1 = data + c->rows[1], *x2 = data + c->rows[2];
    for (; pixels.count != 0; --pixels.count) {
        const int8_t *weights = c->weights;
        sums s = biases(c->r);
        add_two_taps(&s, x0, x0 + step, &weights, all);
        add_one_tap(&s, x0 + 2 * step, &weights, all);
        add_two_taps(&s, x1, x1 + step, &weights, all);
        add_one_tap(&s, x1 + 2 * step, &weights, all);
        add_two_taps(&s, x2, x2 + step, &weights, all);
        add_one_tap(&s, x2 + 2 * step, &weights, all);
        finish(c, s, out, all);
        x0 += pixels.advance;
        x1 += pixels.advance;
        x2 += pixels.advance;
        out += pixels.out_advance;
    }
}

/* Any kernel. */
static inline void inner_any(const call *c, run pixels, int8_t *out, lanes l)
{
    const lanes some = {false, l.predicate};
    const uint32_t width = c->p->window.kernel_width;
    const int32_t *const end = c->rows + c->p->window.kernel_height;
    const int8_t *data = c->input->data + pixels.offset;
    for (; pixels.count != 0; --pixels.count, data += pixels.advance) {
        const int8_t *weights = c->weights;
        sums s = biases(c->r);
        for (const int32_t *row = c->rows; row != end; ++row) {
            const bool exists = *row != MK_MVE_OUTSIDE;
            add_taps(&s, exists ? data + *row : c->r->outside, exists ? c->step : 0, &weights, width, some);
        }
        finish(c, s, out, some);
        out += pixels.out_advance;
    }
}

/* Any pixel: the window begins at column `left` of the map, and channels at byte `first` of a pixel. */
static void border_pixel(const call *c, int32_t left, uint32_t first, int8_t *out, lanes l)
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
    const lanes some = {false, l.predicate};
    const int8_t *weights = c->weights;
    sums s = biases(c->r);
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
static void border_3x3(const call *c, int32_t left, uint32_t first, int8_t *out, lanes l)
{
    const int32_t width = c->input->width, dilation = c->p->window.dilation_x, step = c->step;
    const int32_t middle = left + dilation, right = middle + dilation;
    const bool has_left = left >= 0 && left < width, has_middle = middle >= 0 && middle < width;
    const bool has_right = right >= 0 && right < width;
    const int32_t offset = (left - c->input->first_column) * (int32_t)c->input->channels + (int32_t)first;
    const lanes some = {false, l.predicate};
    const int8_t *weights = c->weights, *const outside = c->r->outside, *const data = c->input->data;
    sums s = biases(c->r);
    for (const int32_t *row = c->rows; row != c->rows + 3; ++row) {
        const bool exists = *row != MK_MVE_OUTSIDE;
        const int32_t at = *row + offset;
        const int8_t *x0 = exists && has_left ? data + at : outside;
        const int8_t *x1 = exists && has_middle ? data + (at + step) : outside;
        const int8_t *x2 = exists && has_right ? data + (at + 2 * step) : outside;
        add_two_taps(&s, x0, x1, &weights, some);
        add_one_tap(&s, x2, &weights, some);
    }
    finish(c, s, out, some);
}

/* Channels [first, first + count) of a row of the output. */
static void part_of_row(const call *c, const mk_map *output, uint32_t first, uint32_t count, int8_t *out)
{
    const mk_window *w = &c->p->window;
    const int32_t stride = w->stride_x, reach = (w->kernel_width - 1) * (int32_t)w->dilation_x;
    const int32_t together = (int32_t)c->together, bytes = (int32_t)c->channels;
    const int32_t width = c->input->width, end = output->columns;
    const bool is_3x3 = w->kernel_height == 3 && w->kernel_width == 3;
    const bool rows_exist = is_3x3 && c->rows[0] != MK_MVE_OUTSIDE && c->rows[1] != MK_MVE_OUTSIDE && c->rows[2] != MK_MVE_OUTSIDE;
    const lanes one = {count == LANES, vctp8q(count)};
    const lanes several = {count * c->together == LANES, vctp8q(count * c->together)};
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
            if (is_3x3 && several.all && rows_exist) {
                inner_3x3(c, pixels, out);
            } else {
                inner_any(c, pixels, out, several);
            }
        } else {
            if (is_3x3) {
                border_3x3(c, left, first, out, one);
            } else {
                border_pixel(c, left, first, out, one);
            }
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
    record *const r = scratch;
    int32_t *const rows = (int32_t *)(r + 1);
    const call c = {
        .p = params,
        .input = input,
        .r = r,
        .rows = rows,
        .weights = (int8_t *)(rows + w->kernel_height),
        .channels = channels,
        .together = w->stride_x == 1 && channels < LANES ? LANES / channels : 1,
        .step = w->dilation_x * (int32_t)channels,
        .any_left = mk_mve_any_left(params->shift, channels),
    };
    if (first_row >= last_row || output->columns == 0) {
        return;
    }
    vstrbq_s8(r->minimum, vdupq_n_s8((int8_t)params->minimum));
    vstrbq_s8(r->maximum, vdupq_n_s8((int8_t)params->maximum));
    vstrbq_s8(r->outside, vdupq_n_s8((int8_t)params->input_zero_point));
    if (channels <= LANES) {
        fill_record(&c, 0, channels);
    }
    for (int32_t y = first_row; y < last_row; ++y) {
        mk_mve_find_rows(w, input, y, rows);
        for (uint32_t first = 0, count; first < channels; first += count) {
            count = channels - first < LANES ? channels - first : LANES;
            if (channels > LANES) {
                fill_record(&c, first, count);
            }
            part_of_row(&c, output, first, count, mk_row(output, y));
        }
    }
}

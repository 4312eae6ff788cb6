/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Depthwise convolution of any kernel with DSP instructions. For four channels of a part of a row, each two rows of the
 * input are turned into pairs of 16 bits, and each two rows of the kernel too; then four outputs of a channel at a time
 * take a pair of weights times a pair of inputs. The last row of a kernel of an odd height is paired with weights of 0.
 */
#include "mk_depthwise_conv2d_any_s8_dsp.h"

#include "mk_dsp.h"

#if !MK_DSP

void mk_depthwise_conv2d_any_s8_dsp(const mk_depthwise_conv2d_any_s8_dsp_params *params, const mk_map *input,
                                    const mk_map *output, uint16_t first_row, uint16_t last_row, void *scratch)
{
    mk_depthwise_conv2d_s8(params, input, output, first_row, last_row, scratch);
}

#else

#define CHANNELS 4
#define OUTPUTS 4

/*
 * What stays the same during a call or for a part of a row. pairs: of rows of the kernel; columns: of the input that
 * are paired, beginning with column `left` of the map; needed: where those end that outputs need. beyond: four zero
 * points. inputs: [channel][pair of rows][column], weights: [channel][pair of rows][column of the kernel].
 */
typedef struct shape {
    const mk_depthwise_conv2d_s8_params *params;
    const mk_map *input;
    uint32_t channels, pairs, columns, beyond;
    int32_t top, left, needed;
    uint32_t *inputs, *weights;
    void (*multiply)(const struct shape *s, const uint32_t *inputs, const uint32_t *weights, int32_t sums[OUTPUTS]);
} shape;

static __attribute__((noinline)) uint32_t load_few_channels(const int8_t *pixel, uint32_t channels)
{
    return mk_load_part_of_word(pixel, channels);
}

/* Four channels of a pixel, or as many as there are. */
static inline uint32_t load_channels(const int8_t *pixel, uint32_t channels)
{
    return channels >= CHANNELS ? mk_load_word(pixel) : load_few_channels(pixel, channels);
}

/* Pairs the channels of two words; those of a channel are `step` words behind those of the one before. */
static inline void store_pairs(uint32_t upper, uint32_t lower, uint32_t *out, uint32_t step)
{
    const uint32_t low = mk_low_halves(upper, lower), high = mk_high_halves(upper, lower);
    out[0] = mk_extend_even(low);
    out[step] = mk_extend_odd(low);
    out[2 * step] = mk_extend_even(high);
    out[3 * step] = mk_extend_odd(high);
}

/* The row of the input that row `row` of the kernel reads, from channel `c` of column 0 on; null if there is none. */
static const int8_t *input_row(const shape *s, uint32_t row, uint32_t c)
{
    const int32_t y = s->top + (int32_t)(row * s->params->window.dilation_y);
    if (!mk_has_row(s->input, y)) {
        return NULL;
    }
    return mk_row(s->input, y) - (size_t)s->input->first_column * s->channels + c;
}

/* Where to read a row of pixels: `step` bytes from one to the next. */
typedef struct source {
    const int8_t *pixel;
    uint32_t step;
} source;

/* Pairs of `count` columns of two rows with four channels; where they end. step: from a channel to the next one. */
static __attribute__((noinline)) uint32_t *pair_columns(source upper, source lower, uint32_t count, uint32_t *out,
                                                        uint32_t step)
{
    uint32_t *third = out + 2 * step;
    for (const uint32_t *const end = out + count; out != end; upper.pixel += upper.step, lower.pixel += lower.step) {
        const uint32_t a = mk_load_word(upper.pixel), b = mk_load_word(lower.pixel);
        const uint32_t low = mk_low_halves(a, b), high = mk_high_halves(a, b);
        out[step] = mk_extend_odd(low);
        *out++ = mk_extend_even(low);
        third[step] = mk_extend_odd(high);
        *third++ = mk_extend_even(high);
    }
    return out;
}

/* The same with fewer channels. */
static __attribute__((noinline)) void pair_few_channels(source upper, source lower, uint32_t channels, uint32_t count,
                                                        uint32_t *out, uint32_t step)
{
    for (; count != 0; --count, ++out, upper.pixel += upper.step, lower.pixel += lower.step) {
        const uint32_t a = mk_load_part_of_word(upper.pixel, channels);
        store_pairs(a, mk_load_part_of_word(lower.pixel, channels), out, step);
    }
}

/* Pairs of all columns of two rows of the input, of which one or both may not exist. */
static void pair_rows(const shape *s, const int8_t *upper, const int8_t *lower, uint32_t *out)
{
    const uint32_t channels = s->channels, step = s->pairs * s->columns;
    const int32_t end = s->left + (int32_t)s->columns;
    const int32_t width = s->needed < (int32_t)s->input->width ? s->needed : (int32_t)s->input->width;
    const int32_t first = mk_clamp(0, s->left, end), last = mk_clamp(width, first, end);
    const int32_t offset = first * (int32_t)channels;
    const source beyond = {(const int8_t *)&s->beyond, 0};
    const source a = upper == NULL ? beyond : (source){upper + offset, channels};
    const source b = lower == NULL ? beyond : (source){lower + offset, channels};
    const uint32_t before = (uint32_t)(first - s->left), inside = (uint32_t)(last - first);
    const uint32_t behind = (uint32_t)(end - last);
    if (channels >= CHANNELS) {
        out = pair_columns(beyond, beyond, before, out, step);
        out = pair_columns(a, b, inside, out, step);
        pair_columns(beyond, beyond, behind, out, step);
    } else {
        pair_few_channels(beyond, beyond, channels, before, out, step);
        pair_few_channels(a, b, channels, inside, out + before, step);
        pair_few_channels(beyond, beyond, channels, behind, out + before + inside, step);
    }
}

/* Inputs and weights of four channels from `c` on. */
static void prepare(const shape *s, uint32_t c)
{
    const mk_window *w = &s->params->window;
    const uint32_t channels = s->channels, row_bytes = w->kernel_width * channels;
    const int8_t *weights = s->params->weights + c;
    uint32_t *out = s->weights;
    for (uint32_t pair = 0; pair < s->pairs; ++pair, weights += 2 * row_bytes) {
        const bool has_lower = 2 * pair + 1 < w->kernel_height;
        const int8_t *upper = input_row(s, 2 * pair, c);
        pair_rows(s, upper, has_lower ? input_row(s, 2 * pair + 1, c) : upper, s->inputs + pair * s->columns);
        for (uint32_t column = 0; column < w->kernel_width; ++column, ++out) {
            const int8_t *tap = weights + column * channels;
            store_pairs(load_channels(tap, channels), has_lower ? load_channels(tap + row_bytes, channels) : 0, out,
                        s->pairs * w->kernel_width);
        }
    }
}

/* Column `column` of the kernel for four outputs; x are the inputs of the first window in a pair of rows. */
#define MULTIPLY_COLUMN(column, step, dilation) \
    do { \
        const uint32_t w = weights[column], *v = x + (column) * (dilation); \
        sum0 = mk_multiply_pairs(v[0], w, sum0); \
        sum1 = mk_multiply_pairs(v[step], w, sum1); \
        sum2 = mk_multiply_pairs(v[2 * (step)], w, sum2); \
        sum3 = mk_multiply_pairs(v[3 * (step)], w, sum3); \
    } while (0)

#define FIVE_COLUMNS(step) \
    MULTIPLY_COLUMN(0, step, 1); \
    MULTIPLY_COLUMN(1, step, 1); \
    MULTIPLY_COLUMN(2, step, 1); \
    MULTIPLY_COLUMN(3, step, 1); \
    MULTIPLY_COLUMN(4, step, 1)
#define SEVEN_COLUMNS(step) \
    FIVE_COLUMNS(step); \
    MULTIPLY_COLUMN(5, step, 1); \
    MULTIPLY_COLUMN(6, step, 1)
#define ALL_COLUMNS(step) \
    for (uint32_t column = 0; column < width; ++column) { \
        MULTIPLY_COLUMN(column, step, dilation); \
    }

/*
 * Adds the products of four outputs. The usual widths and strides have functions of their own, in which an input stays
 * in its register from one column of the kernel to the next.
 */
#define ADD_PRODUCTS(name, multiply_columns, step) \
    static __attribute__((noinline)) void name(const shape *s, const uint32_t *x, const uint32_t *weights, \
                                               int32_t sums[OUTPUTS]) \
    { \
        const uint32_t width = s->params->window.kernel_width, dilation = s->params->window.dilation_x; \
        int32_t sum0 = sums[0], sum1 = sums[1], sum2 = sums[2], sum3 = sums[3]; \
        (void)dilation; \
        for (uint32_t pair = s->pairs; pair != 0; --pair, x += s->columns, weights += width) { \
            multiply_columns(step); \
        } \
        sums[0] = sum0; \
        sums[1] = sum1; \
        sums[2] = sum2; \
        sums[3] = sum3; \
    }

ADD_PRODUCTS(add_products_of_5_columns, FIVE_COLUMNS, 1)
ADD_PRODUCTS(add_products_of_7_columns, SEVEN_COLUMNS, 1)
ADD_PRODUCTS(add_products_of_5_columns_with_stride_2, FIVE_COLUMNS, 2)
ADD_PRODUCTS(add_products_of_7_columns_with_stride_2, SEVEN_COLUMNS, 2)
ADD_PRODUCTS(add_products_of_any, ALL_COLUMNS, s->params->window.stride_x)

typedef void multiply(const shape *s, const uint32_t *inputs, const uint32_t *weights, int32_t sums[OUTPUTS]);

static multiply *multiply_for(const mk_window *w)
{
    if (w->dilation_x != 1 || w->stride_x > 2 || (w->kernel_width != 5 && w->kernel_width != 7)) {
        return add_products_of_any;
    }
    if (w->stride_x == 1) {
        return w->kernel_width == 5 ? add_products_of_5_columns : add_products_of_7_columns;
    }
    return w->kernel_width == 5 ? add_products_of_5_columns_with_stride_2 : add_products_of_7_columns_with_stride_2;
}

/* `count` outputs of a channel. k: among those that are prepared. */
static __attribute__((noinline)) void compute_line(const shape *s, uint32_t c, uint32_t k, uint32_t count, int8_t *out)
{
    const mk_depthwise_conv2d_s8_params *p = s->params;
    const uint32_t step = s->channels;
    const uint32_t *x = s->inputs + k * s->pairs * s->columns;
    const uint32_t *w = s->weights + k * s->pairs * p->window.kernel_width;
    const uint32_t doubled = (uint32_t)p->multiplier[c] << 1;
    const int32_t bias = p->bias[c], offset = 2 * p->output_zero_point + 1;
    const int shift = p->shift[c];
    for (; count != 0; x += OUTPUTS * p->window.stride_x, out += OUTPUTS * step) {
        int32_t sums[OUTPUTS] = {bias, bias, bias, bias};
        s->multiply(s, x, w, sums);
        if (count < OUTPUTS) {
            for (uint32_t i = 0; i < count; ++i) {
                out[i * step] = mk_requantize_to_byte(sums[i], doubled, shift, offset);
            }
            return;
        }
        out[0] = mk_requantize_to_byte(sums[0], doubled, shift, offset);
        out[step] = mk_requantize_to_byte(sums[1], doubled, shift, offset);
        out[2 * step] = mk_requantize_to_byte(sums[2], doubled, shift, offset);
        out[3 * step] = mk_requantize_to_byte(sums[3], doubled, shift, offset);
        count -= OUTPUTS;
    }
}

/* `count` outputs of a row from column `left` of the input on. */
static void compute_columns(shape *s, uint32_t *scratch, int32_t left, uint32_t count, int8_t *out)
{
    const mk_window *w = &s->params->window;
    const uint32_t reach = (w->kernel_width - 1u) * w->dilation_x + 1;
    const uint32_t rounded = (count + OUTPUTS - 1) / OUTPUTS * OUTPUTS;
    s->left = left;
    s->needed = left + (int32_t)((count - 1) * w->stride_x + reach);
    s->columns = (rounded - 1) * w->stride_x + reach;
    s->weights = scratch;
    s->inputs = scratch + CHANNELS * s->pairs * w->kernel_width;
    for (uint32_t c = 0;;) {
        prepare(s, c);
        for (uint32_t k = 0; k < CHANNELS && c + k < s->channels; ++k) {
            compute_line(s, c + k, k, count, out + c + k);
        }
        if (c + CHANNELS >= s->channels) {
            break;
        }
        /* The last four channels overlap those before them, if need be. */
        c = c + 2 * CHANNELS <= s->channels ? c + CHANNELS : s->channels - CHANNELS;
    }
}

void mk_depthwise_conv2d_any_s8_dsp(const mk_depthwise_conv2d_any_s8_dsp_params *params, const mk_map *input,
                                    const mk_map *output, uint16_t first_row, uint16_t last_row, void *scratch)
{
    const mk_window *w = &params->window;
    const uint32_t channels = output->channels, fewer = MK_DEPTHWISE_ANY_DSP_COLUMNS / w->stride_x;
    const uint32_t most = fewer < OUTPUTS ? OUTPUTS : fewer;
    shape s = {
        .params = params,
        .input = input,
        .channels = channels,
        .pairs = (w->kernel_height + 1u) / 2,
        .multiply = multiply_for(w),
        .beyond = 0x01010101u * (uint8_t)params->input_zero_point,
    };
    for (int32_t y = first_row; y < last_row; ++y) {
        int8_t *out = mk_row(output, y);
        uint32_t count;
        s.top = y * w->stride_y - w->pad_top;
        for (uint32_t i = 0; i < output->columns; i += count, out += count * channels) {
            count = output->columns - i < most ? output->columns - i : most;
            compute_columns(&s, scratch, (int32_t)(output->first_column + i) * w->stride_x - w->pad_left, count, out);
            mk_limit_bytes(out, count * channels, params->minimum, params->maximum);
        }
    }
}

#endif

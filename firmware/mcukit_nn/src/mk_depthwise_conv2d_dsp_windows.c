/* SPDX-License-Identifier: Apache-2.0 */
/* Depthwise convolutions of any windows with DSP instructions: mk_depthwise_conv2d_dsp_windows.h. */
#include "mk_depthwise_conv2d_dsp_windows.h"

#if MK_DSP

#include "mk_depthwise_conv2d_any_s8_dsp.h"
#include "mk_depthwise_conv2d_dsp.h"
#include "mk_packed.h"

#define CHANNELS 4
#define OUTPUTS MK_DEPTHWISE_ANY_DSP_OUTPUTS

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
static const int8_t *input_row(const mk_depthwise_windows *s, uint32_t row, uint32_t c)
{
    const int32_t y = s->top + (int32_t)(row * s->window->dilation_y);
    if (!mk_has_row(s->input, y)) {
        return NULL;
    }
    return mk_row(s->input, y) - (size_t)s->input->first_column * s->pixel_bytes + c * s->bits / 8;
}

#define PAIR_COLUMNS(bits, mask_of_fields, pair_pixels) \
    uint32_t *mk_depthwise_pair_columns_##bits(mk_depthwise_source upper, mk_depthwise_source lower, uint32_t count, \
                                               uint32_t *out, uint32_t step) \
    { \
        uint32_t *third = out + 2 * step; \
        const uint32_t *const end = out + count, mask = mk_in_register(mask_of_fields); \
        (void)mask; \
        for (; out != end; upper.pixel += upper.step, lower.pixel += lower.step, ++out, ++third) { \
            pair_pixels(upper.pixel, lower.pixel); \
        } \
        return out; \
    }

#define PAIR_BYTES(a, b) \
    do { \
        const uint32_t first = mk_load_word(a), second = mk_load_word(b); \
        const uint32_t low = mk_low_halves(first, second), high = mk_high_halves(first, second); \
        out[step] = mk_extend_odd(low); \
        *out = mk_extend_even(low); \
        third[step] = mk_extend_odd(high); \
        *third = mk_extend_even(high); \
    } while (0)
#define PAIR_FIELDS(bits, a, b) \
    do { \
        const uint32_t fields = mk_low_halves((a), (b)); \
        *out = fields & mask; \
        out[step] = fields >> (bits) & mask; \
        *third = fields >> 2 * (bits) & mask; \
        third[step] = fields >> 3 * (bits) & mask; \
    } while (0)
#define PAIR_4(a, b) PAIR_FIELDS(4, load_half(a), load_half(b))
#define PAIR_2(a, b) PAIR_FIELDS(2, (uint8_t)*(a), (uint8_t)*(b))

static inline uint32_t load_half(const int8_t *bytes)
{
    uint16_t half;
    memcpy(&half, bytes, sizeof half);
    return half;
}

PAIR_COLUMNS(8, 0, PAIR_BYTES)
PAIR_COLUMNS(4, 0x000F000Fu, PAIR_4)
PAIR_COLUMNS(2, 0x00030003u, PAIR_2)

/* The same with fewer channels. */
static __attribute__((noinline)) void pair_few_channels(mk_depthwise_load_pixel *load, mk_depthwise_source upper,
                                                        mk_depthwise_source lower, uint32_t channels, uint32_t count,
                                                        uint32_t *out, uint32_t step)
{
    for (; count != 0; --count, ++out, upper.pixel += upper.step, lower.pixel += lower.step) {
        const uint32_t a = load(upper.pixel, channels);
        store_pairs(a, load(lower.pixel, channels), out, step);
    }
}

/* Pairs of all columns of two rows of the input, of which one or both may not exist. count: of channels. */
static void pair_rows(const mk_depthwise_windows *s, const int8_t *upper, const int8_t *lower, uint32_t count,
                      uint32_t *out)
{
    const uint32_t step = s->pairs * s->columns;
    const int32_t end = s->left + (int32_t)s->columns;
    const int32_t width = s->needed < (int32_t)s->input->width ? s->needed : (int32_t)s->input->width;
    const int32_t first = mk_clamp(0, s->left, end), last = mk_clamp(width, first, end);
    const int32_t offset = first * (int32_t)s->pixel_bytes;
    const mk_depthwise_source beyond = {(const int8_t *)&s->beyond, 0};
    const mk_depthwise_source a = upper == NULL ? beyond : (mk_depthwise_source){upper + offset, s->pixel_bytes};
    const mk_depthwise_source b = lower == NULL ? beyond : (mk_depthwise_source){lower + offset, s->pixel_bytes};
    const uint32_t before = (uint32_t)(first - s->left), inside = (uint32_t)(last - first);
    const uint32_t behind = (uint32_t)(end - last);
    /* Whole pixels read as many bytes as four channels have: they must exist. */
    if (count == CHANNELS || (count * s->bits + 7) / 8 == CHANNELS * s->bits / 8) {
        out = s->pair_columns(beyond, beyond, before, out, step);
        out = s->pair_columns(a, b, inside, out, step);
        s->pair_columns(beyond, beyond, behind, out, step);
    } else {
        pair_few_channels(s->load_pixel, beyond, beyond, count, before, out, step);
        pair_few_channels(s->load_pixel, a, b, count, inside, out + before, step);
        pair_few_channels(s->load_pixel, beyond, beyond, count, behind, out + before + inside, step);
    }
}

/* Inputs of `count` channels from `c` on. */
static void pair_inputs(const mk_depthwise_windows *s, uint32_t c, uint32_t count)
{
    for (uint32_t pair = 0; pair < s->pairs; ++pair) {
        const int8_t *upper = input_row(s, 2 * pair, c);
        const bool has_lower = 2 * pair + 1 < s->window->kernel_height;
        pair_rows(s, upper, has_lower ? input_row(s, 2 * pair + 1, c) : upper, count, s->inputs + pair * s->columns);
    }
}

/* Pairs of weights: `load(place)` of the tap in the upper row and in the lower one, or `zero` where there is none. */
#define PAIR_WEIGHTS(place, load, zero, store) \
    do { \
        const uint32_t width = s->window->kernel_width, step = s->pairs * width, next = s->tap_bytes; \
        const int8_t *upper = (place); \
        uint32_t *out = s->weights; \
        for (uint32_t row = 0; row < s->window->kernel_height; row += 2, upper += width * next) { \
            const bool has_lower = row + 1u < s->window->kernel_height; \
            const int8_t *lower = has_lower ? upper + width * next : upper; \
            for (uint32_t column = 0; column < width; ++column, ++out, upper += next, lower += next) { \
                store(load(upper), has_lower ? load(lower) : (zero), out, step); \
            } \
        } \
    } while (0)

#define LOAD_FEW(place) mk_depthwise_load_8(place, s->tap_bytes)

void mk_depthwise_pair_weights_8(const mk_depthwise_windows *s, uint32_t c)
{
    const int8_t *place = (const int8_t *)s->constants + c;
    if (s->tap_bytes >= CHANNELS) {
        PAIR_WEIGHTS(place, mk_load_word, 0, store_pairs);
    } else {
        PAIR_WEIGHTS(place, LOAD_FEW, 0, store_pairs);
    }
}

/* store_pairs of fields, the lowest ones being those of channels 0 and 1 and, in the high half, 2 and 3. */
#define STORE_FIELDS(bits, upper, lower, out, step) \
    do { \
        const uint32_t first = (upper), second = (lower); \
        const uint32_t low = mk_low_halves(first, second), high = mk_high_halves(first, second); \
        (out)[0] = mk_subtract_pairs(low & mask, offset); \
        (out)[step] = mk_subtract_pairs(low >> (bits) & mask, offset); \
        (out)[2 * (step)] = mk_subtract_pairs(high & mask, offset); \
        (out)[3 * (step)] = mk_subtract_pairs(high >> (bits) & mask, offset); \
    } while (0)
#define STORE_4(upper, lower, out, step) STORE_FIELDS(4, upper, lower, out, step)
#define STORE_2(upper, lower, out, step) STORE_FIELDS(2, upper, lower, out, step)
#define LOAD_FIELDS(place) (mk_load_word(place) >> shift)

void mk_depthwise_pair_weights_4(const mk_depthwise_windows *s, uint32_t c)
{
    const uint32_t mask = 0x000F000Fu, offset = 0x00080008u;
    const uint32_t shift = c % 8 * 2;
    PAIR_WEIGHTS((const int8_t *)s->constants + c / 8 * 4, LOAD_FIELDS, 0x88888888u, STORE_4);
}

void mk_depthwise_pair_weights_2(const mk_depthwise_windows *s, uint32_t c)
{
    const uint32_t mask = 0x00030003u, offset = 0x00020002u;
    const uint32_t shift = c % 16;
    PAIR_WEIGHTS((const int8_t *)s->constants + c / 16 * 4, LOAD_FIELDS, 0xAAAAAAAAu, STORE_2);
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
    static __attribute__((noinline)) void name(const mk_depthwise_windows *s, const uint32_t *x, \
                                               const uint32_t *weights, int32_t sums[OUTPUTS]) \
    { \
        const uint32_t width = s->window->kernel_width, dilation = s->window->dilation_x; \
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
ADD_PRODUCTS(add_products_of_any, ALL_COLUMNS, s->window->stride_x)

typedef void multiply(const mk_depthwise_windows *s, const uint32_t *inputs, const uint32_t *weights,
                      int32_t sums[OUTPUTS]);

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

#define LINE(bits, finish) \
    void mk_depthwise_line_of_##bits(const mk_depthwise_windows *s, uint32_t c, uint32_t k, uint32_t count, \
                                     int8_t *out, uint32_t step) \
    { \
        const mk_window *w = s->window; \
        const uint32_t *x = s->inputs + k * s->pairs * s->columns; \
        const uint32_t *weights = s->weights + k * s->pairs * w->kernel_width; \
        const uint32_t doubled = (uint32_t)s->multiplier[c] << 1; \
        const int32_t bias = s->bias[c], offset = s->offset; \
        const int shift = s->shift[c]; \
        for (; count != 0; x += OUTPUTS * w->stride_x, out += OUTPUTS * step) { \
            int32_t sums[OUTPUTS] = {bias, bias, bias, bias}; \
            s->multiply(s, x, weights, sums); \
            if (count < OUTPUTS) { \
                for (uint32_t i = 0; i < count; ++i) { \
                    out[i * step] = (int8_t)finish(sums[i], doubled, shift, offset); \
                } \
                return; \
            } \
            out[0] = (int8_t)finish(sums[0], doubled, shift, offset); \
            out[step] = (int8_t)finish(sums[1], doubled, shift, offset); \
            out[2 * step] = (int8_t)finish(sums[2], doubled, shift, offset); \
            out[3 * step] = (int8_t)finish(sums[3], doubled, shift, offset); \
            count -= OUTPUTS; \
        } \
    }
#define TO_4_BITS(sum, doubled, shift, offset) mk_halve_to_4_bits(mk_requantize_twice(sum, doubled, shift, offset))
#define TO_2_BITS(sum, doubled, shift, offset) mk_halve_to_2_bits(mk_requantize_twice(sum, doubled, shift, offset))

LINE(8, mk_requantize_to_byte)
LINE(4, TO_4_BITS)
LINE(2, TO_2_BITS)

/* Four fields, bytes, in one half or in one byte. */
static inline uint32_t pack_4(uint32_t fields)
{
    const uint32_t pairs = (fields | fields >> 4) & 0x00FF00FFu;
    return pairs | pairs >> 8;
}

static inline uint32_t pack_2(uint32_t fields)
{
    const uint32_t pairs = fields | fields >> 6;
    return pairs | pairs >> 12;
}

static void pack_few(const mk_depthwise_windows *s, uint32_t count, uint32_t pixels, int8_t *out)
{
    const uint32_t mask = 0xFFFFFFFFu >> 8 * (CHANNELS - count);
    const int8_t *fields = s->fields;
    for (; pixels != 0; --pixels, fields += CHANNELS, out += s->out_step) {
        const uint32_t four = mk_load_word(fields) & mask, packed = s->output_bits == 4 ? pack_4(four) : pack_2(four);
        out[0] = (int8_t)(uint8_t)packed;
        if (count * s->output_bits > 8) {
            out[1] = (int8_t)(uint8_t)(packed >> 8);
        }
    }
}

/* Packs `count` channels of `pixels` pixels, which are four bytes each. */
static void pack_fields(const mk_depthwise_windows *s, uint32_t count, uint32_t pixels, int8_t *out)
{
    const int8_t *fields = s->fields, *const end = fields + CHANNELS * pixels;
    const uint32_t step = s->out_step;
    if (count < CHANNELS) {
        pack_few(s, count, pixels, out);
    } else if (s->output_bits == 4) {
        for (; fields != end; fields += CHANNELS, out += step) {
            const uint16_t packed = (uint16_t)pack_4(mk_load_word(fields));
            memcpy(out, &packed, sizeof packed);
        }
    } else {
        for (; fields != end; fields += CHANNELS, out += step) {
            *out = (int8_t)(uint8_t)pack_2(mk_load_word(fields));
        }
    }
}

/* `pixels` outputs of a row from column `left` of the input on. */
static void compute_columns(mk_depthwise_windows *s, uint32_t *scratch, int32_t left, uint32_t pixels, int8_t *out)
{
    const mk_window *w = s->window;
    const uint32_t reach = (w->kernel_width - 1u) * w->dilation_x + 1, channels = s->channels;
    const uint32_t rounded = (pixels + OUTPUTS - 1) / OUTPUTS * OUTPUTS;
    s->left = left;
    s->needed = left + (int32_t)((pixels - 1) * w->stride_x + reach);
    s->columns = (rounded - 1) * w->stride_x + reach;
    s->weights = scratch;
    s->inputs = scratch + CHANNELS * s->pairs * w->kernel_width;
    s->fields = (int8_t *)(s->inputs + CHANNELS * s->pairs * s->columns);
    for (uint32_t c = 0;;) {
        const uint32_t count = channels - c < CHANNELS ? channels - c : CHANNELS;
        int8_t *const place = out + c * s->output_bits / 8;
        pair_inputs(s, c, count);
        s->pair_weights(s, c);
        for (uint32_t k = 0; k < count; ++k) {
            if (s->output_bits == 8) {
                s->compute_line(s, c + k, k, pixels, place + k, s->out_step);
            } else {
                s->compute_line(s, c + k, k, pixels, s->fields + k, CHANNELS);
            }
        }
        if (s->output_bits != 8) {
            pack_fields(s, count, pixels, place);
        }
        if (c + CHANNELS >= channels) {
            break;
        }
        /* The last four channels overlap those before them, if need be. */
        c = s->overlaps && c + 2 * CHANNELS > channels ? channels - CHANNELS : c + CHANNELS;
    }
}

void mk_depthwise_windows_compute(mk_depthwise_windows *s, const mk_map *output, uint16_t first_row,
                                  uint16_t last_row, void *scratch)
{
    const mk_window *w = s->window;
    const uint32_t fewer = MK_DEPTHWISE_ANY_DSP_COLUMNS / w->stride_x, most = fewer < OUTPUTS ? OUTPUTS : fewer;
    s->pairs = (w->kernel_height + 1u) / 2;
    s->multiply = multiply_for(w);
    for (int32_t y = first_row; y < last_row; ++y) {
        int8_t *out = mk_row(output, y);
        uint32_t pixels;
        s->top = y * w->stride_y - w->pad_top;
        for (uint32_t i = 0; i < output->columns; i += pixels, out += pixels * s->out_step) {
            pixels = output->columns - i < most ? output->columns - i : most;
            compute_columns(s, scratch, (int32_t)(output->first_column + i) * w->stride_x - w->pad_left, pixels, out);
            mk_limit_pixels(out, pixels, s->out_step, s->channels, s->output_bits, s->minimum, s->maximum);
        }
    }
}

#endif

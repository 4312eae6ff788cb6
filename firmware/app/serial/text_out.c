/* SPDX-License-Identifier: Apache-2.0 */
#include "text_out.h"

#include <string.h>

#include "port_serial.h"

void text_put(const char *text)
{
    port_serial_write((const uint8_t *)text, (uint32_t)strlen(text));
}

/* At least `width` digits. */
static void put_digits(uint64_t number, uint32_t width)
{
    char     digits[20];   /* 2^64 has 20 digits */
    uint32_t first = sizeof digits;

    while (number > 0 || sizeof digits - first < width) {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    }
    port_serial_write((const uint8_t *)digits + first, (uint32_t)sizeof digits - first);
}

void text_put_number(uint64_t number)
{
    put_digits(number, 1);
}

void text_put_hex(uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t text[2] = {(uint8_t)digits[byte >> 4], (uint8_t)digits[byte & 15]};
    port_serial_write(text, sizeof text);
}

void text_put_thousandths(int64_t thousandths)
{
    const uint64_t size = thousandths < 0 ? 0 - (uint64_t)thousandths : (uint64_t)thousandths;
    if (thousandths < 0) {
        text_put("-");
    }
    put_digits(size / 1000, 1);
    text_put(".");
    put_digits(size % 1000, 3);
}

void text_end_line(void)
{
    text_put("\r\n");
}

void text_put_field(const char *prefix, const char *text)
{
    text_put(prefix);
    text_put("-[");
    text_put(text);
    text_put("]\r\n");
}

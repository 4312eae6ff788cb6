/* SPDX-License-Identifier: Apache-2.0 */
/* Writes pieces of text to the serial line. */
#ifndef MCUKIT_SERIAL_TEXT_OUT_H
#define MCUKIT_SERIAL_TEXT_OUT_H

#include <stdint.h>

void text_put(const char *text);
void text_put_number(uint64_t number);
void text_put_hex(uint8_t byte);
void text_put_thousandths(int64_t thousandths);   /* -1234 as -1.234 */
void text_end_line(void);

/* All that stands between "PREFIX-[" and "]" in one line of its own. */
void text_put_field(const char *prefix, const char *text);

#endif

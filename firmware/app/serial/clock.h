/* SPDX-License-Identifier: Apache-2.0 */
/* Ticks of the port's counter in 64 bits. Right as long as someone reads them at least once in 2^32 ticks. */
#ifndef MCUKIT_SERIAL_CLOCK_H
#define MCUKIT_SERIAL_CLOCK_H

#include <stdint.h>

void     clock_start(void);
uint64_t clock_ticks(void);          /* since clock_start */
uint64_t clock_microseconds(void);   /* the same as a time */

#endif

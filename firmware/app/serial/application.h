/* SPDX-License-Identifier: Apache-2.0 */
/* The serial application, for a main program or an Arduino sketch: start it once, then poll without end. */
#ifndef MCUKIT_SERIAL_APPLICATION_H
#define MCUKIT_SERIAL_APPLICATION_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

void serial_start(void);

/* Handles one byte, if one has arrived. Takes as long as what that byte asks for: an inference, for example. */
void serial_poll(void);

/* Handles a byte that was read by other means. */
void serial_feed(uint8_t byte);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* A stub: of FreeRTOS only the types that the UART driver takes. */
#ifndef FREERTOS_STUB_H
#define FREERTOS_STUB_H

#include <stdint.h>

typedef uint32_t TickType_t;
typedef void    *QueueHandle_t;

#define portMAX_DELAY ((TickType_t)0xFFFFFFFFu)

#endif

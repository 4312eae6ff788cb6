/* SPDX-License-Identifier: Apache-2.0 */
/* A stub: of FreeRTOS only what the UART driver and the examples take. */
#ifndef FREERTOS_STUB_H
#define FREERTOS_STUB_H

#include <stdint.h>

typedef uint32_t TickType_t;
typedef void    *QueueHandle_t;

#define pdMS_TO_TICKS(milliseconds) ((TickType_t)(milliseconds) / 10u)
#define portMAX_DELAY ((TickType_t)0xFFFFFFFFu)

#endif

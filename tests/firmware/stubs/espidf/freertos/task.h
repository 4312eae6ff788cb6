/* SPDX-License-Identifier: Apache-2.0 */
/* A stub: of FreeRTOS's tasks only what examples call. */
#ifndef TASK_STUB_H
#define TASK_STUB_H

#include "FreeRTOS.h"

void vTaskDelay(TickType_t ticks);

#endif

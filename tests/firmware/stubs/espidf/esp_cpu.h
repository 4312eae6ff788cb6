/* SPDX-License-Identifier: Apache-2.0 */
/* A stub: of ESP-IDF's processor functions only what our port calls. */
#ifndef ESP_CPU_STUB_H
#define ESP_CPU_STUB_H

#include <stdint.h>

uint32_t esp_cpu_get_cycle_count(void);

#endif

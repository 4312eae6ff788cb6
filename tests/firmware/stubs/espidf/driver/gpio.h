/* SPDX-License-Identifier: Apache-2.0 */
/* A stub: of ESP-IDF's GPIO driver only what our port calls. */
#ifndef GPIO_STUB_H
#define GPIO_STUB_H

#include <stdint.h>

typedef enum { GPIO_MODE_OUTPUT = 2 } gpio_mode_t;

int gpio_set_direction(int pin, gpio_mode_t mode);
int gpio_set_level(int pin, uint32_t level);

#endif

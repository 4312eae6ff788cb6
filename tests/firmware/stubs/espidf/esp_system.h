/* SPDX-License-Identifier: Apache-2.0 */
/* A stub: of ESP-IDF's system functions only what our port calls. */
#ifndef ESP_SYSTEM_STUB_H
#define ESP_SYSTEM_STUB_H

void esp_restart(void) __attribute__((noreturn));

#endif

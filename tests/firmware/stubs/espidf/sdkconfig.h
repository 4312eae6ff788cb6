/* SPDX-License-Identifier: Apache-2.0 */
/* A stub: of the settings only what our port reads. */
#define CONFIG_ESP_DEFAULT_CPU_FREQ_MHZ 160

/* SPDX-License-Identifier: Apache-2.0 */
/* A stub: of ESP-IDF's UART driver only what our port calls, declared as ESP-IDF 5 declares it. */
#ifndef UART_STUB_H
#define UART_STUB_H

#include <stddef.h>
#include <stdint.h>

#include "freertos/FreeRTOS.h"

typedef int esp_err_t;
typedef int uart_port_t;

void stub_check(esp_err_t error);
#define ESP_ERROR_CHECK(error) stub_check(error)

typedef enum { UART_DATA_8_BITS = 3 } uart_word_length_t;
typedef enum { UART_PARITY_DISABLE = 0 } uart_parity_t;
typedef enum { UART_STOP_BITS_1 = 1 } uart_stop_bits_t;
typedef enum { UART_HW_FLOWCTRL_DISABLE = 0 } uart_hw_flowcontrol_t;
enum { UART_NUM_0 = 0 };

typedef struct {
    int                   baud_rate;
    uart_word_length_t    data_bits;
    uart_parity_t         parity;
    uart_stop_bits_t      stop_bits;
    uart_hw_flowcontrol_t flow_ctrl;
} uart_config_t;

esp_err_t uart_driver_install(uart_port_t port, int rx_bytes, int tx_bytes, int events, QueueHandle_t *queue, int flags);
esp_err_t uart_param_config(uart_port_t port, const uart_config_t *config);
int       uart_read_bytes(uart_port_t port, void *bytes, uint32_t count, TickType_t wait);
int       uart_write_bytes(uart_port_t port, const void *bytes, size_t count);
esp_err_t uart_wait_tx_done(uart_port_t port, TickType_t wait);

#endif

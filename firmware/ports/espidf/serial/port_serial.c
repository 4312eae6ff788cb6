/* SPDX-License-Identifier: Apache-2.0 */
/* UART 0 of an ESP32 of any kind under ESP-IDF 5, and the cycle counter of the core that runs the application. */
#include "driver/gpio.h"
#include "driver/uart.h"
#include "esp_cpu.h"
#include "esp_system.h"
#include "freertos/FreeRTOS.h"
#include "sdkconfig.h"

#include "mcukit_board.h"
#include "port_serial.h"

#ifndef MCUKIT_TIMESTAMP_PIN
#define MCUKIT_TIMESTAMP_PIN 4
#endif

enum { RECEIVED_BYTES = 2048 };   /* held by the driver while an inference runs */

void port_serial_init(void)
{
    const uart_config_t line = {
        .baud_rate = MCUKIT_BAUD,
        .data_bits = UART_DATA_8_BITS,
        .parity = UART_PARITY_DISABLE,
        .stop_bits = UART_STOP_BITS_1,
        .flow_ctrl = UART_HW_FLOWCTRL_DISABLE,
    };
    /* Without a buffer for what is sent, the driver returns when the last byte is in the hardware's. */
    ESP_ERROR_CHECK(uart_driver_install(UART_NUM_0, RECEIVED_BYTES, 0, 0, NULL, 0));
    ESP_ERROR_CHECK(uart_param_config(UART_NUM_0, &line));
#ifdef MCUKIT_ENERGY_MODE
    ESP_ERROR_CHECK(gpio_set_direction(MCUKIT_TIMESTAMP_PIN, GPIO_MODE_OUTPUT));
    ESP_ERROR_CHECK(gpio_set_level(MCUKIT_TIMESTAMP_PIN, 1));
#endif
}

int port_serial_read(void)
{
    uint8_t byte;
    return uart_read_bytes(UART_NUM_0, &byte, 1, 0) == 1 ? byte : -1;
}

void port_serial_write(const uint8_t *bytes, uint32_t count)
{
    (void)uart_write_bytes(UART_NUM_0, bytes, count);
}

uint32_t port_ticks(void)
{
    return esp_cpu_get_cycle_count();
}

uint32_t port_ticks_per_second(void)
{
    return CONFIG_ESP_DEFAULT_CPU_FREQ_MHZ * 1000000u;
}

void port_reset(void)
{
    (void)uart_wait_tx_done(UART_NUM_0, portMAX_DELAY);
    esp_restart();
}

#ifdef MCUKIT_ENERGY_MODE
void port_timestamp_pulse(void)
{
    const uint32_t begin = esp_cpu_get_cycle_count();
    (void)gpio_set_level(MCUKIT_TIMESTAMP_PIN, 0);
    while (esp_cpu_get_cycle_count() - begin < CONFIG_ESP_DEFAULT_CPU_FREQ_MHZ * 10u) {
    }
    (void)gpio_set_level(MCUKIT_TIMESTAMP_PIN, 1);
}
#endif

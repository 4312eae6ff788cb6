/* SPDX-License-Identifier: Apache-2.0 */
/* The UART of QEMU's RISC-V virt machine, and the time that its interrupt controller counts. */
#include "port_serial.h"

#define BYTE_REGISTER(address) (*(volatile uint8_t *)(address))
#define WORD_REGISTER(address) (*(volatile uint32_t *)(address))

#define UART_DATA   BYTE_REGISTER(0x10000000u)
#define UART_STATUS BYTE_REGISTER(0x10000005u)
#define TIME        WORD_REGISTER(0x0200BFF8u)
#define MACHINE     WORD_REGISTER(0x00100000u)

enum { STATUS_RECEIVED = 0x01, STATUS_CAN_SEND = 0x20, TIME_CLOCK = 10000000, MACHINE_RESET = 0x7777 };

/* The emulated line has no speed. */
void port_serial_init(void)
{
}

int port_serial_read(void)
{
    return UART_STATUS & STATUS_RECEIVED ? UART_DATA : -1;
}

void port_serial_write(const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        while (!(UART_STATUS & STATUS_CAN_SEND)) {
        }
        UART_DATA = bytes[i];
    }
}

uint32_t port_ticks(void)
{
    return TIME;
}

uint32_t port_ticks_per_second(void)
{
    return TIME_CLOCK;
}

void port_reset(void)
{
    MACHINE = MACHINE_RESET;
    for (;;) {
    }
}

#ifdef MCUKIT_ENERGY_MODE
/* The emulated board has no pin that someone watches. */
void port_timestamp_pulse(void)
{
}
#endif

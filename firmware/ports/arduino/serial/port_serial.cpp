/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A board under the Arduino framework. mcukit_board.h says what counts its cycles, MCUKIT_COUNTER_DWT and its like,
 * and where the core's own choice would be another one, the pins of the serial line.
 */
#include <Arduino.h>

#include "mcukit_board.h"
#include "port_serial.h"

#ifndef MCUKIT_TIMESTAMP_PIN
#define MCUKIT_TIMESTAMP_PIN 7
#endif

#define REGISTER(address) (*reinterpret_cast<volatile uint32_t *>(address))

#ifdef MCUKIT_SERIAL_RX
static HardwareSerial line(MCUKIT_SERIAL_RX, MCUKIT_SERIAL_TX);
#else
static auto &line = Serial;
#endif

#if defined(MCUKIT_COUNTER_DWT) || defined(MCUKIT_COUNTER_DWT_LOCKED)
#define DEMCR      REGISTER(0xE000EDFCu)
#define DWT_UNLOCK REGISTER(0xE0001FB0u)
#define DWT_ENABLE REGISTER(0xE0001000u)
#define DWT_CYCLES REGISTER(0xE0001004u)

extern "C" uint32_t SystemCoreClock;

static void start_cycles()
{
    DEMCR = DEMCR | 1u << 24;
#ifdef MCUKIT_COUNTER_DWT_LOCKED
    DWT_UNLOCK = 0xC5ACCE55u;
#endif
    DWT_ENABLE = DWT_ENABLE | 1u;
}

static uint32_t cycles()
{
    return DWT_CYCLES;
}

static uint32_t cycles_per_second()
{
    return SystemCoreClock;
}
#elif defined(MCUKIT_COUNTER_CCOUNT) || defined(MCUKIT_COUNTER_MPCCR)
static void start_cycles()
{
#ifdef MCUKIT_COUNTER_MPCCR
    __asm__ volatile("csrwi 0x7E0, 1\n\tcsrwi 0x7E1, 1");   /* count cycles, and count */
#endif
}

static uint32_t cycles()
{
    return ESP.getCycleCount();
}

static uint32_t cycles_per_second()
{
    return ESP.getCpuFreqMHz() * 1000000u;
}
#elif defined(MCUKIT_COUNTER_MCYCLE)
static void start_cycles()
{
}

static uint32_t cycles()
{
    uint32_t count;
    __asm__ volatile("csrr %0, mcycle" : "=r"(count));
    return count;
}

static uint32_t cycles_per_second()
{
    return F_CPU;
}
#else
#error "mcukit_board.h does not say what counts cycles"
#endif

/* Chips that are sold under another's name may lack the counter. */
static bool counts_cycles;

extern "C" void port_serial_init(void)
{
#ifdef STM32H7xx
    REGISTER(0x580244DCu) = REGISTER(0x580244DCu) | 7u << 29;   /* clocks of the SRAM of domain D2, which may hold an arena */
#endif
#ifdef ARDUINO_ARCH_ESP32
    disableCore0WDT();   /* an inference may take longer than the watchdog waits for the idle task */
#endif
    line.begin(MCUKIT_BAUD);
    start_cycles();
    const uint32_t before = cycles();
    delayMicroseconds(10);
    counts_cycles = cycles() != before;
#ifdef MCUKIT_ENERGY_MODE
    pinMode(MCUKIT_TIMESTAMP_PIN, OUTPUT);
    digitalWrite(MCUKIT_TIMESTAMP_PIN, HIGH);
#endif
}

extern "C" int port_serial_read(void)
{
    return line.read();
}

extern "C" void port_serial_write(const uint8_t *bytes, uint32_t count)
{
    while (count > 0) {
        const uint32_t sent = static_cast<uint32_t>(line.write(bytes, count));
        if (sent == 0) {
            return;   /* no computer is at the other end of the USB line */
        }
        bytes += sent;
        count -= sent;
    }
}

extern "C" uint32_t port_ticks(void)
{
    return counts_cycles ? cycles() : static_cast<uint32_t>(micros());
}

extern "C" uint32_t port_ticks_per_second(void)
{
    return counts_cycles ? cycles_per_second() : 1000000u;
}

extern "C" void port_reset(void)
{
    line.flush();
#if defined(ARDUINO_ARCH_ESP32)
    ESP.restart();
#elif defined(__arm__)
    REGISTER(0xE000ED0Cu) = 0x05FA0004u;
#else
#error "how this board restarts is not known"
#endif
    for (;;) {
    }
}

#ifdef MCUKIT_ENERGY_MODE
extern "C" void port_timestamp_pulse(void)
{
    digitalWrite(MCUKIT_TIMESTAMP_PIN, LOW);
    delayMicroseconds(10);
    digitalWrite(MCUKIT_TIMESTAMP_PIN, HIGH);
}
#endif

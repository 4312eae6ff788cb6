/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A serial port whose time stands still: the test says what has arrived and what time it is whenever the application
 * looks for a byte and finds none. So a run depends on nothing but what the test sends.
 *
 * To the test: kind (1: more follows, 2: waits), count (4), bytes. From the test: ticks (4), count (4), bytes.
 */
#define _POSIX_C_SOURCE 200809L

#include "port_serial.h"

#include <stdlib.h>
#include <unistd.h>

enum { MORE_FOLLOWS = 1, WAITS = 2 };

static uint8_t  sent[65536];
static uint32_t sent_count;
static uint8_t  arrived[65536];
static uint32_t arrived_count;
static uint32_t arrived_used;
static uint32_t ticks;

static void write_all(const void *bytes, uint32_t count)
{
    const uint8_t *next = bytes;
    while (count > 0) {
        const ssize_t written = write(1, next, count);
        if (written <= 0) {
            exit(0);
        }
        next += written;
        count -= (uint32_t)written;
    }
}

static void read_all(void *bytes, uint32_t count)
{
    uint8_t *next = bytes;
    while (count > 0) {
        const ssize_t got = read(0, next, count);
        if (got <= 0) {
            exit(0);
        }
        next += got;
        count -= (uint32_t)got;
    }
}

static void hand_over(uint8_t kind)
{
    uint8_t head[5] = {kind};
    for (int i = 0; i < 4; i++) {
        head[1 + i] = (uint8_t)(sent_count >> 8 * i);
    }
    write_all(head, sizeof head);
    write_all(sent, sent_count);
    sent_count = 0;
}

static uint32_t read_word(void)
{
    uint8_t bytes[4];
    read_all(bytes, sizeof bytes);
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

void port_serial_init(void)
{
}

int port_serial_read(void)
{
    if (arrived_used == arrived_count) {
        hand_over(WAITS);
        const uint32_t now = read_word();
        ticks = now > ticks ? now : ticks;   /* readings may have run ahead of the test's time */
        arrived_count = read_word();
        arrived_used = 0;
        if (arrived_count > sizeof arrived) {
            abort();
        }
        read_all(arrived, arrived_count);
    }
    return arrived_used == arrived_count ? -1 : arrived[arrived_used++];
}

void port_serial_write(const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (sent_count == sizeof sent) {
            hand_over(MORE_FOLLOWS);
        }
        sent[sent_count++] = bytes[i];
    }
}

/* Each reading takes a tick, so that what computes takes time. */
uint32_t port_ticks(void)
{
    return ticks++;
}

uint32_t port_ticks_per_second(void)
{
    return 1000000u;
}

void port_reset(void)
{
    hand_over(MORE_FOLLOWS);
    exit(0);
}

#ifdef MCUKIT_ENERGY_MODE
/* In the place of a pin, so that the test sees when it was pulled. */
void port_timestamp_pulse(void)
{
    port_serial_write((const uint8_t *)"pulse\r\n", 7);
}
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The serial line of a hosted program: standard input and output, be they pipes, sockets or a terminal. */
#define _POSIX_C_SOURCE 200809L

#include "port_serial.h"

#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { INPUT = 0, OUTPUT = 1, POLL_MILLISECONDS = 1 };

static uint8_t  arrived[4096];
static uint32_t arrived_count;
static uint32_t arrived_used;

void port_serial_init(void)
{
    arrived_count = 0;
    arrived_used = 0;
}

/* Sleeps for a moment if nothing is there, so as not to keep a processor busy. */
static int fill(void)
{
    struct pollfd watched = {INPUT, POLLIN, 0};
    if (poll(&watched, 1, POLL_MILLISECONDS) <= 0) {
        return 0;
    }
    const ssize_t count = read(INPUT, arrived, sizeof arrived);
    if (count <= 0) {
        exit(0);   /* the other end is closed: nobody will ever ask again */
    }
    arrived_count = (uint32_t)count;
    arrived_used = 0;
    return 1;
}

int port_serial_read(void)
{
    if (arrived_used == arrived_count && !fill()) {
        return -1;
    }
    return arrived[arrived_used++];
}

void port_serial_write(const uint8_t *bytes, uint32_t count)
{
    while (count > 0) {
        const ssize_t written = write(OUTPUT, bytes, count);
        if (written <= 0) {
            exit(0);
        }
        bytes += written;
        count -= (uint32_t)written;
    }
}

/* A hundred nanoseconds: the counter turns over after seven minutes. */
uint32_t port_ticks(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)((uint64_t)now.tv_sec * 10000000u + (uint64_t)now.tv_nsec / 100u);
}

uint32_t port_ticks_per_second(void)
{
    return 10000000u;
}

/* Whoever started the program sees it end and can start it again. */
void port_reset(void)
{
    exit(0);
}

#ifdef MCUKIT_ENERGY_MODE
/* A computer has no pin that someone watches. */
void port_timestamp_pulse(void)
{
}
#endif

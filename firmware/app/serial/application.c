/* SPDX-License-Identifier: Apache-2.0 */
#include "application.h"

#include "clock.h"
#include "frame.h"
#include "network.h"
#include "port_serial.h"
#include "session.h"
#include "text.h"

/* A test under PlatformIO takes the application's place. */
#ifndef PIO_UNIT_TESTING
static frame_parser parser;
static uint8_t      parsed[FRAME_BYTES];

void serial_start(void)
{
    port_serial_init();
    clock_start();
    frame_parser_init(&parser, parsed, sizeof parsed);
    network_start();
    session_start();
    text_start();
}

void serial_feed(uint8_t byte)
{
    switch (frame_feed(&parser, byte)) {
    case FRAME_COMPLETE:
        session_handle(parsed);
        break;
    case FRAME_BOUNDARY:
        text_drop(0);
        break;
    case FRAME_CUT:
        text_drop(1);
        text_feed(byte);
        break;
    case FRAME_TEXT:
        text_feed(byte);
        break;
    case FRAME_PART:
        break;
    }
}

void serial_poll(void)
{
    const int byte = port_serial_read();
    (void)clock_ticks();   /* so that no turn of the counter is missed */
    if (byte >= 0) {
        serial_feed((uint8_t)byte);
    }
}
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests in frames and the replies to them. A session lasts from a HELLO until the next one, until a text command
 * touches the network, or until the board restarts. In a session each request is carried out once, however often it
 * arrives.
 */
#ifndef MCUKIT_SERIAL_SESSION_H
#define MCUKIT_SERIAL_SESSION_H

#include <stdint.h>

#define SESSION_PROTOCOL_VERSION 1

/* Types of frames. A reply has the type of its request with REPLY_BIT; its payload begins with a status. */
enum {
    REQUEST_HELLO = 0x01,
    REQUEST_BANNER = 0x02,
    REQUEST_BEGIN = 0x03,
    REQUEST_DATA = 0x04,
    REQUEST_INFER = 0x05,
    REQUEST_OUTPUT = 0x06,
    REQUEST_TICKS = 0x07,
    REQUEST_RESTART = 0x08,
    TRACE_TAKEN = 0x10,      /* answers a TRACE */
    REPLY_BIT = 0x80,
    TRACE = 0x90             /* what layers computed, on the way to the computer while they run */
};

enum {
    STATUS_OK = 0,
    STATUS_NO_SESSION = 1,       /* no HELLO, or the board has restarted since */
    STATUS_UNKNOWN = 2,          /* no request of this protocol */
    STATUS_MALFORMED = 3,        /* a payload of another length than the request has */
    STATUS_VERSION = 4,          /* the computer speaks another version */
    STATUS_WRONG_PLACE = 5,      /* data that do not follow those that are there, or lie beyond the end */
    STATUS_NO_INPUT = 6,         /* the input is not complete, or used up */
    STATUS_INPUT_DIFFERS = 7,    /* the input in memory has another CRC */
    STATUS_NO_OUTPUT = 8,        /* no inference since the input was given */
    STATUS_NO_HOOKS = 9,         /* compiled without MK_PROFILE */
    STATUS_TRACE_LOST = 10       /* nobody took what layers computed */
};

/* What the firmware can do, as bits. */
enum {
    FEATURE_INPUT_IS_PUSHED = 1,
    FEATURE_KEEPS_INPUT = 2,
    FEATURE_HOOKS = 4
};

enum { BEGIN_WITH_TRACE = 1 };

void session_start(void);
void session_close(void);
int  session_is_open(void);

/* Carries out the request in a whole frame. */
void session_handle(const uint8_t *content);

#endif

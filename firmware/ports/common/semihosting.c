/* SPDX-License-Identifier: Apache-2.0 */
/* Files and exit through semihosting: the emulator or debugger performs them on the host. */
#include "semihosting.h"

#include <string.h>

#include "port.h"

enum {
    SYS_OPEN = 0x01,
    SYS_CLOSE = 0x02,
    SYS_WRITE = 0x05,
    SYS_READ = 0x06,
    SYS_EXIT_EXTENDED = 0x20
};

enum { MODE_READ_BINARY = 1, MODE_WRITE_BINARY = 5 };

static const uint32_t APPLICATION_EXIT = 0x20026;

static port_file open_file(const char *name, uint32_t mode)
{
    const uint32_t arguments[3] = {(uint32_t)(uintptr_t)name, mode, (uint32_t)strlen(name)};
    return semihosting_call(SYS_OPEN, arguments);
}

port_file port_open_read(const char *name)
{
    return open_file(name, MODE_READ_BINARY);
}

port_file port_open_write(const char *name)
{
    return open_file(name, MODE_WRITE_BINARY);
}

/* Both calls return the number of bytes that were NOT transferred. */
static uint32_t transfer(uint32_t operation, port_file file, uintptr_t bytes, uint32_t count)
{
    const uint32_t arguments[3] = {(uint32_t)file, (uint32_t)bytes, count};
    const uint32_t missing = (uint32_t)semihosting_call(operation, arguments);
    return missing > count ? 0 : count - missing;
}

uint32_t port_read(port_file file, void *bytes, uint32_t count)
{
    return transfer(SYS_READ, file, (uintptr_t)bytes, count);
}

uint32_t port_write(port_file file, const void *bytes, uint32_t count)
{
    return transfer(SYS_WRITE, file, (uintptr_t)bytes, count);
}

void port_close(port_file file)
{
    const uint32_t arguments[1] = {(uint32_t)file};
    (void)semihosting_call(SYS_CLOSE, arguments);
}

void port_exit(int code)
{
    const uint32_t arguments[2] = {APPLICATION_EXIT, (uint32_t)code};
    (void)semihosting_call(SYS_EXIT_EXTENDED, arguments);
    for (;;) {
    }
}

void semihosting_report_fault(const uint32_t record[5])
{
    const port_file file = port_open_write(PORT_FAULT_FILE);
    if (file >= 0) {
        (void)port_write(file, record, 5 * sizeof record[0]);
        port_close(file);
    }
    port_exit(PORT_EXIT_FAULT);
}

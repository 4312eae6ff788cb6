/* SPDX-License-Identifier: Apache-2.0 */
/* Files and exit through the C library. The stack of a hosted program is not metered. */
#include <stdio.h>
#include <stdlib.h>

#include "port.h"

enum { MAX_FILES = 4 };

static FILE *files[MAX_FILES];

static port_file open_file(const char *name, const char *mode)
{
    for (port_file file = 0; file < MAX_FILES; file++) {
        if (files[file] == NULL) {
            files[file] = fopen(name, mode);
            return files[file] == NULL ? -1 : file;
        }
    }
    return -1;
}

port_file port_open_read(const char *name)
{
    return open_file(name, "rb");
}

port_file port_open_write(const char *name)
{
    return open_file(name, "wb");
}

uint32_t port_read(port_file file, void *bytes, uint32_t count)
{
    return (uint32_t)fread(bytes, 1, count, files[file]);
}

uint32_t port_write(port_file file, const void *bytes, uint32_t count)
{
    return (uint32_t)fwrite(bytes, 1, count, files[file]);
}

void port_close(port_file file)
{
    /* Buffered bytes may only now fail to reach the disk. */
    if (fclose(files[file]) != 0) {
        port_exit(PORT_EXIT_IO);
    }
    files[file] = NULL;
}

void port_exit(int code)
{
    exit(code);
}

void port_stack_paint(void)
{
}

uint32_t port_stack_used(void)
{
    return 0;
}

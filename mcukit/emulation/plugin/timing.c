/* SPDX-License-Identifier: Apache-2.0 */
#include "timing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t timing_cycles[CYCLE_CLASSES];

/* Lines of flash, the one used longest ago making place for a new one. */
struct cache {
    uint64_t  sets, ways;
    uint64_t *lines; /* by set and way: the line's number plus one, 0 for none; the one used last comes first */
};

enum { FLASH_RANGES = 16 };
struct range {
    uint64_t start, end;
};

/* Instructions that run one after the other. following: where it went on the last time it ended. */
struct block {
    uint64_t start, end, following;
    bool     counted;
};

static bool          wanted;
static uint8_t      *costs;
static uint64_t      costs_address, costs_size;
static uint64_t      taken, missed, unaligned;
static struct range  flash[FLASH_RANGES];
static size_t        flash_ranges;
static uint64_t      line_bytes, miss, next_miss;
static struct cache  fetches, loads;
static struct block *last;    /* the one before, if it was counted */
static uint64_t      fetched; /* the line of the instruction before */

static bool read_costs(const char *argument)
{
    char path[1024];
    if (sscanf(argument, "costs=%1023[^:]:%" SCNi64, path, (int64_t *)&costs_address) != 2) {
        return false;
    }
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return false;
    }
    fseek(file, 0, SEEK_END);
    const long size = ftell(file);
    rewind(file);
    costs = malloc(size > 0 ? (size_t)size : 1);
    costs_size = size > 0 && costs != NULL ? fread(costs, 1, (size_t)size, file) : 0;
    fclose(file);
    return size > 0 && costs_size == (uint64_t)size;
}

static bool make_cache(const char *argument, const char *format, struct cache *cache)
{
    if (sscanf(argument, format, (int64_t *)&cache->sets, (int64_t *)&cache->ways) != 2) {
        return false;
    }
    cache->lines = calloc(cache->sets * cache->ways + 1, sizeof *cache->lines);
    return cache->lines != NULL;
}

static bool add_flash(const char *argument)
{
    if (flash_ranges == FLASH_RANGES) {
        return false;
    }
    struct range *range = &flash[flash_ranges];
    const bool    found = sscanf(argument, "flash=%" SCNi64 ":%" SCNi64, (int64_t *)&range->start,
                                 (int64_t *)&range->end) == 2;
    flash_ranges += found;
    return found;
}

static bool is_flash(uint64_t address)
{
    for (size_t i = 0; i < flash_ranges; i++) {
        if (address >= flash[i].start && address < flash[i].end) {
            return true;
        }
    }
    return false;
}

bool timing_argument(const char *argument)
{
    const bool known =
        read_costs(argument) ||
        sscanf(argument, "branches=%" SCNi64 ":%" SCNi64, (int64_t *)&taken, (int64_t *)&missed) == 2 ||
        sscanf(argument, "unaligned=%" SCNi64, (int64_t *)&unaligned) == 1 ||
        add_flash(argument) ||
        sscanf(argument, "lines=%" SCNi64 ":%" SCNi64 ":%" SCNi64, (int64_t *)&line_bytes, (int64_t *)&miss,
               (int64_t *)&next_miss) == 3 ||
        make_cache(argument, "fetches=%" SCNi64 ":%" SCNi64, &fetches) ||
        make_cache(argument, "loads=%" SCNi64 ":%" SCNi64, &loads);
    wanted |= known;
    return known;
}

bool timing_is_wanted(void)
{
    return wanted;
}

bool timing_is_complete(void)
{
    return costs != NULL && flash_ranges > 0 && line_bytes > 0 && fetches.sets > 0 && loads.sets > 0;
}

uint64_t timing_issue(uint64_t address)
{
    const uint64_t index = (address - costs_address) / 2;
    return index < costs_size ? costs[index] : 1;
}

/* Whether the line was there; it is afterwards. A cache without ways holds nothing. */
static bool look_up(struct cache *cache, uint64_t line)
{
    uint64_t *set = &cache->lines[line % cache->sets * cache->ways];
    uint64_t  way = 0;
    while (way < cache->ways && set[way] != line + 1) {
        way++;
    }
    const bool found = way < cache->ways;
    if (cache->ways > 0) {
        memmove(set + 1, set, (found ? way : cache->ways - 1) * sizeof *set);
        set[0] = line + 1;
    }
    return found;
}

static void fetch(const struct block *block)
{
    for (uint64_t line = block->start / line_bytes; line <= (block->end - 1) / line_bytes; line++) {
        if (line != fetched && !look_up(&fetches, line)) {
            timing_cycles[FETCHES] += line == fetched + 1 ? next_miss : miss;
        }
        fetched = line;
    }
}

static void on_block(unsigned cpu, void *data)
{
    (void)cpu;
    struct block *block = data;
    if (!block->counted) {
        last = NULL;
        return;
    }
    if (last != NULL) {
        timing_cycles[BRANCHES] += block->start != last->end ? taken : 0;
        timing_cycles[BRANCHES] += block->start != last->following ? missed : 0;
        last->following = block->start;
    }
    fetch(block);
    last = block;
}

static void on_access(unsigned cpu, uint32_t info, uint64_t address, void *data)
{
    (void)cpu;
    (void)data;
    if ((address & ((1U << qemu_plugin_mem_size_shift(info)) - 1)) != 0) {
        timing_cycles[LOADS] += unaligned;
    }
    if (is_flash(address) && !look_up(&loads, address / line_bytes)) {
        timing_cycles[LOADS] += miss;
    }
}

void timing_watch_block(struct plugin_block *block, bool counted)
{
    struct block *watched = malloc(sizeof *watched);
    if (watched == NULL) {
        abort();
    }
    const size_t count = qemu_plugin_tb_n_insns(block);
    const struct plugin_instruction *end = qemu_plugin_tb_get_insn(block, count - 1);
    watched->start = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(block, 0));
    watched->end = qemu_plugin_insn_vaddr(end) + qemu_plugin_insn_size(end);
    /* A branch that was never seen is expected to be left out. */
    watched->following = watched->end;
    watched->counted = counted;
    qemu_plugin_register_vcpu_tb_exec_cb(block, on_block, CALLBACK_NO_REGISTERS, watched);
}

void timing_watch_instruction(struct plugin_instruction *instruction)
{
    qemu_plugin_register_vcpu_mem_cb(instruction, on_access, CALLBACK_NO_REGISTERS, MEMORY_READ | MEMORY_WRITE, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A QEMU plugin that counts guest instructions exactly, by class and by region of the program.
 *
 * Arguments: output=FILE           where to write the counts
 *            regions=ADDRESS:SIZE  the marker array: a store to its element i switches to region i; a store to the
 *                                  last element ends an inference
 *            uncounted=START:END   code that is not counted; only stores made here switch regions
 *
 * With those of timing.h it estimates cycles too.
 *
 * Output, one record a line: "classes NAME...", then "inference TOTAL" for every inference (region 0 is not part of
 * it), then "region INDEX COUNT..." for the last complete inference, with a count for each class, and with timing
 * "cycles INDEX COUNT...", with cycles for each of timing.h's classes.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "timing.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT int qemu_plugin_version = 1;

enum instruction_class { LOAD, STORE, MULTIPLY, DIVIDE, ALU, BRANCH, OTHER, CLASSES };
static const char *const CLASS_NAMES = "load store multiply divide alu branch other";

/* An opcode is of the class of the first row whose value it has under the mask; of none, it is OTHER. */
struct pattern {
    uint32_t mask, value;
    enum instruction_class class;
};

static const struct pattern THUMB_16[] = {
    {0xFFC0, 0x4340, MULTIPLY},
    {0xFF00, 0x4700, BRANCH},   /* bx, blx */
    {0xFF87, 0x4687, BRANCH},   /* mov pc */
    {0xFF87, 0x4487, BRANCH},   /* add pc */
    {0xF800, 0x4800, LOAD},     /* literal */
    {0xC000, 0x0000, ALU},
    {0xF800, 0x4000, ALU},
    {0xFC00, 0x5000, STORE},    /* register offset: str, strh */
    {0xFE00, 0x5400, STORE},    /* strb */
    {0xF000, 0x5000, LOAD},
    {0xE800, 0x6000, STORE},    /* immediate offset, words and bytes */
    {0xE800, 0x6800, LOAD},
    {0xE800, 0x8000, STORE},    /* halfwords, and relative to sp */
    {0xE800, 0x8800, LOAD},
    {0xF000, 0xA000, ALU},      /* addresses from pc and sp */
    {0xFF00, 0xB000, ALU},      /* sp adjustment */
    {0xFF00, 0xB200, ALU},      /* extension */
    {0xFF00, 0xBA00, ALU},      /* byte reversal */
    {0xF500, 0xB100, BRANCH},   /* cbz, cbnz */
    {0xFE00, 0xB400, STORE},    /* push */
    {0xFF00, 0xBD00, BRANCH},   /* pop pc */
    {0xFE00, 0xBC00, LOAD},     /* pop */
    {0xF000, 0xB000, OTHER},    /* it, hints, breakpoint */
    {0xF800, 0xC000, STORE},    /* stm */
    {0xF800, 0xC800, LOAD},     /* ldm */
    {0xFE00, 0xDE00, OTHER},    /* udf, svc */
    {0xF000, 0xD000, BRANCH},
    {0xF800, 0xE000, BRANCH},
};

/* The first halfword is the upper one. */
static const struct pattern THUMB_32[] = {
    {0xFE508000, 0xE8108000, BRANCH},   /* ldm with pc */
    {0xFE500000, 0xE8100000, LOAD},
    {0xFE500000, 0xE8000000, STORE},
    {0xFFF0FFE0, 0xE8D0F000, BRANCH},   /* table branch */
    {0xFE500000, 0xE8500000, LOAD},     /* double, exclusive */
    {0xFE500000, 0xE8400000, STORE},
    {0xFE000000, 0xEA000000, ALU},      /* shifted register */
    {0xFFA00000, 0xEC000000, OTHER},    /* two core registers to or from the coprocessor, or lanes of a vector */
    {0xFE100000, 0xEC100000, LOAD},     /* floating point registers */
    {0xFE100000, 0xEC000000, STORE},
    {0xFE100E00, 0xFC100E00, LOAD},     /* vectors: interleaved, gathered, widened without a sign */
    {0xFE100E00, 0xFC000E00, STORE},
    {0xEFF10F00, 0xEEF00F00, MULTIPLY}, /* vectors: products of bytes, added up */
    {0xEFF00F00, 0xEEF00E00, MULTIPLY}, /* of halfwords and words */
    {0xEF810F51, 0xEE010E00, MULTIPLY}, /* to wider lanes */
    {0xEFB10F50, 0xEE310E40, ALU},      /* shifts by a core register */
    {0xEF810F50, 0xEE010E40, MULTIPLY}, /* with a core register */
    {0xFF800F51, 0xEF000950, MULTIPLY},
    {0xEF800F51, 0xEF000B40, MULTIPLY}, /* high halves */
    {0xFFBF1FFF, 0xFE310F4D, OTHER},    /* vpst */
    {0xEF000000, 0xEF000000, ALU},      /* other vectors */
    {0xEE000E00, 0xEE000E00, ALU},
    {0xFFC0F801, 0xF000E801, OTHER},    /* vctp */
    {0xF8008000, 0xF0000000, ALU},      /* immediate */
    {0xFFF0F000, 0xF7F0A000, OTHER},    /* udf */
    {0xFB80D000, 0xF3808000, OTHER},    /* system registers, barriers, hints */
    {0xF8008000, 0xF0008000, BRANCH},
    {0xFE70F000, 0xF810F000, OTHER},    /* preload */
    {0xFF70F000, 0xF850F000, BRANCH},   /* ldr pc */
    {0xFE100000, 0xF8100000, LOAD},
    {0xFF100000, 0xF8000000, STORE},
    {0xFF000000, 0xFA000000, ALU},      /* register shifts, extension, parallel addition, saturation */
    {0xFFD000F0, 0xFB9000F0, DIVIDE},
    {0xFF000000, 0xFB000000, MULTIPLY}, /* with or without accumulation, dual and long */
};

static const struct pattern RISCV_16[] = {
    {0xE003, 0x0000, ALU},      /* c.addi4spn */
    {0xE003, 0x4000, LOAD},     /* c.lw */
    {0xE003, 0xC000, STORE},    /* c.sw */
    {0xE003, 0x2001, BRANCH},   /* c.jal */
    {0x8003, 0x0001, ALU},      /* c.addi, c.li, c.lui */
    {0xE003, 0x8001, ALU},
    {0x8003, 0x8001, BRANCH},   /* c.j, c.beqz, c.bnez */
    {0xE003, 0x0002, ALU},      /* c.slli */
    {0xE003, 0x4002, LOAD},     /* c.lwsp */
    {0xFFFF, 0x9002, OTHER},    /* c.ebreak */
    {0xE07F, 0x8002, BRANCH},   /* c.jr, c.jalr */
    {0xE003, 0x8002, ALU},      /* c.mv, c.add */
    {0xE003, 0xC002, STORE},    /* c.swsp */
};

static const struct pattern RISCV_32[] = {
    {0x0000007F, 0x00000003, LOAD},
    {0x0000007F, 0x00000023, STORE},
    {0x0000007F, 0x00000063, BRANCH},   /* conditional */
    {0x00000077, 0x00000067, BRANCH},   /* jal, jalr */
    {0x0000007F, 0x00000013, ALU},      /* immediate */
    {0x0000005F, 0x00000017, ALU},      /* lui, auipc */
    {0xFE00407F, 0x02000033, MULTIPLY},
    {0xFE00407F, 0x02004033, DIVIDE},   /* and remainder */
    {0x0000007F, 0x00000033, ALU},
};

static enum instruction_class find(const struct pattern *rows, size_t count, uint32_t opcode)
{
    for (size_t i = 0; i < count; i++) {
        if ((opcode & rows[i].mask) == rows[i].value) {
            return rows[i].class;
        }
    }
    return OTHER;
}

#define FIND(table, opcode) find(table, sizeof table / sizeof table[0], opcode)

static enum instruction_class classify(bool thumb, const uint8_t *bytes, size_t size)
{
    const uint32_t low = bytes[0] | (uint32_t)bytes[1] << 8;
    if (size == 2) {
        return thumb ? FIND(THUMB_16, low) : FIND(RISCV_16, low);
    }
    const uint32_t high = bytes[2] | (uint32_t)bytes[3] << 8;
    return thumb ? FIND(THUMB_32, low << 16 | high) : FIND(RISCV_32, high << 16 | low);
}

static FILE     *output;
static bool      thumb;
static uint64_t  regions_address, regions, uncounted_start, uncounted_end;
/* Instructions of each class, and cycles. */
struct counters {
    uint64_t instructions[CLASSES], cycles[CYCLE_CLASSES];
};
static uint64_t         counters[CLASSES];      /* since the region was entered */
static struct counters *inference, *finished;   /* by region: of this inference, of the last one */
static uint64_t         region;

static void end_inference(void)
{
    uint64_t total = 0;
    for (uint64_t i = 1; i < regions; i++) {
        for (size_t class = 0; class < CLASSES; class++) {
            total += inference[i].instructions[class];
        }
    }
    fprintf(output, "inference %" PRIu64 "\n", total);
    memcpy(finished, inference, regions * sizeof *inference);
    memset(inference, 0, regions * sizeof *inference);
}

static void on_store(unsigned cpu, uint32_t info, uint64_t address, void *data)
{
    (void)cpu;
    (void)info;
    (void)data;
    if (address - regions_address >= regions) {
        return;
    }
    for (size_t class = 0; class < CLASSES; class++) {
        inference[region].instructions[class] += counters[class];
        counters[class] = 0;
    }
    for (size_t class = 0; class < CYCLE_CLASSES; class++) {
        inference[region].cycles[class] += timing_cycles[class];
        timing_cycles[class] = 0;
    }
    region = address - regions_address;
    if (region == regions - 1) {
        end_inference();
        region = 0;
    }
}

/* Instructions that run one after the other: the first of them can count for all. */
struct run {
    struct plugin_instruction *first;
    uint64_t counts[CLASSES], cycles;
};

static void finish_run(struct run *run)
{
    for (size_t class = 0; class < CLASSES; class++) {
        if (run->counts[class] != 0) {
            qemu_plugin_register_vcpu_insn_exec_inline(run->first, INLINE_ADD_U64, &counters[class],
                                                       run->counts[class]);
        }
    }
    if (run->cycles != 0) {
        qemu_plugin_register_vcpu_insn_exec_inline(run->first, INLINE_ADD_U64, &timing_cycles[ISSUE], run->cycles);
    }
    *run = (struct run){0};
}

static bool is_counted(uint64_t address)
{
    return address < uncounted_start || address >= uncounted_end;
}

/*
 * A block is only left at its end, but for faults, after which nothing is counted, and for stores into the running
 * code, which the linker scripts rule out.
 */
static void on_translate(plugin_id id, struct plugin_block *block)
{
    (void)id;
    struct run run = {0};
    const bool timed = timing_is_wanted();
    if (timed) {
        timing_watch_block(block, is_counted(qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(block, 0))));
    }
    const size_t count = qemu_plugin_tb_n_insns(block);
    for (size_t i = 0; i < count; i++) {
        struct plugin_instruction *instruction = qemu_plugin_tb_get_insn(block, i);
        const uint64_t address = qemu_plugin_insn_vaddr(instruction);
        if (!is_counted(address)) {
            finish_run(&run);
            qemu_plugin_register_vcpu_mem_cb(instruction, on_store, CALLBACK_NO_REGISTERS, MEMORY_WRITE, NULL);
            continue;
        }
        if (run.first == NULL) {
            run.first = instruction;
        }
        run.counts[classify(thumb, qemu_plugin_insn_data(instruction), qemu_plugin_insn_size(instruction))]++;
        if (timed) {
            run.cycles += timing_issue(address);
            timing_watch_instruction(instruction);
        }
    }
    finish_run(&run);
}

static void write_record(const char *name, uint64_t index, const uint64_t *counts, size_t classes)
{
    fprintf(output, "%s %" PRIu64, name, index);
    for (size_t class = 0; class < classes; class++) {
        fprintf(output, " %" PRIu64, counts[class]);
    }
    fputc('\n', output);
}

static void on_exit(plugin_id id, void *data)
{
    (void)id;
    (void)data;
    for (uint64_t i = 0; i + 1 < regions; i++) {
        write_record("region", i, finished[i].instructions, CLASSES);
        if (timing_is_wanted()) {
            write_record("cycles", i, finished[i].cycles, CYCLE_CLASSES);
        }
    }
    fclose(output);
}

static bool parse_argument(const char *argument)
{
    if (strncmp(argument, "output=", 7) == 0) {
        output = fopen(argument + 7, "w");
        return output != NULL;
    }
    return sscanf(argument, "regions=%" SCNi64 ":%" SCNi64, (int64_t *)&regions_address, (int64_t *)&regions) == 2 ||
           sscanf(argument, "uncounted=%" SCNi64 ":%" SCNi64, (int64_t *)&uncounted_start,
                  (int64_t *)&uncounted_end) == 2 ||
           timing_argument(argument);
}

EXPORT int qemu_plugin_install(plugin_id id, const plugin_info *info, int count, char **arguments)
{
    for (int i = 0; i < count; i++) {
        if (!parse_argument(arguments[i])) {
            fprintf(stderr, "count plugin: can't use argument %s\n", arguments[i]);
            return 1;
        }
    }
    thumb = strcmp(info->target_name, "arm") == 0;
    if (!thumb && strcmp(info->target_name, "riscv32") != 0) {
        fprintf(stderr, "count plugin: unknown architecture %s\n", info->target_name);
        return 1;
    }
    if (timing_is_wanted() && !timing_is_complete()) {
        fprintf(stderr, "count plugin: some argument for cycles is missing\n");
        return 1;
    }
    inference = calloc(regions, sizeof *inference);
    finished = calloc(regions, sizeof *finished);
    if (output == NULL || regions < 3 || inference == NULL || finished == NULL) {
        fprintf(stderr, "count plugin: output and regions are needed\n");
        return 1;
    }
    fprintf(output, "classes %s\n", CLASS_NAMES);
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
    qemu_plugin_register_atexit_cb(id, on_exit, NULL);
    return 0;
}

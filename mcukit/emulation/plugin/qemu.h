/* SPDX-License-Identifier: Apache-2.0 */
/* The part of QEMU's plugin interface, version 1, that is used here. */
#ifndef QEMU_H
#define QEMU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t plugin_id;
struct plugin_block;
struct plugin_instruction;

typedef struct {
    const char *target_name;
    struct {
        int min, cur;
    } version;
    bool system_emulation;
    int  smp_vcpus, max_vcpus;
} plugin_info;

enum { CALLBACK_NO_REGISTERS = 0 };
enum { MEMORY_READ = 1, MEMORY_WRITE = 2 };
enum { INLINE_ADD_U64 = 0 };

typedef void (*block_callback)(unsigned cpu, void *data);
typedef void (*memory_callback)(unsigned cpu, uint32_t info, uint64_t address, void *data);

extern void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);
extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct plugin_block *));
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct plugin_block *, block_callback, int, void *);
extern void qemu_plugin_register_vcpu_insn_exec_inline(struct plugin_instruction *, int, void *, uint64_t);
extern void qemu_plugin_register_vcpu_mem_cb(struct plugin_instruction *, memory_callback, int, int, void *);
extern unsigned qemu_plugin_mem_size_shift(uint32_t info);
extern size_t   qemu_plugin_tb_n_insns(const struct plugin_block *);
extern struct plugin_instruction *qemu_plugin_tb_get_insn(const struct plugin_block *, size_t);
extern const void *qemu_plugin_insn_data(const struct plugin_instruction *);
extern size_t      qemu_plugin_insn_size(const struct plugin_instruction *);
extern uint64_t    qemu_plugin_insn_vaddr(const struct plugin_instruction *);

#endif

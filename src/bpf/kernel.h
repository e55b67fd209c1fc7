/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * What the running kernel's BTF says. It is read on the first question and stays until
 * kernel_btf_release() (about 6 MB); results are copied out, nothing is borrowed. A kernel without
 * BTF answers no to everything. One thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct err;
struct types;

/* Is there any? */
MUST_USE bool kernel_has_btf(void);
/* 0, or ENOENT (EXIT_KERNEL) with what to do. */
MUST_USE int kernel_btf_check(struct err *e);
/* Modules bring BTF of their own, which isn't read here: what vmlinux lacks may be in them. */
MUST_USE bool kernel_has_module_btf(void);
/* Gives the memory back; the next question reads it again. */
void kernel_btf_release(void);

/* The reader itself, borrowed until kernel_btf_release(). Errors: those of kernel_btf_check(),
 * EINVAL. */
MUST_USE int kernel_types(const struct types **ret_types, struct err *e);

MUST_USE bool kernel_has_type(const char *name); /* struct, union, enum, typedef or int */
MUST_USE bool kernel_has_func(const char *name);
MUST_USE bool kernel_has_field(const char *struct_name, const char *member); /* "a.b" goes down */
/* Id of the function, for a trampoline; 0: none. */
MUST_USE uint32_t kernel_func_id(const char *name);
MUST_USE uint32_t kernel_typedef_id(const char *name);
/* Arguments of a tracepoint (without the context); -1: there is no such tracepoint. */
MUST_USE int kernel_tracepoint_args(const char *name);
/* Value of an enumerator in an enum (NULL: in any). */
MUST_USE bool kernel_enum_value(const char *enum_name, const char *name, uint64_t *ret_value);

/* The names of an enum's values, in the kernel's order. *ret_values and what it points to are the
 * caller's: one allocation, free() it. False when the kernel has no such enum. */
struct kernel_enum {
	const char *name;
	uint64_t value;
};
MUST_USE bool kernel_enum_names(const char *enum_name, struct kernel_enum **ret_values,
				size_t *ret_count);

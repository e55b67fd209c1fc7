/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The probe language. One .bpf.c that includes this file is one probe; what it declares here is
 * read from its BTF, so nothing else has to be written anywhere. docs/probes.md explains it.
 *
 * A probe reads top to bottom: PROBE and FILTERS, its PARAMs, its EVENTs and STREAM, its METRICS,
 * its own state, its hooks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <linux/bpf.h>
#include <linux/errno.h>
#include <asm/ptrace.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s8 s8;
typedef __s16 s16;
typedef __s32 s32;
typedef __s64 s64;

#include "abi/conf.h"
#include "abi/param.h"
#include "abi/record.h"

#include "kernel/task.h"

/* No probe uses all of the language, or all of a header that it includes after this one. */
#pragma clang diagnostic ignored "-Wunused-function"
#include "sonda/declare.h"
#include "sonda/attach.h"
#include "sonda/count.h"
#include "sonda/filter.h"
#include "sonda/event.h"
#include "sonda/metrics.h"

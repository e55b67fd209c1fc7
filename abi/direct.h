/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What stands in a probe's instructions for what only the running kernel knows. The user side puts it
 * in before the probe is loaded: left to libbpf, a kernel function takes reading all of the kernel's BTF.
 */
#pragma once

/* A move of this number becomes one of 1 when the kernel has bpf_rdonly_cast(), else of 0. */
#define DIRECT_KNOWN 0x50da0001
/* A call of a helper of this number becomes one of bpf_rdonly_cast(); it isn't reached without. */
#define DIRECT_CAST  0x50da0002

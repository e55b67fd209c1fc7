/* SPDX-License-Identifier: BSD-2-Clause */
/* Trials of hooks in the kernel and in programs. */
#include "bpf/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/perf_event.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "bpf/attach.h"
#include "bpf/mounts.h"

/* Called by read(2) on any file, in every kernel from 5.8 on, and probed without harm. */
static const char function[] = "vfs_read";
static const char security_function[] = "security_file_permission";

static void fire_read(void)
{
	auto_close int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	char byte;

	(void)!read(fd, &byte, 1);
}

static void fire_syscall(void)
{
	(void)syscall(SYS_getppid);
}

static int event_open(struct perf_event_attr *attr, pid_t pid, int cpu)
{
	attr->size = sizeof(*attr);
	return (int)syscall(SYS_perf_event_open, attr, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

void try_tracepoint(struct trial *t)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT, .sample_period = 1 };
	uint64_t id = 0;
	struct err e;

	if (!trial_load(t, BPF_PROG_TYPE_TRACEPOINT, 0, NULL, 0, 0))
		return;
	errno = -tracepoint_id("raw_syscalls/sys_enter", &id, &e);
	if (errno) {
		trial_failed(t, FEATURE_ATTACH);
		return;
	}
	attr.config = id;
	if (trial_perf(t, event_open(&attr, -1, sched_getcpu())))
		trial_fire(t, fire_syscall);
}

static void tracing_try(struct trial *t, enum bpf_prog_type type, enum bpf_attach_type attach,
			const char *place, uint32_t flags, void (*fire)(void))
{
	if (!trial_load(t, type, attach, place, 0, flags))
		return;
	t->link = bpf_raw_tracepoint_open(NULL, t->program);
	if (t->link < 0)
		trial_failed(t, FEATURE_ATTACH);
	else
		trial_fire(t, fire);
}

void try_raw_tp(struct trial *t)
{
	if (!trial_load(t, BPF_PROG_TYPE_RAW_TRACEPOINT, 0, NULL, 0, 0))
		return;
	t->link = bpf_raw_tracepoint_open("sys_enter", t->program);
	if (t->link < 0)
		trial_failed(t, FEATURE_ATTACH);
	else
		trial_fire(t, fire_syscall);
}

void try_tp_btf(struct trial *t)
{
	tracing_try(t, BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, "btf_trace_sys_enter", 0,
		    fire_syscall);
}

void try_fentry(struct trial *t)
{
	tracing_try(t, BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, function, 0, fire_read);
}

void try_fexit(struct trial *t)
{
	tracing_try(t, BPF_PROG_TYPE_TRACING, BPF_TRACE_FEXIT, function, 0, fire_read);
}

void try_fmod_ret(struct trial *t)
{
	tracing_try(t, BPF_PROG_TYPE_TRACING, BPF_MODIFY_RETURN, security_function, 0, fire_read);
}

void try_lsm(struct trial *t)
{
	tracing_try(t, BPF_PROG_TYPE_LSM, BPF_LSM_MAC, "bpf_lsm_file_permission", 0, fire_read);
}

void try_lsm_sleepable(struct trial *t)
{
	tracing_try(t, BPF_PROG_TYPE_LSM, BPF_LSM_MAC, "bpf_lsm_file_open", BPF_F_SLEEPABLE,
		    fire_read);
}

void try_iter(struct trial *t)
{
	auto_close int rows = -1;
	char bytes[64];

	if (!trial_load(t, BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, "bpf_iter_task", 0, 0) ||
	    !trial_link(t, 0, BPF_TRACE_ITER))
		return;
	rows = bpf_iter_create(t->link);
	while (rows >= 0 && read(rows, bytes, sizeof(bytes)) > 0)
		;
	if (!*t->count)
		trial_failed(t, FEATURE_FIRE);
}

/* The number of a dynamic PMU ("kprobe"), and the bit that asks for a return probe. */
static bool pmu_event(const char *pmu, bool is_return, struct perf_event_attr *attr)
{
	char path[128];
	uint64_t type;
	struct err e;

	snprintf(path, sizeof(path), "/sys/bus/event_source/devices/%s/type", pmu);
	if (file_u64(path, &type, &e) < 0) {
		errno = e.code;
		return false;
	}
	attr->type = (uint32_t)type;
	attr->config = is_return; /* bit 0, since these PMUs exist */
	return true;
}

static void kprobe_try(struct trial *t, bool is_return)
{
	struct perf_event_attr attr = { 0 };

	if (!trial_load(t, BPF_PROG_TYPE_KPROBE, 0, NULL, 0, 0))
		return;
	attr.config1 = (uintptr_t)function;
	if (!pmu_event("kprobe", is_return, &attr))
		trial_failed(t, FEATURE_ATTACH);
	else if (trial_perf(t, event_open(&attr, -1, sched_getcpu())))
		trial_fire(t, fire_read);
}

void try_kprobe(struct trial *t)
{
	kprobe_try(t, false);
}

void try_kretprobe(struct trial *t)
{
	kprobe_try(t, true);
}

void try_kprobe_multi(struct trial *t)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	const char *symbol = function;

	if (!trial_load(t, BPF_PROG_TYPE_KPROBE, BPF_TRACE_KPROBE_MULTI, NULL, 0, 0))
		return;
	opts.kprobe_multi.syms = &symbol;
	opts.kprobe_multi.cnt = 1;
	t->link = bpf_link_create(t->program, 0, BPF_TRACE_KPROBE_MULTI, &opts);
	if (t->link < 0)
		trial_failed(t, FEATURE_ATTACH);
	else
		trial_fire(t, fire_read);
}

/* ---- in programs: a function of our own ---- */

static __attribute__((noinline)) void fire_here(void)
{
	__asm__ volatile("nop" ::: "memory");
}

/* Where the code at `address` lies in our file. */
static bool file_offset(uintptr_t address, uint64_t *ret_offset)
{
	auto_fclose FILE *f = fopen("/proc/self/maps", "re");
	unsigned long from, to, offset;
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx %*s %lx", &from, &to, &offset) == 3 && address >= from &&
		    address < to) {
			*ret_offset = address - from + offset;
			return true;
		}
	errno = ENOENT;
	return false;
}

static void uprobe_try(struct trial *t, bool is_return)
{
	struct perf_event_attr attr = { 0 };
	uint64_t offset;

	if (!trial_load(t, BPF_PROG_TYPE_KPROBE, 0, NULL, 0, 0))
		return;
	attr.config1 = (uintptr_t) "/proc/self/exe";
	if (!pmu_event("uprobe", is_return, &attr) || !file_offset((uintptr_t)fire_here, &offset)) {
		trial_failed(t, FEATURE_ATTACH);
		return;
	}
	attr.config2 = offset;
	if (trial_perf(t, event_open(&attr, getpid(), -1)))
		trial_fire(t, fire_here);
}

void try_uprobe(struct trial *t)
{
	uprobe_try(t, false);
}

void try_uretprobe(struct trial *t)
{
	uprobe_try(t, true);
}

void try_uprobe_multi(struct trial *t)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	unsigned long where;
	uint64_t offset = 0;

	if (!trial_load(t, BPF_PROG_TYPE_KPROBE, BPF_TRACE_UPROBE_MULTI, NULL, 0, 0))
		return;
	if (!file_offset((uintptr_t)fire_here, &offset)) {
		trial_failed(t, FEATURE_ATTACH);
		return;
	}
	where = offset;
	opts.uprobe_multi.path = "/proc/self/exe";
	opts.uprobe_multi.offsets = &where;
	opts.uprobe_multi.cnt = 1;
	opts.uprobe_multi.pid = (uint32_t)getpid();
	t->link = bpf_link_create(t->program, 0, BPF_TRACE_UPROBE_MULTI, &opts);
	if (t->link < 0)
		trial_failed(t, FEATURE_ATTACH);
	else
		trial_fire(t, fire_here);
}

/* ---- samples ---- */

static void fire_time(void)
{
	for (volatile int i = 0; i < 100000; i++)
		;
}

static void sample_try(struct trial *t, uint32_t type, uint64_t config)
{
	struct perf_event_attr attr = { .type = type, .config = config, .freq = 1 };

	attr.sample_freq = 999;
	if (trial_load(t, BPF_PROG_TYPE_PERF_EVENT, 0, NULL, 0, 0) &&
	    trial_perf(t, event_open(&attr, getpid(), -1)))
		trial_fire(t, fire_time);
}

void try_perf_event(struct trial *t)
{
	sample_try(t, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK);
}

void try_perf_hardware(struct trial *t)
{
	sample_try(t, PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Facts about the kernel that decide what works; read, not tried. */
#include "bpf/features.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <linux/capability.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "bpf/kernel.h"
#include "bpf/mounts.h"

enum { OLDEST_MAJOR = 5, OLDEST_MINOR = 8 };

static void say(struct kernel_fact *f, bool good, const char *remedy)
{
	f->good = good;
	str_copy(f->remedy, sizeof(f->remedy), good ? "" : remedy);
}

static void fact_release(struct kernel_fact *f)
{
	unsigned major = 0, minor = 0;
	struct utsname uts;

	if (uname(&uts))
		return;
	str_copy(f->value, sizeof(f->value), uts.release);
	(void)!sscanf(uts.release, "%u.%u", &major, &minor);
	say(f, major > OLDEST_MAJOR || (major == OLDEST_MAJOR && minor >= OLDEST_MINOR),
	    "sonda is made for Linux 5.8 and newer");
}

static void fact_btf(struct kernel_fact *f)
{
	bool has = kernel_has_btf();

	str_copy(f->value, sizeof(f->value), has ? "present" : "missing");
	say(f, has,
	    "a kernel built with CONFIG_DEBUG_INFO_BTF, /sys mounted: nearly all of sonda needs it");
}

/* The value of a sysctl; "?" when it can't be read. */
static long sysctl_read(struct kernel_fact *f, const char *path)
{
	struct err e;

	if (file_line(path, f->value, sizeof(f->value), &e) < 0) {
		str_copy(f->value, sizeof(f->value), "?");
		return -1;
	}
	return strtol(f->value, NULL, 10);
}

/* A kernel with CONFIG_BPF_JIT_ALWAYS_ON has the sysctl too, and it says 1. */
static void fact_jit(struct kernel_fact *f)
{
	long on = sysctl_read(f, "/proc/sys/net/core/bpf_jit_enable");

	if (on >= 0)
		str_copy(f->value, sizeof(f->value), on ? "on" : "off");
	say(f, on != 0, "sysctl net.core.bpf_jit_enable=1");
}

static void fact_lockdown(struct kernel_fact *f)
{
	lockdown_mode(f->value, sizeof(f->value));
	say(f, !str_eq(f->value, "confidentiality"),
	    "it forbids reading kernel memory: boot without lockdown=confidentiality");
}

static void fact_lsm(struct kernel_fact *f)
{
	struct strlist active = { 0 };
	char remedy[160];

	if (!securityfs_line("lsm", f->value, sizeof(f->value))) {
		str_copy(f->value, sizeof(f->value), "?");
		f->good = true;
		return;
	}
	str_split(f->value, &active);
	str_format(remedy, sizeof(remedy), "to deny by LSM, boot with lsm=%s,bpf", f->value);
	say(f, strlist_has(&active, "bpf"), remedy);
	strlist_done(&active);
}

static void fact_unprivileged(struct kernel_fact *f)
{
	long off = sysctl_read(f, "/proc/sys/kernel/unprivileged_bpf_disabled");

	say(f, off != 0,
	    "users without privileges may load BPF: "
	    "sysctl kernel.unprivileged_bpf_disabled=2");
}

/* Of root no level takes anything away; 3 and more are Debian's and Ubuntu's. */
static void fact_paranoid(struct kernel_fact *f)
{
	long level = sysctl_read(f, "/proc/sys/kernel/perf_event_paranoid");

	say(f, level <= 2 || !geteuid(),
	    "tracepoints need root, or sysctl kernel.perf_event_paranoid=2");
}

static void fact_cgroup(struct kernel_fact *f)
{
	char path[64], target[128];
	struct err e;
	ssize_t n;
	int fd;

	if (cgroup_root_fd(&fd, &e) < 0) {
		str_copy(f->value, sizeof(f->value), e.text);
		say(f, false, "a kernel with cgroup v2");
		return;
	}
	str_format(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target) - 1);
	target[max(n, (ssize_t)0)] = '\0';
	str_copy(f->value, sizeof(f->value), str_eq(target, "/") ? "not mounted" : target);
	f->good = true;
}

static void fact_tracefs(struct kernel_fact *f)
{
	struct err e;
	int fd;
	bool has = !tracefs_fd(&fd, &e);

	str_copy(f->value, sizeof(f->value), has ? "present" : e.text);
	say(f, has, "root, and a kernel with CONFIG_TRACING");
}

/* From 5.11 on BPF memory is charged to the cgroup and needs no limit raised. */
static void fact_memory(struct kernel_fact *f)
{
	uint64_t value;
	bool charged = kernel_enum_value("bpf_func_id", "BPF_FUNC_ktime_get_coarse_ns", &value);

	str_copy(f->value, sizeof(f->value), charged ? "memory cgroup" : "RLIMIT_MEMLOCK");
	f->good = true;
}

static const struct {
	unsigned number;
	const char *name;
} caps[] = {
	{ CAP_SYS_ADMIN, "sys_admin" },       { CAP_BPF, "bpf" },
	{ CAP_PERFMON, "perfmon" },           { CAP_NET_ADMIN, "net_admin" },
	{ CAP_SYS_RESOURCE, "sys_resource" }, { CAP_SYS_PTRACE, "sys_ptrace" },
};

static void fact_capabilities(struct kernel_fact *f)
{
	auto_free char *status = NULL;
	const char *line = NULL;
	unsigned long long held = 0;
	size_t len = 0;
	bool enough;
	struct err e;

	if (!file_read("/proc/self/status", &status, NULL, &e))
		line = strstr(status, "CapEff:");
	if (line)
		held = strtoull(line + strlen("CapEff:"), NULL, 16);
	for (size_t i = 0; i < ARRAY_LEN(caps); i++)
		if (held >> caps[i].number & 1)
			len += (size_t)snprintf(f->value + len, sizeof(f->value) - len, "%s%s",
						len ? " " : "", caps[i].name);
	if (!len)
		str_copy(f->value, sizeof(f->value), "none");
	enough = held >> CAP_SYS_ADMIN & 1 || (held >> CAP_BPF & 1 && held >> CAP_PERFMON & 1);
	say(f, enough, "run sonda as root");
}

/* clang-format off */
static const struct {
	const char *name;
	void (*read)(struct kernel_fact *f);
} facts[] = {
	{ "kernel",                    fact_release },
	{ "BTF",                       fact_btf },
	{ "JIT compiler",              fact_jit },
	{ "lockdown",                  fact_lockdown },
	{ "security modules",          fact_lsm },
	{ "unprivileged_bpf_disabled", fact_unprivileged },
	{ "perf_event_paranoid",       fact_paranoid },
	{ "cgroup v2",                 fact_cgroup },
	{ "tracefs",                   fact_tracefs },
	{ "BPF memory is charged to",  fact_memory },
	{ "capabilities",              fact_capabilities },
};
/* clang-format on */

int kernel_facts(kernel_fact_fn *fn, void *ctx)
{
	int code = 0;

	for (size_t i = 0; i < ARRAY_LEN(facts) && !code; i++) {
		struct kernel_fact f = { .name = facts[i].name };

		facts[i].read(&f);
		code = fn(&f, ctx);
	}
	return code;
}

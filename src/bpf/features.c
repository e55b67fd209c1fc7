/* SPDX-License-Identifier: BSD-2-Clause */
/* What this kernel can do: one row each, tried out, and the failure put into words. */
#include "bpf/features.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "bpf/capture.h"
#include "bpf/kernel.h"
#include "bpf/mounts.h"
#include "bpf/trial.h"

struct feature_row {
	const char *group, *name, *since;
	trial_fn *try;
	bool private_net;   /* in a network namespace of its own */
	const char *config; /* what a kernel without it was built without */
	const char *doc;
};

/* clang-format off */
static const struct feature_row rows[] = {
	{ "trace",    "tracepoint",     "4.7",  try_tracepoint,    false, "CONFIG_FTRACE_SYSCALLS", "stable places in the kernel, through tracefs" },
	{ "trace",    "raw_tp",         "4.17", try_raw_tp,        false, "CONFIG_BPF_EVENTS", "the same places, cheaper" },
	{ "trace",    "tp_btf",         "5.5",  try_tp_btf,        false, "CONFIG_DEBUG_INFO_BTF", "the same with typed arguments: sonda's first choice" },
	{ "trace",    "fentry",         "5.5",  try_fentry,        false, "CONFIG_DEBUG_INFO_BTF", "entry of any kernel function, at the least cost" },
	{ "trace",    "fexit",          "5.5",  try_fexit,         false, "CONFIG_DEBUG_INFO_BTF", "return of any kernel function, with its arguments" },
	{ "trace",    "kprobe",         "4.1",  try_kprobe,        false, "CONFIG_KPROBES", "entry of any kernel function" },
	{ "trace",    "kretprobe",      "4.1",  try_kretprobe,     false, "CONFIG_KPROBES", "return of any kernel function" },
	{ "trace",    "kprobe.multi",   "5.18", try_kprobe_multi,  false, "CONFIG_FPROBE", "many functions at once" },
	{ "trace",    "iterator",       "5.8",  try_iter,          false, "CONFIG_BPF_EVENTS", "snapshots: what runs and what is open now" },
	{ "user",     "uprobe",         "4.3",  try_uprobe,        false, "CONFIG_UPROBES", "functions of programs and libraries, USDT" },
	{ "user",     "uretprobe",      "4.3",  try_uretprobe,     false, "CONFIG_UPROBES", "their returns" },
	{ "user",     "uprobe.multi",   "6.6",  try_uprobe_multi,  false, "CONFIG_UPROBES", "many of them at once" },
	{ "user",     "perf_event",     "4.9",  try_perf_event,    false, "CONFIG_PERF_EVENTS", "samples by time: profiles" },
	{ "user",     "hardware counters", "4.9", try_perf_hardware, false, "CONFIG_PERF_EVENTS", "samples by cycles; virtual machines often have none" },
	{ "network",  "cgroup_skb",     "4.10", try_cgroup_skb,    true,  "CONFIG_CGROUP_BPF", "packets of sockets, with their process" },
	{ "network",  "cgroup connect", "4.17", try_cgroup_connect, true, "CONFIG_CGROUP_BPF", "connections, before they are made" },
	{ "network",  "sockops",        "4.13", try_sockops,       true,  "CONFIG_CGROUP_BPF", "life of TCP connections" },
	{ "network",  "sk_lookup",      "5.9",  try_sk_lookup,     true,  "CONFIG_NET", "choice of a listening socket" },
	{ "network",  "xdp generic",    "4.12", try_xdp_generic,   true,  "CONFIG_NET", "packets on arrival, with any driver" },
	{ "network",  "xdp native",     "5.9",  try_xdp_native,    true,  "CONFIG_VETH", "packets on arrival, in the driver" },
	{ "network",  "tcx",            "6.6",  try_tcx,           true,  "CONFIG_NET_XGRESS", "packets in and out" },
	{ "network",  "clsact",         "4.5",  try_clsact,        true,  "CONFIG_NET_CLS_ACT", "the same on kernels before 6.6" },
	{ "network",  "netfilter",      "6.4",  try_netfilter,     true,  "CONFIG_NETFILTER_BPF_LINK", "packets at the hooks of a firewall" },
	{ "network",  "struct_ops",     "5.6",  try_struct_ops,    false, "CONFIG_BPF_JIT", "congestion control" },
	{ "security", "lsm",            "5.7",  try_lsm,           false, "CONFIG_BPF_LSM", "to deny: file access, exec, sockets" },
	{ "security", "lsm sleepable",  "5.11", try_lsm_sleepable, false, "CONFIG_BPF_LSM", "the same, where the program may read memory of processes" },
	{ "security", "fmod_ret",       "5.7",  try_fmod_ret,      false, "CONFIG_FUNCTION_ERROR_INJECTION", "to deny where \"bpf\" is no active security module" },
	{ "security", "send_signal",    "5.3",  try_send_signal,   false, "CONFIG_BPF_EVENTS", "to kill, where nothing can be denied" },
	{ "security", "override_return", "4.16", try_override_return, false, "CONFIG_BPF_KPROBE_OVERRIDE", "not used by sonda; often switched off" },
	{ "security", "probe_write_user", "4.8", try_write_user,   false, "CONFIG_BPF_EVENTS", "not used by sonda; lockdown forbids it" },
	{ "data",     "ring buffer",    "5.8",  try_ringbuf,       false, "CONFIG_BPF_SYSCALL", "events; without it the dearer perf array" },
	{ "data",     "user ring buffer", "6.1", try_user_ringbuf, false, "CONFIG_BPF_SYSCALL", "bytes into the kernel" },
	{ "data",     "task storage",   "5.11", try_task_storage,  false, "CONFIG_BPF_SYSCALL", "state of a thread, gone with it" },
	{ "data",     "cgroup storage", "6.2",  try_cgroup_storage, false, "CONFIG_CGROUPS", "state of a cgroup" },
	{ "data",     "bpf_loop",       "5.17", try_loop,          false, "CONFIG_BPF_SYSCALL", "long loops that verify quickly" },
	{ "data",     "run statistics", "5.8",  try_stats,         false, "CONFIG_BPF_SYSCALL", "what programs cost: sonda cost" },
};
/* clang-format on */

/* ---- words ---- */

/* Is `release` ("6.1.0-13-amd64") before `since` ("6.2")? */
static bool release_is_before(const char *release, const char *since)
{
	unsigned have[2] = { 0 }, want[2] = { 0 };

	if (sscanf(release, "%u.%u", &have[0], &have[1]) != 2 ||
	    sscanf(since, "%u.%u", &want[0], &want[1]) != 2)
		return false;
	return have[0] < want[0] || (have[0] == want[0] && have[1] < want[1]);
}

static bool lsm_list_has_bpf(char *list, size_t size)
{
	struct strlist active = { 0 };
	bool has = true;

	if (!securityfs_line("lsm", list, (unsigned)size))
		return true; /* not known */
	str_split(list, &active);
	has = strlist_has(&active, "bpf");
	strlist_done(&active);
	return has;
}

static bool is_trampoline(const char *name)
{
	return str_startswith(name, "fe") || str_startswith(name, "fmod") ||
	       str_startswith(name, "lsm");
}

/* Loaded by the kernel's BTF, or with types of it. */
static bool is_by_btf(const char *name)
{
	static const char *const others[] = { "tp_btf", "iterator", "struct_ops", "task storage",
					      "bpf_loop" };

	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (str_eq(name, others[i]))
			return true;
	return is_trampoline(name);
}

static void explain(struct feature *f, const struct feature_row *row)
{
	char list[128] = "", lockdown[64];
	struct utsname uts;

	if (uname(&uts))
		return;
	if (!kernel_has_btf() && is_by_btf(f->name)) {
		str_copy(f->why, sizeof(f->why), "this kernel has no BTF");
		str_copy(f->remedy, sizeof(f->remedy), "see BTF above");
	} else if (str_eq(f->group, "security") && str_startswith(f->name, "lsm") &&
		   !lsm_list_has_bpf(list, sizeof(list))) {
		str_copy(f->why, sizeof(f->why), "\"bpf\" is not an active security module");
		str_format(f->remedy, sizeof(f->remedy), "boot with lsm=%s,bpf", list);
	} else if (release_is_before(uts.release, f->since)) {
		str_format(f->why, sizeof(f->why), "this kernel (%s) is older", uts.release);
		str_format(f->remedy, sizeof(f->remedy), "a kernel from %s on", f->since);
	} else if (f->code == EPERM && is_trampoline(f->name)) {
		lockdown_mode(lockdown, sizeof(lockdown));
		str_format(f->why, sizeof(f->why), "the kernel refuses it (EPERM; lockdown: %s)",
			   lockdown);
		str_copy(f->remedy, sizeof(f->remedy),
			 "a distribution kernel; sonda uses tracepoints meanwhile");
	} else if (f->stage == FEATURE_FIRE) {
		str_copy(f->why, sizeof(f->why), "it attaches, but the program never runs");
	} else if (str_eq(f->name, "hardware counters")) {
		str_copy(f->why, sizeof(f->why), "this machine shows no counters");
		str_copy(f->remedy, sizeof(f->remedy), "on a virtual machine: give it a PMU");
	} else if (str_eq(f->name, "probe_write_user") && f->code == EINVAL) {
		str_copy(f->why, sizeof(f->why), "lockdown forbids the helper");
		str_copy(f->remedy, sizeof(f->remedy), "none needed");
	} else {
		str_format(f->why, sizeof(f->why), "the kernel was probably built without %s (%s)",
			   row->config, strerror(f->code));
		str_copy(f->remedy, sizeof(f->remedy),
			 "a kernel built with it, such as a distribution's");
	}
}

/* ---- trying ---- */

static void row_try(const struct feature_row *row, struct feature *f)
{
	struct trial t = { .feature = f, .map = -1, .program = -1, .link = -1 };

	row->try(&t);
	fd_close(&t.link);
	fd_close(&t.program);
	if (t.count)
		munmap((void *)(uintptr_t)t.count, (size_t)sysconf(_SC_PAGESIZE));
	fd_close(&t.map);
	if (f->stage != FEATURE_WORKS)
		explain(f, row);
}

/* In a child: a network namespace of its own, gone with it, so that no packet of the machine is
 * touched. */
static void child_try(const struct feature_row *row, struct feature *f)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	auto_close int fd = -1;

	if (unshare(CLONE_NEWNET) || (fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0 ||
	    ioctl(fd, SIOCSIFFLAGS, &lo)) {
		f->stage = FEATURE_ATTACH;
		f->code = errno;
		str_copy(f->why, sizeof(f->why), "no network namespace to try it in");
		return;
	}
	row_try(row, f);
}

static void row_try_apart(const struct feature_row *row, struct feature *f)
{
	struct feature told;
	int ends[2], status;
	pid_t child;

	f->stage = FEATURE_ATTACH;
	f->code = ECHILD;
	str_copy(f->why, sizeof(f->why), "the trial could not be made");
	if (pipe2(ends, O_CLOEXEC))
		return;
	child = fork();
	if (!child) {
		told = (struct feature){
			.group = f->group, .name = f->name, .doc = f->doc, .since = f->since
		};
		child_try(row, &told);
		_exit(write(ends[1], &told, sizeof(told)) != sizeof(told));
	}
	fd_close(&ends[1]);
	/* the pointers in it mean the same on both sides of the fork */
	if (child > 0 && read(ends[0], &told, sizeof(told)) == sizeof(told))
		*f = told;
	fd_close(&ends[0]);
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
}

size_t features_count(void)
{
	return ARRAY_LEN(rows);
}

int features_try(feature_fn *fn, void *ctx, struct err *e)
{
	int code = 0;

	if (geteuid())
		return fail_as(e, EXIT_DENIED, EPERM, "trying out BPF programs is not permitted");
	capture_begin();
	for (size_t i = 0; i < ARRAY_LEN(rows) && !code; i++) {
		struct feature f = { .group = rows[i].group,
				     .name = rows[i].name,
				     .doc = rows[i].doc,
				     .since = rows[i].since };

		if (rows[i].private_net)
			row_try_apart(&rows[i], &f);
		else
			row_try(&rows[i], &f);
		code = fn(&f, ctx);
	}
	return code;
}

/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The guard of the kernel's own surface: refuses, or only tells, what rules say about signals, tracing, mounts,
 * modules, bpf(2), changes of user, user namespaces and the use of capabilities. kernel_judge.h decides.
 *
 * Where an operation can be done in several ways, each has its hook here: a signal may also come by what a
 * descriptor is owned by, or by a limit on CPU time; a program may be traced from before it is run.
 */
#define EVENT_MAX 8960 /* two whole paths and the struct */
#include "guard.h"

#include "kernel_judge.h"

PROBE(kernel, "guard", "Rules about the kernel's surface", INTERNAL SLOTS(64));

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct fown_struct {
	kuid_t uid;
};
struct linux_binprm {
	struct cred *cred;
	struct file *file;
};
struct cred___ids {
	kuid_t suid, fsuid;
};
struct file_system_type___named {
	const char *name;
};
struct super_block___flags {
	unsigned long s_flags;
	struct file_system_type___named *s_type;
};
struct task_struct___traced {
	unsigned int ptrace;
	struct task_struct *parent; /* who traces */
};
struct sigaction___handler {
	void *sa_handler;
};
struct k_sigaction___handler {
	struct sigaction___handler sa;
};
struct sighand_struct___handlers {
	struct k_sigaction___handler action[64];
};
struct task_struct___handlers {
	struct sighand_struct___handlers *sighand;
};
enum kernel_read_file_id {
	READING_MODULE = 2,
};
enum kernel_load_data_id {
	LOADING_MODULE = 2,
};

#pragma clang attribute pop

#define PF_EXITING          0x00000004
#define PTRACE_MODE_ATTACH  0x02
#define PTRACE_MODE_NOAUDIT 0x04
#define RLIMIT_CPU          0
#define SB_KERNMOUNT        (1 << 22)
#define SB_SUBMOUNT         (1 << 26)

enum { SIGNAL_KILL = 9, SIGNAL_STOP = 19, SIGNAL_URG = 23, SIGNAL_XCPU = 24, SIGNAL_IO = 29 };

static __always_inline bool is_own(struct task_struct *task)
{
	return BPF_CORE_READ(task, tgid) == bpf_get_current_pid_tgid() >> 32;
}

/* An operation on the process `target`, by the current one. */
static __always_inline int judge_process(u32 strength, bool beside, u32 operation,
					 struct task_struct *target, u32 number)
{
	struct kernel_request r;
	const struct kernel_rules *all = request_begin(&r, operation, strength, beside);

	if (!all)
		return 0;
	r.target = target;
	r.number = number;
	target_keep(&r.verdict.other, r.gen, &all->subjects, target, NULL);
	return request_judge(&r, all, NULL);
}

/* ---- signals ---- */

/* Sent as the process ends, the signal is one that the receiver has asked for. 0 asks whether it is there. */
GUARD(task_kill, kills, struct task_struct *task, void *info, int signal, struct cred *cred)
{
	if (!signal || is_own(task) || BPF_CORE_READ(current_task(), flags) & PF_EXITING)
		return 0;
	return judge_process(strength, beside, KERNEL_OPERATION_KILL, task, signal);
}

/* Does the process itself say what becomes of the signal? */
static __always_inline bool expects(struct task_struct *task, u32 signal)
{
	struct task_struct___handlers *t = (void *)task;

	return signal != SIGNAL_KILL && signal != SIGNAL_STOP &&
	       BPF_CORE_READ(t, sighand, action[(signal - 1) & 63].sa.sa_handler) != NULL;
}

/* A descriptor's owner (F_SETOWN) is told of input by a signal (F_SETSIG), in whose context ever: of who made
 * it the owner only the user is known. */
GUARD(file_send_sigiotask, sends_sigio, struct task_struct *task, struct fown_struct *owner,
      int signal)
{
	struct kernel_request r;
	const struct kernel_rules *all;

	if (!signal)
		signal = SIGNAL_IO;
	if (signal == SIGNAL_URG || expects(task, signal))
		return 0;
	all = request_begin(&r, KERNEL_OPERATION_KILL, strength, beside);
	if (!all)
		return 0;
	r.subject = NULL;
	r.target = task;
	r.number = signal;
	target_keep(&r.verdict.other, r.gen, &all->subjects, task, NULL);
	stranger_keep(&r.verdict.other, r.gen, &all->subjects, BPF_CORE_READ(owner, uid.val));
	return request_end(&r, all);
}

/* prlimit(2): a process that has used up its CPU time is killed. */
GUARD(task_setrlimit, limits, struct task_struct *task, unsigned int resource)
{
	if (resource != RLIMIT_CPU || is_own(task))
		return 0;
	return judge_process(strength, beside, KERNEL_OPERATION_KILL, task, SIGNAL_XCPU);
}

/* ---- tracing ---- */

/* Also process_vm_readv, /proc/PID/mem, pidfd_getfd ... What is asked without telling (NOAUDIT) is whether
 * /proc/PID/stat has all its numbers. */
GUARD(ptrace_access_check, traces, struct task_struct *task, unsigned int mode)
{
	u32 operation =
		mode & PTRACE_MODE_ATTACH ? KERNEL_OPERATION_PTRACE : KERNEL_OPERATION_INSPECT;

	if (is_own(task) || (!(mode & PTRACE_MODE_ATTACH) && mode & PTRACE_MODE_NOAUDIT))
		return 0;
	if (operation == KERNEL_OPERATION_PTRACE)
		return judge_process(strength, beside, KERNEL_OPERATION_PTRACE, task, 0);
	return judge_process(strength, beside, KERNEL_OPERATION_INSPECT, task, 0);
}

/* The current process is traced by `tracer`, or going to be, and counts as `exe`. */
static __always_inline int judge_traced(u32 strength, bool beside, struct task_struct *tracer,
					struct file *exe)
{
	struct kernel_request r;
	const struct kernel_rules *all =
		request_begin(&r, KERNEL_OPERATION_PTRACE, strength, beside);

	if (!all)
		return 0;
	r.subject = tracer;
	r.target = current_task();
	if (exe)
		request_path(&r, &exe->f_path);
	target_keep(&r.verdict.other, r.gen, &all->subjects, r.target, exe);
	return request_judge(&r, all, NULL);
}

GUARD(ptrace_traceme, traced, struct task_struct *tracer)
{
	return judge_traced(strength, beside, tracer, NULL);
}

GUARD_OF(bprm_check_security, bprm_check, runs_traced, struct linux_binprm *program)
{
	struct task_struct___traced *task = (void *)current_task();

	if (!BPF_CORE_READ(task, ptrace))
		return 0;
	return judge_traced(strength, beside, BPF_CORE_READ(task, parent),
			    BPF_CORE_READ(program, file));
}

/* ---- mounts ---- */

static __always_inline int judge_mount(u32 strength, bool beside, u32 operation,
				       const struct path *path, const char *type)
{
	struct kernel_request r;
	const struct kernel_rules *all = request_begin(&r, operation, strength, beside);

	if (!all)
		return 0;
	request_path(&r, path);
	r.name = type;
	return request_judge(&r, all, NULL);
}

GUARD(sb_mount, mounts, const char *device, struct path *path, const char *type)
{
	return judge_mount(strength, beside, KERNEL_OPERATION_MOUNT, path, type);
}

GUARD(move_mount, moves, struct path *from, struct path *to)
{
	return judge_mount(strength, beside, KERNEL_OPERATION_MOUNT, to, NULL);
}

GUARD(sb_pivotroot, pivots, struct path *old, struct path *made)
{
	return judge_mount(strength, beside, KERNEL_OPERATION_MOUNT, made, NULL);
}

/* Functions of their own, for the stack that they need not share. */
static __noinline u64 sb_flags(struct super_block *sb)
{
	return BPF_CORE_READ((struct super_block___flags *)sb, s_flags);
}

static __noinline const char *sb_type(struct super_block *sb)
{
	return BPF_CORE_READ((struct super_block___flags *)sb, s_type, name);
}

/* fsconfig(2), before there is anything to be mounted: what is refused there can't be used without a place
 * either. What is only counted is counted when it gets one: mount(2) comes by here as well. */
GUARD(sb_set_mnt_opts, configures, struct super_block *sb)
{
	struct kernel_request r;
	const struct kernel_rules *all;

	if (sb_flags(sb) & (SB_KERNMOUNT | SB_SUBMOUNT))
		return 0;
	all = request_begin(&r, KERNEL_OPERATION_MOUNT, strength, beside);
	if (!all)
		return 0;
	set_keep(&r.verdict.other, &all->subjects.refusing);
	r.name = sb_type(sb);
	return request_judge(&r, all, NULL);
}

GUARD(sb_umount, umounts, struct vfsmount *mnt)
{
	struct kernel_request r;
	const struct kernel_rules *all =
		request_begin(&r, KERNEL_OPERATION_UMOUNT, strength, beside);

	if (!all)
		return 0;
	r.dentry = BPF_CORE_READ(mnt, mnt_root);
	r.mnt = mnt;
	return request_judge(&r, all, NULL);
}

/* ---- modules and programs ---- */

static __always_inline int judge_named(u32 strength, bool beside, u32 operation, const char *name,
				       u32 number)
{
	struct kernel_request r;
	const struct kernel_rules *all = request_begin(&r, operation, strength, beside);

	if (!all)
		return 0;
	r.name = name;
	r.number = number;
	return request_judge(&r, all, NULL);
}

/* finit_module(2) */
GUARD(kernel_read_file, reads_module, struct file *file, u32 what)
{
	struct kernel_request r;
	const struct kernel_rules *all;

	if (what != bpf_core_enum_value(enum kernel_read_file_id, READING_MODULE))
		return 0;
	all = request_begin(&r, KERNEL_OPERATION_LOAD_MODULE, strength, beside);
	if (!all)
		return 0;
	if (file)
		request_path(&r, &file->f_path);
	return request_judge(&r, all, NULL);
}

/* init_module(2) */
GUARD(kernel_load_data, loads_module, u32 what)
{
	if (what != bpf_core_enum_value(enum kernel_load_data_id, LOADING_MODULE))
		return 0;
	return judge_named(strength, beside, KERNEL_OPERATION_LOAD_MODULE, NULL, 0);
}

GUARD(kernel_module_request, requests_module, const char *name)
{
	return judge_named(strength, beside, KERNEL_OPERATION_REQUEST_MODULE, name, 0);
}

GUARD(bpf, calls_bpf, u32 command)
{
	return judge_named(strength, beside, KERNEL_OPERATION_BPF, NULL, command);
}

/* ---- users and capabilities ---- */

static __always_inline void to_add(struct kernel_request *r, const struct kernel_rules *all,
				   struct rule_set *about, u32 now, u32 before)
{
	if (now == before)
		return;
	value_add(about, r->gen, &all->subjects, TARGET_TO, now);
	r->number = now;
}

#define ID(cred, which) BPF_CORE_READ((struct cred___ids *)(cred), which.val)

/* setuid(2) and its like: of all ids that change, to what they do. */
GUARD(task_fix_setuid, sets_uid, struct cred *made, struct cred *old)
{
	struct kernel_request r;
	const struct kernel_rules *all =
		request_begin(&r, KERNEL_OPERATION_SETUID, strength, beside);
	struct rule_set *about = &r.verdict.refusing; /* empty */

	if (!all)
		return 0;
	to_add(&r, all, about, ID(made, fsuid), ID(old, fsuid));
	to_add(&r, all, about, ID(made, suid), ID(old, suid));
	to_add(&r, all, about, BPF_CORE_READ(made, euid.val), BPF_CORE_READ(old, euid.val));
	to_add(&r, all, about, BPF_CORE_READ(made, uid.val), BPF_CORE_READ(old, uid.val));
	set_keep(&r.verdict.other, about);
	return request_judge(&r, all, NULL);
}

static __noinline u32 program_euid(struct linux_binprm *program)
{
	return BPF_CORE_READ(program, cred, euid.val);
}

static __noinline u32 current_euid(void)
{
	return BPF_CORE_READ(current_task(), cred, euid.val);
}

/* A program with the setuid bit: it counts as the one that asks, for the user who runs it. */
GUARD(bprm_creds_from_file, runs_setuid, struct linux_binprm *program, struct file *file)
{
	u32 now = program_euid(program);
	struct kernel_request r;
	const struct kernel_rules *all;

	if (now == current_euid())
		return 0;
	all = request_begin(&r, KERNEL_OPERATION_SETUID, strength, beside);
	if (!all)
		return 0;
	r.number = now;
	if (file)
		request_path(&r, &file->f_path);
	value_keep(&r.verdict.other, r.gen, &all->subjects, TARGET_TO, now);
	return request_judge(&r, all, file);
}

#define FROM_61 NEED("lsm userns_create") OPTIONAL("user namespaces (Linux 6.1)")
GUARD_TAGGED(FROM_61, userns_create, create_user_ns, makes_userns, struct cred *cred)
{
	return judge_named(strength, beside, KERNEL_OPERATION_USER_NAMESPACE, NULL, 0);
}

/* By the current process for itself: others' credentials are looked at for what they have. */
GUARD(capable, uses_capability, struct cred *cred, void *ns, int capability)
{
	struct kernel_request r;
	const struct kernel_rules *all;

	all = request_begin(&r, KERNEL_OPERATION_USE, strength, beside);
	if (!all || cred != BPF_CORE_READ(current_task(), cred))
		return 0;
	r.number = capability;
	value_keep(&r.verdict.other, r.gen, &all->subjects, TARGET_CAPABILITY, capability);
	return request_judge(&r, all, NULL);
}

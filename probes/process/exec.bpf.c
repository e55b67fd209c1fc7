/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * process.exec: every execve(2) and execveat(2), one event each. Success is told by the tracepoint in
 * the kernel's own loader, so it covers every way there is (32-bit programs, a thread that is not
 * the first, the kernel's own helpers) and every text is the kernel's copy. What failed is told
 * where the system call returns, with path and arguments as they stand in the caller's memory.
 */
#define EVENT_MAX  (88 * 1024) /* 64 KiB of arguments, four paths, 8 KiB of environment */
#define EVENT_RING (1024 * 1024)
#include "sonda.bpf.h"

#include "kernel/exec.h"
#include "kernel/overlay.h"
#include "kernel/syscall.h"
#include "sonda/argv.h"
#include "sonda/environ.h"
#include "sonda/path.h"

PROBE(exec, "process", "Programs started, and what could not be started", SLOTS(16));
FILTERS("task errors min");
PARAM(u32, argv_max, 65536, DOC("most bytes of arguments told") UNIT("bytes") RANGE(0, 65536));

EVENT(exec, "A process replaced its program, or failed to") {
	struct task task;
	char parent[16] KIND("comm") DOC("command name of the parent");
	s32 err KIND("errno") DOC("0, or why it failed: then comm is still the caller's");
	s32 dirfd KIND("fd") HIDE DOC("descriptor given to execveat(2)");
	u32 from_tid KIND("tid") HIDE DOC("thread that called; it became the first thread");
	u32 caller_euid KIND("uid") HIDE DOC("effective user of the caller");
	u32 euid KIND("uid") HIDE DOC("effective user of the program");
	u32 caller_egid KIND("gid") HIDE DOC("effective group of the caller");
	u32 egid KIND("gid") HIDE DOC("effective group of the program");
	u64 caller_caps KIND("capabilities") HIDE DOC("capabilities in effect of the caller");
	u64 caps KIND("capabilities") HIDE DOC("capabilities in effect of the program");
	u32 session KIND("pid") HIDE DOC("its session: the process that began it (setsid(2))");
	s32 login_uid KIND("uid") HIDE DOC("user who logged in at the start of it all; -1: nobody");
	bool gained DOC("it has an effective user, group or capability that its caller had not");
	bool nameless DOC("the program has no name left: deleted, or never had one (memfd)");
	bool unverified HIDE DOC("path, argv and env were read from the caller's memory after the "
				 "call, which may have changed them: so of all that failed");
	bool env_cut HIDE DOC("there is more that --env may ask for than env tells");
	enum overlay_layer layer
		HIDE DOC("where the program's file (a script's: the interpreter's) lies in an overlayfs: "
			 "lower, as the image brought it; upper, added or changed since");
	char tty[16] HIDE DOC("controlling terminal");
	u32 device KIND("device") HIDE DOC("device of the program's file");
	u64 inode KIND("inode") HIDE DOC("inode of the program's file");
	u64 took_ns KIND("duration")
		HIDE DOC("from the call to the new program or the error; 0: not seen (a 32-bit call): "
			 "then the caller's user and group are the real ones, its capabilities unknown");
	u64 argv_bytes KIND("bytes") HIDE DOC("all arguments, also if argv is cut; 0: it failed");
	struct text path KIND("path") DOC("path as given; /dev/fd/N where a descriptor was given");
	struct text interp KIND("path") DOC("interpreter that runs it (#! line, binfmt_misc); those "
					    "between, each with its argument, begin argv");
	struct text file KIND("path") HIDE DOC("file executed: absolute, links resolved");
	struct text cwd KIND("path") HIDE DOC("working directory");
	struct text env KIND("argv")
		HIDE DOC("environment variables that --env names, as the program gets them");
	struct text argv KIND("argv") DOC("arguments as the program gets them");
};

struct exec_labels {
	char parent[16] KIND("comm") DOC("command name of the parent");
	char comm[16] KIND("comm") DOC("command name after success, of the caller after failure");
	s32 err KIND("errno") DOC("0, or why it failed");
	u32 pad HIDE;
};
struct exec_values {
	u64 execs COUNTER DOC("programs started, or failed to start");
	HIST_LOG2(took_ns, 32, UNIT("ns") DOC("from the call to the new program, or to the error"));
};
METRICS(execs, struct exec_labels, struct exec_values, 2048, "Programs started");

/* Threads inside the system call. Both ends remove their entry. */
struct call {
	u64 at_ns;
	const char *path;
	const char *const *argv;
	const char *const *envp;
	struct privileges caller;
	s32 dirfd;
	u32 pad;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, struct call);
} calls SEC(".maps");

static __noinline int call_begins(s32 dirfd, const char *path, const char *const *argv,
				  const char *const *envp)
{
	struct call call = {};
	u32 tid = bpf_get_current_pid_tgid();

	call.at_ns = bpf_ktime_get_ns();
	call.path = path;
	call.argv = argv;
	call.envp = envp;
	call.dirfd = dirfd;
	task_privileges(current_task(), &call.caller);
	bpf_map_update_elem(&calls, &tid, &call, BPF_ANY);
	return 0;
}

/* Takes the entry of a call that is over. There is none for 32-bit calls, for the kernel's own helpers, and
 * when the table was full: the event is told all the same, without what only the entry knows. */
static __noinline int call_take(u32 tid, struct call *out)
{
	struct call *call = bpf_map_lookup_elem(&calls, &tid);

	if (call) {
		*out = *call;
		return bpf_map_delete_elem(&calls, &tid);
	}
	out->dirfd = AT_FDCWD;
	task_privileges(current_task(), &out->caller);
	return 0;
}

static __noinline int count_exec(struct task_struct *task, s32 err, u64 took)
{
	struct exec_labels key = {};
	struct exec_values *row;

	if (label(execs, 0))
		BPF_CORE_READ_STR_INTO(&key.parent, task, real_parent, comm);
	if (label(execs, 1))
		BPF_CORE_READ_STR_INTO(&key.comm, task, comm);
	if (label(execs, 2))
		key.err = err;
	row = row_of(execs, &key);
	if (!row)
		return 0;
	add(row->execs, 1);
	observe(row->took_ns, took);
	return 0;
}

static __always_inline u64 call_took_ns(const struct call *call)
{
	return call->at_ns ? bpf_ktime_get_ns() - call->at_ns : 0;
}

/* Is the call that ended with `err` to be told? Counts it in every case. */
static __noinline bool exec_told(struct task_struct *task, struct call *call, s32 err)
{
	u64 took = call_took_ns(call);

	if (!wanted_task(task) || !notable(err, took))
		return false;
	if (tables_wanted())
		count_exec(task, err, took);
	return events_wanted();
}

/* What is told of success and failure alike. */
static __noinline int exec_fill(struct exec *e, struct task_struct *task, struct call *call)
{
	struct privileges now = {};

	task_fill(&e->task, task);
	BPF_CORE_READ_STR_INTO(&e->parent, task, real_parent, comm);
	e->took_ns = call_took_ns(call);
	e->dirfd = call->dirfd;
	task_privileges(task, &now);
	e->caller_euid = call->caller.euid;
	e->euid = now.euid;
	e->caller_egid = call->caller.egid;
	e->egid = now.egid;
	e->caller_caps = call->caller.caps;
	e->caps = now.caps;
	e->gained = now.euid != call->caller.euid || now.egid != call->caller.egid ||
		    now.caps & ~call->caller.caps;
	e->login_uid = task_login_uid(task);
	e->session = task_session(task);
	BPF_CORE_READ_STR_INTO(&e->tty, task_signal(task), tty, name);
	text_path(e, cwd, task_cwd(task));
	return 0;
}

static __noinline int exec_file(struct exec *e, struct file *file)
{
	struct inode *inode;
	u64 magic;

	if (DIRECT) {
		inode = direct(struct file, file)->f_inode;
		e->inode = inode->i_ino;
		e->device = inode->i_sb->s_dev;
		e->nameless = !inode->i_nlink;
		magic = inode->i_sb->s_magic;
	} else {
		inode = BPF_CORE_READ(file, f_inode);
		e->inode = BPF_CORE_READ(inode, i_ino);
		e->device = BPF_CORE_READ(inode, i_sb, s_dev);
		e->nameless = !BPF_CORE_READ(inode, i_nlink);
		magic = BPF_CORE_READ(inode, i_sb, s_magic);
	}
	if (magic == OVERLAYFS_SUPER_MAGIC)
		e->layer = overlay_layer_of(inode);
	return text_path(e, file, &file->f_path);
}

/* The arguments lie where the loader has just put them. */
static __noinline int exec_argv(struct exec *e, struct mm_struct *mm)
{
	u64 start = BPF_CORE_READ(mm, arg_start), size = BPF_CORE_READ(mm, arg_end) - start;

	u32 n = size - 1 < argv_max ? size - 1 : argv_max;

	if (!size)
		return 0;
	e->argv_bytes = size;
	if (!text_user_bytes(e, argv, (void *)start, n) && n < size - 1)
		text_was_cut(&e->argv);
	return 0;
}

/* So does the environment. */
static __noinline int exec_env(struct exec *e, struct mm_struct *mm)
{
	u64 start = BPF_CORE_READ(mm, env_start), end = BPF_CORE_READ(mm, env_end);

	e->env_cut = text_environ(e, env, start, end) != 0;
	return 0;
}

/* Of a caller that was not seen the kernel still knows who it is, and whether it was told to be careful. */
static __noinline int exec_unseen(struct exec *e, struct task_struct *task,
				  struct linux_binprm *bprm)
{
	task_real_ids(task, &e->caller_euid, &e->caller_egid);
	e->gained = BPF_CORE_READ_BITFIELD_PROBED(bprm, secureexec);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(exec_done, struct task_struct *task, int old_tid, struct linux_binprm *bprm)
{
	const char *path = BPF_CORE_READ(bprm, filename), *interp = BPF_CORE_READ(bprm, interp);
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct call call = {};
	struct exec *e;

	call_take(old_tid, &call);
	if (!exec_told(task, &call, 0))
		return 0;
	e = event_new(exec);
	if (!e)
		return 0;
	exec_fill(e, task, &call);
	if (!call.at_ns)
		exec_unseen(e, task, bprm);
	e->from_tid = old_tid;
	text_kernel(e, path, path);
	if (interp != path)
		text_kernel(e, interp, interp);
	exec_file(e, BPF_CORE_READ(mm, exe_file));
	exec_argv(e, mm);
	if (env[0])
		exec_env(e, mm);
	event_send(ctx, e);
	return 0;
}

static __noinline int exec_failed(void *ctx, s32 err)
{
	struct task_struct *task = current_task();
	u32 tid = bpf_get_current_pid_tgid();
	struct call call = {};
	struct exec *e;

	if (err >= 0)
		return 0;
	call_take(tid, &call);
	if (syscall_is_interrupted(err))
		return 0;
	if (!exec_told(task, &call, err))
		return 0;
	e = event_new(exec);
	if (!e)
		return 0;
	exec_fill(e, task, &call);
	e->err = err;
	e->from_tid = tid;
	e->unverified = true;
	text_user(e, path, call.path);
	text_user_argv(e, argv, call.argv);
	if (env[0])
		e->env_cut = text_environ_at(e, env, call.envp) != 0;
	event_send(ctx, e);
	return 0;
}

#define FAILURES OPTIONAL("execs that fail")

FAILURES SEC("tp/syscalls/sys_enter_execve") int execve_begins(struct syscall_trace_enter *ctx)
{
	return call_begins(AT_FDCWD, (void *)ctx->args[0], (void *)ctx->args[1],
			   (void *)ctx->args[2]);
}

FAILURES SEC("tp/syscalls/sys_enter_execveat") int execveat_begins(struct syscall_trace_enter *ctx)
{
	return call_begins(ctx->args[0], (void *)ctx->args[1], (void *)ctx->args[2],
			   (void *)ctx->args[3]);
}

FAILURES ALSO("syscalls/sys_exit_execveat") SEC("tp/syscalls/sys_exit_execve")
int execve_ends(struct syscall_trace_exit *ctx)
{
	return exec_failed(ctx, ctx->ret);
}

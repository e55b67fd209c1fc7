/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The trial: a child of sonda's, which alone is judged by a guard of its own, tries what is denied to it. Whatever
 * it tries would do nothing if it were let: that there is nothing to be done is found after the guard
 * was asked.
 */
#include "enforce/kernel_trial.h"

#include "abi/policy.h"
#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "bpf/elements.h"
#include "bpf/object.h"
#include "enforce/enforce.h"
#include "enforce/guard.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char rules[] =
	"rule trial\n deny kill, ptrace, inspect, mount, umount, load-module, bpf, setuid, user-namespace\n"
	"rule use\n deny use of capability sys_chroot\n"
	"rule request\n deny request-module\n";
enum { RULE_REQUEST = 2, RULES = 3 };

/* ---- in the child, whose parent is sonda ---- */

static long try_kill(void)
{
	return kill(getppid(), SIGCONT);
}

static long try_ptrace(void)
{
	long got = ptrace(PTRACE_SEIZE, getppid(), NULL, NULL);

	if (!got)
		ptrace(PTRACE_DETACH, getppid(), NULL, NULL);
	return got;
}

static long try_inspect(void)
{
	char path[64], exe[16];

	(void)!str_format(path, sizeof(path), "/proc/%d/exe", (int)getppid());
	return readlink(path, exe, sizeof(exe));
}

static long try_mount(void)
{
	return mount("none", "/", "sonda-none", 0, NULL); /* there is no such file system */
}

static long try_umount(void)
{
	return umount2("/proc", MNT_EXPIRE); /* at once only marked as to be taken away if unused */
}

static long try_load_module(void)
{
	static const char module[256]; /* none */

	return syscall(SYS_init_module, module, sizeof(module), "");
}

static long try_bpf(void)
{
	uint64_t attr[8] = { 0 };

	return syscall(SYS_bpf, 1 << 20, attr, sizeof(attr)); /* no command */
}

static long try_setuid(void)
{
	return setresuid((uid_t)-1, (uid_t)-1, 65534);
}

static long try_user_namespace(void)
{
	return unshare(CLONE_NEWUSER);
}

static long try_use(void)
{
	return chroot("/");
}

/* Those that leave the child less come last, should nothing be denied. */
static const struct {
	enum policy_kernel_operation operation;
	long (*try)(void);
} tries[] = {
	{ POLICY_KILL, try_kill },       { POLICY_PTRACE, try_ptrace },
	{ POLICY_INSPECT, try_inspect }, { POLICY_MOUNT, try_mount },
	{ POLICY_UMOUNT, try_umount },   { POLICY_LOAD_MODULE, try_load_module },
	{ POLICY_BPF, try_bpf },         { POLICY_USE, try_use },
	{ POLICY_SETUID, try_setuid },   { POLICY_USER_NAMESPACE, try_user_namespace },
};

static unsigned try_all(void)
{
	unsigned denied = 0;

	/* It can't be seen from its result: the kernel asks for a module, and does without. */
	syscall(SYS_fsopen, "sonda-none", 0);
	for (size_t i = 0; i < ARRAY_LEN(tries); i++)
		if (tries[i].try() < 0 && (errno == EPERM || errno == EACCES))
			denied |= tries[i].operation;
	return denied;
}

/* ---- and its parent ---- */

struct trial {
	pid_t child;
	int go[2], result[2]; /* pipes to the child and from it */
};

static void child_run(struct trial *t)
{
	unsigned denied;
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd_close(&t->go[1]);
	if (read(t->go[0], &byte, 1) != 1)
		_exit(1);
	denied = try_all();
	_exit(write(t->result[1], &denied, sizeof(denied)) != sizeof(denied));
}

static int child_begin(struct trial *t, struct err *e)
{
	if (pipe2(t->go, O_CLOEXEC) || pipe2(t->result, O_CLOEXEC))
		return fail(e, errno, "pipe: %s", strerror(errno));
	t->child = fork();
	if (t->child < 0)
		return fail(e, errno, "fork: %s", strerror(errno));
	if (!t->child)
		child_run(t);
	fd_close(&t->result[1]);
	return 0;
}

static void child_end(struct trial *t)
{
	for (int i = 0; i < 2; i++) {
		fd_close(&t->go[i]);
		fd_close(&t->result[i]);
	}
	if (t->child > 0)
		waitpid(t->child, NULL, 0);
}

/* Rules that are in force at once, in maps that nobody else has. */
static int trial_arm(const struct object *o, struct err *e)
{
	struct policy_rule_row row = { .name = "trial", .mode = POLICY_ENFORCE };
	uint64_t word = POLICY_HOLDS(0);
	auto_ptr(policy) policy = NULL;
	uint32_t zero = 0;

	if (policy_parse("trial", rules, &policy, e) < 0 ||
	    kernel_guard_fill(o, policy, 0, true, e) < 0)
		return -e->code;
	for (uint32_t n = 0; n < RULES; n++) {
		row.slot = n;
		if (map_set(object_map_fd(o, "policy_rules"), "the rules", &n, &row, e) < 0)
			return -e->code;
	}
	return map_set(object_map_fd(o, "policy_state"), "the state", &zero, &word, e);
}

static const char *method_of(const struct object *o)
{
	struct object_slot slot;

	for (size_t i = 0; i < object_slot_count(o); i++) {
		object_slot(o, i, &slot);
		if (str_eq(slot.name, "kills"))
			return slot.rank == 1 ? "lsm" : "fmod_ret";
	}
	return "";
}

/* Has the rule refused anything? */
static bool has_refused(const struct object *o, uint32_t rule)
{
	struct policy_count count = { 0 };

	return map_sum(object_map_fd(o, "policy_counts"), &rule, (uint64_t *)&count,
		       sizeof(count) / sizeof(uint64_t)) &&
	       count.refused;
}

static int trial_run(struct object *o, struct trial *t, struct kernel_trial *ret, struct err *e)
{
	if (child_begin(t, e) < 0 ||
	    object_var_set_u64(o, "trial_pid", (uint64_t)t->child, e) < 0 ||
	    object_load(o, NULL, e) < 0 || trial_arm(o, e) < 0)
		return -e->code;
	if (write(t->go[1], "", 1) != 1 ||
	    read(t->result[0], &ret->denied, sizeof(ret->denied)) != sizeof(ret->denied))
		return fail(e, EIO, "the process that tries what is denied has ended");
	if (has_refused(o, RULE_REQUEST))
		ret->denied |= POLICY_REQUEST_MODULE;
	ret->method = method_of(o);
	return 0;
}

int kernel_trial(struct kernel_trial *ret, struct err *e)
{
	static struct kernel_trial known;
	struct trial t = { .go = { -1, -1 }, .result = { -1, -1 } };
	struct object *o;
	void *handle;
	int err;

	if (!known.method) {
		if (guard_source->open("guard.kernel", &handle, &o, e) < 0)
			return -e->code;
		err = trial_run(o, &t, &known, e);
		child_end(&t);
		guard_source->close(handle);
		if (err < 0)
			return err;
	}
	*ret = known;
	return 0;
}

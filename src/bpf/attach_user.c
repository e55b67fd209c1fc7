/* SPDX-License-Identifier: BSD-2-Clause */
/* Attaching to programs in user space, and to samples: uprobes, USDT, perf events. */
#include "bpf/attach.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/perf_event.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "bpf/binaries.h"

enum { TARGET_MAX = 512 };

/* Cuts "a:b:c" at its last colons into `count` parts; the first may hold colons itself (a path). */
static bool target_split(char *text, char **parts, unsigned count)
{
	for (unsigned i = count - 1; i; i--) {
		char *colon = strrchr(text, ':');

		if (!colon || colon == text || !colon[1])
			return false;
		*colon = '\0';
		parts[i] = colon + 1;
	}
	parts[0] = text;
	return true;
}

static int user_refused(const struct attach_spec *spec, unsigned nth, const char *what,
			const char *binary, int code, struct err *e)
{
	if (code == ENOENT && spec->each)
		return fail_as(e, EXIT_USAGE, code, "%s of %s: not found", what, binary);
	if (code == ENOTUNIQ)
		return fail_as(e, EXIT_USAGE, code,
			       "%s of %s: several functions have that name (BINARY:0xOFFSET says which)",
			       what, binary);
	if (nth && code == EOPNOTSUPP)
		return fail_as(e, EXIT_KERNEL, EINVAL,
			       "this kernel can't tell several functions apart (it takes 5.15)");
	return fail(e, code, "%s of %s: %s", what, binary,
		    code == ENOENT ? "not found" : strerror(code));
}

/* The way that find_uprobe() chose. A link for each place: libbpf takes those of one file only. */
static struct bpf_link *uprobe_link(const struct attach_spec *spec, uint64_t cookie,
				    const struct binary_place *place, bool is_return)
{
	LIBBPF_OPTS(bpf_uprobe_opts, one, .retprobe = is_return, .bpf_cookie = cookie);
	LIBBPF_OPTS(bpf_uprobe_multi_opts, multi, .retprobe = is_return, .cnt = 1);
	const unsigned long offset = place->offset;
	const __u64 cookies = cookie;

	if (bpf_program__expected_attach_type(spec->program) != BPF_TRACE_UPROBE_MULTI)
		return bpf_program__attach_uprobe_opts(spec->program, -1, place->path, offset,
						       &one);
	multi.offsets = &offset;
	multi.cookies = &cookies;
	return bpf_program__attach_uprobe_multi(spec->program, -1, place->path, NULL, &multi);
}

/* "BINARY:FUNCTION", "BINARY:FUNCTION+0x10", "BINARY:0x1130". */
static int uprobe_one(const struct attach_spec *spec, unsigned nth, char *target, bool is_return,
		      struct links *links, struct err *e)
{
	struct binary_place place;
	struct bpf_link *link;
	char *part[2];
	int err;

	if (!target_split(target, part, 2))
		return fail_as(e, EXIT_USAGE, EINVAL, "'%s' is not BINARY:FUNCTION", target);
	err = binary_place_find(part[0], part[1], &place);
	if (err)
		return user_refused(spec, nth, part[1], part[0], -err, e);
	link = uprobe_link(spec, spec->each ? nth : 0, &place, is_return);
	if (!link)
		return user_refused(spec, nth, part[1], part[0], errno, e);
	links_add(links, link);
	return 0;
}

/* "A B:f": the function of a target that is only a file is that of the next that names one. */
static bool any_target(const struct attach_spec *spec, unsigned nth, char *target, size_t size)
{
	char next[TARGET_MAX], file[TARGET_MAX];
	const char *colon;

	if (!spec_target(spec, nth, target, size))
		return false;
	str_copy(next, sizeof(next), target);
	while (!strchr(next, ':'))
		if (!spec_target(spec, ++nth, next, sizeof(next)))
			return true;
	colon = strrchr(next, ':');
	str_copy(file, sizeof(file), target);
	return strchr(target, ':') || str_format(target, size, "%s%s", file, colon);
}

/* A path that is not there is a mistake, a library that is not installed is none. */
static int path_check(const char *target, struct err *e)
{
	char path[TARGET_MAX];

	str_format(path, sizeof(path), "%.*s", (int)strcspn(target, ":"), target);
	if (!strchr(path, '/') || !access(path, F_OK))
		return 0;
	return fail_as(e, EXIT_USAGE, errno, "%s: %s", path, strerror(errno));
}

/* Those that are there. */
static int uprobe_any(const struct attach_spec *spec, bool is_return, struct links *links,
		      struct err *e)
{
	size_t before = links->len;
	char target[TARGET_MAX];
	int err;

	for (unsigned i = 0; any_target(spec, i, target, sizeof(target)); i++) {
		err = path_check(target, e);
		if (!err)
			err = uprobe_one(spec, i, target, is_return, links, e);
		if (err && (e->exit_class == EXIT_USAGE || e->code != ENOENT))
			return err;
	}
	if (links->len > before)
		return 0;
	fail_as(e, EXIT_KERNEL, ENOENT, "none of these is here: %s", spec->targets);
	return hint(e, "a parameter of the probe names other files (`sonda list` shows it)");
}

/* The first of the targets that is there, or each. */
static int uprobe_add(const struct attach_spec *spec, bool is_return, struct links *links,
		      struct err *e)
{
	char target[TARGET_MAX];
	int err;

	if (spec->any)
		return uprobe_any(spec, is_return, links, e);
	if (spec->each && !*spec->targets)
		return 0; /* the probe REQUIRES them; only `check` goes without */
	err = fail(e, EINVAL, "uprobe: no BINARY:FUNCTION is named");
	for (unsigned i = 0; spec_target(spec, i, target, sizeof(target)); i++) {
		err = uprobe_one(spec, i, target, is_return, links, e);
		if (!err != spec->each)
			break;
	}
	return err;
}

int attach_uprobe(const struct attach_spec *spec, struct links *links, struct err *e)
{
	return uprobe_add(spec, false, links, e);
}

int attach_uretprobe(const struct attach_spec *spec, struct links *links, struct err *e)
{
	return uprobe_add(spec, true, links, e);
}

/* "BINARY:PROVIDER:NAME" */
static int usdt_one(const struct attach_spec *spec, unsigned nth, char *target, struct links *links,
		    struct err *e)
{
	LIBBPF_OPTS(bpf_usdt_opts, opts, .usdt_cookie = nth);
	struct bpf_link *link;
	char *part[3];

	if (!target_split(target, part, 3))
		return fail_as(e, EXIT_USAGE, EINVAL, "'%s' is not BINARY:PROVIDER:NAME", target);
	link = bpf_program__attach_usdt(spec->program, -1, part[0], part[1], part[2], &opts);
	if (!link)
		return user_refused(spec, 0, part[2], part[0], errno, e);
	links_add_in_turn(links, link); /* libbpf notes in one list which it has taken away */
	return 0;
}

/* Holds the kernel's links of a program besides libbpf, which has those of a mark inside its own: so libbpf
 * has not to wait for any of them. */
static void links_hold(const struct bpf_program *program, struct links *links)
{
	struct bpf_prog_info own = { 0 };
	__u32 id = 0, len = sizeof(own);

	if (bpf_prog_get_info_by_fd(bpf_program__fd(program), &own, &len))
		return;
	while (!bpf_link_get_next_id(id, &id)) {
		struct bpf_link_info info = { 0 };
		auto_close int fd = bpf_link_get_fd_by_id(id);

		len = sizeof(info);
		if (fd >= 0 && !bpf_link_get_info_by_fd(fd, &info, &len) && info.prog_id == own.id)
			links_add_fd(links, TAKE_FD(fd));
	}
}

/* The first of the targets, or each. */
int attach_usdt(const struct attach_spec *spec, struct links *links, struct err *e)
{
	char target[TARGET_MAX];
	int err;

	if (spec->each && !*spec->targets)
		return 0;
	err = fail(e, EINVAL, "usdt: no BINARY:PROVIDER:NAME is named");
	for (unsigned i = 0; spec_target(spec, i, target, sizeof(target)); i++) {
		err = usdt_one(spec, i, target, links, e);
		if (!err != spec->each)
			break;
	}
	links_hold(spec->program, links);
	return err;
}

/* clang-format off */
static const struct {
	const char *name;
	unsigned type;
	uint64_t config;
} samplers[] = {
	{ "cpu-clock",        PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK },
	{ "task-clock",       PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK },
	{ "page-faults",      PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS },
	{ "minor-faults",     PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS_MIN },
	{ "major-faults",     PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS_MAJ },
	{ "context-switches", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CONTEXT_SWITCHES },
	{ "cpu-migrations",   PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_MIGRATIONS },
	{ "cycles",           PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES },
	{ "instructions",     PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS },
	{ "cache-misses",     PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_MISSES },
	{ "branch-misses",    PERF_TYPE_HARDWARE, PERF_COUNT_HW_BRANCH_MISSES },
};
/* clang-format on */

static int sampler_find(const char *name, struct perf_event_attr *attr)
{
	for (size_t i = 0; i < ARRAY_LEN(samplers); i++) {
		if (!str_eq(samplers[i].name, name))
			continue;
		attr->type = samplers[i].type;
		attr->config = samplers[i].config;
		return 0;
	}
	return -1;
}

/* One event per CPU that is online. */
static int samples_add(const struct attach_spec *spec, struct perf_event_attr *attr,
		       const char *name, struct links *links, struct err *e)
{
	int cpus = libbpf_num_possible_cpus();
	size_t before = links->len;

	for (int cpu = 0; cpu < cpus; cpu++) {
		auto_close int fd =
			(int)syscall(SYS_perf_event_open, attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
		struct bpf_link *link;

		if (fd < 0 && errno == ENODEV) /* offline */
			continue;
		if (fd < 0)
			return fail(e, errno, "samples of %s: %s", name,
				    errno == ENOENT || errno == EOPNOTSUPP
					    ? "this machine has no such counter"
					    : strerror(errno));
		link = bpf_program__attach_perf_event(spec->program, fd);
		if (!link)
			return fail(e, errno, "samples of %s: %s", name, strerror(errno));
		(void)TAKE_FD(fd);
		links_add(links, link);
	}
	return links->len > before ? 0 : fail(e, ENODEV, "no CPU to sample");
}

/* "EVENT:HZ", "cpu-clock:99": so many samples a second on each CPU. "EVENT:each": every single one. */
int attach_perf_event(const struct attach_spec *spec, struct links *links, struct err *e)
{
	struct perf_event_attr attr = { .size = sizeof(attr), .freq = 1 };
	char target[TARGET_MAX], *part[2];

	if (!spec_target(spec, 0, target, sizeof(target)))
		str_copy(target, sizeof(target), "cpu-clock:99");
	if (!target_split(target, part, 2) || sampler_find(part[0], &attr) < 0)
		return fail(e, EINVAL, "perf_event '%s': not EVENT:HZ, such as cpu-clock:99",
			    target);
	if (str_eq(part[1], "each")) {
		attr.freq = 0;
		attr.sample_period = 1;
		return samples_add(spec, &attr, part[0], links, e);
	}
	attr.sample_freq = strtoull(part[1], NULL, 10);
	if (!attr.sample_freq)
		return fail(e, EINVAL, "perf_event: '%s' samples a second", part[1]);
	return samples_add(spec, &attr, part[0], links, e);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions, memory and time of a loaded object. */
#include "bpf/weight.h"

#include <errno.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "base/err.h"
#include "base/fdinfo.h"
#include "base/str.h"
#include "bpf/parts.h"
#include "bpf/programs.h"

static bool info_read(const struct program_part *p, struct bpf_prog_info *info)
{
	__u32 len = sizeof(*info);

	*info = (struct bpf_prog_info){ 0 };
	return p->told.state == PROGRAM_USED &&
	       !bpf_prog_get_info_by_fd(bpf_program__fd(p->handle), info, &len);
}

void object_weigh(const struct object *o, struct object_weight *ret_weight)
{
	struct object_weight w = { 0 };

	vec_for_each(p, &o->programs) {
		struct bpf_prog_info info;

		if (!info_read(p, &info))
			continue;
		w.programs++;
		w.insns_are_code |= !info.verified_insns;
		w.insns += info.verified_insns ? info.verified_insns
					       : info.xlated_prog_len / sizeof(struct bpf_insn);
		w.program_bytes += fdinfo_own(bpf_program__fd(p->handle), "memlock:");
	}
	vec_for_each(m, &o->maps) {
		int fd = object_map_fd(o, m->told.name);

		if (fd >= 0)
			w.map_bytes += fdinfo_own(fd, "memlock:");
	}
	*ret_weight = w;
}

int object_run_ns(const struct object *o, const char *slot, work_fn *work, void *ctx,
		  uint64_t *ret_ns, struct err *e)
{
	struct bpf_prog_info before = { 0 }, after = { 0 };
	auto_close int stats = -1;
	uint64_t floor_ns, runs, ns;

	if (programs_stats_floor(&floor_ns, e) < 0 || programs_stats_on(&stats, e) < 0)
		return -e->code;
	vec_for_each(p, &o->programs) {
		if (!str_eq(p->told.slot, slot) || !info_read(p, &before))
			continue;
		work(ctx);
		(void)info_read(p, &after);
		break;
	}
	runs = after.run_cnt - before.run_cnt;
	if (!runs)
		return fail(e, ENOENT, "'%s': the program of '%s' did not run", o->name, slot);
	ns = (after.run_time_ns - before.run_time_ns) / runs;
	*ret_ns = ns > floor_ns ? ns - floor_ns : 0;
	return 0;
}

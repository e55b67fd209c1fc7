/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What file systems do behind a write or an fsync, and wait for: ext4's journal commits with their
 * phases, its fast commits and block allocations; btrfs' transaction commits and waits for space; xfs'
 * writes of its log and waits for room in it. Each file system's part is there when its tracepoints are.
 */
#include "sonda.bpf.h"

#include "kernel/journal.h"

PROBE(journal, "fs",
      "What ext4, btrfs and xfs do and wait for inside: commits, allocations, log space");
FILTERS("task errors min");

enum journal_fs { JOURNAL_FS_NONE, JOURNAL_FS_EXT4, JOURNAL_FS_BTRFS, JOURNAL_FS_XFS };
enum journal_op {
	JOURNAL_OP_COMMIT,
	JOURNAL_OP_FAST_COMMIT,
	JOURNAL_OP_ALLOCATE,
	JOURNAL_OP_BUFFER_WAIT,
	JOURNAL_OP_SPACE_WAIT,
	JOURNAL_OP_LOG_WAIT,
};

EVENT(journal, "A file system did, or waited for, something inside")
{
	struct task task; /* of a commit the file system's own thread, of a wait who waits */
	enum journal_fs fs DOC("file system; ext4 also where another one uses its journal");
	u32 device KIND("device") DOC("device of the file system");
	enum journal_op op DOC("what: commit: a transaction to the journal, of xfs a write of its log; "
			       "fast_commit: ext4's short form; allocate: blocks; buffer_wait: for a buffer of the journal; "
			       "space_wait: for free space; log_wait: for room in the log");
	s32 err KIND("errno") DOC("why it failed");
	s64 took_ns KIND("duration") DOC("time it took; -1: not known");
	u64 locked_ns KIND("duration")
		DOC("of a commit: waiting for those who still change something");
	u64 flushing_ns KIND("duration") DOC("of a commit: writing the files' data first");
	u64 logging_ns KIND("duration") DOC("of a commit: writing the journal");
	u32 handles HIDE DOC("of a commit: operations in it");
	u32 blocks HIDE DOC("of a commit: blocks written to the journal");
};

struct journal_labels {
	enum journal_fs fs DOC("file system");
	u32 device KIND("device") DOC("device of the file system");
	enum journal_op op DOC("what was done or waited for");
	u32 pid KIND("pid") HIDE DOC("process");
	char comm[16] KIND("comm") HIDE DOC("command name of the thread");
};
struct journal_values {
	u64 times COUNTER DOC("how often");
	u64 errors COUNTER DOC("of them failed");
	HIST_LOG2(took_ns, 38, UNIT("ns") DOC("time it took"));
};
METRICS(steps, struct journal_labels, struct journal_values, 4096,
	"What file systems did and waited for");

/* A step under way in a thread, and what becomes known of it. */
struct step {
	u64 at_ns;
	u64 locked_ns, flushing_ns, logging_ns; /* when each phase began */
	s64 took_ns;
	u32 fs, op, device;
	s32 err;
	u32 handles, blocks;
};
struct step_key {
	u64 of; /* the thread; where it ends elsewhere, what it is about */
	u64 op;
};
/* LRU: an allocation that a quota refuses has no end. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct step_key);
	__type(value, struct step);
} underway SEC(".maps");

static __always_inline u64 this_thread(void)
{
	return (u32)bpf_get_current_pid_tgid();
}

static __noinline int step_of_begins(u64 of, u32 fs, u32 op, u32 device)
{
	struct step_key key = { .of = of, .op = op };
	struct step step = { .at_ns = bpf_ktime_get_ns(), .fs = fs, .op = op, .device = device };

	if (bpf_map_update_elem(&underway, &key, &step, BPF_ANY))
		count_lost(LOSS_STATE);
	return 0;
}

static __always_inline int step_begins(u32 fs, u32 op, u32 device)
{
	return step_of_begins(this_thread(), fs, op, device);
}

static __always_inline struct step *step_underway(u32 op)
{
	struct step_key key = { .of = this_thread(), .op = op };

	return bpf_map_lookup_elem(&underway, &key);
}

static __always_inline void count_step(const struct step *step)
{
	struct journal_labels key = {};
	struct journal_values *row;

	if (label(steps, 0))
		key.fs = step->fs;
	if (label(steps, 1))
		key.device = step->device;
	if (label(steps, 2))
		key.op = step->op;
	if (label(steps, 3))
		key.pid = bpf_get_current_pid_tgid() >> 32;
	if (label(steps, 4))
		bpf_get_current_comm(key.comm, sizeof(key.comm));
	row = row_of(steps, &key);
	if (!row)
		return;
	add(row->times, 1);
	if (step->err < 0)
		add(row->errors, 1);
	if (step->took_ns >= 0)
		observe(row->took_ns, step->took_ns);
}

static __always_inline void tell_step(void *ctx, const struct step *step)
{
	struct journal *e = event_new(journal);

	if (!e)
		return;
	task_now(&e->task);
	e->fs = step->fs;
	e->device = step->device;
	e->op = step->op;
	e->err = step->err;
	e->took_ns = step->took_ns;
	if (step->logging_ns && step->took_ns >= 0) {
		e->locked_ns = step->flushing_ns - step->locked_ns;
		e->flushing_ns = step->logging_ns - step->flushing_ns;
		e->logging_ns = step->at_ns + step->took_ns - step->logging_ns;
	}
	e->handles = step->handles;
	e->blocks = step->blocks;
	event_send(ctx, e);
}

static __noinline int step_done(void *ctx, const struct step *step)
{
	if (!step || !wanted() || !notable(step->err, step->took_ns < 0 ? 0 : step->took_ns))
		return 0;
	if (tables_wanted())
		count_step(step);
	if (events_wanted())
		tell_step(ctx, step);
	return 0;
}

static __always_inline int step_of_ends(void *ctx, u64 of, u32 op, s32 err)
{
	struct step_key key = { .of = of, .op = op };
	struct step done, *step = bpf_map_lookup_elem(&underway, &key);

	if (!step)
		return 0;
	done = *step;
	bpf_map_delete_elem(&underway, &key);
	done.took_ns = bpf_ktime_get_ns() - done.at_ns;
	done.err = err;
	return step_done(ctx, &done);
}

static __always_inline int step_ends(void *ctx, u32 op, s32 err)
{
	return step_of_ends(ctx, this_thread(), op, err);
}

/* What is told only when it is over. */
static __always_inline int step_was(void *ctx, u32 fs, u32 op, u32 device, s64 took_ns, s32 err)
{
	struct step step = { .fs = fs, .op = op, .device = device, .took_ns = took_ns, .err = err };

	return step_done(ctx, &step);
}

/* clang-format off */
/*
 * What the tracepoint of a module is given may be NULL to the verifier since 6.13 (838a10bd2ebf), and to
 * later 6.12: it is looked at before anything is read from it.
 */

/* --- ext4's journal --- */

#define JBD2 OPTIONAL("journal commits of ext4") NEED("tp jbd2/jbd2_start_commit")

ALT(jbd2, 1) JBD2 SEC("?tp_btf/jbd2_start_commit")
int BPF_PROG(commit_begins, struct journal_s *journal)
{
	if (!journal)
		return 0;
	return step_begins(JOURNAL_FS_EXT4, JOURNAL_OP_COMMIT, journal_device(journal));
}

ALT(jbd2, 1) JBD2 SEC("?tp_btf/jbd2_commit_locking")
int BPF_PROG(commit_locks, struct journal_s *journal)
{
	struct step *step = step_underway(JOURNAL_OP_COMMIT);

	if (step)
		step->locked_ns = bpf_ktime_get_ns();
	return 0;
}

ALT(jbd2, 1) JBD2 SEC("?tp_btf/jbd2_commit_flushing")
int BPF_PROG(commit_flushes, struct journal_s *journal)
{
	struct step *step = step_underway(JOURNAL_OP_COMMIT);

	if (step)
		step->flushing_ns = bpf_ktime_get_ns();
	return 0;
}

ALT(jbd2, 1) JBD2 SEC("?tp_btf/jbd2_commit_logging")
int BPF_PROG(commit_logs, struct journal_s *journal)
{
	struct step *step = step_underway(JOURNAL_OP_COMMIT);

	if (step)
		step->logging_ns = bpf_ktime_get_ns();
	return 0;
}

ALT(jbd2, 1) JBD2 SEC("?tp_btf/jbd2_run_stats")
int BPF_PROG(commit_stats, u32 device, u64 tid, struct transaction_run_stats_s *stats)
{
	struct step *step = step_underway(JOURNAL_OP_COMMIT);

	if (!step || !stats)
		return 0;
	step->handles = BPF_CORE_READ(stats, rs_handle_count);
	step->blocks = BPF_CORE_READ(stats, rs_blocks_logged);
	return 0;
}

ALT(jbd2, 1) JBD2 SEC("?tp_btf/jbd2_end_commit")
int BPF_PROG(commit_ends, struct journal_s *journal)
{
	return journal ? step_ends(ctx, JOURNAL_OP_COMMIT, BPF_CORE_READ(journal, j_errno)) : 0;
}

OPTIONAL("waits for buffers of ext4's journal")
NEED("tp jbd2/jbd2_lock_buffer_stall")
SEC("?tp_btf/jbd2_lock_buffer_stall")
int BPF_PROG(buffer_stalls, u32 device, u64 stall_ms)
{
	return step_was(ctx, JOURNAL_FS_EXT4, JOURNAL_OP_BUFFER_WAIT, device, stall_ms * 1000000, 0);
}

/* --- ext4 --- */

#define FAST_COMMIT OPTIONAL("fast commits of ext4") NEED("tp ext4/ext4_fc_commit_start")

ALT(fast_commit, 1) FAST_COMMIT SEC("?tp_btf/ext4_fc_commit_start")
int BPF_PROG(fast_commit_begins, struct super_block *sb)
{
	if (!sb)
		return 0;
	return step_begins(JOURNAL_FS_EXT4, JOURNAL_OP_FAST_COMMIT, BPF_CORE_READ(sb, s_dev));
}

ALT(fast_commit, 1) FAST_COMMIT SEC("?tp_btf/ext4_fc_commit_stop")
int BPF_PROG(fast_commit_ends, struct super_block *sb)
{
	return step_ends(ctx, JOURNAL_OP_FAST_COMMIT, 0);
}

#define ALLOCATION OPTIONAL("block allocations of ext4") NEED("tp ext4/ext4_request_blocks")

ALT(allocation, 1) ALLOCATION SEC("?tp_btf/ext4_request_blocks")
int BPF_PROG(allocation_begins, struct ext4_allocation_request *request)
{
	if (!request)
		return 0;
	return step_begins(JOURNAL_FS_EXT4, JOURNAL_OP_ALLOCATE,
			   BPF_CORE_READ(request, inode, i_sb, s_dev));
}

ALT(allocation, 1) ALLOCATION SEC("?tp_btf/ext4_allocate_blocks")
int BPF_PROG(allocation_ends, struct ext4_allocation_request *request, u64 block)
{
	return step_ends(ctx, JOURNAL_OP_ALLOCATE, block ? 0 : -ENOSPC);
}

/* --- btrfs --- */

OPTIONAL("transaction commits of btrfs")
NEED("tp btrfs/btrfs_transaction_commit")
SEC("?tp_btf/btrfs_transaction_commit")
int BPF_PROG(btrfs_commits, void *info)
{
	if (!info)
		return 0;
	return step_was(ctx, JOURNAL_FS_BTRFS, JOURNAL_OP_COMMIT, btrfs_device(info), -1, 0);
}

OPTIONAL("waits for free space of btrfs")
NEED("tp btrfs/btrfs_reserve_ticket")
SEC("?tp_btf/btrfs_reserve_ticket")
int BPF_PROG(btrfs_reserves, struct btrfs_fs_info *info, u64 flags, u64 bytes, u64 start_ns, int flush,
	     int err)
{
	if (!info)
		return 0;
	return step_was(ctx, JOURNAL_FS_BTRFS, JOURNAL_OP_SPACE_WAIT,
			BPF_CORE_READ(info, sb, s_dev), bpf_ktime_get_ns() - start_ns, err);
}

/* --- xfs --- */

#define XFS_LOG OPTIONAL("waits for room in the log of xfs") NEED("tp xfs/xfs_log_grant_sleep")

ALT(xfs_log, 1) XFS_LOG SEC("?tp_btf/xfs_log_grant_sleep")
int BPF_PROG(log_sleeps, struct xlog *log)
{
	if (!log)
		return 0;
	return step_begins(JOURNAL_FS_XFS, JOURNAL_OP_LOG_WAIT,
			   BPF_CORE_READ(log, l_mp, m_super, s_dev));
}

ALT(xfs_log, 1) XFS_LOG SEC("?tp_btf/xfs_log_grant_wake")
int BPF_PROG(log_wakes, struct xlog *log)
{
	return step_ends(ctx, JOURNAL_OP_LOG_WAIT, 0);
}

#define XFS_WRITE OPTIONAL("writes of xfs' log") NEED("tp xfs/xlog_iclog_sync")

ALT(xfs_write, 1) XFS_WRITE SEC("?tp_btf/xlog_iclog_sync")
int BPF_PROG(log_write_begins, struct xlog_in_core *iclog)
{
	if (!iclog)
		return 0;
	return step_of_begins((u64)iclog, JOURNAL_FS_XFS, JOURNAL_OP_COMMIT,
			      BPF_CORE_READ(iclog, ic_log, l_mp, m_super, s_dev));
}

ALT(xfs_write, 1) XFS_WRITE SEC("?tp_btf/xlog_iclog_sync_done")
int BPF_PROG(log_write_ends, struct xlog_in_core *iclog)
{
	return step_of_ends(ctx, (u64)iclog, JOURNAL_OP_COMMIT, 0);
}
/* clang-format on */

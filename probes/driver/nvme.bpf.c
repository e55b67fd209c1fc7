/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Commands that NVMe controllers were given: what became of each and how long it took, from the
 * moment the driver made it until it had the result. A command that is tried again counts each time.
 *
 * A timeout shows as admin_abort, sent by the driver; a reset of the controller as host_aborted, the
 * status of what it was doing then, and as the admin commands that set the queues up anew. The first of
 * these is counted as the reset, the abort as the timeout.
 */
#include "sonda.bpf.h"

#include "kernel/nvme.h"

PROBE(nvme, "driver", "NVMe commands: results and latency by controller and queue");
FILTERS("errors min");

EVENT(nvme, "An NVMe command ended") {
	u32 controller DOC("number N of /dev/nvmeN");
	u32 queue DOC("of the controller; 0 for admin commands");
	enum nvme_name command DOC("operation; those for the controller itself begin with admin");
	enum nvme_status status DOC("how it ended; a number where it is none of the common ones");
	u32 device KIND("device") DOC("the disk; 0:0 for admin commands");
	u32 namespace DOC("number of the part of the controller's memory that is the disk") HIDE;
	u32 command_id DOC("the command's number in its queue") HIDE;
	u32 retries DOC("times that it had been tried before");
	u64 sector KIND("sector") DOC("where on the disk");
	u64 size_bytes KIND("bytes") DOC("size of its data");
	u64 took_ns KIND("duration") DOC("with driver and controller");
};

struct nvme_labels {
	u32 controller DOC("number N of /dev/nvmeN");
	u32 queue HIDE DOC("of the controller; 0 for admin commands");
	enum nvme_name command DOC("operation");
	enum nvme_status status DOC("how it ended");
};
struct nvme_values {
	u64 commands COUNTER DOC("commands ended");
	u64 errors COUNTER DOC("of them those that failed");
	u64 retries COUNTER DOC("of them those that had been tried before");
	u64 resets COUNTER DOC("times that the driver set the controller up: after a reset, or as a new one");
	u64 timeouts COUNTER DOC("commands that it asked the controller to abort, as they took too long");
	u64 bytes COUNTER UNIT("bytes") DOC("data of those that did not fail");
	HIST_LOG2(took_ns, 40, UNIT("ns") DOC("time with driver and controller"));
};
METRICS(nvme, struct nvme_labels, struct nvme_values, 4096, "NVMe commands");

/* Between the making of a command and its end. */
struct command {
	u64 began_ns;
	u64 sector;
	u32 size_bytes;
	u32 name; /* enum nvme_name */
	u32 namespace;
	u32 command_id;
	u64 sets_up; /* 1: it is the one by which the driver sets the controller up */
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, u64); /* struct request */
	__type(value, struct command);
} commands SEC(".maps");

SEC("tp_btf/nvme_setup_cmd")
int BPF_PROG(command_made, struct request *rq, struct nvme_command *cmd)
{
	u64 key = (u64)rq;
	struct command made = { .began_ns = bpf_ktime_get_ns() };

	if (!rq || !cmd) /* to the verifier they may be, where the driver is a module: since 6.13 */
		return 0;
	made.sector = rq->bio ? rq->__sector : 0;
	made.size_bytes = rq->__data_len;
	made.name = cmd->common.opcode | (nvme_queue_of(rq) ? 0 : NVME_ADMIN);
	made.namespace = cmd->common.nsid;
	made.command_id = cmd->common.command_id;
	made.sets_up = made.name == (NVME_ADMIN | NVME_SET_FEATURES) &&
		       (cmd->common.cdw10 & 0xff) == NVME_QUEUE_COUNT;
	if (bpf_map_update_elem(&commands, &key, &made, BPF_ANY))
		count_lost(LOSS_STATE);
	return 0;
}

static __always_inline void count_command(struct request *rq, const struct command *c,
					  const struct nvme_outcome *outcome, u64 took_ns)
{
	struct nvme_labels key = {};
	struct nvme_values *row;

	if (label(nvme, 0))
		key.controller = outcome->controller;
	if (label(nvme, 1))
		key.queue = nvme_queue_of(rq);
	if (label(nvme, 2))
		key.command = c->name;
	if (label(nvme, 3))
		key.status = outcome->status;
	row = row_of(nvme, &key);
	if (!row)
		return;
	add(row->commands, 1);
	if (outcome->status)
		add(row->errors, 1);
	else
		add(row->bytes, c->size_bytes);
	if (outcome->retries)
		add(row->retries, 1);
	add(row->resets, c->sets_up);
	if (c->name == (NVME_ADMIN | NVME_ABORT))
		add(row->timeouts, 1);
	observe(row->took_ns, took_ns);
}

static __always_inline void tell_command(void *ctx, struct request *rq, const struct command *c,
					 const struct nvme_outcome *outcome, u64 took_ns)
{
	struct nvme *e = event_new(nvme);

	if (!e)
		return;
	e->controller = outcome->controller;
	e->queue = nvme_queue_of(rq);
	e->command = c->name;
	e->status = outcome->status;
	e->device = request_device(rq);
	e->namespace = c->namespace;
	e->command_id = c->command_id;
	e->retries = outcome->retries;
	e->sector = c->name & NVME_ADMIN ? 0 : c->sector;
	e->size_bytes = c->size_bytes;
	e->took_ns = took_ns;
	event_send(ctx, e);
}

SEC("tp_btf/nvme_complete_rq") int BPF_PROG(command_ended, struct request *rq)
{
	u64 key = (u64)rq, took_ns;
	struct command *c = bpf_map_lookup_elem(&commands, &key);
	struct nvme_outcome outcome;

	if (!rq || !c)
		return 0; /* made before this watched */
	nvme_outcome(rq, &outcome);
	took_ns = bpf_ktime_get_ns() - c->began_ns;
	if (notable(outcome.status ? -EIO : 0, took_ns)) {
		if (tables_wanted())
			count_command(rq, c, &outcome, took_ns);
		if (events_wanted())
			tell_command(ctx, rq, c, &outcome, took_ns);
	}
	bpf_map_delete_elem(&commands, &key);
	return 0;
}

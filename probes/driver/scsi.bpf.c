/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Commands that SCSI hosts were given (also SATA, USB and virtio-scsi disks): what became of each and
 * how long it took. A command ends once: by the device's answer, by the host's driver that refuses it,
 * or by its time being up; what is tried again counts each time. When aborting it didn't help the host stops
 * and its error handler resets the device, or what lies above it: that is told of the host.
 */
#include "sonda.bpf.h"

#include "kernel/scsi.h"

PROBE(scsi, "driver", "SCSI commands: results, sense and latency by host and device");
FILTERS("errors min");

/* "1:0:3:0" of lsscsi and the kernel's log */
struct scsi_address {
	u32 host DOC("number N of /sys/class/scsi_host/hostN");
	u32 channel HIDE DOC("of the host");
	u32 target DOC("on the channel");
	u32 lun DOC("logical unit of the target");
};

EVENT(scsi, "A SCSI command ended") {
	struct scsi_address address;
	u32 device KIND("device") DOC("the disk, where the kernel tells (from 5.11 on)");
	enum scsi_name command DOC("operation");
	enum scsi_result result DOC("what the device said, or why it said nothing");
	enum scsi_sense sense DOC("with check_condition: kind of trouble");
	u16 sense_code KIND("hex") HIDE DOC("with check_condition: code and qualifier of the trouble");
	u64 block DOC("of a read or write: first of the device's blocks");
	u32 blocks DOC("of a read or write: how many");
	u64 took_ns KIND("duration") DOC("with the host's driver and the device");
};

struct scsi_labels {
	u32 host DOC("number N of /sys/class/scsi_host/hostN");
	u32 channel HIDE DOC("of the host");
	u32 target DOC("on the channel");
	u32 lun DOC("logical unit of the target");
	enum scsi_name command DOC("operation");
	enum scsi_result result DOC("what the device said, or why it said nothing");
};
struct scsi_values {
	u64 commands COUNTER DOC("commands ended");
	u64 errors COUNTER DOC("of them those that failed");
	u64 timeouts COUNTER DOC("of them those that were not answered in time");
	u64 recoveries COUNTER DOC("times that the host stopped and its error handler began");
	u64 blocks COUNTER DOC("of the device's blocks read and written by those that did not fail");
	HIST_LOG2(took_ns, 40, UNIT("ns") DOC("time with the host's driver and the device"));
};
METRICS(scsi, struct scsi_labels, struct scsi_values, 2048, "SCSI commands");

/* One command: its address in memory; where that is not told, its unit's address and its bytes. */
struct scsi_key {
	u64 at[2];
	u8 cdb[CDB_BYTES];
};
struct scsi_begun {
	u64 at_ns;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct scsi_key);
	__type(value, struct scsi_begun);
} begun SEC(".maps");

struct scsi_end {
	struct scsi_address address;
	u32 device;
	u32 result;
	u32 sense;
	u32 sense_code;
	u8 cdb[CDB_BYTES];
};

static __always_inline u32 command_of(const struct scsi_end *end)
{
	return end->result == SCSI_RECOVERY ? SCSI_NO_COMMAND : end->cdb[0];
}

static __always_inline int command_begins(const struct scsi_key *key)
{
	struct scsi_begun now = { .at_ns = bpf_ktime_get_ns() };

	if (bpf_map_update_elem(&begun, key, &now, BPF_ANY))
		count_lost(LOSS_STATE);
	return 0;
}

static __always_inline void count_command(const struct scsi_end *end, u64 took_ns)
{
	struct scsi_labels key = {};
	struct scsi_values *row;
	u64 block = 0;
	u32 blocks = 0;

	if (label(scsi, 0))
		key.host = end->address.host;
	if (label(scsi, 1))
		key.channel = end->address.channel;
	if (label(scsi, 2))
		key.target = end->address.target;
	if (label(scsi, 3))
		key.lun = end->address.lun;
	if (label(scsi, 4))
		key.command = command_of(end);
	if (label(scsi, 5))
		key.result = end->result;
	row = row_of(scsi, &key);
	if (!row)
		return;
	if (end->result == SCSI_RECOVERY) {
		add(row->recoveries, 1);
		return;
	}
	cdb_blocks(end->cdb, &block, &blocks);
	add(row->commands, 1);
	if (end->result)
		add(row->errors, 1);
	else
		add(row->blocks, blocks);
	if (end->result == SCSI_TIMED_OUT)
		add(row->timeouts, 1);
	observe(row->took_ns, took_ns);
}

static __always_inline void tell_command(void *ctx, const struct scsi_end *end, u64 took_ns)
{
	struct scsi *e = event_new(scsi);
	u64 block = 0;
	u32 blocks = 0;

	if (!e)
		return;
	cdb_blocks(end->cdb, &block, &blocks);
	e->address = end->address;
	e->device = end->device;
	e->command = command_of(end);
	e->result = end->result;
	e->sense = end->sense;
	e->sense_code = end->sense_code;
	e->block = block;
	e->blocks = blocks;
	e->took_ns = took_ns;
	event_send(ctx, e);
}

static __noinline int command_ends(void *ctx, const struct scsi_key *key, const struct scsi_end *end)
{
	struct scsi_begun *then;
	u64 took_ns;

	if (!key || !end)
		return 0;
	then = bpf_map_lookup_elem(&begun, key);
	if (!then)
		return 0; /* given before this watched; or timed out, and told then */
	took_ns = bpf_ktime_get_ns() - then->at_ns;
	bpf_map_delete_elem(&begun, key);
	if (!notable(end->result ? -EIO : 0, took_ns))
		return 0;
	if (tables_wanted())
		count_command(end, took_ns);
	if (events_wanted())
		tell_command(ctx, end, took_ns);
	return 0;
}

static __noinline int host_recovers(void *ctx, u32 host)
{
	struct scsi_end end = { .address = { .host = host }, .result = SCSI_RECOVERY };

	if (!notable(-EIO, 0))
		return 0;
	if (tables_wanted())
		count_command(&end, 0);
	if (events_wanted())
		tell_command(ctx, &end, 0);
	return 0;
}

/* --- where the SCSI layer has types --- */

/* By shifts: bytes of the two layouts would become one read of a variable place, which is refused. */
static __always_inline void sense_of(struct scsi_cmnd *cmd, struct scsi_end *end)
{
	u64 sense[2] = {};

	bpf_probe_read_kernel(sense, sizeof(sense), cmd->sense_buffer);
	sense[0] = bpf_be64_to_cpu(sense[0]);
	sense[1] = bpf_be64_to_cpu(sense[1]);
	if ((sense[0] >> 56 & 0x7f) >= 0x72) { /* laid out by descriptors */
		end->sense = sense[0] >> 48 & 0xf;
		end->sense_code = sense[0] >> 32 & 0xffff;
	} else if (sense[0]) {
		end->sense = sense[0] >> 40 & 0xf;
		end->sense_code = sense[1] >> 16 & 0xffff;
	}
}

/* No address is NULL here, but newer kernels ask for proof where a module's tracepoint tells it. */
static __always_inline int command_ends_as(void *ctx, struct scsi_cmnd *cmd, u32 result)
{
	struct scsi_key key = { .at = { (u64)cmd } };
	struct scsi_end end = { .result = result };
	u64 rq = key.at[0] - bpf_core_type_size(struct request); /* lies before it */

	end.address.host = cmd->device->host->host_no;
	end.address.channel = cmd->device->channel;
	end.address.target = cmd->device->id;
	end.address.lun = cmd->device->lun;
	end.device = request_device_at((struct request *)rq);
	if (bpf_core_field_size(cmd->cmnd) > sizeof(void *))
		bpf_probe_read_kernel(end.cdb, sizeof(end.cdb), cmd->cmnd);
	else
		bpf_probe_read_kernel(end.cdb, sizeof(end.cdb), ((struct scsi_cmnd___pre518 *)cmd)->cmnd);
	if (result == SCSI_CHECK_CONDITION)
		sense_of(cmd, &end);
	return command_ends(ctx, &key, &end);
}

ALT(scsi, 1) SEC("?tp_btf/scsi_dispatch_cmd_start") int BPF_PROG(given, struct scsi_cmnd *cmd)
{
	struct scsi_key key = { .at = { (u64)cmd } };

	return command_begins(&key);
}

ALT(scsi, 1) SEC("?tp_btf/scsi_dispatch_cmd_done") int BPF_PROG(answered, struct scsi_cmnd *cmd)
{
	return cmd ? command_ends_as(ctx, cmd, scsi_result_of(cmd->result)) : 0;
}

ALT(scsi, 1)
SEC("?tp_btf/scsi_dispatch_cmd_error") int BPF_PROG(refused, struct scsi_cmnd *cmd, int why)
{
	return cmd ? command_ends_as(ctx, cmd, SCSI_REFUSED) : 0;
}

ALT(scsi, 1) SEC("?tp_btf/scsi_dispatch_cmd_timeout") int BPF_PROG(late, struct scsi_cmnd *cmd)
{
	return cmd ? command_ends_as(ctx, cmd, SCSI_TIMED_OUT) : 0;
}

#define RECOVERY OPTIONAL("when a host's error handler begins")

ALT(recovery, 1) RECOVERY SEC("?tp_btf/scsi_eh_wakeup") int BPF_PROG(recovers, struct Scsi_Host *host)
{
	return host ? host_recovers(ctx, host->host_no) : 0;
}

/* --- 5.8 to 5.10: by what the tracepoints' records tell --- */

static __always_inline void cdb_of(void *record, u32 cdb_at, u8 *cdb)
{
	bpf_probe_read_kernel(cdb, CDB_BYTES, record + (cdb_at & 0xffff));
}

#define ADDRESS(record)                                                                            \
	{                                                                                          \
		(record)->host, (record)->channel, (record)->id, (record)->lun                     \
	}
#define UNIT_OF(record)                                                                            \
	{                                                                                          \
		(u64)(record)->host << 32 | (record)->channel, (u64)(record)->id << 32 | (record)->lun \
	}

#define ENDS_PRE513(record, as)                                                                    \
	({                                                                                         \
		struct scsi_key key = { .at = UNIT_OF(record) };                                   \
		struct scsi_end end = { .address = ADDRESS(record), .result = as };                \
		cdb_of(record, (record)->cdb_at, key.cdb);                                         \
		__builtin_memcpy(end.cdb, key.cdb, CDB_BYTES);                                     \
		command_ends(record, &key, &end);                                                  \
	})

ALT(scsi, 2) NEED("type scsi_request")
SEC("?tp/scsi/scsi_dispatch_cmd_start") int given_pre513(struct scsi_started_pre513 *record)
{
	struct scsi_key key = { .at = UNIT_OF(record) };

	cdb_of(record, record->cdb_at, key.cdb);
	return command_begins(&key);
}

ALT(scsi, 2)
SEC("?tp/scsi/scsi_dispatch_cmd_done") int answered_pre513(struct scsi_ended_pre513 *record)
{
	return ENDS_PRE513(record, scsi_result_of(record->result));
}

ALT(scsi, 2)
SEC("?tp/scsi/scsi_dispatch_cmd_error") int refused_pre513(struct scsi_refused_pre513 *record)
{
	return ENDS_PRE513(record, SCSI_REFUSED);
}

ALT(scsi, 2)
SEC("?tp/scsi/scsi_dispatch_cmd_timeout") int late_pre513(struct scsi_ended_pre513 *record)
{
	return ENDS_PRE513(record, SCSI_TIMED_OUT);
}

ALT(recovery, 2) RECOVERY NEED("type scsi_request")
SEC("?tp/scsi/scsi_eh_wakeup") int recovers_pre513(struct scsi_recovery_pre513 *record)
{
	return host_recovers(record, record->host);
}

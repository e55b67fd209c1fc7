/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loading with alternatives. Each attempt refuses at least one program or map, so it ends: choose the
 * lowest rank of each slot that may still work, load, attach; what fails is remembered with its reason
 * and the object is opened anew.
 */
#include "bpf/object.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "bpf/capture.h"
#include "bpf/kernel.h"
#include "bpf/parts.h"
#include "bpf/sections.h"
#include "bpf/trim.h"
#include "bpf/verify.h"

enum {
	SLOTS_PER_CPU = 4,
	SLOTS_BYTES_MAX = 4 * 1024 * 1024,
	ATTEMPTS_MAX = 64,
};

/* What an attempt came to, besides 0 and negative. */
enum { AGAIN = 1 };

/* ---- which alternative ---- */

static bool rank_viable(const struct object *o, unsigned slot, unsigned rank)
{
	bool any = false;

	vec_for_each(p, &o->programs) {
		if (p->slot != slot || p->told.rank != rank)
			continue;
		if (!p->why.code)
			any = true;
		else if (!p->told.missed)
			return false;
	}
	return any;
}

/* 0: none is left. */
static unsigned slot_lowest(const struct object *o, unsigned slot)
{
	unsigned lowest = 0;

	vec_for_each(p, &o->programs)
		if (p->slot == slot && (!lowest || p->told.rank < lowest) &&
		    rank_viable(o, slot, p->told.rank))
			lowest = p->told.rank;
	return lowest;
}

/* Each alternative's reason, once. */
static int slot_fail(const struct object *o, unsigned slot, struct err *e)
{
	auto_done(strbuf) reasons = { 0 };
	const char *advice = NULL;

	vec_for_each(p, &o->programs) {
		if (p->slot != slot || !p->why.code || p->told.missed ||
		    (reasons.len && strstr(reasons.s, p->why.text)))
			continue;
		advice = p->why.hint[0] ? p->why.hint : advice;
		strbuf_appendf(&reasons, "%s%s", reasons.len ? "; " : "", p->why.text);
	}
	fail_as(e, EXIT_KERNEL, ENOTSUP, "can't run here: %s", strbuf_str(&reasons));
	if (strstr(strbuf_str(&reasons), "the verifier refuses it"))
		return hint(e, "`sonda check %s` shows the refused line", o->name);
	if (advice)
		return hint(e, "%s", advice);
	return hint(e, "`sonda doctor` says what this kernel can do, and what to change");
}

/* Refusals that are nobody's fault but the caller's: they end the loading. */
static bool is_final(const struct err *e)
{
	return e->exit_class == EXIT_USAGE || e->exit_class == EXIT_DENIED ||
	       (geteuid() && (e->code == EPERM || e->code == EACCES));
}

static int denied(struct err *e)
{
	if (e->exit_class == EXIT_USAGE)
		return -e->code;
	return fail_as(e, EXIT_DENIED, EPERM, "loading BPF programs is not permitted");
}

/* Puts the chosen programs of a slot to the gates; returns 1 when one was refused by them. */
static int slot_gate(struct object *o, unsigned slot, const struct load_options *options,
		     struct err *e)
{
	struct err why = { 0 };

	vec_for_each(p, &o->programs) {
		p->chosen &= p->slot != slot;
		if (p->slot != slot || p->told.rank != o->slots.at[slot].rank || p->why.code)
			continue;
		if (!program_gate(o, p, options->ifindex, &why)) {
			p->chosen = true;
			continue;
		}
		if (is_final(&why)) {
			*e = why;
			return denied(e);
		}
		p->why = why;
		log_debug("load", "%s: %s", p->told.name, why.text);
		return 1;
	}
	return 0;
}

static bool program_wanted(const struct program_part *p, enum load_part part)
{
	switch (part) {
	case LOAD_ALL:
		return true;
	case LOAD_SNAPSHOTS:
	case LOAD_WITHOUT_SNAPSHOTS:
		return p->told.is_snapshot == (part == LOAD_SNAPSHOTS);
	case LOAD_PERIODIC:
	case LOAD_WITHOUT_PERIODIC:
		return !!p->told.every_ms == (part == LOAD_PERIODIC);
	}
	return true;
}

/* What the variable says now; `otherwise` if there is none. */
static uint64_t var_now(const struct object *o, const char *name, uint64_t otherwise)
{
	struct object_var v;
	uint64_t value = 0;

	if (!object_var_find(o, name, &v))
		return otherwise;
	memcpy(&value, v.bytes, min(v.size, (uint32_t)sizeof(value)));
	return value;
}

/* "TABLE NTH ...": are there to be events, or one of these labels? */
static bool label_asked(struct object *o, const char *text)
{
	const struct conf *conf = object_conf(o);
	const char *at = text + strcspn(text, " ");
	auto_free char *name = xasprintf("sonda_without_%.*s", (int)(at - text), text);
	uint64_t without = var_now(o, name, 0);
	char *end;

	if (!conf || !conf->events_off)
		return true;
	for (unsigned long nth = strtoul(at, &end, 10); end != at; nth = strtoul(at, &end, 10)) {
		if (!(without & 1ULL << nth))
			return true;
		at = end;
	}
	return false;
}

/* Not while the parameter that it is for is 0, nor while nobody asks for what it tells. */
static bool program_asked(struct object *o, const struct program_part *p)
{
	const char *param = types_tag(o->types, p->told.func, -1, "if_set", 0);
	const char *labels = types_tag(o->types, p->told.func, -1, "if_wanted", 0);

	return (!param || var_now(o, param, 1)) && (!labels || label_asked(o, labels));
}

/* Is any of its programs of the part that is wanted? */
static bool slot_wanted(struct object *o, unsigned slot, enum load_part part)
{
	if (o->slots.at[slot].left)
		return false;
	vec_for_each(p, &o->programs)
		if (p->slot == slot && program_wanted(p, part) && program_asked(o, p))
			return true;
	return false;
}

int object_slot_leave(struct object *o, const char *slot, bool leave, struct err *e)
{
	if (o->loaded)
		return fail(e, EBUSY, "the probe is already loaded");
	vec_for_each(s, &o->slots)
		if (str_eq(s->name, slot)) {
			s->left = leave;
			return 0;
		}
	return fail(e, ENOENT, "'%s' has no slot '%s'", o->name, slot);
}

static int choose(struct object *o, const struct load_options *options, struct err *e)
{
	vec_for_each(p, &o->programs)
		p->chosen = false;
	if (object_gate(o, e) < 0)
		return -e->code;
	for (unsigned slot = 0; slot < o->slots.len; slot++) {
		struct slot_part *s = &o->slots.at[slot];
		int code;

		s->rank = 0;
		if (!slot_wanted(o, slot, options->part))
			continue;
		do {
			s->rank = slot_lowest(o, slot);
			code = s->rank ? slot_gate(o, slot, options, e) : 0;
		} while (code > 0);
		if (code < 0)
			return code;
		if (!s->rank && !s->optional)
			return slot_fail(o, slot, e);
	}
	return 0;
}

/* ---- what is set ---- */

static bool has_ring_buffer(void)
{
	static int known;

	if (!known)
		known = libbpf_probe_bpf_map_type(BPF_MAP_TYPE_RINGBUF, NULL) == 1 ? 1 : -1;
	return known > 0;
}

/* The ring, where the kernel has it, unless the environment says otherwise. */
static int transport_choose(struct conf *conf, struct err *e)
{
	const char *forced = getenv("SONDA_TRANSPORT");

	if (forced && !str_eq(forced, "ring") && !str_eq(forced, "perf"))
		return fail_as(e, EXIT_USAGE, EINVAL,
			       "SONDA_TRANSPORT='%s' is neither ring nor perf", forced);
	conf->perf_array = forced ? str_eq(forced, "perf") : !has_ring_buffer();
	return 0;
}

static uint32_t slots_count(const struct object *o, const struct map_part *m)
{
	const char *limit = types_tag(o->types, o->probe_var, -1, "slots", 0);
	uint32_t most = SLOTS_BYTES_MAX / max(m->told.value_size, 1u), count = 1;
	uint32_t want = SLOTS_PER_CPU * (uint32_t)max(libbpf_num_possible_cpus(), 1);

	if (limit)
		most = min(most, (uint32_t)strtoul(limit, NULL, 10));
	while (count < want && count * 2 <= most)
		count *= 2;
	return count;
}

static uint32_t map_entries(const struct map_part *m)
{
	return m->max_entries ? m->max_entries : m->told.max_entries;
}

static void conf_complete(struct object *o, struct conf *conf)
{
	struct map_part *slots = map_part_find(o, "sonda_slots");
	struct map_part *scratch = map_part_find(o, "sonda_stack_scratch");
	const struct map_part *ring = map_part_find(o, "sonda_ring");

	if (ring)
		conf->wake_bytes = map_entries(ring) / 4;
	if (slots) {
		conf->slots = slots_count(o, slots);
		slots->max_entries = conf->slots;
	}
	if (scratch)
		scratch->max_entries = conf->slots;
}

/* Maps of the language that this configuration doesn't reach. */
static bool map_is_idle(const struct object *o, const struct map_part *m, const struct conf *conf)
{
	if (str_eq(m->told.name, "sonda_stacks_held"))
		return !var_now(o, "sonda_user_stacks", 0);
	if (str_eq(m->told.name, "sonda_sets"))
		return !conf->sets_on && m->shared_fd < 0;
	if (str_eq(m->told.name, "sonda_ring"))
		return conf->events_off || conf->perf_array;
	/* not so the slots: an event may be built only to look at it (fs.open --path) */
	return str_eq(m->told.name, "sonda_perf") && (conf->events_off || !conf->perf_array);
}

static int map_apply(const struct object *o, struct map_part *m, const struct conf *conf,
		     struct err *e)
{
	int code = 0;

	if (!m->handle)
		return 0;
	if (m->why.code || (conf && map_is_idle(o, m, conf)))
		code = bpf_map__set_autocreate(m->handle, false);
	else if (m->shared_fd >= 0)
		code = bpf_map__reuse_fd(m->handle, m->shared_fd);
	else if (m->max_entries)
		code = bpf_map__set_max_entries(m->handle, m->max_entries);
	return code ? fail(e, -code, "map '%s': %s", m->told.name, strerror(-code)) : 0;
}

int object_apply(struct object *o, struct err *e)
{
	struct conf *conf = object_conf(o);

	if (conf && transport_choose(conf, e) < 0)
		return -e->code;
	if (conf)
		conf_complete(o, conf);
	vec_for_each(m, &o->maps) {
		if (m->told.internal && str_endswith(m->told.name, ".rodata") && o->rodata &&
		    bpf_map__set_initial_value(m->handle, o->rodata, o->rodata_size))
			return fail(e, EINVAL, "the parameters can't be set");
		if (map_apply(o, m, conf, e) < 0)
			return -e->code;
	}
	vec_for_each(p, &o->programs) {
		bpf_program__set_autoload(p->handle, p->chosen);
		if (p->chosen)
			section_target_settle(p->handle);
	}
	return 0;
}

/* ---- failures ---- */

/* The last words of the verifier log among libbpf's messages; false: there is none. */
static bool verifier_words(const char *text, char *words, size_t size)
{
	const char *begin = strstr(text, "-- BEGIN PROG LOAD LOG --\n"), *end;
	auto_free char *log = NULL;
	struct verdict v;

	if (!begin)
		return false;
	begin = strchr(begin, '\n') + 1;
	end = strstr(begin, "-- END PROG LOAD LOG --");
	log = xstrndup(begin, end ? (size_t)(end - begin) : strlen(begin));
	memset(&v, 0, sizeof(v));
	verify_read_log(log, &v);
	str_copy(words, size, v.words);
	return *v.words;
}

/* Why the program was refused at loading, in words; what concerns the whole method is remembered. */
static void program_refuse(const struct object *o, struct program_part *p, int code,
			   const struct blame *blame)
{
	const struct map_part *map = blame->map[0] ? map_part_find(o, blame->map) : NULL;
	char words[256];

	if (map && map->why.code) {
		p->why = map->why;
		wrap(&p->why, "%s", p->told.hook);
	} else if (verifier_words(capture_text(), words, sizeof(words))) {
		fail_as(&p->why, EXIT_KERNEL, EINVAL, "%s: the verifier refuses it: %s",
			p->told.hook, words);
	} else if (code == ENOENT) {
		fail_as(&p->why, EXIT_KERNEL, ENOENT, "%s: not in this kernel", p->told.hook);
	} else if (code == EPERM || code == EACCES) {
		fail_as(&p->why, EXIT_KERNEL, ENOTSUP, "refused by the kernel (%s)",
			strerror(code));
		method_refuse(p->method, &p->why);
		wrap(&p->why, "%s", p->method->name);
	} else {
		fail_as(&p->why, EXIT_KERNEL, code, "%s: %s", p->told.hook, strerror(code));
	}
	log_debug("load", "%s: %s", p->told.name, p->why.text);
}

static const struct {
	uint32_t type;
	const char *name;
} map_types[] = {
	{ BPF_MAP_TYPE_RINGBUF, "ring buffer" },
	{ BPF_MAP_TYPE_TASK_STORAGE, "task storage" },
	{ BPF_MAP_TYPE_INODE_STORAGE, "inode storage" },
	{ BPF_MAP_TYPE_CGRP_STORAGE, "cgroup storage" },
	{ BPF_MAP_TYPE_SK_STORAGE, "socket storage" },
	{ BPF_MAP_TYPE_BLOOM_FILTER, "bloom filter" },
	{ BPF_MAP_TYPE_USER_RINGBUF, "user ring buffer" },
	{ BPF_MAP_TYPE_ARENA, "arena" },
	{ BPF_MAP_TYPE_STRUCT_OPS, "struct_ops" },
};

static void map_refuse(struct map_part *m, int code)
{
	const char *type = NULL;

	for (size_t i = 0; i < ARRAY_LEN(map_types); i++)
		if (map_types[i].type == m->told.type)
			type = map_types[i].name;
	if (type)
		fail_as(&m->why, EXIT_KERNEL, ENOTSUP, "map '%s': no %s in this kernel",
			m->told.name, type);
	else
		fail_as(&m->why, EXIT_KERNEL, code, "map '%s': %s", m->told.name, strerror(code));
}

/* Finds out who is to blame, and refuses him. */
static int load_failed(struct object *o, int code, struct err *e)
{
	struct program_part *p;
	struct map_part *m;
	struct blame blame;

	capture_blame(capture_text(), &blame);
	if (geteuid() && (code == EPERM || code == EACCES))
		return denied(e);
	p = program_part_find(o, blame.program);
	if (!p || !p->chosen)
		p = program_part_find(o, blame.outer);
	if (p && p->chosen) {
		program_refuse(o, p, code, &blame);
		return AGAIN;
	}
	m = map_part_find(o, blame.map);
	if (m && !m->why.code && (code == EINVAL || code == ENOTSUP || code == EOPNOTSUPP)) {
		map_refuse(m, code);
		return AGAIN;
	}
	if (blame.words_len)
		return fail(e, code, "%.*s", (int)blame.words_len, blame.words);
	return fail(e, code, "loading: %s", strerror(code));
}

/* ---- attaching ---- */

/* A full metric table goes on in the row whose key is all ones. */
static int other_row_add(const struct map_part *m, struct err *e)
{
	size_t copies = m->told.per_cpu ? (size_t)libbpf_num_possible_cpus() : 1;
	auto_free unsigned char *key = xmalloc(m->told.key_size);
	auto_free void *zero = xcalloc(copies, (m->told.value_size + 7) & ~7u);

	memset(key, 0xff, m->told.key_size);
	if (bpf_map_update_elem(bpf_map__fd(m->handle), key, zero, BPF_ANY))
		return fail(e, errno, "table '%s': %s", m->told.name, strerror(errno));
	return 0;
}

static int tables_prepare(struct object *o, struct err *e)
{
	vec_for_each(m, &o->maps)
		if (types_tag(o->types, m->told.var, -1, "metrics", 0) &&
		    object_map_fd(o, m->told.name) >= 0 && other_row_add(m, e) < 0)
			return -e->code;
	return 0;
}

static int struct_ops_attach(struct object *o, struct err *e)
{
	vec_for_each(m, &o->maps) {
		struct bpf_link *link;

		if (m->told.type != BPF_MAP_TYPE_STRUCT_OPS)
			continue;
		if (m->why.code) {
			*e = m->why;
			return -e->code;
		}
		link = bpf_map__attach_struct_ops(m->handle);
		if (!link)
			return fail(e, errno, "struct_ops '%s': %s", m->told.name, strerror(errno));
		links_add(&o->links, link);
	}
	return 0;
}

/* What no program of this method will get: trampolines on an architecture without, for one. */
static bool is_methods_fault(int code)
{
	return code == 524 /* ENOTSUPP */ || code == EOPNOTSUPP || code == ENOSYS;
}

static int program_attach(struct object *o, struct program_part *p, unsigned ifindex)
{
	auto_free char *targets = program_targets(o, p);
	struct attach_spec spec = { p->handle, p->rest, targets, ifindex,
				    -1,        p->also, p->each, p->any };
	struct err why = { 0 };

	if (p->over)
		spec.map_fd = object_map_fd(o, p->over);
	if (!p->method->attach || p->runs_by_hand || !p->method->attach(&spec, &o->links, &why))
		return 0;
	if (is_methods_fault(why.code))
		method_refuse(p->method, &why);
	p->why = why;
	if (p->why.exit_class == EXIT_OK)
		p->why.exit_class = EXIT_KERNEL;
	wrap(&p->why, "%s", p->method->name);
	log_debug("load", "%s: %s", p->told.name, p->why.text);
	return -p->why.code;
}

static int attach_all(struct object *o, const struct load_options *options, struct err *e)
{
	vec_for_each(p, &o->programs) {
		if (!p->chosen)
			continue;
		if (!program_attach(o, p, options->ifindex)) {
			p->told.state = PROGRAM_USED;
			continue;
		}
		if (p->why.exit_class == EXIT_USAGE || (geteuid() && is_final(&p->why))) {
			*e = p->why;
			return denied(e);
		}
		p->chosen = false;
		if (!rank_viable(o, p->slot, p->told.rank))
			return AGAIN;
	}
	return struct_ops_attach(o, e);
}

static int attempt(struct object *o, const struct load_options *options, struct err *e)
{
	int code;

	if (choose(o, options, e) < 0 || object_apply(o, e) < 0)
		return -e->code;
	capture_begin();
	code = bpf_object__load(o->bpf);
	if (code)
		return load_failed(o, -code, e);
	if (tables_prepare(o, e) < 0)
		return -e->code;
	if (options->before_attach && options->before_attach(o, options->ctx, e) < 0)
		return -e->code;
	return attach_all(o, options, e);
}

static void states_tell(struct object *o)
{
	vec_for_each(p, &o->programs)
		p->told.state = p->why.code              ? PROGRAM_REFUSED
				: p->chosen && o->loaded ? PROGRAM_USED
							 : PROGRAM_UNTRIED;
}

int object_preview(struct object *o, const struct load_options *options, struct err *e)
{
	static const struct load_options none;
	int code = choose(o, options ? options : &none, e);

	states_tell(o);
	return code;
}

int object_load(struct object *o, const struct load_options *options, struct err *e)
{
	static const struct load_options none;
	int code = AGAIN;

	if (o->loaded)
		return fail(e, EBUSY, "the probe is already loaded");
	if (target_names_set(o, e) < 0 || object_trim(o, e) < 0)
		return -e->code;
	for (int i = 0; code == AGAIN && i < ATTEMPTS_MAX; i++) {
		code = i ? object_reopen(o, e) : 0;
		if (!code)
			code = attempt(o, options ? options : &none, e);
		if (code)
			links_done(&o->links);
	}
	if (code == AGAIN)
		code = fail(e, ELOOP, "no alternative could be loaded in %d attempts",
			    ATTEMPTS_MAX);
	o->loaded = !code;
	states_tell(o);
	return code;
}

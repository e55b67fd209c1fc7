/* SPDX-License-Identifier: BSD-2-Clause */
/* A compiled probe before it is loaded: what it holds, and what is set in it. */
#include "bpf/object.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "bpf/capture.h"
#include "bpf/parts.h"
#include "bpf/sections.h"

enum { OBJECT_MAX = 16 * 1024 * 1024 }; /* bytes */

/* What the struct shows as const but owns. */
#define TO_FREE(s) ((void *)(uintptr_t)(s))

struct map_part *map_part_find(const struct object *o, const char *name)
{
	vec_for_each(m, &o->maps)
		if (str_eq(m->told.name, name))
			return m;
	return NULL;
}

struct program_part *program_part_find(const struct object *o, const char *name)
{
	vec_for_each(p, &o->programs)
		if (str_eq(p->told.name, name))
			return p;
	return NULL;
}

/* The first line libbpf wrote, without its prefix: why it would not open the object. */
static int open_failed(const struct object *o, int code, struct err *e)
{
	const char *text = capture_text(), *rest = str_after(text, "libbpf: ");
	size_t len;

	text = rest ? rest : text;
	len = strcspn(text, "\n");
	if (len)
		return fail(e, code, "'%s' is not a BPF object that can be read: %.*s", o->name,
			    (int)len, text);
	return fail(e, code, "'%s' is not a BPF object that can be read", o->name);
}

int object_reopen(struct object *o, struct err *e)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "sonda");
	char btf_path[sizeof("/proc/self/fd/") + 12];
	struct bpf_program *program;
	struct bpf_map *map;

	bpf_object__close(o->bpf);
	o->bpf = NULL;
	if (o->kernel_btf_fd >= 0) {
		str_format(btf_path, sizeof(btf_path), "/proc/self/fd/%d", o->kernel_btf_fd);
		opts.btf_custom_path = btf_path;
	}
	capture_begin();
	sections_register();
	o->bpf = bpf_object__open_mem(o->bytes, o->size, &opts);
	if (!o->bpf)
		return open_failed(o, errno == ENOMEM ? ENOMEM : EINVAL, e);
	vec_for_each(p, &o->programs)
		p->handle = bpf_object__find_program_by_name(o->bpf, p->told.name);
	vec_for_each(m, &o->maps)
		m->handle = NULL;
	bpf_object__for_each_map(map, o->bpf)
	{
		struct map_part *m = map_part_find(o, bpf_map__name(map));

		if (m)
			m->handle = map;
	}
	bpf_object__for_each_program(program, o->bpf) bpf_program__set_autoload(program, false);
	return 0;
}

static bool map_is_per_cpu(uint32_t type)
{
	return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
	       type == BPF_MAP_TYPE_LRU_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
}

/* The variable of that name in section `section`; 0: none. */
static uint32_t var_in_section(const struct types *t, const char *section, const char *name)
{
	struct type_var var;
	struct type type;

	if (!types_get(t, types_find(t, section, TYPE_SECTION), &type))
		return 0;
	for (uint32_t i = 0; types_var(t, &type, i, &var); i++)
		if (str_eq(var.name, name))
			return var.var;
	return 0;
}

static void maps_read(struct object *o)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, o->bpf)
	{
		struct map_part *m = vec_add(&o->maps);

		m->handle = map;
		m->shared_fd = -1;
		m->told = (struct object_map){
			.name = xstrdup(bpf_map__name(map)),
			.type = bpf_map__type(map),
			.key_size = bpf_map__key_size(map),
			.value_size = bpf_map__value_size(map),
			.key_type = bpf_map__btf_key_type_id(map),
			.value_type = bpf_map__btf_value_type_id(map),
			.max_entries = bpf_map__max_entries(map),
			.per_cpu = map_is_per_cpu(bpf_map__type(map)),
			.internal = bpf_map__is_internal(map),
		};
		m->told.var = var_in_section(o->types, ".maps", m->told.name);
	}
}

/* The map of .rodata; a user's own map may have any name, but isn't internal. */
static struct map_part *rodata_map(const struct object *o)
{
	vec_for_each(m, &o->maps)
		if (m->told.internal && str_endswith(m->told.name, ".rodata"))
			return m;
	return NULL;
}

static void vars_read(struct object *o)
{
	struct map_part *map = rodata_map(o);
	struct type section;
	struct type_var var;
	const void *initial;
	size_t size = 0;

	if (!map || !types_get(o->types, types_find(o->types, ".rodata", TYPE_SECTION), &section))
		return;
	initial = bpf_map__initial_value(map->handle, &size);
	if (!initial)
		return;
	o->rodata = xmemdup(initial, size);
	o->rodata_size = size;
	for (uint32_t i = 0; i < section.count; i++) {
		if (!types_var(o->types, &section, i, &var) || var.size > size ||
		    var.offset > size - var.size || types_size(o->types, var.type) > var.size)
			continue;
		*vec_add(&o->vars) = (struct object_var){ var.name, var.var, var.type, var.size,
							  o->rodata + var.offset };
	}
}

/* "slot rank" */
static bool alt_read(const char *text, struct object_program *told)
{
	char slot[64], rest;
	unsigned rank;

	if (sscanf(text, "%63s %u %c", slot, &rank, &rest) != 2 || !rank)
		return false;
	told->slot = xstrdup(slot);
	told->rank = rank;
	return true;
}

static int program_read(struct object *o, struct bpf_program *handle, struct err *e)
{
	struct program_part *p = vec_add(&o->programs);
	const struct types *t = o->types;
	const char *section = bpf_program__section_name(handle), *text;

	p->handle = handle;
	p->told.name = xstrdup(bpf_program__name(handle));
	p->told.hook = xstrdup(*section == '?' ? section + 1 : section);
	p->told.reason = "";
	p->told.func = types_find(t, p->told.name, TYPE_FUNC);
	p->method = method_find(p->told.hook, &p->rest);
	if (!p->method)
		p->rest = "";
	text = types_tag(t, p->told.func, -1, "alt", 0);
	if (!text) {
		p->told.slot = xstrdup(p->told.name);
		p->told.rank = 1;
	} else if (!alt_read(text, &p->told)) {
		p->told.slot = xstrdup("");
		return fail(e, EINVAL, "program '%s': alt '%s' is not a slot and a rank from 1 up",
			    p->told.name, text);
	}
	p->told.missed = types_tag(t, p->told.func, -1, "optional", 0);
	p->told.targets = types_tag(t, p->told.func, -1, "targets", 0);
	p->each = types_tag(t, p->told.func, -1, "each", 0) != NULL;
	p->any = types_tag(t, p->told.func, -1, "any", 0) != NULL;
	text = types_tag(t, p->told.func, -1, "also", 0);
	p->also = text ? text : "";
	if (text && (!p->method || p->method->attach != attach_tracepoint))
		return fail(e, EINVAL, "program '%s': also '%s' is for SEC(\"tp/...\")",
			    p->told.name, text);
	p->over = types_tag(t, p->told.func, -1, "over", 0);
	if (p->over && !map_part_find(o, p->over))
		return fail(e, EINVAL, "program '%s': over '%s' is no map of this object",
			    p->told.name, p->over);
	text = types_tag(t, p->told.func, -1, "rows", 0);
	if (text) {
		text += strncmp(text, "struct ", 7) ? 0 : 7;
		p->told.row_type = types_find(t, text, TYPE_STRUCT);
	}
	if (text && !p->told.row_type)
		return fail(e, EINVAL, "program '%s': rows '%s' is no struct of this object",
			    p->told.name, text);
	text = types_tag(t, p->told.func, -1, "every", 0);
	p->told.every_ms = text ? (uint32_t)strtoul(text, NULL, 10) : 0;
	if (text && !p->told.every_ms)
		return fail(e, EINVAL, "program '%s': every '%s' is no number of milliseconds",
			    p->told.name, text);
	p->told.at_start = types_tag(t, p->told.func, -1, "start", 0);
	p->told.at_reading = types_tag(t, p->told.func, -1, "reading", 0);
	p->runs_by_hand = ((text || p->told.at_start) && !str_startswith(p->told.hook, "iter")) ||
			  types_tag(t, p->told.func, -1, "later", 0);
	p->told.is_snapshot = !text && !p->told.at_start && str_startswith(p->told.hook, "iter");
	return 0;
}

static unsigned slot_index(struct object *o, const char *name)
{
	struct slot_part *added;

	vec_for_each(s, &o->slots)
		if (str_eq(s->name, name))
			return (unsigned)(s - o->slots.at);
	added = vec_add(&o->slots);
	added->name = name;
	added->optional = true;
	return (unsigned)o->slots.len - 1;
}

static int programs_read(struct object *o, struct err *e)
{
	struct bpf_program *handle;

	bpf_object__for_each_program(handle, o->bpf)
	{
		bpf_program__set_autoload(handle, false);
		if (program_read(o, handle, e) < 0)
			return wrap(e, "'%s'", o->name);
	}
	vec_for_each(p, &o->programs) {
		p->slot = slot_index(o, p->told.slot);
		o->slots.at[p->slot].optional &= p->told.missed != NULL;
	}
	return 0;
}

static int types_read(struct object *o, struct err *e)
{
	struct btf *btf = bpf_object__btf(o->bpf);
	const void *bytes = NULL;
	uint32_t size = 0;
	struct type type;

	if (btf)
		bytes = btf__raw_data(btf, &size);
	if (!bytes) {
		fail(e, EINVAL, "'%s' has no BTF", o->name);
		return hint(e, "compile it with -g");
	}
	if (types_new(bytes, size, false, &o->types, e) < 0)
		return wrap(e, "'%s'", o->name);
	for (uint32_t id = 1; types_get(o->types, id, &type) && !o->probe_var; id++)
		if (type.kind == TYPE_VAR && types_tag(o->types, id, -1, "probe", 0))
			o->probe_var = id;
	return 0;
}

/* The layouts of abi/ must be those this program was built with. */
static int abi_check(struct object *o, struct err *e)
{
	const struct map_part *stats = map_part_find(o, "sonda_stats");
	struct object_var conf;

	if ((object_var_find(o, "sonda_conf", &conf) &&
	     (conf.size != sizeof(struct conf) || (uintptr_t)conf.bytes % 8)) ||
	    (stats && stats->told.value_size != sizeof(struct stats))) {
		fail(e, EINVAL, "'%s' was compiled with another version of sonda.bpf.h", o->name);
		return hint(e, "compile it again with the headers of this sonda");
	}
	return 0;
}

/* `owned` is NULL, or the same bytes when they are to be freed in the end, also on failure. */
static int object_new(const char *name, const void *bytes, size_t size, void *owned,
		      struct object **ret_object, struct err *e)
{
	auto_ptr(object) o = xnew(struct object);

	o->name = xstrdup(name);
	o->bytes = bytes;
	o->size = size;
	o->owned = owned;
	o->kernel_btf_fd = -1;
	if (object_reopen(o, e) < 0 || types_read(o, e) < 0)
		return -e->code;
	maps_read(o);
	vars_read(o);
	if (programs_read(o, e) < 0 || abi_check(o, e) < 0)
		return -e->code;
	*ret_object = TAKE_PTR(o);
	return 0;
}

int object_open(const char *name, const void *bytes, size_t size, struct object **ret_object,
		struct err *e)
{
	assert(name && bytes);
	return object_new(name, bytes, size, NULL, ret_object, e);
}

int object_open_taking(const char *name, void *bytes, size_t size, struct object **ret_object,
		       struct err *e)
{
	assert(name && bytes);
	return object_new(name, bytes, size, bytes, ret_object, e);
}

int object_open_file(const char *path, struct object **ret_object, struct err *e)
{
	char *bytes;
	size_t size;

	if (file_read(path, &bytes, &size, e) < 0)
		return -e->code;
	if (size <= OBJECT_MAX)
		return object_new(path, bytes, size, bytes, ret_object, e);
	free(bytes);
	return fail(e, EFBIG, "'%s' is larger than 16 MiB", path);
}

void object_free(struct object *o)
{
	if (!o)
		return;
	links_done(&o->links);
	bpf_object__close(o->bpf);
	fd_close(&o->kernel_btf_fd);
	vec_for_each(p, &o->programs) {
		free(TO_FREE(p->told.name));
		free(TO_FREE(p->told.hook));
		free(TO_FREE(p->told.slot));
	}
	vec_for_each(m, &o->maps) {
		free(TO_FREE(m->told.name));
		if (m->adopted)
			fd_close(&m->shared_fd);
	}
	vec_done(&o->programs);
	vec_done(&o->maps);
	vec_done(&o->slots);
	vec_done(&o->vars);
	types_free(o->types);
	free(o->rodata);
	free(o->owned);
	free(o->name);
	free(o);
}

const char *object_name(const struct object *o)
{
	return o->name;
}

const struct types *object_types(const struct object *o)
{
	return o->types;
}

uint32_t object_probe_var(const struct object *o)
{
	return o->probe_var;
}

size_t object_map_count(const struct object *o)
{
	return o->maps.len;
}

void object_map(const struct object *o, size_t nth, struct object_map *ret_map)
{
	assert(nth < o->maps.len);
	*ret_map = o->maps.at[nth].told;
}

bool object_map_find(const struct object *o, const char *name, struct object_map *ret_map)
{
	const struct map_part *m = map_part_find(o, name);

	if (m)
		*ret_map = m->told;
	return m != NULL;
}

size_t object_var_count(const struct object *o)
{
	return o->vars.len;
}

void object_var(const struct object *o, size_t nth, struct object_var *ret_var)
{
	assert(nth < o->vars.len);
	*ret_var = o->vars.at[nth];
}

bool object_var_find(const struct object *o, const char *name, struct object_var *ret_var)
{
	vec_for_each(v, &o->vars) {
		if (!str_eq(v->name, name))
			continue;
		*ret_var = *v;
		return true;
	}
	return false;
}

static unsigned char *var_to_write(struct object *o, const struct object_var *v)
{
	return o->rodata + ((const unsigned char *)v->bytes - o->rodata);
}

int object_var_set(struct object *o, const char *name, const void *bytes, size_t size,
		   struct err *e)
{
	struct object_var v;

	if (!object_var_find(o, name, &v))
		return fail(e, ENOENT, "'%s' has no parameter '%s'", o->name, name);
	if (o->loaded)
		return fail(e, EBUSY, "parameter '%s': the probe is already loaded", name);
	if (v.size != size)
		return fail(e, EINVAL, "parameter '%s' takes %u bytes, not %zu", name, v.size,
			    size);
	memcpy(var_to_write(o, &v), bytes, size);
	return 0;
}

static int var_set_int(struct object *o, const char *name, uint64_t value, bool fits_signed,
		       struct err *e)
{
	struct object_var v;
	unsigned bits;
	uint64_t top;

	if (!object_var_find(o, name, &v))
		return fail(e, ENOENT, "'%s' has no parameter '%s'", o->name, name);
	if (v.size != 1 && v.size != 2 && v.size != 4 && v.size != 8)
		return fail(e, EINVAL, "parameter '%s' is no integer", name);
	bits = v.size * 8;
	top = bits == 64 ? 0 : value >> (bits - fits_signed);
	if (top && !(fits_signed && top == UINT64_MAX >> (bits - 1)))
		return fail(e, ERANGE, "parameter '%s': the value doesn't fit in %u bits", name,
			    bits);
	/* little endian: the low bytes come first */
	return object_var_set(o, name, &value, v.size, e);
}

int object_var_set_u64(struct object *o, const char *name, uint64_t value, struct err *e)
{
	return var_set_int(o, name, value, false, e);
}

int object_var_set_s64(struct object *o, const char *name, int64_t value, struct err *e)
{
	return var_set_int(o, name, (uint64_t)value, true, e);
}

struct conf *object_conf(struct object *o)
{
	struct object_var v;

	if (!object_var_find(o, "sonda_conf", &v))
		return NULL;
	return (void *)var_to_write(o, &v);
}

static int map_to_set(struct object *o, const char *name, struct map_part **ret_map, struct err *e)
{
	*ret_map = map_part_find(o, name);
	if (!*ret_map)
		return fail(e, ENOENT, "'%s' has no map '%s'", o->name, name);
	return o->loaded ? fail(e, EBUSY, "map '%s': the probe is already loaded", name) : 0;
}

int object_map_resize(struct object *o, const char *name, uint32_t max_entries, struct err *e)
{
	struct map_part *m;

	if (map_to_set(o, name, &m, e) < 0)
		return -e->code;
	if (m->told.type == BPF_MAP_TYPE_RINGBUF) {
		uint32_t bytes = 4096;

		while (bytes < max_entries && bytes < 1u << 30)
			bytes *= 2;
		max_entries = bytes;
	}
	m->max_entries = max_entries;
	return 0;
}

int object_map_share(struct object *o, const char *name, int fd, struct err *e)
{
	struct map_part *m;

	if (map_to_set(o, name, &m, e) < 0)
		return -e->code;
	m->shared_fd = fd;
	return 0;
}

size_t object_program_count(const struct object *o)
{
	return o->programs.len;
}

void object_program(const struct object *o, size_t nth, struct object_program *ret_program)
{
	const struct program_part *p = &o->programs.at[nth];

	assert(nth < o->programs.len);
	*ret_program = p->told;
	ret_program->reason = p->why.code ? p->why.text : "";
}

size_t object_slot_count(const struct object *o)
{
	return o->slots.len;
}

void object_slot(const struct object *o, size_t nth, struct object_slot *ret_slot)
{
	const struct slot_part *s = &o->slots.at[nth];

	assert(nth < o->slots.len);
	*ret_slot = (struct object_slot){ s->name, s->rank, s->optional, "" };
	vec_for_each(p, &o->programs) {
		if (p->slot != nth || p->told.rank != s->rank)
			continue;
		ret_slot->hook = p->told.hook;
		break;
	}
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Gates: what can be known of an alternative before it is loaded. Only load and attach are proof. */
#include "bpf/parts.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include <zlib.h>

#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "bpf/kernel.h"
#include "bpf/mounts.h"
#include "bpf/relocations.h"

enum { NEED_MAX = 256 };

static bool has_lsm(const char *name)
{
	char full[NEED_MAX + 8];

	return str_format(full, sizeof(full), "bpf_lsm_%s", name) && kernel_has_func(full);
}

static bool has_tracepoint(const char *name)
{
	uint64_t id;
	struct err e;

	return !tracepoint_id(name, &id, &e);
}

/* "NAME COUNT" */
static bool has_tracepoint_args(const char *text)
{
	char name[NEED_MAX];
	int count;

	return sscanf(text, "%255s %d", name, &count) == 2 && kernel_tracepoint_args(name) == count;
}

/* "STRUCT.MEMBER" */
static bool has_field(const char *text)
{
	char name[NEED_MAX];
	const char *dot = strchr(text, '.');

	return dot && str_format(name, sizeof(name), "%.*s", (int)(dot - text), text) &&
	       kernel_has_field(name, dot + 1);
}

/* Enumerators of the kernel's own enums say what it knows: PREFIX and the name in upper or lower case. */
static bool has_enumerator(const char *enum_name, const char *prefix, const char *name, bool upper)
{
	char full[NEED_MAX + 32];
	uint64_t value;

	if (!str_format(full, sizeof(full), "%s%s", prefix, name))
		return false;
	for (char *c = full + strlen(prefix); upper && *c; c++)
		*c = (char)toupper((unsigned char)*c);
	return kernel_enum_value(enum_name, full, &value);
}

static bool has_helper(const char *name)
{
	const char *rest = str_after(name, "bpf_");

	return has_enumerator("bpf_func_id", "BPF_FUNC_", rest ? rest : name, false);
}

static bool has_map(const char *type)
{
	return has_enumerator("bpf_map_type", "BPF_MAP_TYPE_", type, true);
}

/* A kernel that doesn't tell its configuration may have it or not: only loading will show. */
static bool config_is_told(void)
{
	char path[128];
	struct utsname uts;

	return file_exists("/proc/config.gz") ||
	       (!uname(&uts) && str_format(path, sizeof(path), "/boot/config-%s", uts.release) &&
		file_exists(path));
}

static bool has_config(const char *name)
{
	const char *rest = str_after(name, "CONFIG_");
	char path[128], line[512], want[NEED_MAX + 16];
	struct utsname uts;
	bool found = false;
	gzFile f = gzopen("/proc/config.gz", "rb");

	if (!f && !uname(&uts) && str_format(path, sizeof(path), "/boot/config-%s", uts.release))
		f = gzopen(path, "rb"); /* reads plain files too */
	if (!str_format(want, sizeof(want), "CONFIG_%s=", rest ? rest : name) || !f)
		return false;
	while (!found && gzgets(f, line, sizeof(line)))
		found = str_startswith(line, want) && strchr("ym", line[strlen(want)]);
	gzclose(f);
	return found;
}

static bool has_cgroup2(const char *text)
{
	struct err e;
	int fd;

	(void)text;
	return !cgroup_root_fd(&fd, &e);
}

/* Built in, and not switched off at boot: then the files are there, but can't be read. */
static bool has_pressure(const char *text)
{
	auto_free char *told = NULL;
	struct err e;
	size_t len;

	(void)text;
	return !file_read("/proc/pressure/cpu", &told, &len, &e);
}

/* clang-format off */
static const struct {
	const char *word;
	bool (*has)(const char *text);
	const char *what;    /* goes before the text in messages */
	bool (*known)(void); /* can the question be answered here? NULL: always */
} needs[] = {
	{ "lsm",     has_lsm,             "LSM hook", NULL },
	{ "func",    kernel_has_func,     "function", NULL },
	{ "tp",      has_tracepoint,      "tracepoint", NULL },
	{ "tpargs",  has_tracepoint_args, "tracepoint and number of its arguments", NULL },
	{ "field",   has_field,           "field", NULL },
	{ "type",    kernel_has_type,     "type", NULL },
	{ "helper",  has_helper,          "BPF helper", NULL },
	{ "kfunc",   kernel_has_func,     "kernel function for BPF", NULL },
	{ "map",     has_map,             "map type", NULL },
	{ "config",  has_config,          "configuration", config_is_told },
	{ "cgroup2", has_cgroup2,         "cgroup v2", NULL },
	{ "pressure", has_pressure,       "pressure stall information (boot with psi=1)", NULL },
};
/* clang-format on */

static int need_check(const char *text, struct err *e)
{
	bool negated = *text == '!';
	const char *rest = text + negated;

	for (size_t i = 0; i < ARRAY_LEN(needs); i++) {
		size_t len = strlen(needs[i].word);
		const char *name;

		if (strncmp(rest, needs[i].word, len) || (rest[len] && rest[len] != ' '))
			continue;
		name = rest[len] ? rest + len + 1 : "";
		if ((needs[i].known && !needs[i].known()) || needs[i].has(name) != negated)
			return 0;
		return fail_as(e, EXIT_KERNEL, ENOTSUP,
			       negated ? "not meant for a kernel with %s%s%s"
				       : "%s%s%s: not in this kernel",
			       needs[i].what, *name ? " " : "", name);
	}
	return fail(e, EINVAL, "need '%s' is not one that sonda knows", text);
}

static bool is_text_var(const struct object *o, const struct object_var *v)
{
	struct type type;

	return types_get_resolved(o->types, v->type, &type) && type.kind == TYPE_ARRAY &&
	       types_size(o->types, type.target) == 1;
}

/* Appends the value of the variable whose name stands at `at`; returns what follows the name. */
static const char *var_append(const struct object *o, const char *at, struct strbuf *out)
{
	size_t len = strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
	auto_free char *name = xstrndup(at, len);
	struct object_var v;
	uint64_t value = 0;

	if (!object_var_find(o, name, &v)) {
		strbuf_putc(out, '@');
		return at;
	}
	if (is_text_var(o, &v)) {
		strbuf_append(out, v.bytes, strnlen(v.bytes, v.size));
	} else {
		memcpy(&value, v.bytes, min(v.size, (uint32_t)sizeof(value)));
		strbuf_u64(out, value);
	}
	return at + len;
}

char *program_targets(const struct object *o, const struct program_part *p)
{
	const char *at = p->told.targets ? p->told.targets : "";
	auto_done(strbuf) out = { 0 };

	while (*at) {
		if (*at == '@')
			at = var_append(o, at + 1, &out);
		else
			strbuf_putc(&out, *at++);
	}
	return strbuf_take(&out);
}

/* "malloc" of "libc.so.6:malloc", "python:line" of "/usr/bin/python3:python:line". */
static const char *target_short(const char *target)
{
	const char *slash = strrchr(target, '/'), *colon = strchr(slash ? slash : target, ':');

	return colon ? colon + 1 : target;
}

int target_names_set(struct object *o, struct err *e)
{
	char target[512], names[TARGETS_MAX][TARGET_NAME] = { 0 };
	struct object_var var;
	unsigned i;

	if (!object_var_find(o, "sonda_target_names", &var) || var.size != sizeof(names))
		return 0;
	vec_for_each(p, &o->programs) {
		auto_free char *targets = p->each ? program_targets(o, p) : NULL;

		for (i = 0; targets && list_word(targets, i, target, sizeof(target)); i++) {
			if (i == TARGETS_MAX)
				return fail_as(e, EXIT_USAGE, E2BIG, "more than %d functions: '%s'",
					       TARGETS_MAX, targets);
			str_copy(names[i], sizeof(names[i]), target_short(target));
		}
	}
	return object_var_set(o, var.name, names, sizeof(names), e);
}

static bool reads_kernel_types(const struct object *o)
{
	relocations all = { 0 };
	struct relocation_place place;
	struct err unread;
	bool any = false;

	if (relocations_read(o->bytes, o->size, &all, &place, &unread) == 0)
		vec_for_each(r, &all)
			any |= r->kind != RELOCATION_TYPE_ID_LOCAL;
	vec_done(&all);
	return any;
}

int object_gate(const struct object *o, struct err *e)
{
	return kernel_has_btf() || !reads_kernel_types(o) ? 0 : kernel_btf_check(e);
}

int program_gate(struct object *o, struct program_part *p, unsigned ifindex, struct err *e)
{
	auto_free char *targets = program_targets(o, p);
	const struct attach_spec spec = { p->handle, p->rest, targets, ifindex,
					  -1,        p->also, p->each, p->any };
	const char *need;

	if (!p->method)
		return fail(e, EINVAL, "%s: sonda doesn't know how to attach that", p->told.hook);
	if (object_gate(o, e) < 0)
		return -e->code;
	for (unsigned i = 0; (need = types_tag(o->types, p->told.func, -1, "need", i)); i++)
		if (need_check(need, e) < 0)
			return wrap(e, "%s", p->told.hook);
	if (method_ready(p->method, e) < 0)
		return -e->code;
	if (p->method->find && !p->runs_by_hand)
		return p->method->find(&spec, e);
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The fields that rows gain: one table. */
#include "enrich/enrich.h"

#include "base/err.h"
#include "base/file.h"
#include "base/passwd.h"
#include "base/str.h"
#include "base/vec.h"
#include "enrich/cgroups.h"
#include "enrich/irq_lines.h"
#include "enrich/processes.h"
#include "enrich/stacks.h"
#include "schema/kind.h"

#include <assert.h>
#include <unistd.h>

#define PROCESSES_MAX 16384

/* A schema that was extended, and where its rows keep what the fields come from. */
struct extended {
	const struct schema *base;
	struct schema *schema;
	struct enrich *enrich;
	const struct field *pid, *start, *ppid, *uid, *cgroup, *irq;
};

struct enrich {
	struct accounts *accounts;
	struct processes *processes;
	struct cgroups *cgroups;
	struct irq_lines *irq_lines;
	struct stacks *stacks;
	struct strbuf text; /* of the value given last that is put together */
	vec(struct extended *) schemas;
};

static struct value text_or_none(const char *s)
{
	return s ? value_text(s, (uint32_t)strlen(s)) : value_none();
}

static uint64_t number(const struct row *r, const struct field *f)
{
	return row_value(r, f).u64;
}

static const struct image *image_of(const struct row *r, const struct extended *x)
{
	return processes_image(x->enrich->processes, (uint32_t)number(r, x->pid),
			       number(r, x->start), r->at_ns);
}

static struct value derive_exe(const struct field *f, const struct row *r, void *ctx)
{
	const struct image *image = image_of(r, ctx);

	(void)f;
	return text_or_none(image ? image->exe : NULL);
}

static struct value derive_args(const struct field *f, const struct row *r, void *ctx)
{
	const struct image *image = image_of(r, ctx);

	(void)f;
	return image && image->args_len ? value_text(image->args, image->args_len) : value_none();
}

static struct value derive_parents(const struct field *f, const struct row *r, void *ctx)
{
	const struct extended *x = ctx;
	const struct strbuf *text;

	(void)f;
	text = processes_parents(x->enrich->processes, (uint32_t)number(r, x->ppid));
	return text->len ? value_text(text->s, (uint32_t)text->len) : value_none();
}

static struct value derive_user(const struct field *f, const struct row *r, void *ctx)
{
	const struct extended *x = ctx;

	(void)f;
	return text_or_none(user_name(x->enrich->accounts, (uint32_t)number(r, x->uid)));
}

static struct value derive_unit(const struct field *f, const struct row *r, void *ctx)
{
	const struct extended *x = ctx;
	const struct cgroup_names *names = cgroups_get(x->enrich->cgroups, number(r, x->cgroup));

	(void)f;
	return text_or_none(names ? names->unit : NULL);
}

static struct value derive_container(const struct field *f, const struct row *r, void *ctx)
{
	const struct extended *x = ctx;
	const struct cgroup_names *names = cgroups_get(x->enrich->cgroups, number(r, x->cgroup));

	(void)f;
	return text_or_none(names ? names->container : NULL);
}

static struct value derive_controller(const struct field *f, const struct row *r, void *ctx)
{
	const struct extended *x = ctx;

	(void)f;
	return text_or_none(irq_line_device(x->enrich->irq_lines, (uint32_t)number(r, x->irq)));
}

static struct value derive_cgroup_path(const struct field *f, const struct row *r, void *ctx)
{
	const struct extended *x = ctx;
	const struct cgroup_names *names = cgroups_get(x->enrich->cgroups, number(r, x->cgroup));

	(void)f;
	return text_or_none(names ? names->path : NULL);
}

static struct value derive_comm_now(const struct field *f, const struct row *r, void *ctx)
{
	const struct extended *x = ctx;
	char path[64], comm[32];
	struct err gone;

	(void)f;
	str_format(path, sizeof(path), "/proc/%llu/comm", (unsigned long long)number(r, x->pid));
	if (file_line(path, comm, sizeof(comm), &gone) < 0)
		return value_none();
	strbuf_reset(&x->enrich->text);
	strbuf_puts(&x->enrich->text, comm);
	return text_or_none(strbuf_str(&x->enrich->text));
}

static struct value derive_exe_now(const struct field *f, const struct row *r, void *ctx)
{
	const struct extended *x = ctx;
	char path[64], exe[4096];
	ssize_t len;

	(void)f;
	str_format(path, sizeof(path), "/proc/%llu/exe", (unsigned long long)number(r, x->pid));
	len = readlink(path, exe, sizeof(exe) - 1);
	if (len <= 0)
		return value_none();
	exe[len] = '\0';
	strbuf_reset(&x->enrich->text);
	strbuf_puts(&x->enrich->text, exe);
	return text_or_none(strbuf_str(&x->enrich->text));
}

/* clang-format off */
static const struct derivation {
	const char *name, *kind, *doc;
	derive_fn *derive;
	bool of_process;
	size_t from[2]; /* fields of struct extended that must be there; 0: no second one */
} derivations[] = {
	{ "user",      "str",  "name of the user",                        derive_user,      false, { offsetof(struct extended, uid) } },
	{ "exe",       "path", "program that the process ran then",       derive_exe,       true,  { offsetof(struct extended, pid), offsetof(struct extended, start) } },
	{ "args",      "argv", "its arguments",                           derive_args,      true,  { offsetof(struct extended, pid), offsetof(struct extended, start) } },
	{ "parents",   "str",  "its parents, nearest first",              derive_parents,   true,  { offsetof(struct extended, ppid) } },
	{ "unit",      "str",  "systemd unit of its cgroup",              derive_unit,      false, { offsetof(struct extended, cgroup) } },
	{ "container", "str",  "container of its cgroup, 12 digits or name", derive_container, false, { offsetof(struct extended, cgroup) } },
};
static const struct derivation label_derivations[] = {
	{ "user",        "str",  "name of the user",              derive_user,        false, { offsetof(struct extended, uid) } },
	{ "unit",        "str",  "systemd unit of its cgroup",    derive_unit,        false, { offsetof(struct extended, cgroup) } },
	{ "container",   "str",  "container of its cgroup, 12 digits or name", derive_container, false, { offsetof(struct extended, cgroup) } },
	{ "cgroup_path", "path", "path of its cgroup",            derive_cgroup_path, false, { offsetof(struct extended, cgroup) } },
	{ "controller",  "str",  "driver and PCI address of the device of its line", derive_controller, false, { offsetof(struct extended, irq) } },
	{ "comm",        "comm", "command name of the process, when it was first seen", derive_comm_now, false, { offsetof(struct extended, pid) } },
	{ "pid_comm",    "comm", "command name of the process pid, when it was first seen", derive_comm_now, false, { offsetof(struct extended, pid) } },
	{ "exe",         "path", "program of the process, when it was first seen", derive_exe_now, false, { offsetof(struct extended, pid) } },
};
static const struct {
	const char *label, *note;
	bool replaces;
} notes[] = {
	{ "uid", "user", true },
	{ "cgroup", "cgroup_path", true },
	{ "pid", "pid_comm", false },
};
/* clang-format on */

struct enrich *enrich_new(void)
{
	struct enrich *en = xnew(struct enrich);

	en->accounts = accounts_new(ACCOUNTS_PATH);
	en->processes = processes_new(PROCESSES_MAX);
	en->cgroups = cgroups_new();
	en->irq_lines = irq_lines_new(PCI_DEVICES_PATH);
	en->stacks = stacks_new();
	return en;
}

void enrich_free(struct enrich *en)
{
	if (!en)
		return;
	vec_for_each(x, &en->schemas) {
		schema_free((*x)->schema);
		free(*x);
	}
	vec_done(&en->schemas);
	accounts_free(en->accounts);
	processes_free(en->processes);
	cgroups_free(en->cgroups);
	irq_lines_free(en->irq_lines);
	stacks_free(en->stacks);
	strbuf_done(&en->text);
	free(en);
}

bool enrich_of_process(const char *field)
{
	for (size_t i = 0; i < ARRAY_LEN(derivations); i++)
		if (str_eq(derivations[i].name, field))
			return derivations[i].of_process;
	return false;
}

int enrich_prime(struct enrich *en, struct err *e)
{
	return processes_prime(en->processes, e);
}

static const struct field *source_of(const struct extended *x, size_t offset)
{
	const struct field *f;

	memcpy(&f, (const char *)x + offset, sizeof(f));
	return f;
}

static bool applies(const struct derivation *d, const struct extended *x)
{
	return source_of(x, d->from[0]) && (!d->from[1] || source_of(x, d->from[1]));
}

static const struct schema *extend(struct enrich *en, const struct schema *base,
				   const struct derivation *table, size_t table_len)
{
	auto_free struct field *extra = xcalloc(table_len + base->field_count, sizeof(*extra));
	struct extended *x = xnew(struct extended);
	size_t count = 0;

	assert(en && base);
	x->enrich = en;
	x->base = base;
	x->pid = schema_field(base, "pid");
	x->start = schema_field(base, "start_ns");
	x->ppid = schema_field(base, "ppid");
	x->uid = schema_field(base, "uid");
	x->cgroup = schema_field(base, "cgroup");
	x->irq = schema_field(base, "irq");
	for (size_t i = 0; i < table_len; i++) {
		const struct derivation *d = &table[i];

		if (!applies(d, x))
			continue;
		extra[count++] = (struct field){ .name = d->name,
						 .doc = d->doc,
						 .unit = "",
						 .kind = kind_find(d->kind),
						 .type = FIELD_DERIVED,
						 .flags = FIELD_HIDE,
						 .member = source_of(x, d->from[0])->member,
						 .derive = d->derive,
						 .derive_ctx = x };
	}
	count += stacks_fields(en->stacks, base, extra + count);
	x->schema = schema_extend(base, extra, count);
	vec_push(&en->schemas, x);
	return x->schema;
}

const struct schema *enrich_schema(struct enrich *en, const struct schema *base)
{
	return extend(en, base, derivations, ARRAY_LEN(derivations));
}

const struct schema *enrich_labels(struct enrich *en, const struct schema *base)
{
	return extend(en, base, label_derivations, ARRAY_LEN(label_derivations));
}

const char *enrich_label_note(const struct field *label, bool *ret_replaces)
{
	for (size_t i = 0; i < ARRAY_LEN(notes); i++) {
		if (!str_eq(notes[i].label, label->name))
			continue;
		*ret_replaces = notes[i].replaces;
		return notes[i].note;
	}
	return NULL;
}

bool enrich_has_stacks(const struct enrich *en, bool labels)
{
	return stacks_any(en->stacks, labels);
}

struct symbols *enrich_symbols(struct enrich *en)
{
	return stacks_symbols(en->stacks);
}

void enrich_kept_stacks(struct enrich *en, enrich_kept_fn *fn, void *ctx)
{
	stacks_kept_by(en->stacks, fn, ctx);
}

/* The bytes of a text field; "" when there is none. */
static struct value text_of(const struct row *r, const char *name)
{
	const struct field *f = schema_field(r->schema, name);
	struct value v = f ? row_value(r, f) : value_none();

	return v.type == VALUE_TEXT ? v : value_text("", 0);
}

static uint64_t number_of(const struct row *r, const char *name)
{
	const struct field *f = schema_field(r->schema, name);

	return f ? number(r, f) : 0;
}

void enrich_observe(struct enrich *en, const struct row *r)
{
	uint32_t pid = (uint32_t)number_of(r, "pid"), ppid = (uint32_t)number_of(r, "ppid");
	uint64_t start_ns = number_of(r, "start_ns");
	struct value name = text_of(r, "comm"), file = text_of(r, "file"),
		     argv = text_of(r, "argv");
	char comm[16] = { 0 };

	memcpy(comm, name.text.s, min((size_t)name.text.len, sizeof(comm) - 1));
	if (str_eq(r->schema->name, "fork"))
		processes_fork(en->processes, pid, start_ns, ppid, comm);
	else if (str_eq(r->schema->name, "image"))
		processes_exec(en->processes, pid, start_ns, ppid, comm, r->at_ns, file.text.s,
			       file.text.len, argv.text.s, argv.text.len);
}

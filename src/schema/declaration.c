/* SPDX-License-Identifier: BSD-2-Clause */
/* What a probe declares: the probe itself, its events and rows, and names of enums. */
#include "schema/declaration.h"

#include <assert.h>
#include <errno.h>

#include "base/err.h"
#include "base/str.h"
#include "base/units.h"
#include "base/vec.h"
#include "bpf/kernel.h"
#include "schema/declare.h"
#include "schema/names.h"

/* The probe language this reads: PROBE_ABI in sonda/declare.h. */
enum { PROBE_ABI = 1 };
/* Bytes behind an event's own in the slot it is built in: TEXT_MAX in sonda/event.h. */
enum { SLOT_TEXT_ROOM = 4096 };

static const char *const common_filters[] = { "task", "errors", "min" };

struct owned_declaration {
	struct declaration declaration;
	struct arena arena;
};

void declaration_free(struct declaration *d)
{
	struct owned_declaration *o;

	if (!d)
		return;
	o = container_of(d, struct owned_declaration, declaration);
	arena_done(&o->arena);
	free(o);
}

/* "req_op" for "req_op___old": what follows three underscores is ours alone. */
static char *enum_base_name(struct declarer *d, const char *name)
{
	const char *flavour = strstr(name, "___");

	return arena_memdup(d->arena, name, flavour ? (size_t)(flavour - name) : strlen(name));
}

static bool shares_a_name(const struct names_row *own, size_t count, const struct kernel_enum *rows,
			  size_t row_count)
{
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < row_count; j++)
			if (str_eq(own[i].name, rows[j].name))
				return true;
	return !count;
}

/*
 * BTF before clang 16 (and pahole 1.25) doesn't say whether an enum is signed. So that all compilers
 * give the same: one of up to 4 bytes is if it has a value from -4096 to -1. Larger ones are flags.
 */
static void values_widen(struct names_row *rows, size_t count)
{
	bool is_signed = false;

	for (size_t i = 0; i < count; i++)
		is_signed |= (int32_t)rows[i].value < 0 && (int32_t)rows[i].value >= -4096;
	for (size_t i = 0; i < count; i++)
		rows[i].value = is_signed ? (uint64_t)(int64_t)(int32_t)rows[i].value
					  : (uint32_t)rows[i].value;
}

/* The kernel's enum of that name; it is the same one only if they have a name in common. */
static bool names_of_kernel(struct declarer *d, const struct type *en, const char *name,
			    const struct names_row *own, size_t count,
			    const struct names **ret_names)
{
	auto_free struct kernel_enum *kernel = NULL;
	auto_free struct names_row *rows = NULL;
	size_t row_count = 0;

	if (!*name || !kernel_enum_names(name, &kernel, &row_count) ||
	    !shares_a_name(own, count, kernel, row_count))
		return false;
	rows = xcalloc(row_count + 1, sizeof(*rows));
	for (size_t i = 0; i < row_count; i++)
		rows[i] = (struct names_row){ kernel[i].value, kernel[i].name };
	if (en->size <= 4)
		values_widen(rows, row_count);
	*ret_names = names_new(d->arena, name, rows, row_count);
	return true;
}

const struct names *declare_names(struct declarer *d, const struct type *en)
{
	const struct names *n = map_get(&d->names, en->id);
	auto_free struct names_row *own = NULL;
	const char *name = enum_base_name(d, en->name);
	struct type_enum value;
	size_t count = 0;

	if (n)
		return n;
	own = xcalloc(en->count + 1, sizeof(*own));
	for (uint32_t i = 0; i < ENUMERATORS_MAX && types_enum(d->types, en, i, &value); i++)
		if (name_is_identifier(value.name))
			own[count++] = (struct names_row){ value.value, value.name };
	if (en->size <= 4)
		values_widen(own, count);
	if (!names_of_kernel(d, en, name, own, count, &n))
		n = names_new(d->arena, name, own, count);
	map_put(&d->names, en->id, (void *)(uintptr_t)n);
	return n;
}

bool declare_number(const char **text, int64_t *ret_value)
{
	const char *at = *text;
	bool bracket = *at == '(';
	char *end;

	at += bracket;
	errno = 0;
	*ret_value = strtoll(at, &end, 0);
	if (end == at || errno)
		return false;
	end += strspn(end, "uUlL");
	if (bracket && *end++ != ')')
		return false;
	if (*end && *end != ' ')
		return false;
	*text = end + strspn(end, " ");
	return true;
}

static bool is_probe_name(const char *name)
{
	for (const char *c = name; *c; c++)
		if (!(*c >= 'a' && *c <= 'z') && !(*c >= '0' && *c <= '9') && *c != '_')
			return false;
	return *name && strlen(name) <= 64;
}

static int probe_names(struct declarer *d, uint32_t var, struct declaration *to, struct err *e)
{
	const char *name;

	if (declare_text(d, var, -1, "probe", &name, e) < 0 ||
	    declare_text(d, var, -1, "group", &to->group, e) < 0 ||
	    declare_text(d, var, -1, "doc", &to->doc, e) < 0)
		return -e->code;
	if (!is_probe_name(name) || !is_probe_name(to->group))
		return fail(e, EINVAL,
			    "PROBE(%s, \"%s\"): name and group are of letters a-z, digits and _",
			    name, to->group);
	to->name = arena_printf(d->arena, "%s.%s", to->group, name);
	to->internal = types_tag(d->types, var, -1, "internal", 0);
	return 0;
}

static int probe_read(struct declarer *d, const char *fallback_name, struct declaration *to,
		      struct err *e)
{
	uint32_t var = object_probe_var(d->object);
	const char *abi = var ? types_tag(d->types, var, -1, "abi", 0) : NULL;
	int64_t number = 0;

	to->group = to->doc = to->filters = "";
	to->name = arena_strdup(d->arena, fallback_name);
	if (!var)
		return 0;
	if (!abi || !declare_number(&abi, &number) || number != PROBE_ABI) {
		fail(e, EINVAL, "it was built with version %lld of the probe language, not %d",
		     (long long)number, PROBE_ABI);
		return hint(e, "build it again with the headers of this sonda");
	}
	return probe_names(d, var, to, e);
}

/* One word of FILTERS: "task", "errors", "min", "min=10ms" or "tables". */
static int filter_word_read(const char *word, struct declaration *to, struct err *e)
{
	if (str_startswith(word, "min=")) {
		if (duration_parse(word + strlen("min="), &to->min_ns, e) < 0)
			return wrap(e, "FILTERS: %s", word);
		return 0;
	}
	if (str_eq(word, "tables")) {
		to->min_for_tables = true;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(common_filters); i++)
		if (str_eq(word, common_filters[i]))
			return 0;
	return fail(e, EINVAL, "FILTERS: unknown filter '%s' (task errors min min=TIME tables)",
		    word);
}

static int filters_read(struct declarer *d, struct declaration *to, struct err *e)
{
	struct object_var var;
	const char *at;
	char word[32];
	size_t len;

	if (!object_var_find(d->object, "sonda_filters", &var))
		return 0;
	if (declare_text(d, var.var, -1, "filters", &to->filters, e) < 0)
		return wrap(e, "FILTERS");
	for (at = to->filters; *(at += strspn(at, " ")); at += len) {
		len = strcspn(at, " ");
		str_format(word, sizeof(word), "%.*s", (int)min(len, sizeof(word) - 1), at);
		if (filter_word_read(word, to, e) < 0)
			return -e->code;
	}
	return 0;
}

/* What the struct of an event and its texts may take; 0: the object doesn't say. */
static uint32_t event_room(struct declarer *d)
{
	struct type_member body;
	struct type slot, array;

	if (!types_get(d->types, types_find(d->types, "event_slot", TYPE_STRUCT), &slot) ||
	    !types_member_named(d->types, &slot, "body", &body) ||
	    !types_get_resolved(d->types, body.type, &array) || array.kind != TYPE_ARRAY)
		return 0;
	return array.count > SLOT_TEXT_ROOM ? array.count - SLOT_TEXT_ROOM : 0;
}

typedef vec(struct schema) schemas;

static int schema_read(struct declarer *d, uint32_t id, enum struct_use use, const char *name,
		       schemas *to, struct err *e)
{
	uint32_t room = event_room(d);
	struct schema s;

	if (to->len >= SCHEMAS_MAX)
		return fail(e, EINVAL, "more than %d", SCHEMAS_MAX);
	if (!name_is_identifier(name))
		return fail(e, EINVAL, "its name is of other than letters, digits and _");
	if (declare_struct(d, id, use, &s, e) < 0 || declare_text(d, id, -1, "doc", &s.doc, e) < 0)
		return -e->code;
	if (use == USE_EVENT && room && s.size > room)
		return fail(e, EINVAL, "it has %u bytes, but a record holds %u (EVENT_MAX)", s.size,
			    room);
	s.name = arena_strdup(d->arena, name);
	for (size_t i = 0; i < to->len; i++)
		if (str_eq(to->at[i].name, name))
			return fail(e, EINVAL, "there are two of that name");
	vec_push(to, s);
	return 0;
}

/* All structs with the tag, in the order of the object. */
static int schemas_read(struct declarer *d, const char *tag, enum struct_use use,
			const struct schema **ret_schemas, size_t *ret_count, struct err *e)
{
	schemas list = { 0 };
	const char *name;
	struct type t;
	int err = 0;

	for (uint32_t id = 1; !err && types_get(d->types, id, &t); id++) {
		name = types_tag(d->types, id, -1, tag, 0);
		if (!name)
			continue;
		err = schema_read(d, id, use, name, &list, e);
		if (err)
			wrap(e, "%s '%s'", tag, name);
	}
	*ret_schemas =
		(const struct schema *)arena_memdup(d->arena, list.at, list.len * sizeof(*list.at));
	*ret_count = list.len;
	vec_done(&list);
	return err;
}

/* The kernel refuses the BTF of an object with an empty tag, and libbpf goes on without any. */
static int tags_check(struct declarer *d, struct err *e)
{
	struct type t;

	for (uint32_t id = 1; types_get(d->types, id, &t); id++)
		if (t.kind == TYPE_DECL_TAG && !*t.name)
			return fail(
				e, EINVAL,
				"a declaration tag is empty: the kernel refuses such an object");
	return 0;
}

static int all_read(struct declarer *d, const char *fallback_name, struct declaration *to,
		    struct err *e)
{
	if (probe_read(d, fallback_name, to, e) < 0)
		return -e->code;
	d->probe = to->name;
	if (tags_check(d, e) < 0 || filters_read(d, to, e) < 0 || declare_params(d, to, e) < 0 ||
	    schemas_read(d, "event", USE_EVENT, &to->events, &to->event_count, e) < 0 ||
	    schemas_read(d, "row", USE_ROW, &to->rows, &to->row_count, e) < 0 ||
	    declare_tables(d, to, e) < 0)
		return -e->code;
	return 0;
}

int declaration_read(const struct object *object, const char *fallback_name,
		     struct declaration **ret, struct err *e)
{
	struct owned_declaration *o = xnew(struct owned_declaration);
	struct declarer d = {
		.object = object,
		.types = object_types(object),
		.arena = &o->arena,
		.members_left = MEMBERS_MAX,
	};
	int err;

	assert(object && fallback_name && ret);
	err = all_read(&d, fallback_name, &o->declaration, e);
	map_done(&d.names, NULL);
	if (err) {
		declaration_free(&o->declaration);
		return wrap(e, "probe '%s'", fallback_name);
	}
	*ret = &o->declaration;
	return 0;
}

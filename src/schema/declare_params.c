/* SPDX-License-Identifier: BSD-2-Clause */
/* Parameters: const volatile variables in .rodata, with default, range and meaning. */
#include "schema/declare.h"

#include <errno.h>

#include "abi/param.h"
#include "base/err.h"
#include "base/str.h"
#include "base/vec.h"
#include "schema/names.h"

/* Options of the commands that take probes: a parameter may not be called so. */
/* clang-format off */
static const char *const common_options[] = {
	"pid", "tid", "user", "comm", "exe", "cgroup", "tree", "errors", "min", "where", "fields",
	"count", "for", "by", "sort", "reverse", "limit", "interval", "once", "totals", "heat", "all",
	"output", "to", "header", "no-header", "enrich", "no-enrich", "interface", "buffer", "log",
	"strict", "quiet", "verbose", "help", "version",
};
/* clang-format on */

/* Variables that the language itself has. */
static bool is_own(const char *name)
{
	return str_startswith(name, "sonda_") || str_startswith(name, "bounds_") ||
	       str_startswith(name, "zero_");
}

/* Is `what` (const or volatile) on the way from the variable to what it holds? An array has it on
 * its elements. */
static bool is_qualified(const struct types *types, uint32_t id, enum type_kind what)
{
	struct type t;

	for (int depth = 0; depth < 32 && types_get(types, id, &t); depth++) {
		if (t.kind == what)
			return true;
		if (t.kind == TYPE_STRUCT || t.kind == TYPE_UNION || t.kind == TYPE_PTR)
			return false;
		id = t.target;
	}
	return false;
}

static bool same_option(const char *param, const char *option)
{
	for (; *param || *option; param++, option++)
		if (*param != *option && !(*param == '_' && *option == '-'))
			return false;
	return true;
}

static int param_name(const char *name, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(common_options); i++)
		if (same_option(name, common_options[i]))
			return fail(e, EINVAL,
				    "--%s is an option of sonda itself; choose another name",
				    common_options[i]);
	return name_is_identifier(name)
		       ? 0
		       : fail(e, EINVAL, "a name of letters, digits and _, please");
}

static int param_type(struct param *p, const char *tag, struct err *e)
{
	if (tag && str_eq(tag, "file") && p->field.size != sizeof(struct param_file))
		return fail(e, EINVAL, "a file takes %zu bytes: use PARAM_FILE",
			    sizeof(struct param_file));
	if (tag && str_eq(tag, "file"))
		p->type = PARAM_FILE;
	else if (p->field.type == FIELD_ENUM)
		p->type = PARAM_ENUM;
	else if (p->field.type == FIELD_CHARS)
		p->type = PARAM_CHARS;
	else if (p->field.type == FIELD_INT)
		p->type = p->field.is_bool ? PARAM_BOOL : PARAM_INT;
	else if (p->field.type == FIELD_ARRAY && !p->field.names)
		p->type = PARAM_LIST;
	else
		return fail(e, EINVAL,
			    "a parameter is a bool, a number, an enum, a char array, or a list of "
			    "numbers of 2 bytes or more");
	return 0;
}

static int param_initial(struct declarer *d, const struct object_var *var, struct param *p,
			 struct err *e)
{
	struct row r = { .size = var->size };

	if (p->field.size != var->size)
		return fail(e, EINVAL, "it has %u bytes, its type %u", var->size, p->field.size);
	r.bytes = (const unsigned char *)arena_memdup(d->arena, var->bytes, var->size);
	p->initial = row_value(&r, &p->field);
	if (p->type == PARAM_CHARS && p->initial.text.len == var->size)
		return fail(e, EINVAL,
			    "its default fills all %u bytes: there must be room for a NUL",
			    var->size);
	return 0;
}

/* A list ends at its first 0; what it begins with is cut there, and each is in the range. */
static int list_range(struct param *p, struct err *e)
{
	uint32_t n = 0;

	if (p->low <= 0)
		return fail(e, EINVAL, "a list needs a RANGE that begins above 0, which ends it");
	for (; n < p->field.count; n++) {
		int64_t value = field_element(&p->field, p->initial, n).s64;

		if (!value)
			break;
		if (value < p->low || value > p->high)
			return fail(e, EINVAL, "its default %lld is not in the range %lld to %lld",
				    (long long)value, (long long)p->low, (long long)p->high);
	}
	p->initial.list.count = n;
	return 0;
}

static int param_range(const char *tag, struct param *p, struct err *e)
{
	const char *at = tag;

	if (!tag)
		return p->type == PARAM_LIST ? list_range(p, e) : 0;
	if (p->type != PARAM_INT && p->type != PARAM_LIST)
		return fail(e, EINVAL, "RANGE is for numbers");
	if (!declare_number(&at, &p->low) || !declare_number(&at, &p->high) || *at ||
	    p->low > p->high)
		return fail(e, EINVAL, "RANGE(%s): expected two numbers, the lower one first", tag);
	if (!p->field.is_signed && p->low < 0)
		return fail(e, EINVAL, "RANGE(%s): the parameter is never negative", tag);
	if (p->type == PARAM_LIST) {
		if (list_range(p, e) < 0)
			return -e->code;
	} else if (p->initial.s64 < p->low || p->initial.s64 > p->high)
		return fail(e, EINVAL, "its default %lld is not in the range %lld to %lld",
			    (long long)p->initial.s64, (long long)p->low, (long long)p->high);
	p->has_range = true;
	return 0;
}

static int param_read(struct declarer *d, const struct object_var *var, struct param *p,
		      struct err *e)
{
	struct param made = { .field = { .unit = "" } };

	if (!is_qualified(d->types, var->type, TYPE_CONST) ||
	    !is_qualified(d->types, var->type, TYPE_VOLATILE))
		return fail(e, EINVAL,
			    "it is not const volatile, so the compiler may have put its value "
			    "into the code: use PARAM");
	if (param_name(var->name, e) < 0 ||
	    declare_field(d, var->var, -1, var->type, &made.field, e) < 0 ||
	    param_type(&made, types_tag(d->types, var->var, -1, "param", 0), e) < 0)
		return -e->code;
	made.field.name = arena_strdup(d->arena, var->name);
	if (param_initial(d, var, &made, e) < 0 ||
	    param_range(types_tag(d->types, var->var, -1, "range", 0), &made, e) < 0)
		return -e->code;
	made.required = types_tag(d->types, var->var, -1, "required", 0);
	if (made.required) {
		if (made.type != PARAM_CHARS)
			return fail(e, EINVAL, "REQUIRED is for a text");
		made.required = arena_strdup(d->arena, made.required);
	}
	*p = made;
	return 0;
}

/* Is the variable a parameter? In an object that declares nothing, every setting is one that can
 * be. */
static bool is_param(struct declarer *d, const struct object_var *var)
{
	struct param unused;
	struct err why;

	if (types_tag(d->types, var->var, -1, "param", 0))
		return true;
	return !object_probe_var(d->object) && !is_own(var->name) &&
	       param_read(d, var, &unused, &why) == 0;
}

/* A variable tagged as parameter that is not in .rodata never reaches the loop above. */
static int params_elsewhere(struct declarer *d, struct err *e)
{
	struct object_var var;
	struct type t;

	for (uint32_t id = 1; types_get(d->types, id, &t); id++)
		if (t.kind == TYPE_VAR && types_tag(d->types, id, -1, "param", 0) &&
		    !object_var_find(d->object, t.name, &var))
			return fail(e, EINVAL,
				    "parameter '%s' is not const volatile, or the compiler has "
				    "left it out: use PARAM",
				    t.name);
	return 0;
}

int declare_params(struct declarer *d, struct declaration *to, struct err *e)
{
	size_t vars = object_var_count(d->object);
	vec(struct param) list = { 0 };
	struct object_var var;
	int err = 0;

	for (size_t i = 0; i < vars && !err; i++) {
		struct param p = { 0 };

		object_var(d->object, i, &var);
		if (!is_param(d, &var))
			continue;
		err = list.len < PARAMS_MAX ? param_read(d, &var, &p, e)
					    : fail(e, EINVAL, "more than %d", PARAMS_MAX);
		if (err)
			wrap(e, "parameter '%s'", var.name);
		vec_push(&list, p);
	}
	to->params =
		(const struct param *)arena_memdup(d->arena, list.at, list.len * sizeof(*list.at));
	to->param_count = list.len;
	vec_done(&list);
	return err ? err : params_elsewhere(d, e);
}

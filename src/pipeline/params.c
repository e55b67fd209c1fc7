/* SPDX-License-Identifier: BSD-2-Clause */
/* Parameters of probes. */
#include "pipeline/params.h"

#include "abi/param.h"
#include "base/err.h"
#include "base/opt.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "bpf/object.h"
#include "pipeline/catalog.h"
#include "pipeline/param_file.h"
#include "schema/kind.h"

#include <errno.h>

static struct value bound_of(const struct param *param, int64_t bound)
{
	return param->field.is_signed ? value_s64(bound) : value_u64(bound);
}

/* `text` is what the user wrote for `value`; the bounds are said in the same way, with their unit. */
static int param_range(const struct param *param, const char *text, int64_t value, struct err *e)
{
	auto_done(strbuf) low = { 0 }, high = { 0 };

	if (!param->has_range || (value >= param->low && value <= param->high))
		return 0;
	value_text_form(&low, &param->field, bound_of(param, param->low));
	value_text_form(&high, &param->field, bound_of(param, param->high));
	return fail(e, ERANGE, "%s is not between %s and %s", text, strbuf_str(&low),
		    strbuf_str(&high));
}

static int param_chars(const struct param *param, const char *text, struct object *o, struct err *e)
{
	auto_free char *bytes = xcalloc(1, param->field.size);

	if (strlen(text) >= param->field.size)
		return fail(e, EINVAL, "'%s' is longer than %u bytes", text, param->field.size - 1);
	memcpy(bytes, text, strlen(text));
	return object_var_set(o, param->field.name, bytes, param->field.size, e);
}

static int param_path(const struct param *param, const char *text, struct object *o, struct err *e)
{
	struct param_file file;
	int err = param_file_resolve(text, &file, e);

	return err ?: object_var_set(o, param->field.name, &file, sizeof(file), e);
}

/* "53,5353": one after the other, the rest is 0. */
static int param_list(const struct param *param, const char *text, struct object *o, struct err *e)
{
	const struct field *list = &param->field;
	struct field item = { .name = list->name,
			      .kind = kind_of_unit(list->unit),
			      .unit = list->unit,
			      .size = list->element_size,
			      .is_signed = list->is_signed };
	auto_free unsigned char *bytes = xcalloc(1, list->size);
	auto_done(strlist) parts = { 0 };
	struct value v;

	if (str_split(text, &parts) > list->count)
		return fail(e, EINVAL, "'%s' has more than %u values", text, list->count);
	if (!parts.len)
		return fail(e, EINVAL, "expected a number, or several with ',' between them");
	for (size_t i = 0; i < parts.len; i++) {
		if (value_parse(&item, parts.at[i], &v, e) < 0 ||
		    param_range(param, parts.at[i], v.s64, e) < 0)
			return -e->code;
		memcpy(bytes + i * item.size, &v.u64, item.size);
	}
	return object_var_set(o, list->name, bytes, list->size, e);
}

/* OPT_CALL of a parameter's row; ctx is the parameter, cfg the probe. */
static int param_set(const struct opt *row, const char *value, void *cfg, struct err *e)
{
	const struct param *param = row->ctx;
	struct probe *p = cfg;
	struct value v;
	int err;

	if (param->type == PARAM_BOOL)
		return object_var_set_u64(p->object, param->field.name,
					  !str_startswith(row->name, "no-"), e);
	if (param->type == PARAM_CHARS)
		return param_chars(param, value, p->object, e);
	if (param->type == PARAM_FILE)
		return param_path(param, value, p->object, e);
	if (param->type == PARAM_LIST)
		return param_list(param, value, p->object, e);
	err = value_parse(&param->field, value, &v, e);
	if (!err)
		err = param_range(param, value, v.s64, e);
	if (err)
		return err;
	return param->field.is_signed ? object_var_set_s64(p->object, param->field.name, v.s64, e)
				      : object_var_set_u64(p->object, param->field.name, v.u64, e);
}

/* "depth_max" is --depth-max; a switch that is on unless said otherwise is --no-... */
static char *param_option_name(const char *name, bool off)
{
	char *option = xasprintf("%s%s", off ? "no-" : "", name);

	for (char *c = option; *c; c++)
		if (*c == '_')
			*c = '-';
	return option;
}

static void param_row(struct opt *row, const struct param *param)
{
	bool is_switch = param->type == PARAM_BOOL;

	row->name = param_option_name(param->field.name, is_switch && param->initial.boolean);
	row->type = OPT_CALL;
	row->metavar = is_switch                    ? NULL
		       : param->required            ? param->required
		       : param->type == PARAM_CHARS ? "TEXT"
		       : param->type == PARAM_FILE  ? "PATH"
		       : param->field.unit[0]       ? param->field.unit
		       : param->type == PARAM_ENUM  ? "NAME"
		       : param->type == PARAM_LIST  ? "N,N..."
						    : "N";
	row->help = param->field.doc;
	row->call = param_set;
	row->ctx = param;
}

struct opt *params_options(struct probe *p, struct opt_set *set)
{
	const struct declaration *d = p->decl;
	struct opt *rows;

	if (!d->param_count)
		return NULL;
	rows = xcalloc(d->param_count + 1, sizeof(*rows));
	for (size_t i = 0; i < d->param_count; i++)
		param_row(&rows[i], &d->params[i]);
	opt_set_add(set,
		    (struct opt_table){
			    .title = p->name, .rows = rows, .count = d->param_count, .cfg = p });
	return rows;
}

/* What must be given for this parameter and hasn't been; NULL: nothing. */
static const char *param_lacks(const struct probe *p, const struct param *param)
{
	static const struct param_file none;
	struct object_var var;

	if (!object_var_find(p->object, param->field.name, &var))
		return NULL;
	if (param->type == PARAM_FILE)
		return memcmp(var.bytes, &none, sizeof(none)) ? NULL : "PATH";
	return *(const char *)var.bytes ? NULL : param->required;
}

int params_ready(const struct probe *p, struct err *e)
{
	const struct declaration *d = p->decl;

	for (size_t i = 0; i < d->param_count; i++) {
		const struct param *param = &d->params[i];
		const char *expected = param_lacks(p, param);
		auto_free char *option = NULL;

		if (!expected)
			continue;
		option = param_option_name(param->field.name, false);
		fail_as(e, EXIT_USAGE, EINVAL, "%s needs --%s %s", p->name, option, expected);
		return hint(e, "%s", param->field.doc);
	}
	return 0;
}

static bool param_is_set(const struct probe *p, const struct param *param)
{
	struct object_var var;

	if (!object_var_find(p->object, param->field.name, &var))
		return false;
	for (uint32_t i = 0; i < var.size; i++)
		if (((const char *)var.bytes)[i])
			return true;
	return false;
}

struct schema *params_shown(const struct probe *p, const struct schema *event)
{
	struct schema *shown = NULL;

	for (size_t i = 0; i < p->decl->param_count; i++) {
		const struct param *param = &p->decl->params[i];
		const struct field *f = schema_field(event, param->field.name);

		if (!f || !(f->flags & FIELD_HIDE) || !param_is_set(p, param))
			continue;
		shown = shown ?: schema_extend(event, NULL, 0);
		schema_show(shown, f->name);
	}
	return shown;
}

void params_free(struct opt *rows)
{
	for (struct opt *row = rows; row && row->name; row++)
		free((char *)(uintptr_t)row->name);
	free(rows);
}

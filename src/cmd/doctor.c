/* SPDX-License-Identifier: BSD-2-Clause */
/* sonda doctor: what this kernel can do, by doing it. */
#include "base/json.h"
#include "base/str.h"
#include "base/table.h"
#include "bpf/features.h"
#include "bpf/kernel.h"
#include "cmd/command.h"
#include "cmd/form.h"
#include "sink/out.h"

#include <errno.h>
#include <unistd.h>

struct doctor {
	const char *format;
};

/* clang-format off */
static const struct opt doctor_opts[] = {
	{ "output", OPT_STR, offsetof(struct doctor, format), "FORMAT", "text, json or csv", .letter = 'o' },
};
/* clang-format on */

static void doctor_options(void *cfg, struct opt_set *set)
{
	opt_set_add(set, (struct opt_table){ .title = "Output",
					     .rows = doctor_opts,
					     .count = ARRAY_LEN(doctor_opts),
					     .cfg = cfg });
}

static const char *const stages[] = { [FEATURE_WORKS] = "works",
				      [FEATURE_LOAD] = "refused at load",
				      [FEATURE_ATTACH] = "refused at attach",
				      [FEATURE_FIRE] = "attached, did not fire" };

struct report {
	struct strbuf out;
	struct table *table; /* NULL: JSON */
	unsigned broken;
};

static void report_cell(struct report *r, enum term_style style, const char *text)
{
	table_cell(r->table, style, text, strlen(text));
}

static void json_pair(struct json *j, const char *key, const char *text)
{
	json_key(j, key);
	json_str(j, text);
}

static int on_fact(const struct kernel_fact *f, void *ctx)
{
	struct report *r = ctx;
	struct json j = { .out = &r->out };

	if (r->table) {
		report_cell(r, TERM_PLAIN, f->name);
		report_cell(r, f->good ? TERM_GREEN : TERM_YELLOW, f->value);
		report_cell(r, TERM_PLAIN, f->remedy);
		table_row_end(r->table);
		return 0;
	}
	json_obj_begin(&j);
	json_pair(&j, "fact", f->name);
	json_pair(&j, "value", f->value);
	json_key(&j, "good");
	json_bool(&j, f->good);
	json_pair(&j, "remedy", f->remedy);
	json_obj_end(&j);
	json_line_end(&j);
	return 0;
}

static void feature_text(struct report *r, const struct feature *f)
{
	bool works = f->stage == FEATURE_WORKS;
	auto_done(strbuf) why = { 0 };

	report_cell(r, TERM_DIM, f->group);
	report_cell(r, TERM_BOLD, f->name);
	report_cell(r, works ? TERM_GREEN : TERM_RED, stages[f->stage]);
	report_cell(r, TERM_PLAIN, f->since);
	report_cell(r, TERM_PLAIN, f->doc);
	strbuf_appendf(&why, "%s%s%s", f->why, f->remedy[0] ? "; " : "", f->remedy);
	report_cell(r, TERM_PLAIN, strbuf_str(&why));
	table_row_end(r->table);
}

static int on_feature(const struct feature *f, void *ctx)
{
	struct report *r = ctx;
	struct json j = { .out = &r->out };

	r->broken += f->stage != FEATURE_WORKS;
	if (r->table) {
		feature_text(r, f);
		return 0;
	}
	json_obj_begin(&j);
	json_pair(&j, "feature", f->name);
	json_pair(&j, "group", f->group);
	json_key(&j, "works");
	json_bool(&j, f->stage == FEATURE_WORKS);
	json_pair(&j, "stage", stages[f->stage]);
	json_pair(&j, "since", f->since);
	json_key(&j, "errno");
	json_s64(&j, f->code);
	json_pair(&j, "why", f->why);
	json_pair(&j, "remedy", f->remedy);
	json_obj_end(&j);
	json_line_end(&j);
	return 0;
}

static struct table *report_table(struct report *r, const struct table_col *cols, size_t count)
{
	return table_new(cols, count,
			 (struct table_style){ .width_cols = term_width(STDOUT_FILENO),
					       .colour = term_has_colour(STDOUT_FILENO),
					       .settle_rows = 1000 },
			 &r->out);
}

static int doctor_text(struct report *r, struct err *e)
{
	static const struct table_col facts[] = { { .title = "KERNEL" },
						  { .title = "IS" },
						  { .title = "TO CHANGE IT" } };
	static const struct table_col features[] = {
		{ .title = "GROUP" }, { .title = "METHOD" }, { .title = "HERE" },
		{ .title = "SINCE" }, { .title = "FOR" },    { .title = "WHY NOT; WHAT TO DO" }
	};
	int err;

	r->table = report_table(r, facts, ARRAY_LEN(facts));
	err = kernel_facts(on_fact, r);
	table_settle(r->table);
	table_free(r->table);
	if (err)
		return err;
	strbuf_putc(&r->out, '\n');
	r->table = report_table(r, features, ARRAY_LEN(features));
	err = features_try(on_feature, r, e);
	table_settle(r->table);
	table_free(r->table);
	r->table = NULL;
	if (!err)
		strbuf_appendf(&r->out, "\n%zu methods tried, %u work, %u don't\n",
			       features_count(), (unsigned)features_count() - r->broken, r->broken);
	return err;
}

/* Facts of the kernel first, then methods. */
static const char csv_columns[] =
	"fact,value,good,feature,group,works,stage,since,errno,why,remedy";

static int doctor_run(void *cfg, const struct opt_rest *rest, struct err *e)
{
	struct report r = { 0 };
	enum form form;
	int err, written;

	if (rest->count)
		return fail_as(e, EXIT_USAGE, EINVAL, "'%s': doctor takes no words",
			       rest->words[0]);
	if (form_choose(((struct doctor *)cfg)->format, &form, e) < 0)
		return -e->code;
	if (form == FORM_TEXT)
		err = doctor_text(&r, e);
	else
		err = kernel_facts(on_fact, &r) ?: features_try(on_feature, &r, e);
	if (!err)
		err = kernel_btf_check(e);
	/* the facts are worth having also when the trials are not permitted */
	struct err write_error = { 0 };

	written = form == FORM_CSV ? form_csv(&r.out, csv_columns, false, &write_error) : 0;
	if (!written)
		written = out_write(&r.out, STDOUT_FILENO, -1, &write_error);
	strbuf_done(&r.out);
	if (!err && written) {
		*e = write_error;
		err = written;
	}
	return err;
}

const struct command command_doctor = {
	.name = "doctor",
	.synopsis = "[-o text|json|csv]",
	.help = "what this kernel can do, and what to change where it can't",
	.text = "Loads and attaches one small program of each kind, lets it fire where that is harmless, and\n"
		"removes it. Says what works, what doesn't, why, and how to change it; SINCE is the\n"
		"first version of Linux that has it.",
	.cfg_size = sizeof(struct doctor),
	.options = doctor_options,
	.run = doctor_run,
};

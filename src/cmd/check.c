/* SPDX-License-Identifier: BSD-2-Clause */
/* sonda check: does a probe load on this kernel, and if not, which line and why. */
#include "base/json.h"
#include "base/str.h"
#include "bpf/object.h"
#include "bpf/sets.h"
#include "bpf/verify.h"
#include "cmd/command.h"
#include "cmd/form.h"
#include "pipeline/catalog.h"
#include "sink/out.h"

#include <errno.h>
#include <unistd.h>

struct check {
	const char *format;
	enum form form;
	bool log;
	bool begun; /* something is printed */
};

/* clang-format off */
static const struct opt check_opts[] = {
	{ "output", OPT_STR,  offsetof(struct check, format), "FORMAT", "text, json or csv", .letter = 'o' },
	{ "log",    OPT_BOOL, offsetof(struct check, log),    NULL,     "the verifier's whole log of what is refused" },
};
/* clang-format on */

static void check_options(void *cfg, struct opt_set *set)
{
	opt_set_add(set, (struct opt_table){ .title = "Output",
					     .rows = check_opts,
					     .count = ARRAY_LEN(check_opts),
					     .cfg = cfg });
}

/* Of one probe. */
struct checking {
	const struct check *cfg;
	struct strbuf *out; /* text */
	struct json *json;  /* NULL: text */
	uint64_t insns;     /* verified, of what loads */
	unsigned refused;
};

static const char *verdict_word(const struct verdict *v)
{
	return v->skipped ? "skipped" : v->loads ? "loads" : "refused";
}

static void verdict_text(struct checking *c, const struct verdict *v)
{
	strbuf_appendf(c->out, "  %-8s %-20s %-44s", verdict_word(v), v->program, v->hook);
	if (v->loads)
		strbuf_appendf(c->out, " %7u insns (%.2g %% of the limit), %u bytes", v->insns,
			       100.0 * v->insns / VERIFY_INSNS_LIMIT, v->xlated_bytes);
	else if (v->words[0])
		strbuf_appendf(c->out, " %s", v->words);
	strbuf_putc(c->out, '\n');
	if (v->loads || v->skipped)
		return;
	if (v->line)
		strbuf_appendf(c->out, "           %s:%u: %s\n", v->file, v->line, v->source);
	if (v->advice[0])
		strbuf_appendf(c->out, "           advice: %s\n", v->advice);
	if (c->cfg->log)
		strbuf_puts(c->out, v->log);
}

static void json_text(struct json *j, const char *key, const char *text)
{
	json_key(j, key);
	json_str(j, text);
}

static void json_number(struct json *j, const char *key, uint64_t n)
{
	json_key(j, key);
	json_u64(j, n);
}

static void verdict_json(struct checking *c, const struct verdict *v)
{
	struct json *j = c->json;

	json_obj_begin(j);
	json_text(j, "program", v->program);
	json_text(j, "attach", v->hook);
	json_text(j, "slot", v->slot);
	json_number(j, "rank", v->rank);
	json_text(j, "verdict", verdict_word(v));
	json_number(j, "insns", v->insns);
	json_number(j, "xlated_bytes", v->xlated_bytes);
	json_number(j, "jited_bytes", v->jited_bytes);
	json_number(j, "stack_bytes", v->stack_bytes);
	if (!v->loads) {
		json_text(j, "file", v->file);
		json_number(j, "line", v->line);
		json_text(j, "source", v->source);
		json_text(j, "words", v->words);
		json_text(j, "advice", v->advice);
	}
	json_obj_end(j);
}

static int on_verdict(const struct verdict *v, void *ctx)
{
	struct checking *c = ctx;

	if (v->loads)
		c->insns += v->insns;
	c->refused += !v->loads && !v->skipped;
	if (c->json)
		verdict_json(c, v);
	else
		verdict_text(c, v);
	return 0;
}

/* Which alternatives are used: by really loading and attaching them all. */
static void check_hooks(struct json *j, const struct object *o)
{
	struct object_slot slot;

	json_key(j, "hooks");
	json_arr_begin(j);
	for (size_t i = 0; i < object_slot_count(o); i++) {
		object_slot(o, i, &slot);
		if (!slot.rank)
			continue;
		json_obj_begin(j);
		json_text(j, "slot", slot.name);
		json_number(j, "rank", slot.rank);
		json_text(j, "attach", slot.hook);
		json_obj_end(j);
	}
	json_arr_end(j);
}

static int check_finish(struct checking *c, struct probe *p, struct err *e)
{
	struct err why = { 0 };
	int runs = object_load(p->object, NULL, &why);

	if (runs == -EPERM)
		return fail_as(e, EXIT_DENIED, EPERM, "%s", why.text);
	if (c->json) {
		json_arr_end(c->json);
		json_text(c->json, "verdict", runs < 0 ? "refused" : "ok");
		json_number(c->json, "insns", c->insns);
		if (runs < 0)
			json_text(c->json, "reason", why.text);
		check_hooks(c->json, p->object);
		json_obj_end(c->json);
		json_line_end(c->json);
	} else {
		strbuf_appendf(c->out, "%s: %s\n", p->name, runs < 0 ? why.text : "runs here");
	}
	return runs < 0 ? EXIT_KERNEL : EXIT_OK;
}

/* The tracker of process trees works on a set that whoever filters by it makes. */
static int check_sets(struct probe *p, int *ret_fd, struct err *e)
{
	int err = p->decl->internal ? sets_new(ret_fd, e) : 0;

	return err || *ret_fd < 0 ? err : object_map_share(p->object, "sonda_sets", *ret_fd, e);
}

static int check_probe(struct check *cfg, struct probe *p, struct err *e)
{
	auto_close int sets_fd = -1;
	auto_done(strbuf) out = { 0 };
	struct json j = { .out = &out };
	struct checking c = { .cfg = cfg, .out = &out };
	int code, err;

	if (cfg->form != FORM_TEXT) {
		c.json = &j;
		json_obj_begin(&j);
		json_text(&j, "probe", p->name);
		json_key(&j, "programs");
		json_arr_begin(&j);
	} else {
		strbuf_appendf(&out, "%s: %s\n", p->name, p->decl->doc);
	}
	err = check_sets(p, &sets_fd, e);
	if (!err)
		err = verify_object(p->object, on_verdict, &c, e);
	if (err < 0)
		return err;
	code = check_finish(&c, p, e);
	if (code < 0)
		return code;
	err = cfg->form == FORM_CSV ? form_csv(&out, "probe,verdict,insns,reason", cfg->begun, e)
				    : 0;
	cfg->begun = true;
	if (!err)
		err = out_write(&out, STDOUT_FILENO, -1, e);
	return err < 0 ? err : code;
}

static int check_run(void *cfg, const struct opt_rest *rest, struct err *e)
{
	struct check *check = cfg;
	struct catalog c = { 0 };
	int code = EXIT_OK;

	if (form_choose(check->format, &check->form, e) < 0)
		return -e->code;
	catalog_read(&c);
	for (size_t i = 0; code >= 0 && i < (rest->count ?: c.entries.len); i++) {
		auto_ptr(probe) p = NULL;
		int one = rest->count ? catalog_find(&c, rest->words[i], &p, e)
				      : catalog_open(&c.entries.at[i], &p, e);

		if (!one)
			one = check_probe(check, p, e);
		code = one < 0 ? one : code > one ? code : one;
	}
	catalog_done(&c);
	return code;
}

const struct command command_check = {
	.name = "check",
	.synopsis = "[PROBE|FILE...] [OPTIONS]",
	.help = "does it load on this kernel; for a refusal the C line and advice",
	.text = "Loads every program of a probe (without a word: of all) and says what the verifier says:\n"
		"verified instructions against its limit, or the refused C line, its last words and advice.\n"
		"Then loads and attaches the probe as trace would, once. Exits 4 when it can't run here.",
	.examples = "sonda check ./mine.bpf.o\ta probe of your own\n"
		    "sonda check fs.open -o json\tfor scripts\n",
	.cfg_size = sizeof(struct check),
	.options = check_options,
	.run = check_run,
};

/* SPDX-License-Identifier: BSD-2-Clause */
/* sonda policy: what is said in a file, put into force. A row for each verb. */
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "base/units.h"
#include "bpf/object.h"
#include "bpf/pins.h"
#include "cmd/command.h"
#include "cmd/policy_plan.h"
#include "cmd/policy_status.h"
#include "cmd/policy_top.h"
#include "cmd/policy_trial.h"
#include "cmd/policy_who.h"
#include "cmd/policy_why.h"
#include "enforce/enforce.h"
#include "enforce/names.h"
#include "enforce/packet.h"
#include "pipeline/catalog.h"
#include "sink/out.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct policy_cmd {
	const char *format, *against;
	uint64_t confirm_ns, every_ns, times;
	bool write, audit;
	struct policy_who who;
};

struct verb {
	const char *name;
	const char *given[2]; /* what it is given; NULL: nothing */
	bool more;            /* and perhaps more */
	int (*run)(const struct policy_cmd *c, char **words, size_t count, struct err *e);
};

/* clang-format off */
static const struct opt policy_opts[] = {
	{ "confirm", OPT_DURATION, offsetof(struct policy_cmd, confirm_ns), "TIME",   "apply, promote: after that what was in force before comes back, unless `sonda policy confirm` is said", .least = 1000000, .most = 365ull * 86400 * 1000000000 },
	{ "audit",   OPT_BOOL,     offsetof(struct policy_cmd, audit),      NULL,     "apply: lays it beside what is in force: what it would refuse is counted and told" },
	{ "against", OPT_STR,      offsetof(struct policy_cmd, against),    "FILE",   "plan: also what it would have refused of this recording" },
	{ "every",   OPT_DURATION, offsetof(struct policy_cmd, every_ns),   "TIME",   "top: length of the window (1s)", .least = 10000000, .most = 3600000000000 },
	{ "times",   OPT_U64,      offsetof(struct policy_cmd, times),      "N",      "top: so many windows, then end" },
	{ "write",   OPT_BOOL,     offsetof(struct policy_cmd, write),      NULL,     "fmt: into the file, not to the output", .letter = 'w' },
	{ "pid",     OPT_U32,      offsetof(struct policy_cmd, who.pid),    "PID",    "why: the process that asks: its program, user, cgroup, terminal and those that it comes of" },
	{ "exe",     OPT_STR,      offsetof(struct policy_cmd, who.exe),    "PATH",   "why: the program that asks" },
	{ "ancestor", OPT_STR,     offsetof(struct policy_cmd, who.ancestor), "PATH", "why: the one program besides that which it descends from" },
	{ "user",    OPT_STR,      offsetof(struct policy_cmd, who.user),   "USER",   "why: whom it runs as" },
	{ "cgroup",  OPT_STR,      offsetof(struct policy_cmd, who.cgroup), "CGROUP", "why: the cgroup it is in" },
	{ "output",  OPT_STR,      offsetof(struct policy_cmd, format),     "FORMAT", "text or json (status, plan, test, top)", .letter = 'o' },
};
/* clang-format on */

static void policy_options(void *cfg, struct opt_set *set)
{
	opt_set_add(set, (struct opt_table){ .title = "Options",
					     .rows = policy_opts,
					     .count = ARRAY_LEN(policy_opts),
					     .cfg = cfg });
}

/* ---- guards come from the catalogue ---- */

static int guard_open(const char *name, void **ret_handle, struct object **ret_object,
		      struct err *e)
{
	struct catalog catalog = { 0 };
	struct probe *p = NULL;
	int err;

	catalog_read(&catalog);
	err = catalog_find(&catalog, name, &p, e);
	catalog_done(&catalog);
	if (err < 0)
		return err;
	*ret_handle = p;
	*ret_object = p->object;
	return 0;
}

static void guard_close(void *handle)
{
	probe_free(handle);
}

static const struct enforce_source source = { .open = guard_open, .close = guard_close };

/* ---- the verbs ---- */

/* What whoever puts it into force should know of it, and of this machine. */
static void cautions_note(const struct policy *p)
{
	auto_done(strbuf) lines = { 0 };

	policy_cautions(p, &lines);
	enforce_cautions(p, &lines);
	for (const char *line = strbuf_str(&lines); *line;) {
		size_t len = strcspn(line, "\n");

		log_note(NULL, "%.*s", (int)len, line);
		line += len + (line[len] == '\n');
	}
}

/* One that could be put into force. */
static int rules_read(const char *path, struct policy **ret_policy, char **ret_text, struct err *e)
{
	auto_free char *text = NULL;
	auto_ptr(policy) p = NULL;

	if (policy_read(path, &p, &text, e) < 0)
		return -e->code;
	if (!p->rules.len)
		return hint(
			(fail_as(e, EXIT_POLICY, EINVAL, "%s: there is no rule in it", path), e),
			"`sonda policy off` ends what is in force");
	if (policy_lint(p, e) < 0)
		return -e->code;
	*ret_policy = TAKE_PTR(p);
	if (ret_text)
		*ret_text = TAKE_PTR(text);
	return 0;
}

/* What it takes --confirm to apply. */
static void logins_note(const struct policy *p)
{
	struct err e = { 0 };

	if (policy_lint_logins(p, &e) < 0)
		log_note(NULL, "%s; `apply` refuses it without --confirm", e.text);
}

static int run_check(const struct policy_cmd *c, char **words, size_t count, struct err *e)
{
	const char *path = words[0];
	auto_ptr(policy) p = NULL;

	(void)c, (void)count;
	if (rules_read(path, &p, NULL, e) < 0 || names_check(p, e) < 0)
		return -e->code;
	cautions_note(p);
	logins_note(p);
	log_note(NULL, "%s: %zu rule%s, %zu set%s", path, p->rules.len,
		 p->rules.len == 1 ? "" : "s", p->sets.len, p->sets.len == 1 ? "" : "s");
	return EXIT_OK;
}

/* The file stays whose it was, behind links to it too. */
static int write_over(const char *path, struct strbuf *text, struct err *e)
{
	char real[PATH_MAX];
	struct stat st;

	if (!realpath(path, real) || stat(real, &st) != 0)
		return fail(e, errno, "'%s': %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fail(e, EINVAL, "'%s' is no file that could be written over", path);
	if (file_write(real, strbuf_str(text), text->len, st.st_mode & 0777, e) < 0)
		return -e->code;
	if (lchown(real, st.st_uid, st.st_gid) != 0)
		return fail(e, errno, "'%s': its owner: %s", path, strerror(errno));
	return 0;
}

static int run_fmt(const struct policy_cmd *c, char **words, size_t count, struct err *e)
{
	const char *path = words[0];
	auto_done(strbuf) out = { 0 };
	auto_ptr(policy) p = NULL;

	if (policy_read(path, &p, NULL, e) < 0)
		return -e->code;
	(void)count;
	policy_print(p, &out);
	if (c->write)
		return write_over(path, &out, e);
	return out_write(&out, STDOUT_FILENO, -1, e);
}

static int run_plan(const struct policy_cmd *c, char **words, size_t count, struct err *e)
{
	const char *path = words[0];
	auto_ptr(enforce) f = NULL;
	auto_ptr(policy) p = NULL;

	if (rules_read(path, &p, NULL, e) < 0 || enforce_open(&source, &f, e) < 0)
		return -e->code;
	(void)count;
	cautions_note(p);
	logins_note(p);
	return policy_plan_print(f, &source, p, c->against, c->format, e);
}

/* What was put into force, to be confirmed perhaps. */
static void confirm_note(const struct policy_cmd *c)
{
	char time[UNIT_TEXT_MAX];

	if (!c->confirm_ns)
		return;
	duration_format_exact(time, c->confirm_ns);
	log_note(NULL, "say `sonda policy confirm` within %s, or what was before comes back", time);
}

static int run_apply(const struct policy_cmd *c, char **words, size_t count, struct err *e)
{
	const char *path = words[0];
	auto_ptr(enforce) f = NULL;
	auto_ptr(policy) p = NULL;
	auto_free char *text = NULL;

	(void)count;
	if (c->audit && c->confirm_ns)
		return fail_as(e, EXIT_USAGE, EINVAL,
			       "--audit puts nothing into force that --confirm could be said of");
	if (rules_read(path, &p, &text, e) < 0 ||
	    (!c->audit && !c->confirm_ns && policy_lint_logins(p, e) < 0) ||
	    (c->audit ? enforce_open : enforce_open_over)(&source, &f, e) < 0 ||
	    (c->audit ? enforce_beside(f, p, text, e)
		      : enforce_apply(f, p, text, c->confirm_ns, e)) < 0)
		return -e->code;
	log_note(NULL, "%s %s: %zu rule%s", path,
		 c->audit ? "is only counted and told, beside what is in force" : "is in force",
		 p->rules.len, p->rules.len == 1 ? "" : "s");
	cautions_note(p);
	confirm_note(c);
	return EXIT_OK;
}

static int run_promote(const struct policy_cmd *c, char **words, size_t count, struct err *e)
{
	auto_ptr(enforce) f = NULL;
	const struct policy *beside;

	(void)words, (void)count;
	if (enforce_open(&source, &f, e) < 0)
		return -e->code;
	beside = enforce_state(f)->beside;
	if ((beside && policy_lint(beside, e) < 0) ||
	    (beside && !c->confirm_ns && policy_lint_logins(beside, e) < 0) ||
	    enforce_promote(f, c->confirm_ns, e) < 0)
		return -e->code;
	log_note(NULL, "what lay beside is in force now: %zu rule%s", beside->rules.len,
		 beside->rules.len == 1 ? "" : "s");
	confirm_note(c);
	return EXIT_OK;
}

static int run_confirm(const struct policy_cmd *c, char **words, size_t count, struct err *e)
{
	auto_ptr(enforce) f = NULL;

	(void)c, (void)words, (void)count;
	if (enforce_open(&source, &f, e) < 0 || enforce_confirm(f, e) < 0)
		return -e->code;
	log_note(NULL, "confirmed");
	return EXIT_OK;
}

static int run_rollback(const struct policy_cmd *c, char **words, size_t count, struct err *e)
{
	auto_ptr(enforce) f = NULL;
	bool ended;

	(void)c, (void)words, (void)count;
	if (enforce_open(&source, &f, e) < 0 || enforce_rollback(f, &ended, e) < 0)
		return -e->code;
	log_note(NULL, "%s",
		 enforce_state(f)->beside ? "the policy that lay beside is gone"
		 : ended                  ? "there was none before: nothing is in force now"
					  : "the policy before it is in force again");
	return EXIT_OK;
}

static int run_status(const struct policy_cmd *c, char **words, size_t count, struct err *e)
{
	auto_ptr(enforce) f = NULL;

	(void)words, (void)count;
	if (enforce_open(&source, &f, e) < 0)
		return -e->code;
	return policy_status_print(f, c->format, e);
}

static int run_top(const struct policy_cmd *c, char **words, size_t count, struct err *e)
{
	(void)words, (void)count;
	return policy_top_print(&source, c->every_ns ? c->every_ns : 1000000000, c->times,
				c->format, e);
}

static int run_off(const struct policy_cmd *c, char **words, size_t count, struct err *e)
{
	bool was;

	(void)c, (void)words, (void)count;
	if (enforce_off(&was, e) < 0)
		return -e->code;
	log_note(NULL, "%s", was ? "no policy is in force any more" : "no policy was in force");
	return EXIT_OK;
}

static int run_test(const struct policy_cmd *c, char **words, size_t count, struct err *e)
{
	auto_ptr(policy) p = NULL;

	if (policy_read(words[0], &p, NULL, e) < 0)
		return -e->code;
	(void)count;
	return policy_trial_print(p, words[1], c->format, e);
}

/* Has what is in force rules that a packet would meet there? Without any there is no guard. */
static bool has_rules(const struct enforce *f, enum policy_domain domain)
{
	if (enforce_state(f)->in_force)
		vec_for_each(r, &enforce_state(f)->policy->rules)
			if (r->domain == domain)
				return true;
	return false;
}

/* "why packet ..." asks the guard, whose maps are pinned. */
static int why_packet(struct enforce *f, char **words, size_t count, struct policy_who *who,
		      struct err *e)
{
	struct packet_asked asked = { 0 };
	auto_free char *name = NULL;
	struct object *o;
	void *handle;
	int err;

	if (policy_who_fill(who, e) < 0)
		return -e->code;
	asked.user = who->user ?: who->own_user;
	asked.cgroup = who->cgroup ?: who->own_cgroup;
	if (policy_why_parse(words, count, &asked, e) < 0)
		return -e->code;
	if (!has_rules(f, policy_why_domain(&asked)))
		return policy_why_packet(f, NULL, &asked, e);
	name = xasprintf("guard.%s", packet_guard_name(asked.place));
	if (guard_open(name, &handle, &o, e) < 0)
		return -e->code;
	err = object_adopt(o, packet_guard_name(asked.place), e);
	if (!err)
		err = policy_why_packet(f, o, &asked, e);
	guard_close(handle);
	return err;
}

static int run_why(const struct policy_cmd *c, char **words, size_t count, struct err *e)
{
	auto_ptr(enforce) f = NULL;
	struct policy_who who = c->who;
	int err;

	if (enforce_open(&source, &f, e) < 0)
		return -e->code;
	if (!enforce_state(f)->in_force && !enforce_state(f)->beside)
		return fail(e, ENOENT, "no policy is in force");
	err = str_eq(words[0], "packet") ? why_packet(f, words + 1, count - 1, &who, e)
					 : policy_why(f, words, count, &who, e);
	policy_who_done(&who);
	return err;
}

static const struct verb verbs[] = {
	{ "check", { "a policy's file" }, false, run_check },
	{ "fmt", { "a policy's file" }, false, run_fmt },
	{ "plan", { "a policy's file" }, false, run_plan },
	{ "test", { "a policy's file", "a recording" }, false, run_test },
	{ "apply", { "a policy's file" }, false, run_apply },
	{ "promote", { NULL }, false, run_promote },
	{ "confirm", { NULL }, false, run_confirm },
	{ "rollback", { NULL }, false, run_rollback },
	{ "why", { "an operation, a path, a pid, packet, or - for events" }, true, run_why },
	{ "status", { NULL }, false, run_status },
	{ "top", { NULL }, false, run_top },
	{ "off", { NULL }, false, run_off },
};

static const char *verb_nth(const void *ctx, size_t i)
{
	(void)ctx;
	return i < ARRAY_LEN(verbs) ? verbs[i].name : NULL;
}

static int verb_run(const struct verb *v, const struct policy_cmd *c, const struct opt_rest *rest,
		    struct err *e)
{
	size_t count = 0;

	for (; count < ARRAY_LEN(v->given) && v->given[count]; count++)
		if (rest->count < count + 2)
			return fail_as(e, EXIT_USAGE, EINVAL, "policy %s: expected %s", v->name,
				       v->given[count]);
	if (!v->more && rest->count > count + 1)
		return fail_as(e, EXIT_USAGE, EINVAL, "policy %s: '%s' is too much", v->name,
			       rest->words[count + 1]);
	return v->run(c, rest->words + 1, rest->count - 1, e);
}

static int policy_run(void *cfg, const struct opt_rest *rest, struct err *e)
{
	const struct policy_cmd *c = cfg;

	if (rest->has_dashes)
		return fail_as(e, EXIT_USAGE, EINVAL, "policy follows no COMMAND");
	if (c->format && !str_eq(c->format, "text") && !str_eq(c->format, "json"))
		return fail_as(e, EXIT_USAGE, EINVAL, "unknown format '%s' (expected text or json)",
			       c->format);
	if (!rest->count)
		return fail_as(
			e, EXIT_USAGE, EINVAL,
			"expected what to do: check, fmt, plan, test, apply, promote, confirm, rollback, status, top, why or off");
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (str_eq(verbs[i].name, rest->words[0]))
			return verb_run(&verbs[i], c, rest, e);
	return name_unknown("verb", rest->words[0], verb_nth, NULL, e);
}

const struct command command_policy = {
	.name = "policy",
	.word = verb_nth,
	.synopsis =
		"check|fmt|plan|apply FILE | test FILE RECORDING | promote|confirm|rollback|status|top|off | why ...",
	.help = "rules that block: checked, planned, put into force, undone",
	.text = "A policy is a file of rules that read as sentences; docs/policies.md explains the language. What is\n"
		"in force lies in the kernel and goes on when sonda ends; `off` ends it.\n"
		"\n"
		"  check FILE   is it a policy, and is there what it names? Where not: line, column, what was expected\n"
		"  fmt FILE     the same, well laid out (--write: into the file)\n"
		"  plan FILE    what applying it would change, how each rule is enforced here, what the guards cost\n"
		"  test FILE RECORDING\n"
		"               what it would have refused of what `sonda record fs.open net.tcp guard.socket ...` wrote\n"
		"  apply FILE   puts it into force in place of what is, at one moment for all rules\n"
		"  promote      puts into force what was applied with --audit\n"
		"  confirm      keeps what was applied with --confirm\n"
		"  rollback     back to what was in force before; with a policy beside it: takes that away\n"
		"  status       what is in force: each rule, how it is enforced here, what it has matched\n"
		"  top          what each rule matches and refuses by the second\n"
		"  why OPERATION PATH, why connect|send|bind|listen PROTOCOL ADDRESS:PORT,\n"
		"  why packet [in|out|at HOOK [priority N]] PROTOCOL FROM TO [syn] [type TYPE] [on INTERFACE]\n"
		"               which rule in force decides about it, and which of the policy beside would\n"
		"  why PATH, why PID\n"
		"               the same of whatever is done to the file, or by and to the process\n"
		"  why -        of the events on standard input, as `sonda trace -o json` writes them\n"
		"  off          ends it and leaves nothing behind",
	.examples =
		"sonda policy apply web.policy --confirm 60s\tcomes back to the old one unless confirmed\n"
		"sonda policy status\twhat is in force, and what it did\n",
	.cfg_size = sizeof(struct policy_cmd),
	.options = policy_options,
	.run = policy_run,
};

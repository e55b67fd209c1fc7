/* SPDX-License-Identifier: BSD-2-Clause */
/* What a policy names, looked for. */
#include "enforce/names.h"

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "enforce/packet.h"
#include "enforce/subjects.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* ---- as applying reads it ---- */

struct reading {
	const struct policy *policy;
	struct file_paths paths;
};

static int on_file(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	struct reading *r = ctx;
	size_t index;

	return file_paths_add(&r->paths, text, &index, e) < 0 ? policy_wrap(r->policy, at, e) : 0;
}

static int files_check(struct reading *r, const struct policy_rule *rule, struct err *e)
{
	return policy_each(r->policy, &rule->objects, on_file, r, e);
}

static int interfaces_check(struct reading *r, const struct policy_rule *rule, struct err *e)
{
	ifindex_list list = { 0 };
	int err = rule_interfaces(r->policy, rule, &list, e);

	vec_done(&list);
	return err;
}

/* How the rules of a domain are read. */
static const struct {
	bool subjects, packets;
	int (*rule)(struct reading *r, const struct policy_rule *rule, struct err *e);
} domains[POLICY_DOMAINS] = {
	[POLICY_FILE] = { .subjects = true, .rule = files_check },
	[POLICY_PACKET] = { .packets = true, .rule = interfaces_check },
	[POLICY_TRAFFIC] = { .subjects = true, .packets = true, .rule = interfaces_check },
	[POLICY_FILTER] = { .packets = true },
	[POLICY_KERNEL] = { .subjects = true },
	[POLICY_SOCKET] = { .subjects = true, .packets = true },
};

static int packets_check(const struct policy *p, enum policy_domain domain, struct err *e)
{
	const struct packet_scope scope = { .domain = domain,
					    .unordered = domain == POLICY_SOCKET };
	struct packet_tables t = { 0 };

	if (packet_tables_make(p, &scope, &t, e) < 0)
		return -e->code;
	packet_tables_done(&t);
	return 0;
}

static int domain_check(struct reading *r, enum policy_domain domain, struct err *e)
{
	const struct policy *p = r->policy;
	struct subjects subjects = { 0 };
	int err = 0;

	vec_for_each(rule, &p->rules)
		if (!err && rule->domain == domain && domains[domain].rule)
			err = domains[domain].rule(r, rule, e);
	if (!err && domains[domain].subjects)
		err = subjects_read(&subjects, p, domain, &r->paths, true, e);
	if (!err && domains[domain].packets)
		err = packets_check(p, domain, e);
	subjects_done(&subjects);
	return err;
}

int names_check(const struct policy *p, struct err *e)
{
	struct reading r = { .policy = p };
	unsigned has = 0;
	int err = 0;

	vec_for_each(rule, &p->rules)
		has |= POLICY_ABOUT(rule->domain);
	for (unsigned domain = 0; !err && domain < POLICY_DOMAINS; domain++)
		if (has & POLICY_ABOUT(domain))
			err = domain_check(&r, domain, e);
	file_paths_done(&r.paths);
	return err;
}

/* ---- programs that aren't there ---- */

struct looking {
	const struct policy *policy;
	struct strbuf *out;
};

static int entry_add(int dir_fd, const char *name, unsigned char type, void *ctx, struct err *e)
{
	(void)dir_fd, (void)type, (void)e;
	strlist_add(ctx, name);
	return 0;
}

static int on_program(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	const char *slash = strrchr(text, '/');
	auto_free char *dir = xstrndup(text, (size_t)(slash - text) + (slash == text));
	const struct looking *look = ctx;
	struct strlist names = { 0 };
	struct err told = { 0 };
	const char *near;

	(void)e;
	if (access(text, F_OK) == 0)
		return 0;
	(void)!dir_each(dir, entry_add, &names, &told);
	near = suggest(slash + 1, (const char *const *)names.at, names.len);
	fail(&told, ENOENT, "there is no program '%s'%s%s%s%s", text,
	     near ? " (did you mean '" : "", near ? (str_eq(dir, "/") ? "" : dir) : "",
	     near ? "/" : "", near ?: "");
	(void)policy_wrap(look->policy, at, &told);
	strbuf_appendf(look->out, "%s%s; whatever gets that name is meant\n", told.text,
		       near ? "'?)" : "");
	strlist_done(&names);
	return 0;
}

void names_caution(const struct policy *p, struct strbuf *out)
{
	struct looking look = { p, out };
	struct err ignored = { 0 };

	vec_for_each(rule, &p->rules) {
		if (rule->object && rule->object->object == OBJECT_EXE)
			(void)!policy_each(p, &rule->objects, on_program, &look, &ignored);
		vec_for_each(c, &rule->clauses)
			if (c->word->word == WORD_EXE)
				(void)!policy_each(p, &c->values, on_program, &look, &ignored);
	}
}

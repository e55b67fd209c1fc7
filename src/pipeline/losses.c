/* SPDX-License-Identifier: BSD-2-Clause */
/* Losses and sums. */
#include "pipeline/losses.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "pipeline/session.h"

#include <assert.h>
#include <sys/resource.h>

#define CAUSES LOSS_UNREAD /* that are told as rows */

static const char *const cause_names[] = {
	[LOSS_RING] = "ring", [LOSS_STATE] = "state",   [LOSS_BUSY] = "busy",
	[LOSS_ROOM] = "room", [LOSS_MISSED] = "missed", [LOSS_UNREAD] = "unread",
};
static_assert(ARRAY_LEN(cause_names) == LOSS_CAUSES, "a word for each cause");

const char *loss_cause(unsigned cause)
{
	assert(cause < LOSS_CAUSES);
	return cause_names[cause];
}

static uint64_t account_loss(const struct account *a, unsigned cause)
{
	return cause < LOSS_COUNT ? a->kernel.lost[cause] : a->missed;
}

void losses_done(struct losses *l)
{
	free(l->told);
	l->told = NULL;
}

int losses_tell(struct losses *l, struct stream *s, const struct sink_ops *ops, struct sink *sink,
		struct err *e)
{
	size_t count;
	const struct account *accounts = s->ops->accounts(s, &count);
	int err = 0;

	if (!l->told)
		l->told = xcalloc(count + 1, CAUSES * sizeof(*l->told));
	for (size_t i = 0; !err && i < count * CAUSES; i++) {
		const struct account *a = &accounts[i / CAUSES];
		uint64_t lost = account_loss(a, i % CAUSES);

		if (lost > l->told[i])
			err = ops->loss(sink, a->probe, cause_names[i % CAUSES], lost - l->told[i],
					clock_boot_ns(), e);
		l->told[i] = lost;
	}
	return err;
}

/* Of all threads, so far. */
static uint64_t own_cpu_ms(void)
{
	struct rusage used;

	getrusage(RUSAGE_SELF, &used);
	return (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000 +
	       (uint64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1000;
}

void tally_take(struct tally *t, struct stream *s, uint64_t delivered, uint64_t filtered)
{
	size_t count;
	const struct account *accounts = s->ops->accounts(s, &count);

	*t = (struct tally){ .delivered = delivered, .filtered = filtered };
	for (size_t i = 0; i < count; i++) {
		const struct stats *k = &accounts[i].kernel;

		t->seen += k->seen + accounts[i].missed;
		t->filtered += k->filtered;
		for (unsigned cause = 0; cause < CAUSES; cause++)
			t->lost_by[cause] += account_loss(&accounts[i], cause);
		t->lost_by[LOSS_UNREAD] += k->sent - accounts[i].received + accounts[i].malformed;
		t->cut += k->cut;
		t->unresolved += k->unresolved;
		t->overflow += k->overflow;
	}
	for (unsigned cause = 0; cause < LOSS_CAUSES; cause++)
		t->lost += t->lost_by[cause];
	t->cpu_ms = own_cpu_ms();
}

void tally_line(const struct tally *t, struct strbuf *out)
{
	const struct {
		const char *what;
		uint64_t n;
	} more[] = {
		{ "truncated", t->cut },
		{ "unresolved", t->unresolved },
		{ "state", t->lost_by[LOSS_STATE] },
		{ "busy", t->lost_by[LOSS_BUSY] },
		{ "room", t->lost_by[LOSS_ROOM] },
		{ "missed", t->lost_by[LOSS_MISSED] },
		{ "unread", t->lost_by[LOSS_UNREAD] },
		{ "overflowed", t->overflow },
	};

	strbuf_appendf(out, "seen %llu, delivered %llu, filtered %llu, lost %llu",
		       (unsigned long long)t->seen, (unsigned long long)t->delivered,
		       (unsigned long long)t->filtered, (unsigned long long)t->lost);
	for (size_t i = 0; i < ARRAY_LEN(more); i++)
		if (more[i].n)
			strbuf_appendf(out, ", %s %llu", more[i].what,
				       (unsigned long long)more[i].n);
}

static void coverage_note(const struct session *s)
{
	struct strbuf lines = { 0 };

	session_coverage(s, &lines);
	for (const char *line = strbuf_str(&lines), *end; *line; line = end + 1) {
		end = strchrnul(line, '\n');
		log_note(NULL, "%.*s", (int)(end - line), line);
		if (!*end)
			break;
	}
	strbuf_done(&lines);
}

void tally_note(const struct tally *t, const struct session *s, const char *more)
{
	struct strbuf line = { 0 };

	if (s)
		coverage_note(s);
	tally_line(t, &line);
	strbuf_puts(&line, more ?: "");
	if (log_shows(LOG_LEVEL_DEBUG))
		strbuf_appendf(&line, ", used %llu ms of CPU time", (unsigned long long)t->cpu_ms);
	log_note(NULL, "%s", strbuf_str(&line));
	strbuf_done(&line);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* From the kernel's mappings to the table of spaces. */
#include "pipeline/symbolise.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "bpf/mapfeed.h"
#include "bpf/maptable.h"
#include "bpf/object.h"
#include "enrich/enrich.h"
#include "pipeline/session.h"
#include "symbols/kernel_symbols.h"
#include "symbols/spaces.h"
#include "symbols/symbols.h"

struct symboliser {
	struct symbols *symbols;
	struct mapfeed *feed; /* NULL: the kernel doesn't tell */
};

static void on_map(const struct mapfeed_event *event, struct spaces *spaces)
{
	struct mapping_told told = { .pid = event->pid,
				     .major = event->major,
				     .minor = event->minor,
				     .at_ns = event->at_ns,
				     .start = event->start,
				     .bytes = event->bytes,
				     .offset = event->offset,
				     .inode = event->inode,
				     .path = event->name,
				     .path_len = event->name_len };

	spaces_map(spaces, &told);
}

static void on_event(const struct mapfeed_event *event, void *ctx)
{
	struct symbols *s = ctx;

	switch (event->what) {
	case MAPFEED_FORK:
		spaces_fork(symbols_spaces(s), event->pid, event->ppid, event->at_ns);
		break;
	case MAPFEED_EXEC:
		spaces_exec(symbols_spaces(s), event->pid, event->at_ns);
		break;
	case MAPFEED_MAP:
		on_map(event, symbols_spaces(s));
		break;
	case MAPFEED_PROGRAM:
		kernel_symbols_program(symbols_kernel(s), event->start, (uint32_t)event->bytes,
				       event->name, event->name_len);
		break;
	}
}

/* Each probe keeps its own; a number says the same in all, being made of what the stack holds. */
static bool kept_find(uint64_t id, struct stack_kept *ret, void *ctx)
{
	const struct session *s = ctx;

	vec_for_each(w, &s->probes)
		if (maptable_get(w->probe->object, "sonda_stacks", &id, sizeof(id), ret,
				 sizeof(*ret)))
			return true;
	return false;
}

/* What the kernel told on another CPU while this looks has a later time than `now_ns`. */
static void take_in(void *ctx)
{
	struct symboliser *sy = ctx;
	uint64_t now_ns = clock_boot_ns();

	mapfeed_drain(sy->feed, now_ns, on_event, sy->symbols);
	symbols_fresh(sy->symbols, now_ns);
}

int symbolise_start(struct session *s, struct err *e)
{
	struct symboliser *sy;
	struct err why;

	if (!s->enrich || !enrich_has_stacks(s->enrich, s->without_events))
		return 0;
	sy = s->symboliser = xnew(struct symboliser);
	sy->symbols = enrich_symbols(s->enrich);
	enrich_kept_stacks(s->enrich, kept_find, s);
	if (mapfeed_open(&sy->feed, &why) < 0)
		log_debug("stacks", "%s", why.text);
	else
		symbols_refresh_by(sy->symbols, take_in, sy);
	return spaces_prime(symbols_spaces(sy->symbols), e);
}

void symbolise_refresh(struct session *s)
{
	if (s->symboliser && s->symboliser->feed)
		take_in(s->symboliser);
}

static void on_readable(struct loop *l, int fd, uint32_t events, void *ctx)
{
	(void)l, (void)fd, (void)events;
	symbolise_refresh(ctx);
}

int symbolise_watch(struct session *s, struct loop *l, struct err *e)
{
	const struct mapfeed *feed = s->symboliser ? s->symboliser->feed : NULL;
	int err = 0;

	for (unsigned i = 0; feed && !err && i < mapfeed_fd_count(feed); i++)
		err = loop_fd_add(l, mapfeed_fd(feed, i), EPOLLIN, on_readable, s, e);
	return err;
}

void symbolise_note(const struct session *s)
{
	struct symbol_counts c;
	uint64_t lost;

	if (!s->symboliser)
		return;
	c = symbols_counts(s->symboliser->symbols);
	lost = s->symboliser->feed ? mapfeed_lost(s->symboliser->feed) : 0;
	if (c.reason)
		log_note(NULL, "stacks: kernel functions have no names: %s", c.reason);
	if (c.unknown)
		log_note(NULL, "stacks: %llu of %llu frames have no name",
			 (unsigned long long)c.unknown, (unsigned long long)c.frames);
	if (lost)
		log_note(NULL, "stacks: %llu mappings of processes were missed",
			 (unsigned long long)lost);
}

void symbolise_stop(struct session *s)
{
	if (!s->symboliser)
		return;
	symbols_refresh_by(s->symboliser->symbols, NULL, NULL);
	mapfeed_free(s->symboliser->feed);
	free(s->symboliser);
	s->symboliser = NULL;
}

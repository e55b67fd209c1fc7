/* SPDX-License-Identifier: BSD-2-Clause */
/* Timers of programs tagged EVERY; and those tagged AT_START. */
#include "pipeline/periodic.h"

#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "bpf/object.h"
#include "pipeline/session.h"

static void program_go(const struct object *o, const char *program)
{
	struct err e = { 0 };

	if (object_run(o, program, &e) < 0)
		log_warn_every(60000, "probe", "%s: %s", program, e.text);
}

static void periodic_run(struct loop *l, struct loop_timer *timer, uint64_t missed, void *ctx)
{
	const struct periodic *p = ctx;

	(void)l, (void)timer, (void)missed;
	program_go(p->object, p->program);
}

static void periodic_add(struct periodics *p, const struct object *o,
			 const struct object_program *program)
{
	uint64_t every_ns = program->every_ms * 1000000ULL;
	struct periodic *one = xnew(struct periodic);

	one->object = o;
	one->program = program->name;
	one->timer = loop_timer_add(p->loop, every_ns, every_ns, periodic_run, one);
	vec_push(&p->all, one);
}

void periodics_start(struct periodics *p, struct session *s, struct loop *l)
{
	struct object_program program;

	p->loop = l;
	vec_for_each(w, &s->probes)
		for (size_t i = 0; i < object_program_count(w->probe->object); i++) {
			object_program(w->probe->object, i, &program);
			if (program.state != PROGRAM_USED)
				continue;
			if (program.at_start)
				program_go(w->probe->object, program.name);
			if (program.every_ms)
				periodic_add(p, w->probe->object, &program);
		}
}

void periodics_finish(struct periodics *p)
{
	vec_for_each(one, &p->all)
		program_go((*one)->object, (*one)->program);
}

void periodics_done(struct periodics *p)
{
	vec_for_each(one, &p->all) {
		loop_timer_drop(p->loop, (*one)->timer);
		free(*one);
	}
	vec_done(&p->all);
}

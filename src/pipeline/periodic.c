/* SPDX-License-Identifier: BSD-2-Clause */
/* Timers of programs tagged EVERY; and those tagged AT_START. */
#include "pipeline/periodic.h"

#include "base/clock.h"
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

static void periodic_go(struct periodic *p)
{
	p->ran_ns = clock_mono_ns();
	program_go(p->object, p->program);
}

static void periodic_run(struct loop *l, struct loop_timer *timer, uint64_t missed, void *ctx)
{
	(void)l, (void)timer, (void)missed;
	periodic_go(ctx);
}

static void periodic_add(struct periodics *p, const struct object *o,
			 const struct object_program *program)
{
	uint64_t every_ns = program->every_ms * 1000000ULL;
	struct periodic *one = xnew(struct periodic);

	one->object = o;
	one->program = program->name;
	one->at_reading = program->at_reading;
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

void periodics_refresh(struct periodics *p, uint64_t fresh_ns)
{
	uint64_t now_ns = clock_mono_ns();

	vec_for_each(one, &p->all)
		if ((*one)->at_reading && now_ns - (*one)->ran_ns >= fresh_ns)
			periodic_go(*one);
}

void periodics_finish(struct periodics *p)
{
	vec_for_each(one, &p->all)
		periodic_go(*one);
}

void periodics_done(struct periodics *p)
{
	vec_for_each(one, &p->all) {
		loop_timer_drop(p->loop, (*one)->timer);
		free(*one);
	}
	vec_done(&p->all);
}

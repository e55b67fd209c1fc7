/* SPDX-License-Identifier: BSD-2-Clause */
/* Routes of rows. */
#include "pipeline/route.h"

#include "base/err.h"
#include "enrich/enrich.h"
#include "filter/filter.h"

#include <errno.h>

void router_done(struct router *r)
{
	vec_for_each(route, &r->routes)
		filter_bound_free(route->own);
	vec_done(&r->routes);
}

int router_add(struct router *r, const struct schema *schema, const struct filter_bound *where,
	       bool nothing, struct err *e)
{
	struct route *route = vec_add(&r->routes);

	route->schema = schema;
	route->where = where;
	route->nothing = nothing;
	return r->ops->bind(r->sink, schema, e);
}

void router_feed(struct router *r, const struct schema *schema)
{
	struct route *route = vec_add(&r->routes);

	route->schema = schema;
	route->feed = true;
}

/* A schema that nobody announced: a recording's. A condition on fields that it doesn't have lets none
 * of its rows pass. */
static int router_meet(struct router *r, const struct schema *schema, struct err *e)
{
	struct filter_bound *bound = NULL;
	int err = r->where ? filter_bind(r->where, schema, &bound, e) : 0;
	bool nothing = err == -ENOENT;

	if (err && !nothing)
		return err;
	err_clear(e);
	err = router_add(r, schema, bound, nothing, e);
	r->routes.at[r->routes.len - 1].own = bound;
	return err;
}

int router_expect(struct router *r, const struct schema *const *schemas, size_t count,
		  struct err *e)
{
	struct filter_bound *bound = NULL;
	bool nothing = r->where && count;
	int err = 0;

	for (size_t i = 0; !err && i < count; i++) {
		err = router_meet(r, schemas[i], e);
		nothing &= !err && r->routes.at[r->routes.len - 1].nothing;
	}
	/* a field that none of them has is a mistake, and this says which */
	if (!err && nothing)
		err = filter_bind(r->where, schemas[0], &bound, e);
	return err;
}

static const struct route *router_find(const struct router *r, const struct schema *schema)
{
	for (size_t i = 0; i < r->routes.len; i++)
		if (r->routes.at[i].schema == schema)
			return &r->routes.at[i];
	return NULL;
}

bool router_full(const struct router *r)
{
	return r->limit && r->delivered >= r->limit;
}

int router_row(struct router *r, const struct row *row, struct err *e)
{
	const struct route *route = router_find(r, row->schema);
	int err;

	if (!route) {
		err = router_meet(r, row->schema, e);
		if (err)
			return err;
		route = &r->routes.at[r->routes.len - 1];
	}
	if (route->feed) {
		enrich_observe(r->enrich, row);
		return 0;
	}
	if (router_full(r) || route->nothing ||
	    (route->where && !filter_matches(route->where, row))) {
		r->filtered++;
		return 0;
	}
	err = r->ops->row(r->sink, row, e);
	if (!err)
		r->delivered++;
	return err;
}

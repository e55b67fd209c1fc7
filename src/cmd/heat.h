/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Heat maps: what the histograms of a table counted, reading by reading. Time runs down, a line each
 * reading under those before, or across, a column each reading, the map drawn anew. How dark a cell is
 * says how many, against the most that any cell of that map holds: twice as many are a step of their
 * logarithm. One thread.
 */
#include <stdbool.h>

#include "base/attr.h"
#include "base/mem.h"
#include "cmd/reading.h"

struct heat;
struct strbuf;

MUST_USE struct heat *heat_new(void); /* never NULL */
void heat_free(struct heat *h);
AUTO_PTR(heat)

/* Takes in what the last reading's interval counted, of the groups that the order shows. */
void heat_take(struct heat *h, struct reading *r);
/* Lines of the last reading; `header`: bounds, and what the shades mean, first; without, too, when they
 * mean something else than they did. */
void heat_lines(struct heat *h, const struct reading *r, bool header, struct strbuf *out);
/* The maps of all groups so far, the newest on the right. `height_rows`: of the screen; 0: any. */
void heat_map(const struct heat *h, const struct reading *r, unsigned height_rows,
	      struct strbuf *out);

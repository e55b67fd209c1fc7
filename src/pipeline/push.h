/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* Conditions that the kernel can evaluate itself are written into the probe's configuration. */
#include <stdbool.h>

#include "abi/conf.h"
#include "base/attr.h"
#include "filter/filter.h"

/* Pushes what it can of `where`, bound to `schema`, as far as there is room in `conf`. Returns true
 * when that is all of it, so that userland need not look again. */
MUST_USE bool push_where(const struct filter_bound *where, const struct schema *schema,
			 struct conf *conf);

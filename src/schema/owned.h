/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* A schema that owns what it points at. For this folder: others see struct schema. */
#include "base/arena.h"
#include "schema/schema.h"

struct owned_schema {
	struct schema schema;
	struct arena arena;
};

/* Empty; ends with schema_free(). Never NULL. */
MUST_USE struct schema *owned_schema_new(void);
/* Where its fields and strings go. */
MUST_USE struct arena *owned_schema_arena(struct schema *s);

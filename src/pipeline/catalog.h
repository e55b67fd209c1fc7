/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * The probes there are: those in the binary, those in /etc/sonda/probes (or $SONDA_PROBES), and any
 * file that is named. All are treated alike. One thread.
 */
#include "base/attr.h"
#include "base/mem.h"
#include "base/vec.h"
#include "schema/declaration.h"

struct embedded_probe;
struct err;
struct object;

/* A probe that was opened; not loaded. */
struct probe {
	const char *name; /* full: "fs.open"; the declaration's */
	char *origin;     /* path of its object; NULL: in the binary */
	struct object *object;
	struct declaration *decl;
};
void probe_free(struct probe *p);
AUTO_PTR(probe)
/* "PROBE has no WHAT", with what it has instead as hint. Returns -EINVAL (EXIT_USAGE). */
int probe_lacks(const struct probe *p, const char *what, struct err *e);

/* Where an object is. */
struct catalog_entry {
	char *name; /* "fs.open" */
	char *path; /* NULL: in the binary */
	const struct embedded_probe *embedded;
};
struct catalog {
	vec(struct catalog_entry) entries;
};
/* All, sonda's own helpers too ("process.tree"). */
void catalog_read(struct catalog *c);
void catalog_done(struct catalog *c);

/* Opens what an entry names. Errors: those of object_open() and declaration_read(). */
MUST_USE int catalog_open(const struct catalog_entry *entry, struct probe **ret, struct err *e);

/* `word` is a full name, a last part that is unambiguous ("open"), or a path (with a '/' or ending in
 * ".o"). Errors: EXIT_USAGE with a suggestion (unknown), with the candidates (ambiguous). */
MUST_USE int catalog_find(const struct catalog *c, const char *word, struct probe **ret,
			  struct err *e);

/* SPDX-License-Identifier: BSD-2-Clause */
/* Demangling by libiberty; what foreign files call their functions is kept short and printable. */
#include "symbols/demangle.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Of libiberty, whose header declares an xmemdup() of its own. Both give what free() takes, or NULL; neither
 * goes deeper into a name than a fixed limit. */
char *cplus_demangle_v3(const char *mangled, int options);
char *rust_demangle(const char *mangled, int options);
enum { DMGL_NO_OPTS = 0 }; /* no parameters, no return type */

enum { MANGLED_MAX = 2048, SHOWN_MAX = 512 };

/* ';' parts frames. */
static bool has_to_change(const char *name)
{
	for (const char *c = name; *c; c++)
		if (*c == ';' || (unsigned char)*c < ' ' || *c == 127)
			return true;
	return strlen(name) > SHOWN_MAX;
}

static void make_plain(char *name)
{
	size_t len = strlen(name);

	for (char *c = name; *c; c++)
		if (*c == ';' || (unsigned char)*c < ' ' || *c == 127)
			*c = *c == ';' ? ':' : '?';
	if (len > SHOWN_MAX)
		memcpy(name + SHOWN_MAX - 3, "...", sizeof("..."));
}

static char *demangled(const char *name)
{
	char *plain = NULL;

	if (strnlen(name, MANGLED_MAX + 1) > MANGLED_MAX)
		return NULL;
	if (name[0] == '_' && (name[1] == 'R' || name[1] == 'Z'))
		plain = rust_demangle(name, DMGL_NO_OPTS);
	if (!plain && name[0] == '_' && name[1] == 'Z')
		plain = cplus_demangle_v3(name, DMGL_NO_OPTS);
	return plain;
}

char *demangle(const char *name)
{
	char *plain = demangled(name);

	if (!plain && !has_to_change(name))
		return NULL;
	if (!plain)
		plain = xstrdup(name);
	make_plain(plain);
	return plain;
}

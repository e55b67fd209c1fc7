/* SPDX-License-Identifier: BSD-2-Clause */
/* /proc/kallsyms. */
#include "symbols/kernel_symbols.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "symbols/lines.h"

#define REREAD_NS    1000000000ULL
#define PROGRAMS_MAX 4096 /* remembered; then the oldest are forgotten */

struct program {
	uint64_t start;
	uint32_t bytes;
	char name[128];
};

struct kernel_symbols {
	struct symtab *now;
	struct program *programs; /* a circle */
	size_t program_count;     /* that ever came */
	uint64_t read_ns;         /* 0: not yet */
	const char *reason;
};

struct kernel_symbols *kernel_symbols_new(void)
{
	return xnew(struct kernel_symbols);
}

void kernel_symbols_free(struct kernel_symbols *k)
{
	if (!k)
		return;
	symtab_free(k->now);
	free(k->programs);
	free(k);
}

void kernel_symbols_program(struct kernel_symbols *k, uint64_t start, uint32_t bytes,
			    const char *name, size_t len)
{
	struct program *p;

	if (!k->programs)
		k->programs = xcalloc(PROGRAMS_MAX, sizeof(*k->programs));
	p = &k->programs[k->program_count++ % PROGRAMS_MAX];
	p->start = start;
	p->bytes = bytes;
	str_format(p->name, sizeof(p->name), "%.*s", (int)min(len, sizeof(p->name) - 1), name);
}

static bool program_find(const struct kernel_symbols *k, uint64_t address, struct symbol *ret)
{
	size_t kept = min(k->program_count, (size_t)PROGRAMS_MAX);

	for (size_t i = 1; i <= kept; i++) {
		const struct program *p = &k->programs[(k->program_count - i) % PROGRAMS_MAX];

		if (address - p->start < p->bytes) {
			*ret = (struct symbol){ p->name, "bpf", p->start };
			return true;
		}
	}
	return false;
}

struct symtab *kallsyms_parse(const char *text, size_t len)
{
	struct symtab *t = symtab_new();
	const char *at = text, *line;
	struct symbol_line l;
	char module[64];
	size_t line_len;

	while (line_next(&at, text + len, &line, &line_len)) {
		if (!kallsyms_line_parse(line, line_len, &l) || !l.start || !strchr("tTwW", l.type))
			continue;
		str_format(module, sizeof(module), "%.*s", (int)min(l.module_len, (size_t)63),
			   l.module);
		symtab_add(t, l.start, 0, l.name, l.name_len, module, l.type == 't');
	}
	symtab_finish(t);
	return t;
}

static void symbols_read(struct kernel_symbols *k)
{
	auto_free char *text = NULL;
	struct err why;
	size_t len = 0;

	k->read_ns = clock_boot_ns();
	if (file_read("/proc/kallsyms", &text, &len, &why) < 0) {
		k->reason = "/proc/kallsyms can't be read";
		return;
	}
	symtab_free(k->now);
	k->now = kallsyms_parse(text, len);
	k->reason = symtab_count(k->now)
			    ? NULL
			    : "the kernel hides its addresses (sysctl kernel.kptr_restrict, "
			      "CAP_SYSLOG)";
}

/* Between the last symbol and the end of memory there is nothing: a name far away is none. */
static bool is_near(uint64_t address, const struct symbol *s)
{
	return address - s->start < 16 * 1024 * 1024;
}

static bool find_now(struct kernel_symbols *k, uint64_t address, struct symbol *ret)
{
	return k->now && symtab_find(k->now, address, ret) && is_near(address, ret);
}

bool kernel_symbols_find(struct kernel_symbols *k, uint64_t address, struct symbol *ret)
{
	if (program_find(k, address, ret))
		return true;
	if (!k->read_ns)
		symbols_read(k);
	if (find_now(k, address, ret))
		return true;
	if (clock_boot_ns() - k->read_ns < REREAD_NS)
		return false;
	symbols_read(k);
	return find_now(k, address, ret);
}

const char *kernel_symbols_reason(const struct kernel_symbols *k)
{
	return k->reason;
}

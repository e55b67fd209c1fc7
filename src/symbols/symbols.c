/* SPDX-License-Identifier: BSD-2-Clause */
/* Stacks to names. */
#include "symbols/symbols.h"

#include <string.h>

#include "base/str.h"
#include "symbols/files.h"
#include "symbols/kernel_symbols.h"
#include "symbols/spaces.h"
#include "symbols/symtab.h"

struct symbols {
	struct files *files;
	struct spaces *spaces;
	struct kernel_symbols *kernel;
	struct symbol_counts counts;
	symbols_refresh_fn *refresh; /* NULL: nothing more comes */
	void *refresh_ctx;
	uint64_t fresh_ns;
};

struct frame {
	uint32_t pid;
	uint64_t at_ns;
	uint64_t address; /* as the stack has it */
	uint64_t inside;  /* within the instruction: a return address is behind the call */
	bool offsets;
};

struct symbols *symbols_new(void)
{
	struct symbols *s = xnew(struct symbols);

	s->files = files_new();
	s->spaces = spaces_new(s->files);
	s->kernel = kernel_symbols_new();
	return s;
}

void symbols_free(struct symbols *s)
{
	if (!s)
		return;
	spaces_free(s->spaces);
	files_free(s->files);
	kernel_symbols_free(s->kernel);
	free(s);
}

struct spaces *symbols_spaces(struct symbols *s)
{
	return s->spaces;
}

struct kernel_symbols *symbols_kernel(struct symbols *s)
{
	return s->kernel;
}

struct symbol_counts symbols_counts(const struct symbols *s)
{
	struct symbol_counts c = s->counts;

	c.reason = kernel_symbols_reason(s->kernel);
	return c;
}

static void address_append(struct strbuf *out, uint64_t address)
{
	strbuf_append(out, "0x", 2);
	strbuf_hex(out, address, 1);
}

static void name_append(struct strbuf *out, const struct frame *f, const char *name,
			uint64_t offset, const char *module)
{
	strbuf_puts(out, name);
	if (f->offsets) {
		strbuf_putc(out, '+');
		address_append(out, offset);
	}
	if (module[0])
		strbuf_appendf(out, " [%s]", module);
}

/* Addresses without a name would make a group, or a tower of a flame graph, each. */
static void unknown_append(struct strbuf *out, const struct frame *f)
{
	if (f->offsets)
		address_append(out, f->address);
	else
		strbuf_puts(out, "[unknown]");
}

static bool kernel_frame(struct symbols *s, const struct frame *f, struct strbuf *out)
{
	struct symbol found;

	if (!kernel_symbols_find(s->kernel, f->inside, &found)) {
		unknown_append(out, f);
		return false;
	}
	name_append(out, f, found.name, f->address - found.start, found.module);
	return true;
}

static bool jit_frame(struct symbols *s, const struct frame *f, struct strbuf *out)
{
	struct symtab *written = spaces_perf_map(s->spaces, f->pid, f->inside);
	struct symbol found;

	if (!written || !symtab_find(written, f->inside, &found))
		return false;
	name_append(out, f, found.name, f->address - found.start, "");
	return true;
}

/* A library is named where there is room for details. */
static const char *module_of(const struct frame *f, const struct mapped_file *file)
{
	return f->offsets && strstr(file->name, ".so") ? file->name : "";
}

static bool user_frame(struct symbols *s, const struct frame *f, struct strbuf *out)
{
	uint64_t offset;
	struct mapped_file *file = spaces_find(s->spaces, f->pid, f->at_ns, f->inside, &offset);
	struct symbol found;

	if (file && files_find(s->files, file, offset, &found)) {
		name_append(out, f, found.name, offset - found.start + (f->address - f->inside),
			    module_of(f, file));
		return true;
	}
	if (file && (file->what == FILE_JIT || file->unreadable) && jit_frame(s, f, out))
		return true;
	if (!file || !file->name[0] || file->what == FILE_JIT) {
		unknown_append(out, f);
		return false;
	}
	strbuf_puts(out, file->name);
	if (f->offsets) {
		strbuf_putc(out, '+');
		address_append(out, offset + (f->address - f->inside));
	}
	return false;
}

/* The upper half of the addresses is the kernel's. */
static bool is_of_kernel(const struct frame *f)
{
	return !f->pid || f->address >> 63;
}

void symbols_refresh_by(struct symbols *s, symbols_refresh_fn *fn, void *ctx)
{
	s->refresh = fn;
	s->refresh_ctx = ctx;
}

void symbols_fresh(struct symbols *s, uint64_t until_ns)
{
	s->fresh_ns = until_ns;
}

void symbols_stack(struct symbols *s, const struct stack_told *stack, bool offsets,
		   struct strbuf *out)
{
	struct frame f = { .pid = stack->pid, .at_ns = stack->at_ns, .offsets = offsets };
	bool known;

	if (s->refresh && stack->at_ns >= s->fresh_ns)
		s->refresh(s->refresh_ctx);
	for (size_t i = 0; i < stack->count; i++) {
		memcpy(&f.address, stack->frames + i * sizeof(f.address), sizeof(f.address));
		f.inside = f.address - (i > 0);
		if (i)
			strbuf_putc(out, ';');
		known = (is_of_kernel(&f) ? kernel_frame : user_frame)(s, &f, out);
		s->counts.frames++;
		s->counts.unknown += !known;
	}
	if (stack->is_cut)
		strbuf_puts(out, ";[deeper]");
}

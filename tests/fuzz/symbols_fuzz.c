/* SPDX-License-Identifier: BSD-2-Clause */
/* Fuzzes what gives names to addresses: lines of maps, kallsyms and perf maps, ELF files, mangled names,
 * and the texts that come of them. */
#include <stdint.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "schema/stack.h"
#include "symbols/demangle.h"
#include "symbols/elf_image.h"
#include "symbols/kernel_symbols.h"
#include "symbols/lines.h"
#include "symbols/perfmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void find(struct symtab *t, const uint8_t *bytes, size_t len)
{
	uint64_t address = 0;
	struct symbol s;

	memcpy(&address, bytes, min(len, sizeof(address)));
	(void)(symtab_find(t, address, &s) && strlen(s.name));
	(void)(symtab_find(t, 0x1000, &s) && strlen(s.name));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	auto_free char *text = xstrndup((const char *)bytes, len), *plain = demangle(text);
	auto_ptr(symtab) kernel = kallsyms_parse((const char *)bytes, len);
	auto_ptr(symtab) made = perfmap_parse((const char *)bytes, len);
	auto_ptr(elf_image) image = len ? elf_image_of(bytes, len) : NULL;
	auto_done(strbuf) out = { 0 };
	const char *at = text, *line;
	struct maps_line l;
	struct symbol s;
	size_t line_len;

	while (line_next(&at, text + strlen(text), &line, &line_len))
		if (maps_line_parse(line, line_len, &l) && l.start >= l.end)
			abort();
	find(kernel, bytes, len);
	find(made, bytes, len);
	(void)(image && elf_image_find(image, 0x1000, &s));
	frames_fold(frames_of(text, strlen(text)), &out);
	frames_lines(frames_all(text, strlen(text)), "stack", 40, &out);
	return 0;
}

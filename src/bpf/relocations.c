/* SPDX-License-Identifier: BSD-2-Clause */
/* .BTF.ext: a header, then for each program section its name, a count and as many records. */
#include "bpf/relocations.h"

#include <errno.h>
#include <string.h>

#include <elf.h>
#include <linux/btf.h>

#include "base/err.h"
#include "base/str.h"

/* Its layout is documented (Documentation/bpf/btf.rst), but in no header. */
struct ext_header {
	uint16_t magic;
	uint8_t version, flags;
	uint32_t header_size;
	uint32_t func_off, func_size, line_off, line_size;
	uint32_t core_off, core_size; /* behind the header */
};
struct ext_section {
	uint32_t name, count;
};
struct ext_record {
	uint32_t offset, type, access, kind;
};

static bool within(uint64_t at, uint64_t size, uint64_t whole)
{
	return at <= whole && size <= whole - at;
}

/* The table of sections; NULL: it isn't such a file. */
static const Elf64_Shdr *elf_sections(const void *elf, size_t size, unsigned *ret_count)
{
	const Elf64_Ehdr *h = elf;

	if (size < sizeof(*h) || (uintptr_t)elf % 8 || memcmp(h->e_ident, ELFMAG, SELFMAG) ||
	    h->e_shoff % 8 || h->e_shentsize != sizeof(Elf64_Shdr) || h->e_shstrndx >= h->e_shnum ||
	    !within(h->e_shoff, (uint64_t)h->e_shnum * sizeof(Elf64_Shdr), size))
		return NULL;
	*ret_count = h->e_shnum;
	return (const void *)((const char *)elf + h->e_shoff);
}

void *elf_section(void *elf, size_t size, const char *name, size_t *ret_size)
{
	const Elf64_Shdr *sections, *names;
	unsigned count = 0;
	uint64_t room;

	sections = elf_sections(elf, size, &count);
	if (!sections)
		return NULL;
	names = &sections[((const Elf64_Ehdr *)elf)->e_shstrndx];
	if (!within(names->sh_offset, names->sh_size, size))
		return NULL;
	for (unsigned i = 1; i < count; i++) {
		const Elf64_Shdr *s = &sections[i];
		const char *at = (const char *)elf + names->sh_offset + s->sh_name;

		if (s->sh_name >= names->sh_size || s->sh_type != SHT_PROGBITS)
			continue;
		room = names->sh_size - s->sh_name;
		if (strnlen(at, room) == room || !str_eq(at, name))
			continue;
		if (!within(s->sh_offset, s->sh_size, size))
			return NULL;
		*ret_size = s->sh_size;
		return (char *)elf + s->sh_offset;
	}
	return NULL;
}

void elf_code_each(void *elf, size_t size, code_fn *fn, void *ctx)
{
	unsigned count = 0;
	const Elf64_Shdr *sections = elf_sections(elf, size, &count);

	for (unsigned i = 1; i < count; i++) {
		const Elf64_Shdr *s = &sections[i];

		if (s->sh_type == SHT_PROGBITS && s->sh_flags & SHF_EXECINSTR &&
		    s->sh_offset % 8 == 0 && within(s->sh_offset, s->sh_size, size))
			fn((char *)elf + s->sh_offset, s->sh_size, ctx);
	}
}

/* One section's records, from `at`; returns behind them, 0 when they go beyond the end. */
static size_t section_read(const char *bytes, size_t size, size_t at, uint32_t each,
			   relocations *to)
{
	struct ext_section section;
	struct ext_record record;

	if (size - at < sizeof(section))
		return 0;
	memcpy(&section, bytes + at, sizeof(section));
	at += sizeof(section);
	if (!section.count || (size - at) / each < section.count)
		return 0;
	for (uint32_t i = 0; i < section.count; i++, at += each) {
		memcpy(&record, bytes + at, sizeof(record));
		*vec_add(to) = (struct relocation){ section.name, record.offset, record.type,
						    record.kind };
	}
	return at;
}

int relocations_read(const void *elf, size_t size, relocations *to,
		     struct relocation_place *ret_place, struct err *e)
{
	size_t ext_size, at = sizeof(uint32_t);
	struct ext_header h;
	const char *ext, *core;
	uint32_t each;

	*ret_place = (struct relocation_place){ 0 };
	ext = elf_section((void *)(uintptr_t)elf, size, ".BTF.ext", &ext_size);
	if (!ext || ext_size < offsetof(struct ext_header, core_off))
		return 0;
	h = (struct ext_header){ 0 };
	memcpy(&h, ext, min(ext_size, sizeof(h)));
	if (h.magic != BTF_MAGIC || h.header_size < sizeof(h) || !h.core_size)
		return 0;
	if (!within((uint64_t)h.header_size + h.core_off, h.core_size, ext_size) ||
	    h.core_size < sizeof(each))
		return fail(e, EINVAL, "its relocations lie outside of .BTF.ext");
	core = ext + h.header_size + h.core_off;
	memcpy(&each, core, sizeof(each));
	if (each != sizeof(struct ext_record))
		return fail(e, EINVAL, "its relocations are of an unknown size");
	while (at && at < h.core_size)
		at = section_read(core, h.core_size, at, each, to);
	if (!at)
		return fail(e, EINVAL, "its relocations are cut off");
	ret_place->length_at =
		(size_t)(ext - (const char *)elf) + offsetof(struct ext_header, core_size);
	ret_place->at = (size_t)(core - (const char *)elf);
	ret_place->size = h.core_size;
	return 0;
}

void relocations_drop(void *elf, const struct relocation_place *place, uint32_t kind)
{
	char *core = (char *)elf + place->at;
	size_t from = sizeof(uint32_t), to = from, head;
	struct ext_section section;
	struct ext_record record;
	uint32_t kept, size;

	while (from < place->size) {
		memcpy(&section, core + from, sizeof(section));
		from += sizeof(section);
		head = to;
		to += sizeof(section);
		kept = 0;
		for (uint32_t i = 0; i < section.count; i++, from += sizeof(record)) {
			memcpy(&record, core + from, sizeof(record));
			if (record.kind == kind)
				continue;
			memcpy(core + to, &record, sizeof(record));
			to += sizeof(record);
			kept++;
		}
		section.count = kept;
		memcpy(core + head, &section, sizeof(section));
		if (!kept)
			to = head; /* libbpf refuses an empty section */
	}
	size = to > sizeof(uint32_t) ? (uint32_t)to : 0;
	memcpy((char *)elf + place->length_at, &size, sizeof(size));
}

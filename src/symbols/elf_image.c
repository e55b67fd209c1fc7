/* SPDX-License-Identifier: BSD-2-Clause */
/* Symbols of an ELF file, by libelf. */
#include "symbols/elf_image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <gelf.h>
#include <lzma.h>

#include "base/str.h"
#include "base/vec.h"

enum {
	SEGMENTS_MAX = 64,
	SECTION_MAX = 512 * 1024 * 1024,  /* bytes of one that is read */
	DEBUGDATA_MAX = 64 * 1024 * 1024, /* unpacked */
	LZMA_MEMORY_MAX = 128 * 1024 * 1024,
	BUILD_ID_MAX = 64,
};

/* Which of several names of one function is shown: those of .symtab first. */
enum { RANK_GLOBAL, RANK_WEAK, RANK_LOCAL, RANK_NO_TYPE, RANK_UNDERSCORE = 8 };

struct segment {
	uint64_t offset, address, size;
};

struct elf_image {
	struct symtab *symbols; /* by address as linked */
	struct segment segments[SEGMENTS_MAX];
	unsigned segment_count;
};

void elf_image_free(struct elf_image *image)
{
	if (!image)
		return;
	symtab_free(image->symbols);
	free(image);
}

size_t elf_image_bytes(const struct elf_image *image)
{
	return sizeof(*image) + symtab_bytes(image->symbols);
}

static void segments_read(struct elf_image *image, Elf *elf)
{
	size_t count = 0;
	GElf_Phdr p;

	if (elf_getphdrnum(elf, &count) < 0)
		return;
	for (size_t i = 0; i < count && image->segment_count < SEGMENTS_MAX; i++) {
		if (!gelf_getphdr(elf, (int)i, &p) || p.p_type != PT_LOAD || !(p.p_flags & PF_X))
			continue;
		image->segments[image->segment_count++] =
			(struct segment){ p.p_offset, p.p_vaddr, p.p_filesz };
	}
}

/* Is it a function? Code written in assembler often has no type. */
static bool symbol_rank(const GElf_Sym *s, const char *name, unsigned *ret_rank)
{
	unsigned type = GELF_ST_TYPE(s->st_info), bind = GELF_ST_BIND(s->st_info);

	if (s->st_shndx == SHN_UNDEF || !s->st_value || !name || !name[0] || name[0] == '$' ||
	    name[0] == '.')
		return false;
	if (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE)
		return false;
	if (type == STT_NOTYPE && s->st_shndx >= SHN_LORESERVE)
		return false;
	*ret_rank = type == STT_NOTYPE  ? RANK_NO_TYPE
		    : bind == STB_LOCAL ? RANK_LOCAL
		    : bind == STB_WEAK  ? RANK_WEAK
					: RANK_GLOBAL;
	if (name[0] == '_' && name[1] != 'Z' && name[1] != 'R')
		*ret_rank += RANK_UNDERSCORE;
	return true;
}

static bool is_code(const struct elf_image *image, uint64_t address)
{
	for (unsigned i = 0; i < image->segment_count; i++)
		if (address - image->segments[i].address < image->segments[i].size)
			return true;
	return false;
}

static void section_read(struct elf_image *image, Elf *elf, Elf_Scn *section, const GElf_Shdr *head)
{
	Elf_Data *bytes = elf_getdata(section, NULL);
	size_t count = bytes && head->sh_entsize ? bytes->d_size / head->sh_entsize : 0;
	const char *name;
	unsigned rank;
	GElf_Sym s;

	for (size_t i = 0; i < count && i < SYMTAB_MAX; i++) {
		if (!gelf_getsym(bytes, (int)i, &s))
			return;
		name = elf_strptr(elf, head->sh_link, s.st_name);
		if (symbol_rank(&s, name, &rank) && is_code(image, s.st_value))
			symtab_add(image->symbols, s.st_value, s.st_size, name, strcspn(name, "@"),
				   "", rank); /* without a version */
	}
}

/* Reads the section of that type; false: there is none. */
static bool symbols_read(struct elf_image *image, Elf *elf, uint32_t type)
{
	Elf_Scn *section = NULL;
	GElf_Shdr head;

	while ((section = elf_nextscn(elf, section))) {
		if (!gelf_getshdr(section, &head) || head.sh_type != type ||
		    head.sh_size > SECTION_MAX)
			continue;
		section_read(image, elf, section, &head);
		return true;
	}
	return false;
}

static Elf_Data *section_named(Elf *elf, const char *name)
{
	Elf_Scn *section = NULL;
	GElf_Shdr head;
	size_t names;

	if (elf_getshdrstrndx(elf, &names) < 0)
		return NULL;
	while ((section = elf_nextscn(elf, section))) {
		const char *own;

		if (!gelf_getshdr(section, &head) || head.sh_type == SHT_NOBITS ||
		    head.sh_size > DEBUGDATA_MAX)
			continue;
		own = elf_strptr(elf, names, head.sh_name);
		if (own && str_eq(own, name))
			return elf_getdata(section, NULL);
	}
	return NULL;
}

/* Unpacks an xz stream; free() it. NULL: it is none, or too large. */
static char *xz_unpack(const void *bytes, size_t len, size_t *ret_len)
{
	uint64_t memory = LZMA_MEMORY_MAX;
	size_t in = 0, out = 0, room = min(len * 16 + 4096, (size_t)DEBUGDATA_MAX);
	auto_free char *plain = xmalloc(room);
	lzma_ret result = lzma_stream_buffer_decode(&memory, 0, NULL, bytes, &in, len,
						    (uint8_t *)plain, &out, room);

	if (result != LZMA_OK)
		return NULL;
	*ret_len = out;
	return TAKE_PTR(plain);
}

/* MiniDebugInfo, as Fedora's distributions have it: an ELF file with .symtab alone, packed. */
static bool debugdata_read(struct elf_image *image, Elf *elf)
{
	const Elf_Data *packed = section_named(elf, ".gnu_debugdata");
	auto_free char *plain = NULL;
	size_t len = 0;
	bool found;
	Elf *inner;

	if (!packed || !packed->d_buf)
		return false;
	plain = xz_unpack(packed->d_buf, packed->d_size, &len);
	inner = plain ? elf_memory(plain, len) : NULL;
	if (!inner)
		return false;
	found = symbols_read(image, inner, SHT_SYMTAB);
	elf_end(inner);
	return found;
}

/* ".build-id/ab/cdef...debug" */
static bool build_id_path(Elf *elf, struct strbuf *path)
{
	const Elf_Data *note = section_named(elf, ".note.gnu.build-id");
	size_t at = 0, name, desc;
	GElf_Nhdr head;

	while (note && (at = gelf_getnote((Elf_Data *)(uintptr_t)note, at, &head, &name, &desc))) {
		const unsigned char *id = (const unsigned char *)note->d_buf + desc;

		if (head.n_type != NT_GNU_BUILD_ID || head.n_descsz < 2 ||
		    head.n_descsz > BUILD_ID_MAX)
			continue;
		for (size_t i = 0; i < head.n_descsz; i++) {
			strbuf_hex(path, id[i], 2);
			if (!i)
				strbuf_putc(path, '/');
		}
		strbuf_puts(path, ".debug");
		return true;
	}
	return false;
}

static bool debug_file_read(struct elf_image *image, Elf *elf)
{
	auto_done(strbuf) path = { 0 };
	auto_close int fd = -1;
	bool found = false;
	Elf *debug;

	strbuf_puts(&path, "/usr/lib/debug/.build-id/");
	if (!build_id_path(elf, &path))
		return false;
	fd = open(strbuf_str(&path), O_RDONLY | O_CLOEXEC | O_NOCTTY);
	debug = fd >= 0 ? elf_begin(fd, ELF_C_READ, NULL) : NULL;
	if (debug)
		found = symbols_read(image, debug, SHT_SYMTAB);
	elf_end(debug);
	return found;
}

static struct elf_image *image_read(Elf *elf)
{
	struct elf_image *image;

	if (!elf || elf_kind(elf) != ELF_K_ELF)
		return NULL;
	image = xnew(struct elf_image);
	image->symbols = symtab_new();
	segments_read(image, elf);
	if (!symbols_read(image, elf, SHT_SYMTAB) && !debug_file_read(image, elf))
		(void)debugdata_read(image, elf);
	(void)symbols_read(image, elf, SHT_DYNSYM);
	symtab_finish(image->symbols);
	if (image->segment_count)
		return image;
	elf_image_free(image);
	return NULL;
}

struct elf_image *elf_image_read(int fd)
{
	struct elf_image *image;
	Elf *elf;

	if (elf_version(EV_CURRENT) == EV_NONE)
		return NULL;
	elf = elf_begin(fd, ELF_C_READ, NULL);
	image = image_read(elf);
	elf_end(elf);
	return image;
}

struct elf_image *elf_image_of(const void *bytes, size_t len)
{
	auto_free char *copy = xmemdup(bytes, len); /* libelf wants to write */
	struct elf_image *image;
	Elf *elf;

	if (elf_version(EV_CURRENT) == EV_NONE)
		return NULL;
	elf = elf_memory(copy, len);
	image = image_read(elf);
	elf_end(elf);
	return image;
}

bool elf_image_find(struct elf_image *image, uint64_t file_offset, struct symbol *ret)
{
	for (unsigned i = 0; i < image->segment_count; i++) {
		const struct segment *s = &image->segments[i];

		if (file_offset - s->offset >= s->size)
			continue;
		if (!symtab_find(image->symbols, file_offset - s->offset + s->address, ret))
			return false;
		ret->start = ret->start - s->address + s->offset;
		return true;
	}
	return false;
}

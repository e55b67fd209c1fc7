/* SPDX-License-Identifier: BSD-2-Clause */
/* Files as the loader finds them, and their functions by libelf. */
#include "bpf/binaries.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <gelf.h>

#include "base/mem.h"
#include "base/str.h"

enum { NAME_MAX_BYTES = 512 };

/* ---- the file ---- */

/* In the directories of `list`, which colons part. */
static bool path_search(const char *list, const char *name, int mode, char *path)
{
	size_t len;

	for (; list && *list; list += len + (list[len] == ':')) {
		len = strcspn(list, ":");
		if (len && str_format(path, PATH_MAX, "%.*s/%s", (int)len, list, name) &&
		    !access(path, mode))
			return true;
	}
	return false;
}

static bool library_search(const char *name, char *path)
{
	struct utsname uts;
	char usual[256];

	if (path_search(getenv("LD_LIBRARY_PATH"), name, R_OK, path))
		return true;
	return !uname(&uts) &&
	       str_format(usual, sizeof(usual),
			  "/usr/lib64:/lib64:/usr/lib/%s-linux-gnu:/lib/%s-linux-gnu:/usr/lib:/lib",
			  uts.machine, uts.machine) &&
	       path_search(usual, name, R_OK, path);
}

static bool path_find(const char *name, char *path)
{
	if (strchr(name, '/'))
		return str_copy(path, PATH_MAX, name);
	if (str_endswith(name, ".so") || strstr(name, ".so."))
		return library_search(name, path);
	return path_search(getenv("PATH"), name, X_OK, path) ||
	       path_search("/usr/bin:/usr/sbin", name, X_OK, path);
}

/* ---- the function ---- */

struct wanted {
	char name[NAME_MAX_BYTES];
	const char *version; /* behind its "@"; NULL: the one that programs are linked with now */
};

struct found {
	uint64_t address;
	unsigned rank; /* 0: nothing was found */
	bool is_one;   /* no other of that rank has the name */
};

static Elf_Data *section_find(Elf *elf, uint32_t type, GElf_Shdr *head)
{
	Elf_Scn *section = NULL;

	while ((section = elf_nextscn(elf, section)))
		if (gelf_getshdr(section, head) && head->sh_type == type)
			return elf_getdata(section, NULL);
	return NULL;
}

/* "GLIBC_2.34"; NULL: there is none of that number. */
static const char *version_name(Elf *elf, int number)
{
	GElf_Shdr head;
	Elf_Data *versions = section_find(elf, SHT_GNU_verdef, &head);
	GElf_Verdaux name;
	GElf_Verdef v;
	int at = 0;

	while (versions && gelf_getverdef(versions, at, &v)) {
		if (v.vd_ndx == number)
			return gelf_getverdaux(versions, at + (int)v.vd_aux, &name)
				       ? elf_strptr(elf, head.sh_link, name.vda_name)
				       : NULL;
		if (!v.vd_next)
			break;
		at += (int)v.vd_next;
	}
	return NULL;
}

/* How well a symbol fits, 0: not at all. Its version stands in its name or, for .dynsym, in `versions`. */
static unsigned symbol_rank(Elf *elf, const GElf_Sym *s, const char *name, Elf_Data *versions, int nth,
			    const struct wanted *w)
{
	size_t len = strcspn(name, "@");
	const char *own = name[len] ? name + len + strspn(name + len, "@") : NULL;
	bool is_old = name[len] && name[len + 1] != '@';
	GElf_Versym v;

	if (GELF_ST_TYPE(s->st_info) != STT_FUNC || s->st_shndx == SHN_UNDEF ||
	    strlen(w->name) != len || strncmp(name, w->name, len))
		return 0;
	if (!own && versions && gelf_getversym(versions, nth, &v)) {
		own = w->version ? version_name(elf, v & 0x7fff) : NULL;
		is_old = v & 0x8000;
	}
	if (w->version && (!own || !str_eq(own, w->version)))
		return 0;
	return 1 + 2 * !is_old + (GELF_ST_BIND(s->st_info) != STB_WEAK);
}

static struct found symbols_look(Elf *elf, uint32_t type, const struct wanted *w)
{
	struct found found = { 0 };
	GElf_Shdr head, ignored;
	Elf_Data *symbols = section_find(elf, type, &head), *versions = NULL;
	size_t count = symbols && head.sh_entsize ? symbols->d_size / head.sh_entsize : 0;
	GElf_Sym s;

	if (type == SHT_DYNSYM)
		versions = section_find(elf, SHT_GNU_versym, &ignored);
	for (int i = 0; (size_t)i < count && gelf_getsym(symbols, i, &s); i++) {
		const char *name = elf_strptr(elf, head.sh_link, s.st_name);
		unsigned rank = name ? symbol_rank(elf, &s, name, versions, i, w) : 0;

		if (rank > found.rank)
			found = (struct found){ s.st_value, rank, true };
		else if (rank && rank == found.rank && s.st_value != found.address)
			found.is_one = false;
	}
	return found;
}

static int address_to_offset(Elf *elf, uint64_t address, uint64_t *ret_offset)
{
	size_t count = 0;
	GElf_Phdr p;

	(void)elf_getphdrnum(elf, &count);
	for (size_t i = 0; i < count; i++)
		if (gelf_getphdr(elf, (int)i, &p) && p.p_type == PT_LOAD &&
		    address - p.p_vaddr < p.p_filesz) {
			*ret_offset = address - p.p_vaddr + p.p_offset;
			return 0;
		}
	return -ENOENT;
}

static int function_look(Elf *elf, const struct wanted *w, uint64_t *ret_offset)
{
	struct found found;

	if (elf_kind(elf) != ELF_K_ELF)
		return -ENOEXEC;
	found = symbols_look(elf, SHT_DYNSYM, w);
	if (!found.rank)
		found = symbols_look(elf, SHT_SYMTAB, w);
	if (!found.rank)
		return -ENOENT;
	return found.is_one ? address_to_offset(elf, found.address, ret_offset) : -ENOTUNIQ;
}

static int function_find(const char *path, const struct wanted *w, uint64_t *ret_offset)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	Elf *elf;
	int code;

	if (fd < 0)
		return -errno;
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	code = elf ? function_look(elf, w, ret_offset) : -ENOEXEC;
	elf_end(elf);
	return code;
}

int binary_place_find(const char *binary, const char *place, struct binary_place *ret)
{
	struct wanted w = { 0 };
	uint64_t more;
	char *end;
	int code;

	if (!path_find(binary, ret->path))
		return -ENOENT;
	if (str_startswith(place, "0x")) {
		ret->offset = strtoull(place, NULL, 16);
		return 0;
	}
	if (!str_copy(w.name, sizeof(w.name), place))
		return -ENAMETOOLONG;
	end = w.name + strcspn(w.name, "+");
	more = *end ? strtoull(end + 1, NULL, 0) : 0;
	*end = '\0';
	end = w.name + strcspn(w.name, "@");
	w.version = *end ? end + strspn(end, "@") : NULL;
	*end = '\0';
	code = function_find(ret->path, &w, &ret->offset);
	ret->offset += more;
	return code;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The running kernel's BTF, read once and given back. */
#include "bpf/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "bpf/types.h"

static const char kernel_btf_dir[] = "/sys/kernel/btf";
static const char kernel_btf_path[] = "/sys/kernel/btf/vmlinux";

static struct {
	struct types *types;
	void *bytes;
	size_t size;
	bool absent;
} kernel;

static int btf_missing(struct err *e)
{
	fail_as(e, EXIT_KERNEL, ENOENT, "this kernel has no BTF: there is no %s", kernel_btf_path);
	return hint(e, "it must be built with CONFIG_DEBUG_INFO_BTF; in a chroot or container "
		       "/sys must be mounted");
}

/* From 6.16 on the file can be mapped, which costs no memory of ours. Before, it is read into a mapping of
 * our own: unlike the heap's, giving it back really gives it back. */
static int kernel_bytes_read(struct err *e)
{
	auto_close int fd = open(kernel_btf_path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	size_t len = 0;
	ssize_t n;
	char *to;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size <= 0)
		return btf_missing(e);
	kernel.size = (size_t)st.st_size;
	to = mmap(NULL, kernel.size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (to != MAP_FAILED) {
		kernel.bytes = to;
		return 0;
	}
	to = mmap(NULL, kernel.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (to == MAP_FAILED)
		return fail(e, errno, "memory for the kernel's BTF");
	kernel.bytes = to;
	while (len < kernel.size && (n = read(fd, to + len, kernel.size - len)) > 0)
		len += (size_t)n;
	if (len < kernel.size)
		return fail(e, EIO, "read '%s'", kernel_btf_path);
	return 0;
}

int kernel_types(const struct types **ret_types, struct err *e)
{
	if (!kernel.types) {
		if (kernel.absent)
			return btf_missing(e);
		if (kernel_bytes_read(e) < 0 ||
		    types_new(kernel.bytes, kernel.size, true, &kernel.types, e) < 0) {
			kernel_btf_release();
			kernel.absent = true;
			return -e->code;
		}
	}
	*ret_types = kernel.types;
	return 0;
}

void kernel_btf_release(void)
{
	types_free(kernel.types);
	kernel.types = NULL;
	if (kernel.bytes)
		munmap(kernel.bytes, kernel.size);
	kernel.bytes = NULL;
}

bool kernel_has_btf(void)
{
	return kernel.types || (!kernel.absent && !access(kernel_btf_path, R_OK));
}

int kernel_btf_check(struct err *e)
{
	return kernel_has_btf() ? 0 : btf_missing(e);
}

static int name_is_module(int dir_fd, const char *name, unsigned char type, void *ctx,
			  struct err *e)
{
	(void)dir_fd;
	(void)type;
	(void)ctx;
	(void)e;
	return !str_eq(name, "vmlinux");
}

bool kernel_has_module_btf(void)
{
	struct err e;

	return dir_each(kernel_btf_dir, name_is_module, NULL, &e) > 0;
}

/* The reader, or NULL. */
static const struct types *kernel_or_null(void)
{
	const struct types *t = NULL;
	struct err e;

	return kernel_types(&t, &e) < 0 ? NULL : t;
}

static bool kernel_find(const char *name, const enum type_kind *kinds, size_t count,
			struct type *ret_type)
{
	const struct types *t = kernel_or_null();

	for (size_t i = 0; t && i < count; i++)
		if (types_get(t, types_find(t, name, kinds[i]), ret_type))
			return true;
	return false;
}

bool kernel_has_type(const char *name)
{
	static const enum type_kind kinds[] = { TYPE_STRUCT, TYPE_UNION,   TYPE_ENUM,
						TYPE_ENUM64, TYPE_TYPEDEF, TYPE_INT };
	struct type type;

	return kernel_find(name, kinds, ARRAY_LEN(kinds), &type);
}

static uint32_t kernel_id(const char *name, enum type_kind kind)
{
	struct type type;

	return kernel_find(name, &kind, 1, &type) ? type.id : 0;
}

uint32_t kernel_func_id(const char *name)
{
	return kernel_id(name, TYPE_FUNC);
}

uint32_t kernel_typedef_id(const char *name)
{
	return kernel_id(name, TYPE_TYPEDEF);
}

bool kernel_has_func(const char *name)
{
	return kernel_func_id(name) != 0;
}

bool kernel_has_field(const char *struct_name, const char *member)
{
	static const enum type_kind kinds[] = { TYPE_STRUCT, TYPE_UNION };
	struct type_member found;
	struct type type;
	char part[128];
	size_t len;

	if (!kernel_find(struct_name, kinds, ARRAY_LEN(kinds), &type))
		return false;
	for (;;) {
		len = strcspn(member, ".");
		if (len >= sizeof(part))
			return false;
		memcpy(part, member, len);
		part[len] = '\0';
		if (!types_member_named(kernel.types, &type, part, &found))
			return false;
		if (!member[len])
			return true;
		member += len + 1;
		if (!types_get_resolved(kernel.types, found.type, &type))
			return false;
		if (type.kind == TYPE_PTR && !types_get_resolved(kernel.types, type.target, &type))
			return false;
	}
}

/* typedef void (*btf_trace_NAME)(void *, ...): the context is the first parameter. */
int kernel_tracepoint_args(const char *name)
{
	static const enum type_kind kinds[] = { TYPE_TYPEDEF };
	char full[128];
	struct type type;

	if (!str_format(full, sizeof(full), "btf_trace_%s", name) ||
	    !kernel_find(full, kinds, 1, &type) ||
	    !types_get_resolved(kernel.types, type.target, &type) || type.kind != TYPE_PTR ||
	    !types_get_resolved(kernel.types, type.target, &type) || type.kind != TYPE_FUNC_PROTO)
		return -1;
	return type.count ? (int)type.count - 1 : 0;
}

static bool enum_has(const struct types *t, uint32_t id, const char *name, uint64_t *ret_value)
{
	struct type_enum value;
	struct type type;

	if (!types_get(t, id, &type))
		return false;
	for (uint32_t i = 0; types_enum(t, &type, i, &value); i++) {
		if (!str_eq(value.name, name))
			continue;
		*ret_value = value.value;
		return true;
	}
	return false;
}

bool kernel_enum_value(const char *enum_name, const char *name, uint64_t *ret_value)
{
	static const enum type_kind kinds[] = { TYPE_ENUM, TYPE_ENUM64 };
	const struct types *t = kernel_or_null();
	struct type type;

	if (!t)
		return false;
	if (enum_name)
		return kernel_find(enum_name, kinds, ARRAY_LEN(kinds), &type) &&
		       enum_has(t, type.id, name, ret_value);
	for (uint32_t id = 1; id < types_count(t); id++)
		if (enum_has(t, id, name, ret_value))
			return true;
	return false;
}

bool kernel_enum_names(const char *enum_name, struct kernel_enum **ret_values, size_t *ret_count)
{
	static const enum type_kind kinds[] = { TYPE_ENUM, TYPE_ENUM64 };
	struct type_enum value;
	struct kernel_enum *values;
	struct type type;
	size_t chars = 0;
	char *to;

	if (!kernel_find(enum_name, kinds, ARRAY_LEN(kinds), &type) || !type.count)
		return false;
	for (uint32_t i = 0; types_enum(kernel.types, &type, i, &value); i++)
		chars += strlen(value.name) + 1;
	values = xmalloc(type.count * sizeof(*values) + chars);
	to = (char *)(values + type.count);
	for (uint32_t i = 0; types_enum(kernel.types, &type, i, &value); i++) {
		values[i] = (struct kernel_enum){ to, value.value };
		to = stpcpy(to, value.name) + 1;
	}
	*ret_values = values;
	*ret_count = type.count;
	return true;
}

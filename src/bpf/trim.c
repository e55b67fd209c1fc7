/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's types that an object names, copied into a BTF of their own. */
#include "bpf/trim.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "bpf/casts.h"
#include "bpf/kernel.h"
#include "bpf/parts.h"
#include "bpf/relocations.h"

struct want {
	enum type_kind kind;
	uint32_t first; /* the kernel's id; 0: not found */
};

struct trim {
	const struct types *from;
	struct btf *to;
	struct map ids;   /* the kernel's id -> its copy's */
	struct map names; /* without flavour -> index in wants, plus one */
	vec(struct want) wants;
	bool failed;
};

/* "req" of "req___old": what follows three underscores only tells flavours apart. */
static size_t base_length(const char *name)
{
	const char *flavour = strstr(name, "___");

	return flavour && flavour > name ? (size_t)(flavour - name) : strlen(name);
}

/* ---- copying ---- */

static int copy_of(struct trim *t, uint32_t id);

static int int_copy(struct trim *t, const struct type *type)
{
	int encoding = (type->is_signed ? BTF_INT_SIGNED : 0) | (type->is_bool ? BTF_INT_BOOL : 0);

	return btf__add_int(t->to, type->name, type->size, encoding);
}

static int array_copy(struct trim *t, const struct type *type)
{
	int element = copy_of(t, type->target);

	/* which integer counts the elements is asked by nobody */
	return element < 0 ? element : btf__add_array(t->to, element, element, type->count);
}

static int enum_copy(struct trim *t, const struct type *type)
{
	bool wide = type->kind == TYPE_ENUM64;
	struct type_enum value;
	int id, err = 0;

	id = wide ? btf__add_enum64(t->to, type->name, type->size, type->is_signed)
		  : btf__add_enum(t->to, type->name, type->size);
	for (uint32_t i = 0; id > 0 && !err && types_enum(t->from, type, i, &value); i++)
		err = wide ? btf__add_enum64_value(t->to, value.name, value.value)
			   : btf__add_enum_value(t->to, value.name, (int32_t)value.value);
	return err ? err : id;
}

/* Members are added to the last struct, so that what they are of comes first. */
static int struct_copy(struct trim *t, const struct type *type)
{
	struct type_member m;
	int id, err = 0;

	for (uint32_t i = 0; types_member(t->from, type, i, &m); i++)
		if (copy_of(t, m.type) < 0)
			return -EINVAL;
	id = type->kind == TYPE_UNION ? btf__add_union(t->to, type->name, type->size)
				      : btf__add_struct(t->to, type->name, type->size);
	for (uint32_t i = 0; id > 0 && !err && types_member(t->from, type, i, &m); i++)
		err = btf__add_field(t->to, m.name, copy_of(t, m.type), m.offset_bits, m.bits);
	return err ? err : id;
}

/* No relocation goes on behind a pointer. */
static int pointer_copy(struct trim *t, const struct type *type)
{
	(void)type;
	return btf__add_ptr(t->to, 0);
}

static int float_copy(struct trim *t, const struct type *type)
{
	return btf__add_float(t->to, type->name, type->size);
}

static int typedef_copy(struct trim *t, const struct type *type)
{
	int target = copy_of(t, type->target);

	return target < 0 ? target : btf__add_typedef(t->to, type->name, target);
}

/* const and the like mean what they are of. */
static int modified_copy(struct trim *t, const struct type *type)
{
	return copy_of(t, type->target);
}

typedef int copy_fn(struct trim *t, const struct type *type);

/* What can be a member, or is looked for. */
static copy_fn *const copies[TYPE_KIND_COUNT] = {
	[TYPE_INT] = int_copy,           [TYPE_PTR] = pointer_copy,
	[TYPE_ARRAY] = array_copy,       [TYPE_STRUCT] = struct_copy,
	[TYPE_UNION] = struct_copy,      [TYPE_ENUM] = enum_copy,
	[TYPE_ENUM64] = enum_copy,       [TYPE_TYPEDEF] = typedef_copy,
	[TYPE_VOLATILE] = modified_copy, [TYPE_CONST] = modified_copy,
	[TYPE_RESTRICT] = modified_copy, [TYPE_TYPE_TAG] = modified_copy,
	[TYPE_FLOAT] = float_copy,
};

/* The id of the copy, made when it is first asked for; negative: it can't be made. */
static int copy_of(struct trim *t, uint32_t id)
{
	uintptr_t known = (uintptr_t)map_get(&t->ids, id);
	struct type type;
	int copy;

	if (known)
		return (int)known;
	if (!types_get(t->from, id, &type))
		return 0; /* void */
	copy = copies[type.kind] ? copies[type.kind](t, &type) : -EINVAL;
	if (copy > 0)
		map_put(&t->ids, id, (void *)(uintptr_t)copy);
	t->failed |= copy < 0;
	return copy;
}

/* ---- what is wanted ---- */

static bool is_looked_for(enum type_kind kind)
{
	return kind == TYPE_STRUCT || kind == TYPE_UNION || kind == TYPE_ENUM ||
	       kind == TYPE_ENUM64 || kind == TYPE_TYPEDEF || kind == TYPE_INT;
}

/* An enum may have grown to 64 bits since. */
static bool same_kind(enum type_kind a, enum type_kind b)
{
	return a == b || (a == TYPE_ENUM && b == TYPE_ENUM64) ||
	       (a == TYPE_ENUM64 && b == TYPE_ENUM);
}

/* Can a BTF of copies answer this one as the whole would? */
static bool answers(const struct types *own, const struct relocation *r)
{
	struct type type;

	if (r->kind == RELOCATION_TYPE_MATCHES || !types_get(own, r->type, &type))
		return false;
	if (r->kind >= RELOCATION_TYPE_EXISTS && type.kind == TYPE_TYPEDEF)
		return false; /* compared down to what its pointers lead to */
	return is_looked_for(type.kind) && type.name[0];
}

static struct want *want_of(const struct trim *t, const char *name)
{
	uintptr_t nth = (uintptr_t)map_get_bytes(&t->names, name, base_length(name));

	return nth ? &t->wants.at[nth - 1] : NULL;
}

static bool wanted_read(struct trim *t, const struct types *own, const relocations *all)
{
	struct want *want;
	struct type type;

	vec_for_each(r, all) {
		if (r->kind == RELOCATION_TYPE_ID_LOCAL)
			continue;
		if (!answers(own, r) || !types_get(own, r->type, &type))
			return false;
		want = want_of(t, type.name);
		if (want && !same_kind(want->kind, type.kind))
			return false;
		if (want)
			continue;
		*vec_add(&t->wants) = (struct want){ .kind = type.kind };
		map_put_bytes(&t->names, type.name, base_length(type.name),
			      (void *)(uintptr_t)t->wants.len);
	}
	return t->wants.len > 0;
}

/* One pass over the kernel's types; false when a module may have a name that isn't among them. */
static bool wanted_copy(struct trim *t)
{
	struct want *want;
	struct type type;

	for (uint32_t id = 1; types_get(t->from, id, &type); id++) {
		want = type.name[0] && is_looked_for(type.kind) ? want_of(t, type.name) : NULL;
		if (!want || !same_kind(want->kind, type.kind))
			continue;
		if (copy_of(t, id) < 0)
			return false;
		if (!want->first)
			want->first = id;
	}
	vec_for_each(w, &t->wants)
		if (!w->first && kernel_has_module_btf())
			return false;
	return !t->failed;
}

/* ---- ids, which copies can't tell ---- */

/* Puts the kernel's own id into the instruction that wants it: the low half of an ldimm64. */
static bool id_patch(struct trim *t, struct object *o, void *elf, const struct relocation *r)
{
	const char *name = btf__name_by_offset(bpf_object__btf(o->bpf), r->section);
	struct bpf_insn insn;
	struct type type;
	size_t size = 0;
	char *code;

	code = name ? elf_section(elf, o->size, name, &size) : NULL;
	if (!code || r->offset % sizeof(insn) || r->offset > size ||
	    size - r->offset < sizeof(insn))
		return false;
	memcpy(&insn, code + r->offset, sizeof(insn));
	if (insn.code != (BPF_LD | BPF_IMM | BPF_DW) || !types_get(o->types, r->type, &type))
		return false;
	insn.imm = (int32_t)want_of(t, type.name)->first;
	if (!insn.imm)
		return false; /* libbpf says what it thinks of that */
	memcpy(code + r->offset, &insn, sizeof(insn));
	return true;
}

/* Gives a file without relocations for ids into *ret_elf, NULL when there are none anyhow. */
static bool ids_settle(struct trim *t, struct object *o, const relocations *all,
		       const struct relocation_place *place, void **ret_elf)
{
	auto_free void *elf = xmemdup(o->bytes, o->size);
	bool any = false;

	vec_for_each(r, all) {
		if (r->kind != RELOCATION_TYPE_ID_TARGET)
			continue;
		any = true;
		if (!id_patch(t, o, elf, r))
			return false;
	}
	*ret_elf = NULL;
	if (!any)
		return true;
	relocations_drop(elf, place, RELOCATION_TYPE_ID_TARGET);
	*ret_elf = TAKE_PTR(elf);
	return true;
}

/* ---- handing over ---- */

static int copies_write(const struct btf *btf)
{
	auto_close int fd = memfd_create("sonda-btf", MFD_CLOEXEC);
	uint32_t size;
	const void *bytes = btf__raw_data(btf, &size);

	if (fd < 0 || !bytes || fd_write_all(fd, bytes, size) < 0)
		return -1;
	return TAKE_FD(fd);
}

/* Returns the bytes that libbpf read until now, to be freed when the object is opened anew. */
static void *bytes_replace(struct object *o, void *elf)
{
	void *old = o->owned;

	o->bytes = o->owned = elf;
	return old;
}

static int trim(struct trim *t, struct object *o, struct err *e)
{
	auto_free void *with_casts = casts_copy(o->bytes, o->size), *old = NULL, *older = NULL;
	struct relocation_place place;
	bool can, is_other = with_casts != NULL;
	relocations all = { 0 };
	struct err ignored;
	void *elf = NULL;

	if (with_casts)
		older = bytes_replace(o, TAKE_PTR(with_casts));
	can = !relocations_read(o->bytes, o->size, &all, &place, &ignored) &&
	      wanted_read(t, o->types, &all) && !kernel_types(&t->from, &ignored) &&
	      wanted_copy(t) && ids_settle(t, o, &all, &place, &elf);
	vec_done(&all);
	if (can)
		o->kernel_btf_fd = copies_write(t->to);
	log_debug("load", "%s: relocated against %s", o->name,
		  o->kernel_btf_fd < 0 ? "the whole of the kernel's BTF"
				       : "the types that it reads");
	if (elf)
		old = bytes_replace(o, elf);
	return is_other || elf || o->kernel_btf_fd >= 0 ? object_reopen(o, e) : 0;
}

int object_trim(struct object *o, struct err *e)
{
	struct trim t = { .to = btf__new_empty() };
	int code = 0;

	if (t.to)
		code = trim(&t, o, e);
	else
		code = casts_settle(o, e);
	btf__free(t.to);
	map_done(&t.ids, NULL);
	map_done(&t.names, NULL);
	vec_done(&t.wants);
	return code;
}

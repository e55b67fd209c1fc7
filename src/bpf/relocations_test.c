/* SPDX-License-Identifier: BSD-2-Clause */
/* The relocations of a compiled probe, and of files that are none. */
#include "bpf/relocations.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/test.h"

static char *object_bytes(size_t *ret_size)
{
	const char *dir = getenv("SONDA_OBJECTS");
	char path[512], *bytes = NULL;
	struct err e = { 0 };

	if (!dir || !str_format(path, sizeof(path), "%s/fs.open.bpf.o", dir) ||
	    file_read(path, &bytes, ret_size, &e) < 0)
		TEST_FAULT("fs.open.bpf.o: %s", e.text);
	return bytes;
}

static size_t count_of(const relocations *all, uint32_t kind)
{
	size_t count = 0;

	vec_for_each(r, all)
		count += r->kind == kind;
	return count;
}

TEST(those_of_one_kind_are_dropped_and_the_others_stay)
{
	relocations before = { 0 }, after = { 0 };
	struct relocation_place place;
	struct err e = { 0 };
	size_t size, ids;
	auto_free char *elf = object_bytes(&size);

	REQUIRE(elf);
	CHECK_INT(relocations_read(elf, size, &before, &place, &e), 0);
	ids = count_of(&before, RELOCATION_TYPE_ID_TARGET);
	CHECK(ids > 0 && ids < before.len); /* fs.open casts kernel addresses */
	relocations_drop(elf, &place, RELOCATION_TYPE_ID_TARGET);
	CHECK_INT(relocations_read(elf, size, &after, &place, &e), 0);
	CHECK_INT(after.len, before.len - ids);
	CHECK_INT(count_of(&after, RELOCATION_TYPE_ID_TARGET), 0);
	for (size_t i = 0, j = 0; i < before.len; i++)
		if (before.at[i].kind != RELOCATION_TYPE_ID_TARGET)
			CHECK(!memcmp(&before.at[i], &after.at[j++], sizeof(*after.at)));
	for (uint32_t kind = 0; kind < 16; kind++)
		relocations_drop(elf, &place, kind);
	vec_done(&after);
	CHECK_INT(relocations_read(elf, size, &after, &place, &e), 0);
	CHECK_INT(after.len, 0);
	vec_done(&before);
	vec_done(&after);
}

TEST(what_is_no_object_has_none)
{
	static const char texts[][80] = {
		"", "\177ELF",
		"\177ELF and nothing that makes sense of it, but long enough for a header ...."
	};
	relocations all = { 0 };
	struct relocation_place place;
	struct err e = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		CHECK_INT(relocations_read(texts[i], strlen(texts[i]), &all, &place, &e), 0);
		CHECK(!all.len && !place.size);
	}
}

TEST(a_cut_off_list_is_refused)
{
	struct relocation_place place;
	relocations all = { 0 };
	struct err e = { 0 };
	size_t size;
	auto_free char *elf = object_bytes(&size);
	uint32_t shorter;

	REQUIRE(elf);
	CHECK_INT(relocations_read(elf, size, &all, &place, &e), 0);
	shorter = (uint32_t)place.size - 5;
	memcpy(elf + place.length_at, &shorter, sizeof(shorter));
	CHECK_INT(relocations_read(elf, size, &all, &place, &e), -22);
	CHECK_STR(e.text, "its relocations are cut off");
	vec_done(&all);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Relocations of foreign objects: reading them and taking some out stays within the file. */
#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "bpf/relocations.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	relocations all = { 0 }, rest = { 0 };
	struct relocation_place place;
	auto_free void *elf = xmemdup(data, size);
	struct err e = { 0 };

	if (!relocations_read(elf, size, &all, &place, &e) && place.size && all.len) {
		relocations_drop(elf, &place, all.at[0].kind);
		if (relocations_read(elf, size, &rest, &place, &e) < 0 || rest.len >= all.len)
			abort();
	}
	vec_done(&all);
	vec_done(&rest);
	return 0;
}

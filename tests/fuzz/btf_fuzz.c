/* SPDX-License-Identifier: BSD-2-Clause */
/* Feeds bytes to the BTF reader, and asks it for all it says. */
#include "base/err.h"
#include "bpf/types.h"

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size)
{
	auto_ptr(types) t = NULL;
	struct type_member m;
	struct type type;
	struct err e;

	for (uint32_t id = types_new(bytes, size, false, &t, &e) < 0 ? UINT32_MAX : 0;
	     t && id <= types_count(t); id++)
		if (types_size(t, id) < UINT32_MAX && types_get(t, id, &type) &&
		    !types_tag(t, id, -1, "doc", 0) && types_member_named(t, &type, "x", &m) &&
		    !types_member(t, &type, type.count - 1, &m))
			__builtin_trap();
	return 0;
}

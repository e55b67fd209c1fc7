/* SPDX-License-Identifier: BSD-2-Clause */
/* Probes in the binary, unpacked: a sixth of the size. */
#include "pipeline/embedded.h"

#include <errno.h>

#include <zstd.h>

#include "base/err.h"
#include "base/mem.h"

static int unpack(const struct embedded_probe *probe, const void *dict, size_t dict_size,
		  void **ret_bytes, struct err *e)
{
	auto_free void *bytes = xmalloc(probe->unpacked_size);
	ZSTD_DCtx *ctx = ZSTD_createDCtx();
	size_t size = 0;

	if (ctx)
		size = ZSTD_decompress_usingDict(ctx, bytes, probe->unpacked_size, probe->bytes,
						 probe->size, dict, dict_size);
	ZSTD_freeDCtx(ctx);
	if (size != probe->unpacked_size)
		return fail(e, EINVAL, "%s: this binary is damaged", probe->name);
	*ret_bytes = TAKE_PTR(bytes);
	return 0;
}

int embedded_unpack(const struct embedded_probe *probe, void **ret_bytes, struct err *e)
{
	static void *dict; /* kept: most commands unpack several */
	const struct embedded_probe *base = &embedded_probes[embedded_base];

	if (probe == base)
		return unpack(probe, NULL, 0, ret_bytes, e);
	if (!dict && unpack(base, NULL, 0, &dict, e) < 0)
		return -e->code;
	return unpack(probe, dict, base->unpacked_size, ret_bytes, e);
}

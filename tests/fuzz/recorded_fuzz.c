/* SPDX-License-Identifier: BSD-2-Clause */
/* Replays whatever it is given, and prints every value of every row. */
#include "base/err.h"
#include "base/str.h"
#include "schema/kind.h"
#include "transport/recorded.h"

#include <sys/mman.h>

static int on_row(const struct row *r, void *ctx)
{
	strbuf_reset(ctx);
	for (size_t i = 0; i < r->schema->field_count; i++)
		value_text_form(ctx, &r->schema->fields[i], row_value(r, &r->schema->fields[i]));
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	auto_close int fd = memfd_create("fuzz", MFD_CLOEXEC);
	auto_done(strbuf) text = { 0 };
	struct stream *s = NULL;
	struct err e;
	char path[32];

	if (write(fd, bytes, size) == (ssize_t)size &&
	    str_format(path, sizeof(path), "/proc/self/fd/%d", fd) &&
	    recorded_open(path, &s, &e) == 0)
		while (s->ops->drain(s, 1000, on_row, &text, &e) > 0)
			;
	if (s)
		stream_free(s);
	return 0;
}

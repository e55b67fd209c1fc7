/* SPDX-License-Identifier: BSD-2-Clause */
/* Takes rows and shows nothing: what counts is the closing line, and the cost of the rest. */
#include "sink/sinks.h"

#include "base/mem.h"

static int null_open(const struct sink_options *options, struct sink **ret, struct err *e)
{
	(void)options, (void)e;
	*ret = xnew(struct sink);
	(*ret)->ops = &sink_null;
	return 0;
}

static int null_bind(struct sink *s, const struct schema *schema, struct err *e)
{
	(void)s, (void)schema, (void)e;
	return 0;
}

static int null_row(struct sink *s, const struct row *r, struct err *e)
{
	(void)s, (void)r, (void)e;
	return 0;
}

static int null_loss(struct sink *s, const char *probe, const char *cause, uint64_t count,
		     uint64_t at_ns, struct err *e)
{
	(void)s, (void)probe, (void)cause, (void)count, (void)at_ns, (void)e;
	return 0;
}

static int null_flush(struct sink *s, struct err *e)
{
	(void)s, (void)e;
	return 0;
}

static void null_close(struct sink *s)
{
	free(s);
}

const struct sink_ops sink_null = {
	.name = "null",
	.help = "nothing but the closing line",
	.open = null_open,
	.bind = null_bind,
	.row = null_row,
	.loss = null_loss,
	.flush = null_flush,
	.close = null_close,
};

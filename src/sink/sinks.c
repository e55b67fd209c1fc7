/* SPDX-License-Identifier: BSD-2-Clause */
/* The list of sinks that -o may name. */
#include "sink/sinks.h"

#include "base/str.h"

static const struct sink_ops *const sinks[] = { &sink_text,   &sink_json, &sink_csv,
						&sink_folded, &sink_pcap, &sink_null };

const struct sink_ops *const *sink_list(size_t *ret_count)
{
	*ret_count = ARRAY_LEN(sinks);
	return sinks;
}

const struct sink_ops *sink_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(sinks); i++)
		if (str_eq(sinks[i]->name, name))
			return sinks[i];
	return NULL;
}

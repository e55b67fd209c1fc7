/* SPDX-License-Identifier: BSD-2-Clause */
/* Takes whatever it is given as a condition: parsed, bound to a sample, pushed, evaluated on a row. */
#include "base/err.h"
#include "filter/filter.h"
#include "tests/data/sample.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	auto_free char *text = xstrndup((const char *)bytes, size);
	auto_ptr(filter) filter = NULL;
	auto_ptr(filter_bound) bound = NULL;
	struct value user = value_text("anna", 4);
	struct filter_push push[4];
	struct sample s;
	struct row r;
	struct err e;
	bool all;

	if (filter_parse(text, &filter, &e) || filter_bind(filter, sample_schema(), &bound, &e))
		return 0;
	sample_fill(&s);
	r = sample_row(&s, &user);
	return (filter_matches(bound, &r) + (int)filter_pushable(bound, push, 4, &all)) & 0;
}

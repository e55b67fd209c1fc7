/* SPDX-License-Identifier: BSD-2-Clause */
/* Takes whatever it is given as a policy. What parses is printed, and what was printed parses to the same
 * text again. */
#include "base/err.h"
#include "base/str.h"
#include "policy/policy.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	auto_free char *text = xstrndup((const char *)bytes, size);
	auto_done(strbuf) once = { 0 }, twice = { 0 };
	auto_ptr(policy) first = NULL;
	auto_ptr(policy) second = NULL;
	struct err e;

	if (policy_parse("fuzz", text, &first, &e) < 0)
		return 0;
	policy_print(first, &once);
	assert(policy_parse("printed", strbuf_str(&once), &second, &e) == 0);
	policy_print(second, &twice);
	assert(str_eq(strbuf_str(&once), strbuf_str(&twice)));
	return 0;
}

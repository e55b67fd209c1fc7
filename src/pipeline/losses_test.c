/* SPDX-License-Identifier: BSD-2-Clause */
/* The closing line. */
#include "pipeline/losses.h"

#include "base/strbuf.h"
#include "base/test.h"

/* What is a ring's has been told in rows; of the rest the line says why it was lost. */
TEST(losses_say_why)
{
	static const struct {
		struct tally tally;
		const char *line;
	} cases[] = {
		{ { .seen = 3, .delivered = 2, .filtered = 1 },
		  "seen 3, delivered 2, filtered 1, lost 0" },
		{ { .seen = 9, .lost = 9, .lost_by = { [LOSS_RING] = 9 } },
		  "seen 9, delivered 0, filtered 0, lost 9" },
		{ { .seen = 21,
		    .lost = 15,
		    .lost_by = { [LOSS_STATE] = 1,
				 [LOSS_BUSY] = 2,
				 [LOSS_ROOM] = 3,
				 [LOSS_MISSED] = 4,
				 [LOSS_UNREAD] = 5 },
		    .cut = 6,
		    .overflow = 7 },
		  "seen 21, delivered 0, filtered 0, lost 15, truncated 6, state 1, busy 2, "
		  "room 3, missed 4, unread 5, overflowed 7" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		auto_done(strbuf) line = { 0 };

		tally_line(&cases[i].tally, &line);
		CHECK_STR(strbuf_str(&line), cases[i].line);
	}
}

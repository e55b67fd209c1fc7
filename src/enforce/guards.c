/* SPDX-License-Identifier: BSD-2-Clause */
/* All guards. */
#include "enforce/guard.h"

const struct guard *const guards[] = {
	&guard_file,
	&guard_packet,
	NULL,
};

const struct enforce_source *guard_source;

/* SPDX-License-Identifier: BSD-2-Clause */
/* All guards. */
#include "enforce/guard.h"

const struct guard *const guards[] = {
	&guard_packet,
	NULL,
};

/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* The calls that open a file, with their numbers on this machine and on 32-bit ones. */
#pragma once

#include <asm/unistd.h>

#ifndef __NR_open /* newer machines have only openat */
#define __NR_open -1
#define __NR_creat -1
#endif

#define OPEN_CALLS(X)                                                                              \
	X(OPEN, __NR_open, 5)                                                                      \
	X(CREAT, __NR_creat, 8)                                                                    \
	X(OPENAT, __NR_openat, 295)                                                                \
	X(OPENAT2, __NR_openat2, 437)                                                              \
	X(OPEN_BY_HANDLE_AT, __NR_open_by_handle_at, 342)

/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * Functions that are not used here, and what to use. A call doesn't compile; a field or a variable
 * of the same name is fine. The Makefile forces it into every userland file (-include
 * base/banned.h), so the system headers that declare them come first.
 */
#include <alloca.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#undef strcpy
#undef strcat
#undef sprintf
#undef vsprintf
#undef strtok
#undef atoi
#undef gets
#undef alloca
#undef signal
#undef rand

#define strcpy(...)   strcpy_is_banned_use_str_copy
#define strcat(...)   strcat_is_banned_use_strbuf
#define sprintf(...)  sprintf_is_banned_use_str_format
#define vsprintf(...) vsprintf_is_banned_use_vsnprintf
#define strtok(...)   strtok_is_banned_use_str_split
#define atoi(...)     atoi_is_banned_use_number_parse
#define gets(...)     gets_is_banned_use_getline
#define alloca(...)   alloca_is_banned_use_arena
#define signal(...)   signal_is_banned_use_loop_signal_add
#define rand(...)     rand_is_banned_use_getrandom

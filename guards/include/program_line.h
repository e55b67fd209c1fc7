/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Which of the programs that rules name as ancestors a program is. */
#pragma once

#include "line.h"
#include "program.h"

/* Their bits; of both generations, for lines outlive policies. */
static __noinline u64 program_line(struct file *exe)
{
	struct file_object *object;
	u64 line = 0;

	if (!exe)
		return 0;
	_Pragma("unroll") for (u32 gen = 0; gen < 2; gen++)
	{
		object = program_object(exe, gen, FILE_IS_ANCESTOR);
		if (object)
			line |= object->line;
	}
	return line;
}

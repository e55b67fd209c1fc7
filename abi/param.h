/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Parameters that the user side resolves before it writes them into a probe's .rodata.
 */
#pragma once

#include <linux/types.h>

#define PARAM_FILE_NAME 128 /* bytes, with a NUL; of a longer name the beginning */
#define PARAM_FILE_PATH 512 /* bytes, with a NUL */

/* PARAM_FILE: a file or directory that a path led to. All zero: none was named. */
struct param_file {
	__u64 inode;     /* 0: it does not exist yet */
	__u64 dir_inode; /* of the directory that has the name */
	__u32 device;    /* kernel's MAJOR << 20 | MINOR of the file system */
	__u32 dir_device;
	__u32 is_dir;
	__u32 name_len; /* whole, also of one that is cut */
	__u32 path_len;
	__u32 given_len;
	__u32 generation; /* of the inode; 0: the file system doesn't tell it, or there is none */
	__u32 pad;
	char name[PARAM_FILE_NAME];  /* padded with zeros: compared by words */
	char path[PARAM_FILE_PATH];  /* absolute, without symbolic links */
	char given[PARAM_FILE_PATH]; /* absolute, as the user wrote it */
};

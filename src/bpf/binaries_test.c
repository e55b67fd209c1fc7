/* SPDX-License-Identifier: BSD-2-Clause */
/* The truth is where the kernel has mapped this program's own functions from. */
#include "bpf/binaries.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/test.h"

static const char own[] = "/proc/self/exe";

static uint64_t mapped_offset(uintptr_t address)
{
	auto_fclose FILE *f = fopen("/proc/self/maps", "re");
	unsigned long from, to, offset;
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx %*s %lx", &from, &to, &offset) == 3 && address >= from &&
		    address < to)
			return address - from + offset;
	TEST_FAULT("no mapping has %lx", (unsigned long)address);
	return 0;
}

TEST(places_in_this_program)
{
	uint64_t there = mapped_offset((uintptr_t)binary_place_find);
	struct binary_place p;

	CHECK_INT(binary_place_find(own, "binary_place_find", &p), 0);
	CHECK_STR(p.path, own);
	CHECK_U64(p.offset, there);
	CHECK_INT(binary_place_find(own, "binary_place_find+0x10", &p), 0);
	CHECK_U64(p.offset, there + 16);
	CHECK_INT(binary_place_find(own, "0x1130", &p), 0);
	CHECK_U64(p.offset, 0x1130);
}

TEST(places_that_are_none)
{
	struct binary_place p;

	CHECK_INT(binary_place_find(own, "binary_place", &p), -ENOENT);
	CHECK_INT(binary_place_find(own, "binary_place_find@NONE_1.0", &p), -ENOENT);
	CHECK_INT(binary_place_find("/no/such/file", "main", &p), -ENOENT);
	CHECK_INT(binary_place_find("libnonesuch.so.9", "main", &p), -ENOENT);
	CHECK_INT(binary_place_find("/etc/passwd", "main", &p), -ENOEXEC);
}

/* glibc moved it from libpthread, and kept the old version of the name. */
TEST(versions_of_a_function)
{
	struct binary_place now, named, old;

	if (binary_place_find("libc.so.6", "pthread_kill@GLIBC_2.34", &named))
		return; /* another libc */
	CHECK_INT(binary_place_find("libc.so.6", "pthread_kill", &now), 0);
	CHECK_U64(now.offset, named.offset);
	CHECK_INT(binary_place_find("libc.so.6", "pthread_kill@@GLIBC_2.34", &named), 0);
	CHECK_U64(now.offset, named.offset);
	if (!binary_place_find("libc.so.6", "pthread_kill@GLIBC_2.2.5", &old))
		CHECK(old.offset != now.offset);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * iops DISK DEPTH COUNT TURNS: COUNT reads of 4 KiB past the page cache, DEPTH under way at a time, and
 * prints how many were done in a second; once unprinted, then for each turn.
 */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BLOCK	  4096
#define DEPTH_MAX 1024
#define STEP	  7919 /* blocks from one read to the next: no two are neighbours */

static int disk;
static aio_context_t aio;
static unsigned long long blocks, next;
static struct iocb requests[DEPTH_MAX];

static void must(int ok, const char *what)
{
	if (!ok)
		perror(what), exit(1);
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void ask(struct iocb *r)
{
	r->aio_offset = next++ * STEP % blocks * BLOCK;
	must(syscall(SYS_io_submit, aio, 1, &r) == 1, "io_submit");
}

static void asks_begin(unsigned depth)
{
	char *memory;

	must(!posix_memalign((void **)&memory, BLOCK, (size_t)depth * BLOCK), "memory");
	for (unsigned i = 0; i < depth; i++) {
		requests[i].aio_lio_opcode = IOCB_CMD_PREAD;
		requests[i].aio_fildes = disk;
		requests[i].aio_buf = (unsigned long)memory + i * BLOCK;
		requests[i].aio_nbytes = BLOCK;
		ask(&requests[i]);
	}
}

/* Until `count` have come back; as many are asked for again. */
static void pass(unsigned long count)
{
	struct io_event came[DEPTH_MAX];
	long n;

	while (count) {
		n = syscall(SYS_io_getevents, aio, 1, count < DEPTH_MAX ? count : DEPTH_MAX, came,
			    NULL);
		must(n > 0, "io_getevents");
		for (long i = 0; i < n; i++) {
			must(came[i].res == BLOCK, "read");
			ask((struct iocb *)came[i].obj);
		}
		count -= n;
	}
}

static void turn(unsigned long count)
{
	double begin = now_s();

	pass(count);
	printf("%.1f\n", count / (now_s() - begin));
	fflush(stdout);
}

int main(int argc, char **argv)
{
	unsigned depth = argc == 5 ? atoi(argv[2]) : 0;

	if (!depth || depth > DEPTH_MAX)
		return fputs("usage: iops DISK DEPTH COUNT TURNS\n", stderr), 2;
	disk = open(argv[1], O_RDONLY | O_DIRECT | O_CLOEXEC);
	must(disk >= 0 && !ioctl(disk, BLKGETSIZE64, &blocks), argv[1]);
	blocks /= BLOCK;
	must(!syscall(SYS_io_setup, depth, &aio), "io_setup");
	asks_begin(depth);
	pass(atol(argv[3]));
	for (int i = atoi(argv[4]); i > 0; i--)
		turn(atol(argv[3]));
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ops PATH DISK: for each line "OPERATION COUNT" on stdin, that operation COUNT times, five times over;
 * prints "OPERATION NS", the CPU time of one in the quickest of the five.
 * PATH is a file to read, DISK a block device, both for them alone. In a guest whose clock counts
 * instructions the quickest is the one that no timer fell into, and the same each time.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TURNS 5
#define BLOCK 4096

static const char *path, *disk;
static int file_fd, disk_fd, there[2], back[2], udp, tcp[2];
static char *block, *pages;

static void must(int ok, const char *what)
{
	if (!ok)
		perror(what), exit(1);
}

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static void bystand(void)
{
	syscall(SYS_getppid);
}

static void open_close(void)
{
	close(open(path, O_RDONLY | O_CLOEXEC));
}

static void file_begins(void)
{
	file_fd = open(path, O_RDWR | O_CLOEXEC);
	must(pwrite(file_fd, block, BLOCK, 0) == BLOCK, path);
}

static void file_read(void)
{
	pread(file_fd, block, 512, 0);
}

static void file_write(void)
{
	pwrite(file_fd, block, 512, 0);
}

static void *echo(void *unused)
{
	char byte;

	while (read(there[0], &byte, 1) == 1)
		if (write(back[1], &byte, 1) != 1)
			break;
	return unused;
}

/* Neither is a fair task: how often those preempt each other is not the same twice. */
static void threads_begin(void)
{
	struct sched_param first = { .sched_priority = 1 };
	pthread_t thread;

	must(!sched_setscheduler(0, SCHED_FIFO, &first), "sched_setscheduler");
	must(!pipe(there) && !pipe(back) && !pthread_create(&thread, NULL, echo, NULL), "pipe");
}

/* Two threads wake each other: two switches. */
static void thread_switch(void)
{
	char byte = 0;

	must(write(there[1], &byte, 1) == 1 && read(back[0], &byte, 1) == 1, "pipe");
}

static void disk_begins(void)
{
	disk_fd = open(disk, O_RDWR | O_DIRECT | O_CLOEXEC);
	must(disk_fd >= 0, disk);
}

static void disk_read(void)
{
	must(pread(disk_fd, block, BLOCK, 0) == BLOCK, disk);
}

static struct sockaddr_in loopback(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET };

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return to;
}

/* A socket that sends to itself. */
static void udp_begins(void)
{
	struct sockaddr_in at = loopback();
	socklen_t len = sizeof(at);

	udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	must(!bind(udp, (void *)&at, len) && !getsockname(udp, (void *)&at, &len) &&
		     !connect(udp, (void *)&at, len),
	     "udp");
}

static void udp_pass(void)
{
	must(send(udp, block, 512, 0) == 512 && recv(udp, block, 512, 0) == 512, "udp");
}

static void tcp_begins(void)
{
	int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in at = loopback();
	socklen_t len = sizeof(at);

	tcp[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(!bind(server, (void *)&at, len) && !listen(server, 1) &&
		     !getsockname(server, (void *)&at, &len) && !connect(tcp[0], (void *)&at, len),
	     "tcp");
	tcp[1] = accept(server, NULL, NULL);
	close(server);
}

static void tcp_pass(void)
{
	must(send(tcp[0], block, 512, 0) == 512 && recv(tcp[1], block, 512, 0) == 512, "tcp");
}

static void pages_begin(void)
{
	pages = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(pages != MAP_FAILED, "mmap");
}

static void page_fault(void)
{
	*(volatile char *)pages = 1;
	madvise(pages, BLOCK, MADV_DONTNEED);
}

static void nothing(void)
{
}

/* clang-format off */
static struct operation {
	const char *name;
	void (*begin)(void);
	void (*once)(void);
	int begun;
} operations[] = {
	{ "bystander", nothing,       bystand,       0 },
	{ "open",      nothing,       open_close,    0 },
	{ "read",      file_begins,   file_read,     0 },
	{ "write",     file_begins,   file_write,    0 },
	{ "switch",    threads_begin, thread_switch, 0 },
	{ "block",     disk_begins,   disk_read,     0 },
	{ "udp",       udp_begins,    udp_pass,      0 },
	{ "tcp",       tcp_begins,    tcp_pass,      0 },
	{ "fault",     pages_begin,   page_fault,    0 },
};
/* clang-format on */

static double turn_ns(const struct operation *op, unsigned count)
{
	double begin = cpu_ns();

	for (unsigned i = 0; i < count; i++)
		op->once();
	return (cpu_ns() - begin) / count;
}

static void measure(struct operation *op, unsigned count)
{
	double least = 0, took;

	if (!op->begun++)
		op->begin();
	turn_ns(op, count);
	for (unsigned turn = 0; turn < TURNS; turn++) {
		took = turn_ns(op, count);
		if (!turn || took < least)
			least = took;
	}
	printf("%s %.1f\n", op->name, least);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	unsigned count;
	char name[16];

	if (argc != 3)
		return fputs("usage: ops PATH DISK\n", stderr), 2;
	path = argv[1];
	disk = argv[2];
	must(!posix_memalign((void **)&block, BLOCK, BLOCK), "memory");
	memset(block, 0, BLOCK);
	while (scanf("%15s %u", name, &count) == 2)
		for (unsigned i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
			if (!strcmp(operations[i].name, name))
				measure(&operations[i], count);
	return 0;
}

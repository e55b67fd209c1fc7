/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Known stacks: main -> a -> b -> leaf, and leaf sleeps 10 ms, by a system call of its own, since a C
 * library without frame pointers would end the stack. Built with frame pointers, in several ways.
 *
 *	chain N		sleeps N times
 *	chain N mangled	by a function whose name is mangled as C++'s and one as Rust's
 *	chain N made	by a function that is made at run time and named in /tmp/perf-PID.map
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define KEPT __attribute__((noinline, noclone, noipa))

typedef void sleeper(const struct timespec *);

static const struct timespec nap = { .tv_nsec = 10 * 1000 * 1000 };
static volatile int calls;

void leaf(const struct timespec *t);
void b(sleeper *f);
void a(sleeper *f);
void mangled(const struct timespec *t) __asm__("_ZN3one3two5sleepEi");
void rusty(const struct timespec *t) __asm__("_RNvC5crate4doze");

static inline __attribute__((always_inline)) void sleep_now(const struct timespec *t)
{
#ifdef __x86_64__
	long result = SYS_nanosleep;

	/* a function that calls none gets a frame only so */
	__asm__ volatile("" : : "r"(__builtin_frame_address(0)));
	__asm__ volatile("syscall" : "+a"(result) : "D"(t), "S"(NULL) : "rcx", "r11", "memory");
#else
	nanosleep(t, NULL);
#endif
	calls++;
}

KEPT void leaf(const struct timespec *t)
{
	sleep_now(t);
}

KEPT void rusty(const struct timespec *t)
{
	sleep_now(t);
	calls++;
}

KEPT void mangled(const struct timespec *t)
{
	rusty(t);
	calls++;
}

KEPT void b(sleeper *f)
{
	f(&nap);
	calls++;
}

KEPT void a(sleeper *f)
{
	b(f);
	calls++;
}

/* push rbp; mov rbp, rsp; mov eax, SYS_nanosleep; xor esi, esi; syscall; pop rbp; ret */
static const unsigned char code[] = { 0x55, 0x48, 0x89, 0xe5, 0xb8, SYS_nanosleep, 0,   0,
				      0,    0x31, 0xf6, 0x0f, 0x05, 0x5d,          0xc3 };

static sleeper *made(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char path[64];
	FILE *map;

	if (page == MAP_FAILED)
		exit(1);
	memcpy(page, code, sizeof(code));
	if (mprotect(page, 4096, PROT_READ | PROT_EXEC))
		exit(1);
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
	map = fopen(path, "w");
	if (!map)
		exit(1);
	fprintf(map, "%lx %zx made_at_run_time\n", (unsigned long)page, sizeof(code));
	fclose(map);
	return (sleeper *)page;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 1;
	sleeper *f = leaf;

	if (argc > 2)
		f = strcmp(argv[2], "made") ? mangled : made();
	for (int i = 0; i < n; i++)
		a(f);
	return 0;
}

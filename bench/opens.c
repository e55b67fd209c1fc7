/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * opens PATH: for each line "COUNT BATCH PAUSE_US" on stdin, COUNT times open(2) and close(2) of PATH,
 * with a pause after each BATCH for who reads the events; then prints the CPU time of this thread for
 * one of them, in ns. The pauses cost no CPU time.
 */
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static double batch_ns(const char *path, unsigned n)
{
	double begin = cpu_ns();

	while (n--)
		close(open(path, O_RDONLY | O_CLOEXEC));
	return cpu_ns() - begin;
}

int main(int argc, char **argv)
{
	unsigned count, batch, pause_us;

	if (argc != 2)
		return fputs("usage: opens PATH\n", stderr), 2;
	while (scanf("%u %u %u", &count, &batch, &pause_us) == 3 && batch) {
		double total_ns = 0;

		for (unsigned done = 0; done < count; done += batch) {
			total_ns += batch_ns(argv[1], batch);
			if (pause_us)
				usleep(pause_us);
		}
		printf("%.1f\n", total_ns / count);
		fflush(stdout);
	}
	return 0;
}

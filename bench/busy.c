/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * busy PROBE PATH: makes an event for the probe every millisecond until a signal ends it, so that
 * one can see how soon a tracer shows the first. PATH: a file of its own, on a disk, to write to.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <spawn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PERIOD_US 1000
#define SECTOR    4096

extern char **environ;
static char **args;
static int dns_client, disk_file;
static void *sector;

static struct sockaddr_in loopback(unsigned last, unsigned port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + last);
	return to;
}

static void nothing(void)
{
}

static void open_close(void)
{
	close(open("/dev/null", O_RDONLY));
}

static void spawn_wait(void)
{
	char leave[] = "leave";
	char *argv[] = { args[0], leave, NULL };
	pid_t pid;

	if (!posix_spawn(&pid, args[0], NULL, NULL, argv, environ))
		waitpid(pid, NULL, 0);
}

/* A server that says "no error, no answer" to everything, on an address that nobody else uses. */
static void dns_begins(void)
{
	struct sockaddr_in at = loopback(77, 53), from;
	int server = socket(AF_INET, SOCK_DGRAM, 0);
	socklen_t len = sizeof(from);
	unsigned char message[512];
	ssize_t n;

	if (bind(server, (void *)&at, sizeof(at)))
		perror("bind"), exit(1);
	if (!fork()) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while ((n = recvfrom(server, message, sizeof(message), 0, (void *)&from, &len)) >
		       2) {
			message[2] |= 0x80;
			sendto(server, message, n, 0, (void *)&from, len);
		}
		_exit(0);
	}
	close(server);
	dns_client = socket(AF_INET, SOCK_DGRAM, 0);
	if (connect(dns_client, (void *)&at, sizeof(at)))
		perror("connect"), exit(1);
}

static void dns_ask(void)
{
	static unsigned short id;
	unsigned char question[] = "\0\0\1\0\0\1\0\0\0\0\0\0\5bench\4test\0\0\1\0";
	unsigned char answer[512];

	id++;
	memcpy(question, &id, sizeof(id));
	if (send(dns_client, question, sizeof(question), 0) > 0)
		recv(dns_client, answer, sizeof(answer), 0);
}

static void tcp_refused(void)
{
	struct sockaddr_in nobody = loopback(1, 9);
	int s = socket(AF_INET, SOCK_STREAM, 0);

	connect(s, (void *)&nobody, sizeof(nobody));
	close(s);
}

static void disk_begins(void)
{
	disk_file = open(args[2], O_RDWR | O_CREAT | O_CLOEXEC | O_DIRECT, 0600);
	if (disk_file < 0 || posix_memalign(&sector, SECTOR, SECTOR))
		perror(args[2]), exit(1);
	memset(sector, 0, SECTOR);
}

static void disk_write(void)
{
	if (pwrite(disk_file, sector, SECTOR, 0) != SECTOR)
		perror("write"), exit(1);
}

/* clang-format off */
static const struct {
	const char *probe;
	void (*begin)(void);
	void (*once)(void);
} busies[] = {
	{ "fs.open",      nothing,     open_close },
	{ "process.exec", nothing,     spawn_wait },
	{ "process.exit", nothing,     spawn_wait },
	{ "net.dns",      dns_begins,  dns_ask },
	{ "net.tcp",      nothing,     tcp_refused },
	{ "block.io",     disk_begins, disk_write },
};
/* clang-format on */

int main(int argc, char **argv)
{
	args = argv;
	if (argc == 2)
		return 0; /* one that spawn_wait() started */
	for (unsigned i = 0; argc == 3 && i < sizeof(busies) / sizeof(busies[0]); i++) {
		if (strcmp(busies[i].probe, argv[1]))
			continue;
		for (busies[i].begin();; usleep(PERIOD_US))
			busies[i].once();
	}
	return fputs("usage: busy PROBE PATH\n", stderr), 2;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Who is logged in to this machine by ssh, and where its sshd listens: as /proc tells of this network namespace. */
#include "policy/lint.h"

#include "base/err.h"
#include "base/file.h"
#include "base/map.h"
#include "base/str.h"

#include <ctype.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOGINS = 16, SSH_PORT = 22, ESTABLISHED = 1, LISTENS = 10 };

struct tcp_socket {
	struct policy_network own, peer;
	uint16_t port;
	unsigned state;
	unsigned long long inode;
};

struct finding {
	vec(struct tcp_socket) sockets;
	struct map sshd; /* inodes of its sockets */
	struct ifaddrs *addresses;
	lint_logins *logins;
};

/* ---- sockets ---- */

/* "0100007F:0016": words in the machine's order, then the port. */
static bool end_parse(const char *text, struct policy_network *ret_address, uint16_t *ret_port)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	const char *colon = strchr(text, ':');
	size_t words = colon ? (size_t)(colon - text) / 8 : 0;
	struct policy_network n = { .family = AF_INET, .bits = 32 };
	uint32_t word[4] = { 0 };

	if (words != 1 && words != 4)
		return false;
	for (size_t i = 0; i < words; i++)
		if (sscanf(text + 8 * i, "%8x", &word[i]) != 1)
			return false;
	if (words == 4 && memcmp(word, mapped, sizeof(mapped)) != 0) {
		n = (struct policy_network){ .family = AF_INET6, .bits = 128 };
		memcpy(n.bytes, word, sizeof(word));
	} else {
		memcpy(n.bytes, &word[words - 1], sizeof(word[0]));
	}
	*ret_address = n;
	*ret_port = (uint16_t)strtoul(colon + 1, NULL, 16);
	return true;
}

static void sockets_read(struct finding *f, const char *path)
{
	auto_free char *text = NULL;
	struct err ignored;

	if (file_read(path, &text, NULL, &ignored) < 0)
		return;
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
		struct tcp_socket s;
		char own[48], peer[48];
		uint16_t peer_port;

		if (sscanf(line, " %*d: %47s %47s %x %*x:%*x %*x:%*x %*x %*u %*d %llu", own, peer,
			   &s.state, &s.inode) == 4 &&
		    end_parse(own, &s.own, &s.port) && end_parse(peer, &s.peer, &peer_port) &&
		    (s.state == ESTABLISHED || s.state == LISTENS))
			vec_push(&f->sockets, s);
	}
}

static int on_descriptor(int dir_fd, const char *name, unsigned char type, void *ctx, struct err *e)
{
	struct finding *f = ctx;
	unsigned long long inode;
	char link[64];
	ssize_t len = readlinkat(dir_fd, name, link, sizeof(link) - 1);

	(void)type, (void)e;
	link[max(len, 0)] = '\0';
	if (sscanf(link, "socket:[%llu]", &inode) == 1)
		map_put(&f->sshd, inode, f);
	return 0;
}

static int on_process(int dir_fd, const char *name, unsigned char type, void *ctx, struct err *e)
{
	char exe[PATH_MAX], path[64];
	struct err ignored;
	ssize_t len;

	(void)type, (void)e;
	if (!isdigit((unsigned char)*name) || !str_format(path, sizeof(path), "%s/exe", name))
		return 0;
	len = readlinkat(dir_fd, path, exe, sizeof(exe) - 1);
	exe[max(len, 0)] = '\0';
	if (!str_eq(path_base(exe), "sshd") && !str_eq(path_base(exe), "dropbear"))
		return 0;
	if (str_format(path, sizeof(path), "/proc/%s/fd", name))
		(void)!dir_each(path, on_descriptor, ctx, &ignored);
	return 0;
}

/* Also where systemd listens for it. */
static bool is_sshd(const struct finding *f, const struct tcp_socket *s)
{
	return s->state == LISTENS && (s->port == SSH_PORT || map_has(&f->sshd, s->inode));
}

static bool listens_at(const struct finding *f, uint16_t port)
{
	vec_for_each(s, &f->sockets)
		if (s->port == port && is_sshd(f, s))
			return true;
	return false;
}

/* ---- addresses ---- */

static struct policy_network network_of(const struct sockaddr *sa)
{
	struct policy_network n = { .family = (uint8_t)sa->sa_family };

	if (n.family == AF_INET) {
		memcpy(n.bytes, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
		n.bits = 32;
	} else if (n.family == AF_INET6) {
		memcpy(n.bytes, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
		n.bits = 128;
	}
	return n;
}

static bool is_same(const struct policy_network *a, const struct policy_network *b)
{
	return a->family == b->family && !memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

static const char *interface_of(const struct finding *f, const struct policy_network *address)
{
	for (const struct ifaddrs *a = f->addresses; a; a = a->ifa_next) {
		struct policy_network n = { 0 };

		if (a->ifa_addr)
			n = network_of(a->ifa_addr);
		if (n.bits && is_same(&n, address))
			return a->ifa_name;
	}
	return NULL;
}

static void login_add(struct finding *f, struct lint_login login)
{
	const char *interface = interface_of(f, &login.own);

	if (login.is_there && interface_of(f, &login.peer)) /* from this machine itself */
		interface = "lo";
	str_copy(login.interface, sizeof(login.interface), interface ?: "");
	vec_for_each(l, f->logins)
		if (is_same(&l->peer, &login.peer) && is_same(&l->own, &login.own) &&
		    l->port == login.port)
			return;
	if (f->logins->len < LOGINS)
		vec_push(f->logins, login);
}

/* ---- logins ---- */

/* "192.0.2.7 50000 198.51.100.1 22" */
static void own_find(struct finding *f)
{
	struct lint_login login = { .is_there = true };
	const char *said = getenv("SSH_CONNECTION");
	char peer[INET6_ADDRSTRLEN], own[INET6_ADDRSTRLEN];
	struct err ignored;

	if (said && sscanf(said, "%45s %*u %45s %hu", peer, own, &login.port) == 3 &&
	    policy_network_parse(peer, &login.peer, &ignored) == 0 &&
	    policy_network_parse(own, &login.own, &ignored) == 0 && listens_at(f, login.port))
		login_add(f, login);
}

static void others_find(struct finding *f)
{
	vec_for_each(s, &f->sockets)
		if (s->state == ESTABLISHED && listens_at(f, s->port))
			login_add(f, (struct lint_login){ .peer = s->peer,
							  .own = s->own,
							  .port = s->port,
							  .is_there = true });
}

/* Nobody comes from afar to an address of a link. One that is all addresses of IPv6 is all of IPv4 too. */
static bool is_reached_by(const struct tcp_socket *s, const struct policy_network *own)
{
	static const uint8_t any[16];
	bool link_local =
		own->family == AF_INET6 && own->bytes[0] == 0xfe && (own->bytes[1] & 0xc0) == 0x80;

	if (!own->bits || link_local)
		return false;
	if (memcmp(s->own.bytes, any, sizeof(any)) != 0)
		return is_same(&s->own, own);
	return s->own.family == AF_INET6 || own->family == AF_INET;
}

/* By which addresses one could come: of all, if it listens at all. */
static void possible_find(struct finding *f)
{
	vec_for_each(s, &f->sockets)
		for (const struct ifaddrs *a = f->addresses; a && is_sshd(f, s); a = a->ifa_next) {
			struct lint_login login = { .port = s->port };

			if (a->ifa_addr && !(a->ifa_flags & IFF_LOOPBACK))
				login.own = network_of(a->ifa_addr);
			if (is_reached_by(s, &login.own))
				login_add(f, login);
		}
}

void lint_logins_find(lint_logins *logins)
{
	struct finding f = { .logins = logins };
	struct err ignored;

	sockets_read(&f, "/proc/net/tcp");
	sockets_read(&f, "/proc/net/tcp6");
	(void)!dir_each("/proc", on_process, &f, &ignored);
	if (getifaddrs(&f.addresses) != 0)
		f.addresses = NULL;
	own_find(&f);
	if (!logins->len)
		others_find(&f);
	if (!logins->len)
		possible_find(&f);
	freeifaddrs(f.addresses);
	vec_done(&f.sockets);
	map_done(&f.sshd, NULL);
}

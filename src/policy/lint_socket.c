/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the network must let through, so that whoever applies a policy gets in again and mends it: a table
 * like that of lint.c. Connections that others open to this machine are no operation of a rule.
 */
#include "policy/lint.h"

#include "base/err.h"
#include "base/file.h"
#include "base/str.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#define DHCP (POLICY_PACKET_SOCKET | POLICY_RAW_SOCKET)

/* clang-format off */
static const struct need {
	const char *subject; /* the program that must be able to ... */
	unsigned operations;
	uint8_t protocol;
	const char *address; /* ""  : any of its own; NULL: each name server */
	uint16_t port;
	const char *why;
} needs[] = {
	{ "/usr/sbin/sshd",                      POLICY_BIND | POLICY_LISTEN,  IPPROTO_TCP, "",                22,  "somebody can log in" },
	{ "/usr/sbin/sshd",                      POLICY_NETLINK_SOCKET,        0,           "",                0,   "somebody can log in" },
	{ "sshd-session",                        POLICY_NETLINK_SOCKET,        0,           "",                0,   "somebody can log in" },
	{ "/sbin/dhclient",                      DHCP,                         0,           "",                0,   "this machine keeps its address" },
	{ "/sbin/dhclient",                      POLICY_SEND,                  IPPROTO_UDP, "255.255.255.255", 67,  "this machine keeps its address" },
	{ "/sbin/dhcpcd",                        DHCP | POLICY_NETLINK_SOCKET, 0,           "",                0,   "this machine keeps its address" },
	{ "/usr/lib/systemd/systemd-networkd",   DHCP | POLICY_NETLINK_SOCKET, 0,           "",                0,   "this machine keeps its address" },
	{ "/usr/lib/systemd/systemd-networkd",   POLICY_SEND | POLICY_BIND,    IPPROTO_UDP, "255.255.255.255", 67,  "this machine keeps its address" },
	{ "/usr/sbin/NetworkManager",            DHCP | POLICY_NETLINK_SOCKET, 0,           "",                0,   "this machine keeps its address" },
	{ "/usr/lib/systemd/systemd-resolved",   POLICY_CONNECT | POLICY_SEND, IPPROTO_UDP, NULL,              53,  "names are found" },
	{ "/usr/lib/apt/methods/http",           POLICY_CONNECT | POLICY_SEND, IPPROTO_UDP, NULL,              53,  "packages can be installed" },
	{ "/usr/lib/apt/methods/http",           POLICY_CONNECT,               IPPROTO_TCP, "151.101.2.132",   80,  "packages can be installed" },
	{ "/usr/lib/apt/methods/https",          POLICY_CONNECT,               IPPROTO_TCP, "151.101.2.132",   443, "packages can be installed" },
	{ "/usr/lib/apt/methods/http",           POLICY_NETLINK_SOCKET,        0,           "",                0,   "packages can be installed" },
	{ "/usr/bin/dnf",                        POLICY_CONNECT | POLICY_SEND, IPPROTO_UDP, NULL,              53,  "packages can be installed" },
	{ "/usr/bin/dnf",                        POLICY_CONNECT,               IPPROTO_TCP, "151.101.2.132",   443, "packages can be installed" },
};
/* clang-format on */

static int refuse(const struct lint *l, const struct policy_rule *r, const struct need *need,
		  unsigned operation, const char *subject, struct err *e)
{
	if (operation & POLICY_ADDRESSED)
		fail_as(e, EXIT_POLICY, EPERM,
			"rule '%s' would lock you out: %s must %s to port %u, so that %s", r->name,
			subject, policy_operation_name(POLICY_SOCKET, operation), need->port,
			need->why);
	else
		fail_as(e, EXIT_POLICY, EPERM,
			"rule '%s' would lock you out: %s must make a %s, so that %s", r->name,
			subject, policy_operation_name(POLICY_SOCKET, operation), need->why);
	hint(e, "`unless exe in %s` spares it; `mode audit` tells what a rule would refuse",
	     subject);
	return policy_wrap(l->policy, r->at, e);
}

static int ask(const struct lint *l, const struct policy_rule *r, const struct need *need,
	       const char *subject, const char *address, struct err *e)
{
	struct policy_question q = { .domain = POLICY_SOCKET,
				     .exe = subject,
				     .user = "0",
				     .port = need->port,
				     .protocol = need->protocol };
	struct err ignored = { 0 };
	bool denied;

	if (*address && policy_network_parse(address, &q.to, &ignored) < 0)
		return 0;
	for (unsigned bit = 1; bit <= POLICY_RDS_SOCKET; bit <<= 1) {
		q.operations = bit;
		if (!(need->operations & bit))
			continue;
		if (lint_denies(l, r, q, &denied, e) < 0)
			return -e->code;
		if (denied)
			return refuse(l, r, need, bit, subject, e);
	}
	return 0;
}

/* Each "nameserver" of resolv.conf. */
static int ask_servers(const struct lint *l, const struct policy_rule *r, const struct need *need,
		       const char *subject, struct err *e)
{
	auto_free char *text = NULL;
	struct err ignored = { 0 };
	size_t len;

	if (file_read("/etc/resolv.conf", &text, &len, &ignored) < 0)
		return 0;
	for (char *line = text, *next; line; line = next) {
		const char *address;

		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		address = str_after(line, "nameserver");
		if (!address)
			continue;
		address += strspn(address, " \t");
		if (ask(l, r, need, subject, address, e) < 0)
			return -e->code;
	}
	return 0;
}

int lint_socket(const struct lint *l, const struct policy_rule *r, struct err *e)
{
	char subject[PATH_MAX];

	for (size_t i = 0; i < ARRAY_LEN(needs); i++) {
		if (!(needs[i].operations & r->operations) ||
		    !lint_resolve(needs[i].subject, subject))
			continue;
		if ((needs[i].address ? ask(l, r, &needs[i], subject, needs[i].address, e)
				      : ask_servers(l, r, &needs[i], subject, e)) < 0)
			return -e->code;
	}
	return 0;
}

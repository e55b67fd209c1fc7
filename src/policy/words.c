/* SPDX-License-Identifier: BSD-2-Clause */
/* The words of the language: a row each. The parser, messages, `sonda policy words` and docs read them. */
#include "policy/words.h"

#include "base/err.h"
#include "base/str.h"
#include "base/strbuf.h"

#define FILES    POLICY_ABOUT(POLICY_FILE)
#define TRAFFIC  POLICY_ABOUT(POLICY_TRAFFIC)
#define FILTER   POLICY_ABOUT(POLICY_FILTER)
#define PACKETS  (POLICY_ABOUT(POLICY_PACKET) | TRAFFIC | FILTER)
#define KERNEL   POLICY_ABOUT(POLICY_KERNEL)
#define SOCKETS  POLICY_ABOUT(POLICY_SOCKET)
#define SUBJECTS (FILES | KERNEL | SOCKETS) /* whose rules have conditions about who asks */
#define ALL      (POLICY_ABOUT(POLICY_DOMAINS) - 1)

/* clang-format off */
static const struct policy_domain_row domains[POLICY_DOMAINS] = {
	[POLICY_FILE] =   { "files",   NULL,     "a word such as 'mode' or 'unless exe in'" },
	[POLICY_PACKET] = { "packets", "packet",        "a word such as 'from' or 'port'" },
	[POLICY_TRAFFIC] = { "packets that leave or are changed", "packet", "a word such as 'to' or 'port'", POLICY_ABOUT(POLICY_PACKET) },
	[POLICY_FILTER] = { "packets at a hook of netfilter", "packet", "a word such as 'from' or 'port'", POLICY_ABOUT(POLICY_PACKET) },
	[POLICY_KERNEL] = { "the kernel", NULL,     "a word such as 'mode' or 'unless exe in'" },
	[POLICY_SOCKET] = { "sockets", NULL,        "a word such as 'to', 'port' or 'unless exe in'" },
};

static const struct policy_verdict_row verdicts[] = {
	{ "deny",  POLICY_DENY,  SUBJECTS, "the operation fails, and is told" },
	{ "alert", POLICY_ALERT, SUBJECTS, "the operation goes on, and is told" },
	{ "drop",  POLICY_DROP,  PACKETS,  "the packet is dropped: where the driver hands it over, with `out` before it leaves, with `at` at that hook" },
	{ "allow", POLICY_PASS,  PACKETS,  "the packet passes; no later rule is asked" },
	{ "limit", POLICY_LIMIT, PACKETS,  "what comes faster than a rate is dropped" },
	{ "watch", POLICY_WATCH, PACKETS,  "the packet is counted and sampled; the next rule is asked" },
	{ "mark",     POLICY_MARK,     TRAFFIC, "the packet gets a DSCP, or a mark that the kernel goes by; the next rule is asked" },
	{ "mirror",   POLICY_MIRROR,   TRAFFIC, "a copy of the packet is sent out by another interface; the next rule is asked" },
	{ "redirect", POLICY_REDIRECT, TRAFFIC, "the packet is sent out by another interface; no later rule is asked" },
	{ "answer",   POLICY_ANSWER,   POLICY_ABOUT(POLICY_PACKET), "the SYN is answered with a SYN cookie where the driver hands it over; where that can't be, the next rule is asked" },
};

static const struct policy_operation_row operations[] = {
	{ "read",     POLICY_FILE, POLICY_READ,     "open for reading" },
	{ "write",    POLICY_FILE, POLICY_WRITE,    "open for writing or appending" },
	{ "exec",     POLICY_FILE, POLICY_EXEC,     "run it, also through a loader; map it executable. A script that is handed to an interpreter is read" },
	{ "create",   POLICY_FILE, POLICY_CREATE,   "make a file, directory, device or symbolic link" },
	{ "unlink",   POLICY_FILE, POLICY_UNLINK,   "remove a name; remove a directory" },
	{ "rename",   POLICY_FILE, POLICY_RENAME,   "rename it, or replace it by renaming something over it" },
	{ "link",     POLICY_FILE, POLICY_LINK,     "give it another name (hard link)" },
	{ "truncate", POLICY_FILE, POLICY_TRUNCATE, "cut it, by truncate(2) or when it is opened" },
	{ "change",   POLICY_FILE, POLICY_CHANGE,   "its mode, owner, times, extended attributes" },
	{ "any",      POLICY_FILE, POLICY_READ | POLICY_WRITE | POLICY_EXEC | POLICY_CREATE | POLICY_UNLINK | POLICY_RENAME |
		                   POLICY_LINK | POLICY_TRUNCATE | POLICY_CHANGE, "all of these" },
	{ "kill",           POLICY_KERNEL, POLICY_KILL,           "send a process a signal" },
	{ "ptrace",         POLICY_KERNEL, POLICY_PTRACE,         "trace a process, read or write its memory, take its descriptors" },
	{ "inspect",        POLICY_KERNEL, POLICY_INSPECT,        "see its environment, memory map and descriptors in /proc" },
	{ "mount",          POLICY_KERNEL, POLICY_MOUNT,          "mount, mount again or elsewhere, change the root" },
	{ "umount",         POLICY_KERNEL, POLICY_UMOUNT,         "take a mount away" },
	{ "load-module",    POLICY_KERNEL, POLICY_LOAD_MODULE,    "load a kernel module" },
	{ "request-module", POLICY_KERNEL, POLICY_REQUEST_MODULE, "use what the kernel loads a module for: a protocol, a file system" },
	{ "bpf",            POLICY_KERNEL, POLICY_BPF,            "any bpf(2)" },
	{ "setuid",         POLICY_KERNEL, POLICY_SETUID,         "become another user, also by running a setuid program" },
	{ "user-namespace", POLICY_KERNEL, POLICY_USER_NAMESPACE, "make a user namespace, and so get all capabilities in it" },
	{ "use",            POLICY_KERNEL, POLICY_USE,            "make use of a capability" },
	{ "connect",  POLICY_SOCKET, POLICY_CONNECT, "open a connection to it; also by fast open, by a connected datagram socket, by packets of raw sockets" },
	{ "send",     POLICY_SOCKET, POLICY_SEND,    "send to it without a connection: UDP, ICMP, raw" },
	{ "bind",     POLICY_SOCKET, POLICY_BIND,    "take an own address and port" },
	{ "listen",   POLICY_SOCKET, POLICY_LISTEN,  "wait for connections" },
	{ "raw-socket",       POLICY_SOCKET, POLICY_RAW_SOCKET,       "make a raw socket of IP" },
	{ "packet-socket",    POLICY_SOCKET, POLICY_PACKET_SOCKET,    "make a packet socket: frames, as they come and go" },
	{ "xdp-socket",       POLICY_SOCKET, POLICY_XDP_SOCKET,       "make an XDP socket" },
	{ "alg-socket",       POLICY_SOCKET, POLICY_ALG_SOCKET,       "make a socket of the kernel's cryptography" },
	{ "vsock-socket",     POLICY_SOCKET, POLICY_VSOCK_SOCKET,     "make a socket to other virtual machines" },
	{ "netlink-socket",   POLICY_SOCKET, POLICY_NETLINK_SOCKET,   "make a netlink socket" },
	{ "bluetooth-socket", POLICY_SOCKET, POLICY_BLUETOOTH_SOCKET, "make a Bluetooth socket" },
	{ "can-socket",       POLICY_SOCKET, POLICY_CAN_SOCKET,       "make a CAN socket" },
	{ "tipc-socket",      POLICY_SOCKET, POLICY_TIPC_SOCKET,      "make a TIPC socket" },
	{ "rds-socket",       POLICY_SOCKET, POLICY_RDS_SOCKET,       "make an RDS socket" },
};

#define PROCESS (POLICY_KILL | POLICY_PTRACE | POLICY_INSPECT)
static const struct policy_object_row objects[] = {
	{ OBJECT_FILE,       "of", "file",       FILES,  ~0u,           ~0u,        FORM_PATH,       true,  "what the path leads to when the policy is applied, and whatever comes to that place" },
	{ OBJECT_EXE,        "of", "exe",        KERNEL, PROCESS,       0,          FORM_PATH,       false, "processes that run the program" },
	{ OBJECT_USER,       "of", "user",       KERNEL, PROCESS,       0,          FORM_USER,       false, "processes of the user (real)" },
	{ OBJECT_CGROUP,     "of", "cgroup",     KERNEL, PROCESS,       0,          FORM_CGROUP,     false, "processes of the cgroup v2 or one below it" },
	{ OBJECT_CAPABILITY, "of", "capability", KERNEL, POLICY_USE,    POLICY_USE, FORM_CAPABILITY, false, "the capability, in whatever user namespace" },
	{ OBJECT_TO,         "to", "",           KERNEL, POLICY_SETUID, 0,          FORM_USER,       false, "the user that it becomes" },
};

static const struct policy_word_row words[] = {
	{ WORD_EXE,         "exe",         SUBJECTS, FORM_PATH,      true,  false, "the program that runs, by the file it was started from" },
	{ WORD_USER,        "user",        SUBJECTS | TRAFFIC, FORM_USER,      true,  false, "the user it runs as (real)" },
	{ WORD_CGROUP,      "cgroup",      SUBJECTS | TRAFFIC, FORM_CGROUP,    true,  false, "its cgroup v2 or one above that" },
	{ WORD_ANCESTOR,    "ancestor",    SUBJECTS, FORM_PATH,      true,  false, "a program that it, or a process that it descends from, runs or has run" },
	{ WORD_TERMINAL,    "terminal",    KERNEL,   FORM_NONE,      true,  false, "its process has a controlling terminal" },
	{ WORD_FROM,        "from",        PACKETS,  FORM_NETWORK,   false, false, "source address" },
	{ WORD_TO,          "to",          PACKETS | SOCKETS, FORM_NETWORK, false, false, "destination address; for bind and listen the own one" },
	{ WORD_PORT,        "port",        PACKETS | SOCKETS, FORM_PORT, false, false, "destination port; for bind and listen the own one" },
	{ WORD_SOURCE_PORT, "source-port", PACKETS,  FORM_PORT,      false, false, "source port" },
	{ WORD_ON,          "on",          PACKETS,  FORM_INTERFACE, false, false, "interface that it comes in by, or goes out by" },
	{ WORD_TCP,         "tcp",         PACKETS | SOCKETS, FORM_NONE, false, false, "TCP" },
	{ WORD_UDP,         "udp",         PACKETS | SOCKETS, FORM_NONE, false, false, "UDP" },
	{ WORD_ICMP,        "icmp",        PACKETS | SOCKETS, FORM_NONE, false, false, "ICMP, in IPv6 ICMPv6" },
	{ WORD_PROTOCOL,    "protocol",    PACKETS | SOCKETS, FORM_PROTOCOL, false, false, "protocol of IP; in IPv6 what stands behind its own headers" },
	{ WORD_ICMP_TYPE,   "icmp-type",   PACKETS,  FORM_ICMP_TYPE, false, false, "type of ICMP, or ICMPv6; a name is meant in both, a number in that of the packet" },
	{ WORD_SYN,         "syn",         PACKETS,  FORM_NONE,      false, false, "TCP that opens a connection: SYN without ACK" },
	{ WORD_FRAGMENT,    "fragment",    PACKETS,  FORM_NONE,      false, false, "part of a packet, the first one too" },
	{ WORD_MALFORMED,   "malformed",   PACKETS,  FORM_NONE,      false, false, "headers cut off, or that contradict each other" },
	{ WORD_OUT,         "out",         TRAFFIC,  FORM_NONE,      false, false, "packets that leave this machine; without it the rule is about those that come in" },
	{ WORD_AS,          "as",          TRAFFIC,  FORM_DSCP,      false, true,  "of mark: the DSCP that the packet gets" },
	{ WORD_FWMARK,      "fwmark",      TRAFFIC,  FORM_NUMBER,    false, true,  "of mark: the mark that routing rules and nftables go by" },
	{ WORD_CLASS,       "class",       TRAFFIC,  FORM_CLASS,     false, true,  "of mark: the class of the interface's queue" },
	{ WORD_TARGET,      "to",          TRAFFIC,  FORM_INTERFACE, false, true,  "of mirror and redirect: the interface that it goes out by" },
	{ WORD_AT,          "at",          FILTER,   FORM_HOOK,      false, true,  "hook of netfilter where the rule is asked" },
	{ WORD_PRIORITY,    "priority",    FILTER,   FORM_PRIORITY,  false, true,  "of that hook: lower ones are asked first (-10 unless said otherwise)" },
	{ WORD_MODE,        "mode",        ALL,      FORM_MODE,      false, true,  "audit: only counted and told; enforce (unless said otherwise)" },
	{ WORD_EXPIRES,     "expires",     ALL,      FORM_DATE,      false, true,  "from then on the rule matches nothing" },
	{ WORD_TRIP,        "trip",        ALL,      FORM_RATE,      false, true,  "more refusals than that turn the rule to audit" },
	{ WORD_AT_MOST,     "at",          SUBJECTS, FORM_RATE,      false, true,  "`at most RATE`, of an alert: so many are told in a second, minute or hour, the others counted" },
	{ WORD_PER,         "per",         SUBJECTS, FORM_PER,       false, true,  "of an alert `at most` so often: counted for each exe or user by itself" },
	{ WORD_ACCEPT,      "accept",      FILES,    FORM_ACCEPT,    false, false, "what may take the place of deny on a kernel that can't: kill, detect" },
};
/* clang-format on */

static const char *const forms[] = {
	[FORM_NONE] = "nothing",
	[FORM_PATH] = "an absolute path",
	[FORM_USER] = "a user's name or number",
	[FORM_CGROUP] = "a cgroup such as /system.slice/x.service, or a unit's name",
	[FORM_NETWORK] = "an address or network such as 10.0.0.0/8 or 2001:db8::/32",
	[FORM_PORT] = "a port or range such as 80 or 8000-8080",
	[FORM_INTERFACE] = "a network interface",
	[FORM_PROTOCOL] = "a protocol of IP such as gre, esp, sctp or a number from 1 to 255",
	[FORM_ICMP_TYPE] = "a type of ICMP such as echo-request, redirect or a number below 256",
	[FORM_DATE] =
		"a date such as 2027-01-31 or 2027-01-31T12:00, or a time from now such as 1h",
	[FORM_RATE] = "a rate such as 100/min",
	[FORM_PER] = "exe or user",
	[FORM_MODE] = "audit or enforce",
	[FORM_DSCP] = "a DSCP such as ef, af21, cs1 or a number below 64",
	[FORM_NUMBER] = "a number such as 7 or 0x10",
	[FORM_CLASS] = "a class such as 1:10",
	[FORM_HOOK] = "a hook: prerouting, input, forward, output or postrouting",
	[FORM_PRIORITY] = "a priority such as -10",
	[FORM_CAPABILITY] = "a capability such as net_raw",
	[FORM_ACCEPT] = "kill or detect",
};

/* The reflectors that TA14-017A and later attacks name, by the port that they answer from. */
static const struct policy_shipped shipped[] = {
	{ "reflectors",
	  "UDP source ports of services that floods are reflected by: chargen, qotd, DNS, TFTP, portmap, NTP, NetBIOS, SNMP, CLDAP, RIP, MSSQL, SSDP, ARMS, WS-Discovery, mDNS, CoAP, Ubiquiti, memcached, Steam, Plex",
	  "17, 19, 53, 69, 111, 123, 137, 161, 389, 520, 1434, 1900, 3283, 3702, 5353, 5683, 10001, 11211, 27015, 32414" },
};

#define FIND(table, text)                             \
	for (size_t i = 0; i < ARRAY_LEN(table); i++) \
		if (str_eq((table)[i].name, text))    \
			return &(table)[i];           \
	return NULL

const struct policy_verdict_row *policy_verdict_find(const char *name)
{
	FIND(verdicts, name);
}

const struct policy_operation_row *policy_operation_find(const char *name)
{
	FIND(operations, name);
}

const struct policy_word_row *policy_word_find(enum policy_domain domain, const char *name)
{
	unsigned open = policy_domains_open(domain);

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (words[i].domains & open && str_eq(words[i].name, name))
			return &words[i];
	FIND(words, name);
}

const struct policy_object_row *policy_object_nth(enum policy_domain domain, const char *before,
						  size_t i)
{
	for (size_t o = 0; o < ARRAY_LEN(objects); o++)
		if (objects[o].domains & POLICY_ABOUT(domain) &&
		    str_eq(objects[o].before, before) && i-- == 0)
			return &objects[o];
	return NULL;
}

const struct policy_object_row *policy_object_find(enum policy_domain domain, const char *before,
						   const char *name)
{
	const struct policy_object_row *row;

	for (size_t i = 0; (row = policy_object_nth(domain, before, i)); i++)
		if (str_eq(row->name, name))
			return row;
	return NULL;
}

const struct policy_domain_row *policy_domain_row(enum policy_domain domain)
{
	return &domains[domain];
}

const char *policy_domain_name(enum policy_domain domain)
{
	return domains[domain].name;
}

void policy_domains_name(unsigned set, struct strbuf *out)
{
	unsigned left;

	for (size_t i = 0; i < ARRAY_LEN(domains); i++)
		if (set & domains[i].within)
			set &= ~POLICY_ABOUT(i);
	left = set;
	for (size_t i = 0; i < ARRAY_LEN(domains); i++) {
		left &= ~POLICY_ABOUT(i);
		if (set & POLICY_ABOUT(i))
			strbuf_appendf(out, "%s%s", domains[i].name,
				       !left               ? ""
				       : left & (left - 1) ? ", "
							   : " and ");
	}
}

unsigned policy_domains_open(enum policy_domain domain)
{
	unsigned open = POLICY_ABOUT(domain);

	for (size_t i = 0; i < ARRAY_LEN(domains); i++)
		if (domains[i].within & POLICY_ABOUT(domain))
			open |= POLICY_ABOUT(i);
	return open;
}

const struct policy_shipped *policy_shipped_find(const char *name)
{
	FIND(shipped, name);
}

const struct policy_shipped *policy_shipped(size_t *ret_count)
{
	*ret_count = ARRAY_LEN(shipped);
	return shipped;
}

const struct policy_word_row *policy_word_row(enum policy_word word)
{
	return &words[word]; /* held by the unit test */
}

const struct policy_word_row *policy_words(size_t *ret_count)
{
	*ret_count = ARRAY_LEN(words);
	return words;
}

const struct policy_verdict_row *policy_verdicts(size_t *ret_count)
{
	*ret_count = ARRAY_LEN(verdicts);
	return verdicts;
}

const struct policy_operation_row *policy_operations(size_t *ret_count)
{
	*ret_count = ARRAY_LEN(operations);
	return operations;
}

const struct policy_object_row *policy_objects(size_t *ret_count)
{
	*ret_count = ARRAY_LEN(objects);
	return objects;
}

const char *policy_verdict_name(enum policy_verdict v)
{
	return verdicts[v].name;
}

const char *policy_operation_name(enum policy_domain domain, unsigned operation)
{
	for (size_t i = 0; i < ARRAY_LEN(operations); i++)
		if (operations[i].domain == domain && operations[i].bits == operation)
			return operations[i].name;
	return "";
}

void policy_operations_name(enum policy_domain domain, unsigned bits, struct strbuf *out)
{
	const char *before = "";

	for (unsigned bit = 1; bit && bit <= bits; bit <<= 1)
		if (bits & bit) {
			strbuf_appendf(out, "%s%s", before, policy_operation_name(domain, bit));
			before = ", ";
		}
}

const char *policy_per_name(enum policy_per per)
{
	static const char *const names[] = {
		[PER_ALL] = "",
		[PER_SOURCE] = "source",
		[PER_NETWORK] = "network",
		[PER_DESTINATION] = "destination",
		[PER_PORT] = "port",
	};

	return names[per];
}

const char *policy_word_second(enum policy_word word)
{
	return word == WORD_TRIP ? "at" : word == WORD_AT_MOST ? "most" : NULL;
}

const char *policy_form_name(enum policy_form form)
{
	return forms[form];
}

const char *policy_verdict_nth(const void *ctx, size_t i)
{
	(void)ctx;
	return i < ARRAY_LEN(verdicts) ? verdicts[i].name : NULL;
}

const char *policy_operation_nth(const void *ctx, size_t i)
{
	(void)ctx;
	return i < ARRAY_LEN(operations) ? operations[i].name : NULL;
}

const char *policy_word_nth(const void *ctx, size_t i)
{
	static const char *const before[] = { "unless", "when" };
	unsigned open = policy_domains_open(*(const enum policy_domain *)ctx);

	for (size_t w = 0; w < ARRAY_LEN(words); w++)
		if (words[w].domains & open && i-- == 0)
			return words[w].name;
	return i < ARRAY_LEN(before) ? before[i] : NULL;
}

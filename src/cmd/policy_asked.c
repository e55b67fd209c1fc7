/* SPDX-License-Identifier: BSD-2-Clause */
/* Recorded rows as questions to a policy: a row of the table for each kind of event. */
#include "cmd/policy_asked.h"

#include "base/arena.h"
#include "base/map.h"
#include "base/passwd.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "schema/kind.h"
#include "schema/schema.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>

/* Hooks of netfilter as bits, by their numbers. */
enum {
	PREROUTING = 1 << 0,
	INPUT = 1 << 1,
	FORWARD = 1 << 2,
	OUTPUT = 1 << 3,
	POSTROUTING = 1 << 4,
};

struct asker {
	struct accounts *accounts;
	struct arena arena;  /* texts of the row at hand */
	struct arena kept;   /* those of the maps */
	struct map programs; /* pid -> path of the program that it ran when it was last told of */
	struct map cgroups;  /* number -> path */
};

struct asker *asker_new(struct accounts *accounts)
{
	struct asker *a = xnew(struct asker);

	a->accounts = accounts;
	return a;
}

void asker_free(struct asker *a)
{
	if (!a)
		return;
	map_done(&a->programs, NULL);
	map_done(&a->cgroups, NULL);
	arena_done(&a->arena);
	arena_done(&a->kept);
	free(a);
}

/* ---- fields ---- */

static struct value value_named(const struct row *r, const char *name)
{
	const struct field *f = schema_field(r->schema, name);

	return f ? row_value(r, f) : value_none();
}

/* NULL: it isn't known. */
static const char *text(struct asker *a, const struct row *r, const char *name)
{
	struct value v = value_named(r, name);

	return v.type == VALUE_TEXT && v.text.len ? arena_memdup(&a->arena, v.text.s, v.text.len)
						  : NULL;
}

static const char *path(struct asker *a, const struct row *r, const char *name)
{
	const char *s = text(a, r, name);

	return s && *s == '/' ? s : NULL;
}

static uint64_t number(const struct row *r, const char *name)
{
	struct value v = value_named(r, name);

	return v.type == VALUE_U64 || v.type == VALUE_S64 ? v.u64
	       : v.type == VALUE_BOOL                     ? v.boolean
							  : 0;
}

/* The name of an enum's value; "": it has none. */
static const char *name_of(const struct row *r, const char *field)
{
	const struct field *f = schema_field(r->schema, field);

	return (f && f->names ? names_get(f->names, number(r, field)) : NULL) ?: "";
}

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (str_eq(name, names[i]))
			return true;
	return false;
}
#define NAMED(name, ...)                                        \
	is_one_of((name), (const char *const[]){ __VA_ARGS__ }, \
		  ARRAY_LEN(((const char *const[]){ __VA_ARGS__ })))

static struct policy_network address(const struct row *r, const char *name)
{
	struct value v = value_named(r, name);
	struct policy_network n = { 0 };

	if (v.type != VALUE_IP || (v.ip.family != AF_INET && v.ip.family != AF_INET6))
		return n;
	n.family = (uint8_t)v.ip.family;
	n.bits = n.family == AF_INET ? 32 : 128;
	memcpy(n.bytes, v.ip.bytes, n.bits / 8);
	return n;
}

/* What `numbers` knows of the number in a field. */
static const char *known(const struct map *numbers, const struct row *r, const char *field)
{
	uint64_t n = number(r, field);

	return n ? map_get(numbers, n) : NULL;
}

static void learn(struct asker *a, struct map *numbers, uint64_t n, const char *what)
{
	const char *old = n ? map_get(numbers, n) : NULL;

	if (n && what && !(old && str_eq(old, what)))
		map_put(numbers, n, arena_strdup(&a->kept, what));
}

static const char *user_text(struct asker *a, const struct row *r, const char *field)
{
	return arena_printf(&a->arena, "%llu", (unsigned long long)number(r, field));
}

/* ---- what is asked ---- */

/* Who asks, as the row tells. */
static struct policy_question question(struct asker *a, const struct row *r,
				       enum policy_domain domain, unsigned operations)
{
	const char *user = text(a, r, "user");

	return (struct policy_question){
		.domain = domain,
		.operations = operations,
		.accounts = a->accounts,
		.exe = path(a, r, "program") ?: path(a, r, "exe"),
		.user = user || !schema_field(r->schema, "uid") ? user : user_text(a, r, "uid"),
		.cgroup = path(a, r, "cgroup_path"),
	};
}

static unsigned ask(struct asked_operation *ret, struct policy_question q, const char *object)
{
	*ret = (struct asked_operation){ .questions = { q }, .count = 1, .object = object };
	return 1;
}

static unsigned ask_file(struct asker *a, const struct row *r, struct asked_operation *ret,
			 const char *field, unsigned operations, unsigned maybe)
{
	struct policy_question q = question(a, r, POLICY_FILE, operations);

	q.of[OBJECT_FILE] = path(a, r, field);
	q.maybe = maybe;
	if (!q.of[OBJECT_FILE] || !(operations | maybe))
		return 0;
	return ask(ret, q, q.of[OBJECT_FILE]);
}

static unsigned ask_kernel(struct asker *a, const struct row *r, struct asked_operation *ret,
			   unsigned operation, enum policy_object object, const char *of)
{
	struct policy_question q = question(a, r, POLICY_KERNEL, operation);

	q.of[object] = of;
	return ask(ret, q, of ?: "");
}

/* ---- files ---- */

static unsigned fs_open(struct asker *a, const struct row *r, struct asked_operation *ret)
{
	uint64_t flags = number(r, "flags");
	unsigned access = (unsigned)flags & O_ACCMODE, operations = 0, maybe = 0;

	if (flags & O_PATH || number(r, "err"))
		return 0;
	operations |= access != O_WRONLY ? POLICY_READ : 0;
	operations |= access != O_RDONLY ? POLICY_WRITE : 0;
	operations |= flags & O_TRUNC ? POLICY_TRUNCATE : 0;
	if (flags & O_CREAT && flags & O_EXCL)
		operations |= POLICY_CREATE;
	else if (flags & O_CREAT)
		maybe = POLICY_CREATE;
	return ask_file(a, r, ret, "path", operations, maybe);
}

/* Of the caller only the program is not told: it may be known from before. */
static unsigned process_exec(struct asker *a, const struct row *r, struct asked_operation *ret)
{
	unsigned count;

	if (number(r, "err"))
		return 0;
	count = ask_file(a, r, ret, "file", POLICY_EXEC, 0);
	count += ask_file(a, r, ret + count, "interp", POLICY_EXEC, 0);
	for (unsigned i = 0; i < count; i++)
		ret[i].questions[0].exe = known(&a->programs, r, "pid");
	return count;
}

/* A link is made at the new name; what is renamed is made there, or replaces what was. */
static unsigned fs_remove(struct asker *a, const struct row *r, struct asked_operation *ret)
{
	static const struct {
		const char *op;
		unsigned operation, at_new_name, maybe_there;
	} ops[] = {
		{ "unlink", POLICY_UNLINK, 0, 0 },
		{ "rmdir", POLICY_UNLINK, 0, 0 },
		{ "rename", POLICY_RENAME, 0, POLICY_RENAME | POLICY_CREATE },
		{ "link", POLICY_LINK, POLICY_CREATE, 0 },
	};
	unsigned count;

	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		if (!str_eq(ops[i].op, name_of(r, "op")) || number(r, "err"))
			continue;
		count = ask_file(a, r, ret, "path", ops[i].operation, 0);
		count += ask_file(a, r, ret + count, "to", ops[i].at_new_name, ops[i].maybe_there);
		ret[count - !!count].questions[0].one_of_maybe = true;
		return count;
	}
	return 0;
}

static unsigned guard_file(struct asker *a, const struct row *r, struct asked_operation *ret)
{
	return ask_file(a, r, ret, "path", (unsigned)number(r, "operation"), 0);
}

/* ---- sockets and packets ---- */

/* "tcp 10.0.0.1:22" */
static const char *end_text(struct asker *a, uint8_t protocol, const struct policy_network *n,
			    uint16_t port)
{
	const char *name = protocol ? policy_protocol_name(protocol) : NULL;
	char ip[INET6_ADDRSTRLEN] = "*";

	if (n->family)
		inet_ntop(n->family, n->bytes, ip, sizeof(ip));
	if (!port)
		return arena_printf(&a->arena, "%s%s%s", name ?: "", name ? " " : "", ip);
	return arena_printf(&a->arena, n->family == AF_INET6 ? "%s%s[%s]:%u" : "%s%s%s:%u",
			    name ?: "", name ? " " : "", ip, port);
}

static struct policy_question socket_question(struct asker *a, const struct row *r,
					      unsigned operations, uint8_t protocol, const char *to,
					      const char *port)
{
	struct policy_question q = question(a, r, POLICY_SOCKET, operations);

	q.protocol = protocol;
	q.to = address(r, to);
	q.port = (uint16_t)number(r, port);
	return q;
}

static unsigned ask_socket(struct asker *a, struct policy_question q, struct asked_operation *ret)
{
	return ask(ret, q, end_text(a, q.protocol, &q.to, q.port));
}

static bool is_loopback(const struct policy_network *n)
{
	static const uint8_t six[16] = { [15] = 1 };

	return (n->family == AF_INET && n->bytes[0] == 127) ||
	       (n->family == AF_INET6 && !memcmp(n->bytes, six, sizeof(six)));
}

/* A packet in all domains that may ask about it: `q` has its addresses, ports, protocol and place. */
static unsigned ask_packet(struct asker *a, struct policy_question q, struct asked_operation *ret)
{
	static const enum policy_domain domains[] = { POLICY_PACKET, POLICY_TRAFFIC,
						      POLICY_FILTER };

	if (!q.from.family || !q.to.family)
		return 0;
	if (is_loopback(&q.to) || !memcmp(&q.from, &q.to, sizeof(q.to)))
		q.interface = "lo";
	q.operations = 0;
	if (!q.out) /* who sends it is somebody else */
		q.exe = q.user = q.cgroup = NULL;
	for (size_t i = 0; i < ARRAY_LEN(domains); i++) {
		q.domain = domains[i];
		ret->questions[ret->count++] = q;
	}
	if (!ret->object) /* a client's port says nothing of it */
		ret->object =
			arena_printf(&a->arena, "%s -> %s",
				     end_text(a, q.protocol, &q.from, q.syn ? 0 : q.source_port),
				     end_text(a, 0, &q.to, q.port));
	return 1;
}

/* That a socket at `local` sends to, or gets from, `peer`. */
static struct policy_question packet_question(struct asker *a, const struct row *r,
					      uint8_t protocol, bool out)
{
	const char *ends[2][2] = { { "peer", "peer_port" }, { "local", "local_port" } };
	struct policy_question q = question(a, r, POLICY_PACKET, 0);

	q.from = address(r, ends[out][0]);
	q.to = address(r, ends[!out][0]);
	q.source_port = (uint16_t)number(r, ends[out][1]);
	q.port = (uint16_t)number(r, ends[!out][1]);
	q.protocol = protocol;
	q.out = out;
	q.hooks = out ? OUTPUT | POSTROUTING : PREROUTING | INPUT;
	return q;
}

/* What opens a connection: at the client a use of a socket and a SYN that leaves, at the server one that came. */
static unsigned net_tcp(struct asker *a, const struct row *r, struct asked_operation *ret)
{
	const char *step = name_of(r, "step");
	bool out = str_eq(step, "connect");
	struct policy_question q = packet_question(a, r, IPPROTO_TCP, out);

	if (!out && !str_eq(step, "accept"))
		return 0;
	q.syn = true;
	if (out)
		(void)ask_socket(
			a, socket_question(a, r, POLICY_CONNECT, IPPROTO_TCP, "peer", "peer_port"),
			ret);
	else
		*ret = (struct asked_operation){ 0 };
	return ask_packet(a, q, ret) || ret->count;
}

/* Sent over a socket that may be connected. */
static struct policy_question datagram(struct policy_question q)
{
	q.maybe = POLICY_CONNECT | POLICY_SEND;
	q.one_of_maybe = true;
	return q;
}

static unsigned net_udp(struct asker *a, const struct row *r, struct asked_operation *ret)
{
	const char *step = name_of(r, "step");
	bool out = str_eq(step, "send");

	if (!out && !str_eq(step, "drop"))
		return 0;
	*ret = (struct asked_operation){ 0 };
	if (out)
		(void)ask_socket(
			a, datagram(socket_question(a, r, 0, IPPROTO_UDP, "peer", "peer_port")),
			ret);
	return ask_packet(a, packet_question(a, r, IPPROTO_UDP, out), ret) || ret->count;
}

/* Over TCP it is net.tcp's to tell. */
static unsigned net_dns(struct asker *a, const struct row *r, struct asked_operation *ret)
{
	if (!str_eq(name_of(r, "transport"), "udp"))
		return 0;
	return ask_socket(
		a, datagram(socket_question(a, r, 0, IPPROTO_UDP, "server", "server_port")), ret);
}

/* Its address was taken by bind(2), unless the kernel chose the port. */
static unsigned net_listen(struct asker *a, const struct row *r, struct asked_operation *ret)
{
	struct policy_question q;

	if (!str_eq(name_of(r, "step"), "begin"))
		return 0;
	q = socket_question(a, r, POLICY_LISTEN, IPPROTO_TCP, "local", "local_port");
	q.maybe = POLICY_BIND;
	return ask_socket(a, q, ret);
}

static unsigned guard_socket(struct asker *a, const struct row *r, struct asked_operation *ret)
{
	return ask_socket(a,
			  socket_question(a, r, (unsigned)number(r, "operation"),
					  (uint8_t)number(r, "protocol"), "to", "port"),
			  ret);
}

/* Where a guard judged it, and where else it comes by. */
static const struct {
	const char *place;
	bool out;
	unsigned hooks, maybe_hooks;
} places[] = {
	{ "xdp", false, PREROUTING, INPUT | FORWARD },
	{ "in", false, PREROUTING, INPUT | FORWARD },
	{ "out", true, 0, FORWARD | OUTPUT | POSTROUTING },
	{ "prerouting", false, PREROUTING, INPUT | FORWARD },
	{ "input", false, PREROUTING | INPUT, 0 },
	{ "forward", false, PREROUTING | FORWARD | POSTROUTING, 0 },
	{ "output", true, OUTPUT | POSTROUTING, 0 },
	{ "postrouting", true, POSTROUTING, OUTPUT | FORWARD },
};

static unsigned guard_packet(struct asker *a, const struct row *r, struct asked_operation *ret)
{
	static const char *const whole[] = { "whole", "first_fragment", "later_fragment" };
	struct policy_question q = question(a, r, POLICY_PACKET, 0);
	const char *form = name_of(r, "form");
	uint64_t flags = number(r, "flags");
	char name[IF_NAMESIZE];

	q.from = address(r, "from");
	q.to = address(r, "to");
	q.source_port = (uint16_t)number(r, "from_port");
	q.port = (uint16_t)number(r, "to_port");
	q.protocol = (uint8_t)number(r, "protocol");
	q.syn = q.protocol == IPPROTO_TCP && (flags & 0x12) == 0x02;
	q.fragment = str_endswith(form, "fragment");
	q.malformed = !is_one_of(form, whole, ARRAY_LEN(whole));
	if (if_indextoname((unsigned)number(r, "ifindex"), name))
		q.interface = arena_strdup(&a->arena, name);
	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		if (str_eq(places[i].place, name_of(r, "place"))) {
			q.out = places[i].out;
			q.hooks = places[i].hooks;
			q.maybe_hooks = places[i].maybe_hooks;
			*ret = (struct asked_operation){
				.maybe_spared = !q.syn && str_eq(name_of(r, "outcome"), "watched")
			};
			return ask_packet(a, q, ret);
		}
	return 0;
}

/* ---- the kernel ---- */

static unsigned process_signal(struct asker *a, const struct row *r, struct asked_operation *ret)
{
	struct policy_question *q = &ret->questions[0];
	const char *comm = text(a, r, "target_comm");

	if (!NAMED(name_of(r, "why"), "kill", "tkill", "queue") ||
	    number(r, "target_pid") == number(r, "pid"))
		return 0;
	(void)ask_kernel(a, r, ret, POLICY_KILL, OBJECT_EXE, known(&a->programs, r, "target_pid"));
	q->of[OBJECT_USER] = user_text(a, r, "target_uid");
	q->of[OBJECT_CGROUP] = known(&a->cgroups, r, "target_cgroup");
	ret->object = q->of[OBJECT_EXE] ?: comm ?: "";
	return 1;
}

/* Who asks is who it was before; of each id that changed. */
static unsigned process_setuid(struct asker *a, const struct row *r, struct asked_operation *ret)
{
	static const char *const ids[] = { "uid", "euid", "suid", "fsuid" };
	const char *before = user_text(a, r, "old_uid");
	unsigned count = 0;

	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		const char *old = arena_printf(&a->arena, "old_%s", ids[i]);
		const char *new = arena_printf(&a->arena, "new_%s", ids[i]);
		const char *to = user_text(a, r, new);
		bool told = number(r, old) == number(r, new);

		for (unsigned n = 0; n < count; n++)
			told |= str_eq(ret[n].object, to);
		if (told)
			continue;
		(void)ask_kernel(a, r, &ret[count], POLICY_SETUID, OBJECT_TO, to);
		ret[count++].questions[0].user = before;
	}
	return count;
}

static unsigned fs_mount(struct asker *a, const struct row *r, struct asked_operation *ret)
{
	const char *op = name_of(r, "op");
	unsigned operation = str_eq(op, "umount") ? POLICY_UMOUNT
			     : NAMED(op, "mount", "remount", "bind", "move", "propagation",
				     "pivot_root", "move_mount")
				     ? POLICY_MOUNT
				     : 0;

	if (!operation || number(r, "err"))
		return 0;
	(void)ask_kernel(a, r, ret, operation, OBJECT_NONE, NULL);
	ret->object = text(a, r, "target") ?: "";
	return 1;
}

static unsigned guard_kernel(struct asker *a, const struct row *r, struct asked_operation *ret)
{
	static const struct {
		unsigned operations;
		enum policy_object object;
	} objects[] = {
		{ POLICY_KILL | POLICY_PTRACE | POLICY_INSPECT, OBJECT_EXE },
		{ POLICY_SETUID, OBJECT_TO },
		{ POLICY_USE, OBJECT_CAPABILITY },
	};
	unsigned operation = (unsigned)number(r, "operation");
	const char *what = text(a, r, "object");

	if (operation & (POLICY_SETUID | POLICY_USE))
		what = user_text(a, r, "number");
	for (size_t i = 0; i < ARRAY_LEN(objects); i++)
		if (objects[i].operations & operation)
			return ask_kernel(a, r, ret, operation, objects[i].object, what);
	(void)ask_kernel(a, r, ret, operation, OBJECT_NONE, NULL);
	ret->object = what ?: text(a, r, "name") ?: "";
	return 1;
}

/* ---- the table ---- */

#define PACKETS [POLICY_PACKET] = ~0u, [POLICY_TRAFFIC] = ~0u, [POLICY_FILTER] = ~0u
static const struct {
	const char *probe;
	unsigned (*ask)(struct asker *a, const struct row *r, struct asked_operation *ret);
	unsigned tells[POLICY_DOMAINS];
} table[] = {
	{ "fs.open",
	  fs_open,
	  { [POLICY_FILE] = POLICY_READ | POLICY_WRITE | POLICY_CREATE | POLICY_TRUNCATE } },
	{ "fs.remove",
	  fs_remove,
	  { [POLICY_FILE] = POLICY_UNLINK | POLICY_RENAME | POLICY_LINK | POLICY_CREATE } },
	{ "process.exec", process_exec, { [POLICY_FILE] = POLICY_EXEC } },
	{ "guard.file", guard_file, { [POLICY_FILE] = ~0u } },
	{ "process.signal", process_signal, { [POLICY_KERNEL] = POLICY_KILL } },
	{ "process.setuid", process_setuid, { [POLICY_KERNEL] = POLICY_SETUID } },
	{ "fs.mount", fs_mount, { [POLICY_KERNEL] = POLICY_MOUNT | POLICY_UMOUNT } },
	{ "guard.kernel", guard_kernel, { [POLICY_KERNEL] = ~0u } },
	{ "net.tcp", net_tcp, { [POLICY_SOCKET] = POLICY_CONNECT, PACKETS } },
	{ "net.udp", net_udp, { [POLICY_SOCKET] = POLICY_CONNECT | POLICY_SEND, PACKETS } },
	{ "net.dns", net_dns, { [POLICY_SOCKET] = POLICY_CONNECT | POLICY_SEND } },
	{ "net.listen", net_listen, { [POLICY_SOCKET] = POLICY_LISTEN | POLICY_BIND } },
	{ "guard.socket", guard_socket, { [POLICY_SOCKET] = ~0u } },
	{ "guard.packet", guard_packet, { PACKETS } },
	{ "guard.traffic", guard_packet, { PACKETS } },
	{ "guard.filter", guard_packet, { PACKETS } },
};

/* Programs and cgroups that later rows name by number alone. */
static void row_learn(struct asker *a, const struct row *r)
{
	learn(a, &a->programs, number(r, "pid"), path(a, r, "exe"));
	learn(a, &a->cgroups, number(r, "cgroup"), path(a, r, "cgroup_path"));
}

unsigned asker_row(struct asker *a, const struct row *r,
		   struct asked_operation ret[static ASKED_MAX])
{
	unsigned count = 0;

	arena_reset(&a->arena);
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (str_eq(table[i].probe, r->schema->probe))
			count = table[i].ask(a, r, ret);
	row_learn(a, r);
	return count;
}

unsigned asked_of(const char *probe, enum policy_domain domain)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (str_eq(table[i].probe, probe))
			return table[i].tells[domain];
	return 0;
}

const char *asked_probe(unsigned nth)
{
	return nth < ARRAY_LEN(table) ? table[nth].probe : NULL;
}

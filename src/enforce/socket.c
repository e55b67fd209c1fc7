/* SPDX-License-Identifier: BSD-2-Clause */
/* The guard of sockets: rules turned into sets by operation, address and subject, and laid into its maps. */
#include "abi/policy_socket.h"
#include "base/err.h"
#include "base/str.h"
#include "bpf/elements.h"
#include "bpf/object.h"
#include "enforce/file_paths.h"
#include "enforce/guard.h"
#include "enforce/packet.h"
#include "enforce/subjects.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* What a generation is made of. */
struct filling {
	const struct policy *policy;
	struct file_paths paths;
	struct subjects subjects;
	struct socket_rules rules;
	struct packet_tables tables;
};

/* ---- from the policy ---- */

static void operations_take(struct filling *f)
{
	for (size_t n = 0; n < f->policy->rules.len; n++) {
		const struct policy_rule *rule = &f->policy->rules.at[n];

		if (rule->domain != POLICY_SOCKET)
			continue;
		f->rules.operations |= rule->operations;
		for (int i = 0; i < SOCKET_OPERATIONS; i++)
			if (rule->operations & 1u << i)
				rule_put(&f->rules.by_operation[i], n);
	}
}

static int policy_take(struct filling *f, struct err *e)
{
	static const struct packet_scope scope = { .domain = POLICY_SOCKET, .unordered = true };

	if (getrandom(&f->rules.serial, sizeof(f->rules.serial), GRND_NONBLOCK) < 0)
		f->rules.serial = (uint64_t)time(NULL);
	f->rules.serial |= 1;
	if (f->policy)
		operations_take(f);
	if (!f->rules.operations)
		return 0;
	if (packet_tables_make(f->policy, &scope, &f->tables, e) < 0 ||
	    subjects_read(&f->subjects, f->policy, POLICY_SOCKET, &f->paths, false, e) < 0)
		return -e->code;
	subjects_rules(&f->subjects, f->policy, POLICY_SOCKET, &f->rules.subjects);
	return file_paths_identify(&f->paths, e);
}

/* ---- into the maps ---- */

/* How a slot is filled: "lsm"; "" where it isn't. */
static void slot_method(const struct object *o, const char *name, char out[static 16])
{
	struct object_slot slot;

	for (size_t i = 0; i < object_slot_count(o); i++) {
		object_slot(o, i, &slot);
		if (str_eq(slot.name, name) && slot.rank)
			str_copy(out, 16, str_startswith(slot.hook, "lsm/") ? "lsm" : "fmod_ret");
	}
}

/* Written by whoever loads the guard, for those who find it pinned. */
static int hooks_tell(const struct object *o, struct err *e)
{
	struct socket_hooks hooks = { 0 };
	uint32_t zero = 0;
	struct object_slot slot;

	object_slot(o, 0, &slot);
	if (!slot.rank)
		return 0;
	slot_method(o, "makes", hooks.makes);
	slot_method(o, "listens", hooks.listens);
	return map_set(object_map_fd(o, "socket_hooks"), "the hooks", &zero, &hooks, e);
}

static int filling_write(struct filling *f, const struct object *o, uint32_t gen, struct err *e)
{
	if (hooks_tell(o, e) < 0 || packet_tables_write(o, gen, &f->tables, e) < 0 ||
	    subjects_write(&f->subjects, &f->paths, o, gen, e) < 0)
		return -e->code;
	return map_set(object_map_fd(o, "socket_rules"), "the rules", &gen, &f->rules, e);
}

static int fill(const struct object *o, const struct policy *p, unsigned gen, struct err *e)
{
	struct filling f = { .policy = p };
	int err = policy_take(&f, e);

	if (!err)
		err = filling_write(&f, o, gen, e);
	packet_tables_done(&f.tables);
	subjects_done(&f.subjects);
	file_paths_done(&f.paths);
	return err;
}

/* ---- what it is worth ---- */

/* Operations that this kernel has no hook for. */
static unsigned lacking(const struct socket_hooks *hooks)
{
	const unsigned by_cgroup = POLICY_CONNECT | POLICY_SEND | POLICY_BIND | POLICY_RAW_SOCKET;
	unsigned all = (1u << SOCKET_OPERATIONS) - 1;

	return all & ~(by_cgroup | (*hooks->listens ? POLICY_LISTEN : 0) |
		       (*hooks->makes ? all & ~(POLICY_ADDRESSED | POLICY_RAW_SOCKET) : 0));
}

static void strength(const struct object *o, const struct policy_rule *r, struct strbuf *out)
{
	struct socket_hooks hooks = { 0 };
	unsigned by_module, lacks;
	uint32_t zero = 0;

	(void)!map_get_value(object_map_fd(o, "socket_hooks"), &zero, &hooks);
	lacks = r->operations & lacking(&hooks);
	by_module =
		r->operations & ~(POLICY_CONNECT | POLICY_SEND | POLICY_BIND | POLICY_RAW_SOCKET);
	if (lacks) {
		strbuf_puts(out, "none");
		for (unsigned bit = 1; bit <= POLICY_RDS_SOCKET; bit <<= 1)
			if (lacks & bit)
				strbuf_appendf(out, "%s%s", bit == (lacks & -lacks) ? " of " : ", ",
					       policy_operation_name(POLICY_SOCKET, bit));
		return;
	}
	strbuf_appendf(out, "%s (%s%s%s)", policy_verdict_name(r->verdict),
		       by_module == r->operations ? "" : "cgroup",
		       by_module && by_module != r->operations ? ", " : "",
		       by_module ? (*hooks.makes ? hooks.makes : hooks.listens) : "");
}

/* ---- what it costs ---- */

enum { COST_RUNS = 500 };

/* Of this machine: nothing goes out. */
static struct sockaddr_in here(uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons(port),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static void connect_often(int fd)
{
	const struct sockaddr_in to = here(9);

	(void)!connect(fd, (const struct sockaddr *)&to, sizeof(to));
}

static void send_often(int fd)
{
	const struct sockaddr_in to = here(9);

	(void)!sendto(fd, "", 1, MSG_DONTWAIT, (const struct sockaddr *)&to, sizeof(to));
}

static void bind_often(int fd)
{
	const struct sockaddr_in any = here(0);

	(void)!bind(fd, (const struct sockaddr *)&any, sizeof(any));
}

static void listen_often(int fd)
{
	(void)!listen(fd, 1);
}

/* Each is done to a socket of its own. */
static const struct measured {
	unsigned operations;
	const char *slot;
	int family, type, protocol;
	void (*act)(int fd);
	const char *of;
} measures[] = {
	{ POLICY_CONNECT, "connects4", AF_INET, SOCK_DGRAM, 0, connect_often, "a connect" },
	{ POLICY_SEND, "sends4", AF_INET, SOCK_DGRAM, 0, send_often, "a datagram sent" },
	{ POLICY_BIND, "bound4", AF_INET, SOCK_DGRAM, 0, bind_often, "a bind" },
	{ POLICY_LISTEN, "listens", AF_INET, SOCK_STREAM, 0, listen_often, "a listen" },
	{ POLICY_RAW_SOCKET, "creates", AF_INET, SOCK_RAW, IPPROTO_ICMP, NULL,
	  "a raw socket made" },
	{ ~0u, "makes", AF_NETLINK, SOCK_RAW, 0, NULL, "a socket made" },
};

static void work(void *ctx)
{
	const struct measured *m = ctx;

	for (int i = 0; i < COST_RUNS; i++) {
		auto_close int fd = socket(m->family, m->type | SOCK_CLOEXEC, m->protocol);

		if (fd >= 0 && m->act)
			m->act(fd);
	}
}

static int cost(struct object *o, const struct policy *p, struct guard_cost *ret_cost,
		struct err *e)
{
	unsigned operations = 0;
	struct measured m;
	size_t i = 0;
	uint64_t ns;

	vec_for_each(r, &p->rules)
		operations |= r->domain == POLICY_SOCKET ? r->operations : 0;
	while (!(measures[i].operations & operations))
		i++;
	m = measures[i];
	if (guard_measure(&guard_socket, o, p, m.slot, work, &m, &ns, e) < 0)
		return -e->code;
	*ret_cost = (struct guard_cost){ ns, m.of };
	return 0;
}

const struct guard guard_socket = {
	.name = "socket",
	.domain = POLICY_SOCKET,
	.fill = fill,
	.beside = guard_beside_anywhere,
	.strength = strength,
	.cost = cost,
};

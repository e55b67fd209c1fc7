/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The verdict on a use of a socket: of the rules about the operation, those whose networks, ports and
 * protocol it fulfils, and whose conditions the subject does. Decided first, told afterwards.
 */
#pragma once

#include "abi/ip_protocols.h"
#include "abi/policy_socket.h"

#include "networks.h"
#include "sonda/path.h"
#include "subject.h"

enum { IPPROTO_ICMP = 1, IPPROTO_ICMPV6 = 58 };

enum socket_verdict {
	SOCKET_VERDICT_DENIED = OUTCOME_REFUSED,
	SOCKET_VERDICT_AUDITED = OUTCOME_AUDITED,
	SOCKET_VERDICT_TRIPPED = OUTCOME_TRIPPED,
	SOCKET_VERDICT_ALERTED = OUTCOME_WATCHED,
	SOCKET_VERDICT_WOULD_DENY = OUTCOME_WOULD_REFUSE,
};

/* enum socket_operation as bits. */
enum socket_doing {
	SOCKET_DOING_CONNECT = 1 << SOCKET_CONNECT,
	SOCKET_DOING_SEND = 1 << SOCKET_SEND,
	SOCKET_DOING_BIND = 1 << SOCKET_BIND,
	SOCKET_DOING_LISTEN = 1 << SOCKET_LISTEN,
	SOCKET_DOING_RAW_SOCKET = 1 << SOCKET_RAW,
	SOCKET_DOING_PACKET_SOCKET = 1 << SOCKET_PACKET,
	SOCKET_DOING_XDP_SOCKET = 1 << SOCKET_XDP,
	SOCKET_DOING_ALG_SOCKET = 1 << SOCKET_ALG,
	SOCKET_DOING_VSOCK_SOCKET = 1 << SOCKET_VSOCK,
	SOCKET_DOING_NETLINK_SOCKET = 1 << SOCKET_NETLINK,
	SOCKET_DOING_BLUETOOTH_SOCKET = 1 << SOCKET_BLUETOOTH,
	SOCKET_DOING_CAN_SOCKET = 1 << SOCKET_CAN,
	SOCKET_DOING_TIPC_SOCKET = 1 << SOCKET_TIPC,
	SOCKET_DOING_RDS_SOCKET = 1 << SOCKET_RDS,
};

enum socket_strength {
	SOCKET_STRENGTH_LSM = 1,
	SOCKET_STRENGTH_FMOD_RET,
	SOCKET_STRENGTH_CGROUP, /* a hook of the root cgroup */
	SOCKET_STRENGTH_PACKET, /* the packet, where no such hook had seen where it goes */
};

enum socket_protocol {
	SOCKET_PROTOCOL_DEFAULT = 0, /* that of its kind */
#define X(name, word, number) SOCKET_PROTOCOL_##name = number,
	IP_PROTOCOLS(X)
#undef X
};

EVENT(socket_use, "A use of a socket that a rule is about")
{
	struct task task;
	char rule[POLICY_NAME] KIND("str") DOC("the rule");
	enum socket_verdict verdict DOC("denied; audited (it would have been); tripped (likewise: the rule refused too much); alerted; would_deny (the rule is of the policy beside the one in force)");
	enum socket_doing operation FLAGS DOC("what was to be done");
	enum socket_strength strength HIDE DOC("how the kernel is made to obey: a hook of the root cgroup, the packet dropped, a security module's hook, or its result changed");
	u64 suppressed HIDE DOC("alerts of the rule, and program or user if it counts by them, that were not told since the last that was");
	enum socket_protocol protocol DOC("IP protocol; default: none was asked for, or the socket is none of IP's");
	struct ip to DOC("address of the other end; for bind and listen the own one");
	u16 port KIND("port") DOC("port there; 0: it has none, or it isn't known");
	struct text program KIND("path") DOC("program that the process runs");
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct packet_plan);
} packet_plans SEC(".maps");

static __always_inline struct packet_plan *plan_of(u32 gen)
{
	return bpf_map_lookup_elem(&packet_plans, &gen);
}

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct socket_rules);
} socket_rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct socket_hooks);
} socket_hooks SEC(".maps");

/* A use that is to be judged. */
struct socket_asked {
	u32 address[4]; /* as on the wire; IPv4 in the first */
	u64 serial;     /* of the policies that judge */
	u32 gen;        /* that is in force; POLICY_NOBODY: none has rules about it */
	u32 beside;     /* likewise that which lies beside it */
	u32 operations; /* enum socket_doing */
	u16 port;
	u8 family;         /* 4, 6; 0: it has no address */
	u8 protocol;       /* of IP */
	u8 strength;       /* enum socket_strength */
	bool any_address;  /* all those of this machine, or not known which */
	bool any_port;     /* not known which */
	bool any_protocol; /* likewise */
	bool any_subject;  /* not known who: no condition saves it */
};

enum request_place { REQUEST_CALL, REQUEST_PACKET, REQUEST_BIND };
/*
 * One that rules are about, by thread, and by place, for a packet may leave in the midst of another. It lies
 * in a map because what judges is a global function, which is verified once; on 5.10 those take only numbers.
 */
struct socket_request {
	struct socket_asked asked;
	struct rule_set rules;
	struct verdict verdict;
	u32 gen; /* whose rules they are */
	u32 met; /* `rules` are known */
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, struct socket_request);
} socket_requests SEC(".maps");

const volatile struct socket_request no_request = {};

/* The rules of that generation if any is about one of the operations. */
static __always_inline const struct socket_rules *rules_of(u32 gen, u32 operations)
{
	struct socket_rules *rules;

	if (gen == POLICY_NOBODY)
		return NULL;
	rules = bpf_map_lookup_elem(&socket_rules, &gen);
	return rules && rules->operations & operations ? rules : NULL;
}

/* Is there a rule about any of the operations, in force or beside? */
static __always_inline bool use_begin(struct socket_asked *a)
{
	const struct socket_rules *rules;

	a->gen = policy_generations(&a->beside);
	rules = rules_of(a->gen, a->operations);
	if (rules)
		a->serial = rules->serial;
	else
		a->gen = POLICY_NOBODY;
	if (a->beside == POLICY_NOBODY)
		return rules;
	rules = rules_of(a->beside, a->operations);
	if (rules)
		a->serial += rules->serial;
	else
		a->beside = POLICY_NOBODY;
	return a->serial;
}

/* ---- which rules are about it ---- */

static __always_inline u32 protocol_kinds(u8 protocol)
{
	if (protocol == IPPROTO_TCP)
		return PACKET_TCP;
	if (protocol == IPPROTO_UDP)
		return PACKET_UDP;
	return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6 ? PACKET_ICMP : 0;
}

static __always_inline void mask_keep(struct rule_set *to, const struct packet_mask *from)
{
	_Pragma("unroll") for (int i = 0; i < RULE_WORDS; i++) to->words[i] &= from->words[i];
}

static __noinline u32 address_class(const struct packet_plan *plan, const struct socket_asked *a,
				    u32 gen)
{
	u32 first;

	if (!plan || !a)
		return 0;
	first = bpf_ntohl(a->address[0]);
	barrier_var(first); /* or 5.10 would not know that half of it is below 65536 */
	if (a->family == 4)
		return network_class4(plan, gen, &plan->pieces[PACKET_TO][first >> 16], first);
	return network_class6(plan, gen, &plan->pieces[2 + PACKET_TO][first >> 16], a->address);
}

static __always_inline void plan_keep(const struct packet_plan *plan, u32 gen,
				      const struct socket_asked *a, struct rule_set *met)
{
	u32 uses = plan->uses, class;

	if (!a->any_protocol)
		mask_keep(met, &plan->kinds[protocol_kinds(a->protocol)]);
	if (uses & 1 << PACKET_WHAT && !a->any_protocol) {
		class = what_class(plan, a->protocol);
		mask_keep(met, &plan->masks[PACKET_WHAT][class & (PACKET_CLASSES - 1)]);
	}
	if (uses & 1 << PACKET_PORT && !a->any_port) {
		class = plan->ports[1][a->port];
		mask_keep(met, &plan->masks[PACKET_PORT][class & (PACKET_CLASSES - 1)]);
	}
	if (uses & 1 << PACKET_TO && !a->any_address && !set_empty(met)) {
		class = address_class(plan, a, gen);
		mask_keep(met, &plan->masks[PACKET_TO][class & (PACKET_CLASSES - 1)]);
	}
}

static __always_inline void rules_meet(const struct socket_asked *a,
				       const struct socket_rules *rules, u32 gen,
				       struct rule_set *met)
{
	const struct packet_plan *plan = plan_of(gen);

	if (a->operations >> SOCKET_ADDRESSED) {
		_Pragma("unroll") for (int i = SOCKET_ADDRESSED; i < SOCKET_OPERATIONS;
				       i++) if (a->operations & 1 << i)
			set_add(met, &rules->by_operation[i]);
		return;
	}
	_Pragma("unroll") for (int i = 0; i < SOCKET_ADDRESSED; i++) if (a->operations & 1 << i)
		set_add(met, &rules->by_operation[i]);
	if (plan && !set_empty(met))
		plan_keep(plan, gen, a, met);
}

/* ---- what comes of it ---- */

static __noinline int use_tell(struct socket_request *request)
{
	const struct policy_rule_row *row;
	struct socket_asked *a;
	struct socket_use *e;
	struct file *exe;

	if (!request)
		return 0;
	a = &request->asked;
	row = rule_row(request->gen, request->verdict.rule);
	if (!row)
		return 0;
	e = event_new(socket_use);
	if (!e) {
		rule_untold(row);
		return 0;
	}
	task_now(&e->task);
	__builtin_memcpy(e->rule, row->name, sizeof(e->rule));
	e->verdict = request->verdict.outcome;
	e->operation = a->operations;
	e->strength = a->strength;
	e->suppressed = request->verdict.suppressed;
	e->protocol = a->protocol;
	e->port = a->port;
	if (a->family) {
		e->to.family = a->family == 4 ? AF_INET : AF_INET6;
		__builtin_memcpy(e->to.bytes, a->address, sizeof(a->address));
	}
	exe = BPF_CORE_READ(current_task(), mm, exe_file);
	if (exe)
		text_path(e, program, &exe->f_path);
	event_send(NULL, e);
	return 0;
}

/* The request of that thread, some rules being about it: is it refused? */
__noinline int request_judge(u32 tid, u32 place)
{
	u64 key = (u64)place << 32 | tid;
	struct socket_request *request = bpf_map_lookup_elem(&socket_requests, &key);
	struct socket_rules *rules;
	bool refused;
	u32 gen;

	if (!request)
		return 1;
	gen = request->gen;
	rules = bpf_map_lookup_elem(&socket_rules, &gen);
	if (!rules)
		return 1;
	if (!request->met)
		rules_meet(&request->asked, rules, gen, &request->rules);
	if (set_empty(&request->rules))
		return 0;
	if (!request->asked.any_subject)
		subject_keep(&request->rules, gen, &rules->subjects, current_task(), NULL);
	if (set_empty(&request->rules))
		return 0;
	refused = rules_apply(&request->verdict, &request->rules, gen, &rules->subjects);
	if (request->verdict.outcome)
		use_tell(request);
	return refused;
}

/* No room for the request, which is as good as never: refused, for nobody can tell that it may pass. */
static __always_inline bool use_decide(const struct socket_asked *a, const struct rule_set *met,
				       u32 gen)
{
	struct socket_request *request;
	bool refused;
	u64 key;
	u32 tid;

	if (!a || !met)
		return true;
	tid = BPF_CORE_READ(current_task(), pid);
	key = tid;
	if (bpf_map_update_elem(&socket_requests, &key, (void *)&no_request, BPF_ANY))
		return true;
	request = bpf_map_lookup_elem(&socket_requests, &key);
	if (!request)
		return true;
	request->asked = *a;
	request->rules = *met;
	request->met = 1;
	request->gen = gen;
	request->verdict.beside = gen == a->beside;
	refused = request_judge(tid, REQUEST_CALL);
	bpf_map_delete_elem(&socket_requests, &key);
	return refused;
}

static __noinline bool use_judge_by(const struct socket_asked *a, u32 gen)
{
	const struct socket_rules *rules;
	struct rule_set met = {};

	if (!a)
		return false;
	rules = rules_of(gen, a->operations);
	if (!rules)
		return false;
	rules_meet(a, rules, gen, &met);
	return !set_empty(&met) && use_decide(a, &met, gen);
}

/* Is it refused? Counts and tells it. */
static __always_inline bool use_judge(const struct socket_asked *a)
{
	bool refused = a->gen != POLICY_NOBODY && use_judge_by(a, a->gen);

	if (a->beside != POLICY_NOBODY)
		use_judge_by(a, a->beside);
	return refused;
}

/* The same where the rules are found out of line too: of packets, whose program has enough to verify, and of
 * bind, whose program would have too much on its stack. */
__noinline int place_decide(u32 tid, u32 place)
{
	u64 key = (u64)place << 32 | tid;
	struct socket_request *request = bpf_map_lookup_elem(&socket_requests, &key);
	bool refused = false;

	if (!request)
		return 1;
	if (request->asked.gen != POLICY_NOBODY) {
		request->gen = request->asked.gen;
		refused = request_judge(tid, place);
	}
	if (request->asked.beside == POLICY_NOBODY)
		return refused;
	__builtin_memset(&request->rules, 0, sizeof(request->rules));
	__builtin_memset(&request->verdict, 0, sizeof(request->verdict));
	request->gen = request->asked.beside;
	request->verdict.beside = 1;
	request_judge(tid, place);
	return refused;
}

static __always_inline bool is_refused_at(const struct socket_asked *a, enum request_place place)
{
	u32 tid = BPF_CORE_READ(current_task(), pid);
	u64 key = (u64)place << 32 | tid;
	struct socket_request *request;
	bool refused;

	if (bpf_map_update_elem(&socket_requests, &key, (void *)&no_request, BPF_ANY))
		return true;
	request = bpf_map_lookup_elem(&socket_requests, &key);
	if (!request)
		return true;
	request->asked = *a;
	refused = place_decide(tid, place);
	bpf_map_delete_elem(&socket_requests, &key);
	return refused;
}

/* ---- addresses ---- */

/* IPv4 in IPv6 is the IPv4 that it is. */
static __always_inline void address_unmap(struct socket_asked *a)
{
	if (a->family != 6 || a->address[0] || a->address[1] || a->address[2] != bpf_htonl(0xffff))
		return;
	a->family = 4;
	a->address[0] = a->address[3];
	a->address[2] = a->address[3] = 0;
}

static __always_inline bool address_is_none(const struct socket_asked *a)
{
	return !(a->address[0] | a->address[1] | a->address[2] | a->address[3]);
}

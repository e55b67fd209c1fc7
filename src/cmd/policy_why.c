/* SPDX-License-Identifier: BSD-2-Clause */
/* `sonda policy why`. Operations are judged by the policy's text, packets by the guard itself. */
#include "cmd/policy_why.h"

#include "base/err.h"
#include "base/passwd.h"
#include "base/str.h"
#include "enforce/enforce.h"
#include "enforce/packet.h"
#include "policy/judge.h"
#include "policy/words.h"
#include "sink/out.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- addresses ---- */

static int address_parse(const char *text, struct ip *ret_ip, uint16_t *ret_port, struct err *e)
{
	bool six = *text == '[' || (strchr(text, ':') != strrchr(text, ':'));
	const char *begin = text + (*text == '['),
		   *end = six ? strchrnul(begin, ']') : strchrnul(begin, ':');
	const char *port = *end ? end + (*end == ']') : end;
	struct policy_network n;
	char address[64];
	uint16_t last;

	if (six && *text != '[')
		end = port = begin + strlen(begin);
	if (!str_format(address, sizeof(address), "%.*s", (int)(end - begin), begin) ||
	    policy_network_parse(address, &n, e) < 0 || strchr(address, '/'))
		return fail_as(e, EXIT_USAGE, EINVAL,
			       "'%s': expected an address such as 192.0.2.1:22 or [2001:db8::1]:22",
			       text);
	if (*port && (policy_ports_parse(port + 1, ret_port, &last, e) < 0 || last != *ret_port))
		return fail_as(e, EXIT_USAGE, EINVAL, "'%s': expected a port behind the address",
			       text);
	*ret_ip = (struct ip){ .family = n.family };
	memcpy(ret_ip->bytes, n.bytes, sizeof(ret_ip->bytes));
	return 0;
}

static int protocol_parse(const char *text, uint8_t *ret, struct err *e)
{
	static const struct {
		const char *name;
		uint8_t protocol;
	} all[] = { { "tcp", IPPROTO_TCP }, { "udp", IPPROTO_UDP }, { "icmp", IPPROTO_ICMP } };

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (str_eq(all[i].name, text)) {
			*ret = all[i].protocol;
			return 0;
		}
	return fail_as(e, EXIT_USAGE, EINVAL, "'%s': expected tcp, udp or icmp", text);
}

/* ---- files, sockets, the kernel ---- */

/* What a rule that is about it does. */
static const char *effect(const struct policy_rule *r, const struct enforce_rule *now)
{
	if (now->expired)
		return "has expired";
	if (r->verdict == POLICY_ALERT)
		return "tells it";
	if (now->tripped)
		return "would deny it, but has refused too much and only counts";
	if (now->mode == POLICY_AUDIT)
		return "would deny it, but only counts (mode audit)";
	if (str_startswith(now->strength, "kill"))
		return "kills who does it, when it is done";
	return str_startswith(now->strength, "detect") ? "tells it, when it is done" : "denies it";
}

static int why_each(const struct enforce *f, const struct policy_question *q, struct strbuf *out,
		    struct err *e)
{
	const struct policy *p = enforce_state(f)->policy;

	for (size_t i = 0; i < p->rules.len; i++) {
		const struct policy_rule *r = &p->rules.at[i];
		enum policy_answer answer;
		struct enforce_rule now;

		if (policy_judge(p, r, q, &answer, e) < 0)
			return -e->code;
		if (answer == ANSWER_NO)
			continue;
		enforce_rule(f, i, &now);
		strbuf_appendf(out, "rule %s (line %u) %s%s", r->name, r->at.line, effect(r, &now),
			       answer == ANSWER_UNKNOWN
				       ? ", if its condition holds (say --exe, --user, --cgroup)"
				       : "");
		strbuf_appendf(out, "%s%s\n", r->note ? ": " : "", r->note ?: "");
	}
	if (!out->len)
		strbuf_puts(out, "no rule is about it: it is let through\n");
	return 0;
}

static int why_tell(const struct enforce *f, const struct policy_question *q, struct err *e)
{
	auto_done(strbuf) out = { 0 };

	if (why_each(f, q, &out, e) < 0)
		return -e->code;
	return out_write(&out, STDOUT_FILENO, -1, e);
}

/* "connect tcp 10.0.0.1:22", "raw-socket" */
static int why_socket(const struct enforce *f, char **words, size_t count,
		      struct policy_question *q, struct err *e)
{
	static const uint8_t none[16];
	struct ip ip;

	if (!(q->operations & POLICY_ADDRESSED))
		return count == 1 ? why_tell(f, q, e)
				  : fail_as(e, EXIT_USAGE, EINVAL, "why %s: '%s' is too much",
					    words[0], words[1]);
	if (count != 3)
		return fail_as(e, EXIT_USAGE, EINVAL,
			       "why %s: expected tcp, udp or icmp and an address", words[0]);
	if (protocol_parse(words[1], &q->protocol, e) < 0 ||
	    address_parse(words[2], &ip, &q->port, e) < 0)
		return -e->code;
	memcpy(q->address.bytes, ip.bytes, sizeof(q->address.bytes));
	q->address.bits = ip.family == AF_INET ? 32 : 128;
	if (memcmp(ip.bytes, none, sizeof(none)))
		q->address.family = (uint8_t)ip.family;
	return why_tell(f, q, e);
}

static int asked_file(struct policy_question *q, char **words, size_t count,
		      char path[static PATH_MAX], struct err *e)
{
	if (count != 2 || *words[1] != '/')
		return fail_as(e, EXIT_USAGE, EINVAL, "why %s: expected an absolute path",
			       words[0]);
	q->path = realpath(words[1], path) ?: words[1];
	return 0;
}

/* "kill /usr/sbin/sshd", "setuid root", "mount": what the operation is first said of. */
static int asked_kernel(struct policy_question *q, char **words, size_t count,
			char path[static PATH_MAX], struct err *e)
{
	size_t rows;
	const struct policy_object_row *row = policy_objects(&rows), *end = row + rows;

	while (row < end &&
	       !(row->domains & POLICY_ABOUT(q->domain) && row->operations & q->operations))
		row++;
	if (row == end)
		return count == 1 ? 0
				  : fail_as(e, EXIT_USAGE, EINVAL,
					    "why %s: expected nothing behind it", words[0]);
	if (count != 2)
		return fail_as(e, EXIT_USAGE, EINVAL, "why %s: expected %s", words[0],
			       policy_form_name(row->form));
	if (policy_form_check(row->form, words[1], e) < 0) {
		e->exit_class = EXIT_USAGE;
		return -e->code;
	}
	q->object = row->object;
	q->path = row->form == FORM_PATH ? realpath(words[1], path) ?: words[1] : words[1];
	return 0;
}

int policy_why_file(const struct enforce *f, char **words, size_t count,
		    const struct policy_who *who, struct err *e)
{
	auto_ptr(accounts) accounts = accounts_new(NULL, NULL);
	const struct policy_operation_row *operation = policy_operation_find(words[0]);
	char path[PATH_MAX], exe[PATH_MAX];
	struct policy_question q = { .accounts = accounts,
				     .user = who->user,
				     .cgroup = who->cgroup };

	if (!operation)
		return name_unknown("operation", words[0], policy_operation_nth, NULL, e);
	q.domain = operation->domain;
	q.operations = operation->bits;
	q.exe = who->exe ? realpath(who->exe, exe) ?: who->exe : NULL;
	if (q.domain == POLICY_SOCKET)
		return why_socket(f, words, count, &q, e);
	if ((q.domain == POLICY_FILE ? asked_file : asked_kernel)(&q, words, count, path, e) < 0)
		return -e->code;
	return why_tell(f, &q, e);
}

/* ---- packets ---- */

/* "syn", "on eth0" behind the addresses. */
static int rest_parse(char **words, size_t count, struct packet_asked *asked, struct err *e)
{
	for (size_t i = 0; i < count; i++)
		if (str_eq(words[i], "syn"))
			asked->syn = true;
		else if (str_eq(words[i], "on") && i + 1 < count) {
			asked->ifindex = if_nametoindex(words[++i]);
			if (!asked->ifindex)
				return fail_as(e, EXIT_USAGE, ENODEV, "there is no interface '%s'",
					       words[i]);
		} else
			return fail_as(e, EXIT_USAGE, EINVAL,
				       "'%s': expected 'syn' or 'on INTERFACE'", words[i]);
	return 0;
}

/* Where: "out", "in" (both at TC), "at forward priority -10"; nothing: where packets come in. */
static int place_parse(char ***words, size_t *count, struct packet_asked *asked, struct err *e)
{
	size_t used = 0;
	unsigned hook;

	if (*count && str_eq(**words, "out")) {
		asked->place = PACKET_OUT;
		used = 1;
	} else if (*count && str_eq(**words, "in")) {
		asked->place = PACKET_IN;
		used = 1;
	} else if (*count > 1 && str_eq(**words, "at")) {
		if (policy_hook_parse((*words)[1], &hook, e) < 0)
			return -e->code;
		asked->place = PACKET_PREROUTING + hook;
		asked->priority = FILTER_PRIORITY;
		used = 2;
		if (*count > 3 && str_eq((*words)[2], "priority")) {
			if (policy_priority_parse((*words)[3], &asked->priority, e) < 0)
				return -e->code;
			used = 4;
		}
	}
	*words += used;
	*count -= used;
	return 0;
}

int policy_why_parse(char **words, size_t count, struct packet_asked *ret_asked, struct err *e)
{
	struct packet_asked asked = *ret_asked;

	if (place_parse(&words, &count, &asked, e) < 0) {
		e->exit_class = EXIT_USAGE;
		return -e->code;
	}
	if (count < 3)
		return fail_as(e, EXIT_USAGE, EINVAL,
			       "why packet: expected tcp, udp or icmp, where from, where to");
	if (protocol_parse(words[0], &asked.protocol, e) < 0 ||
	    address_parse(words[1], &asked.from, &asked.from_port, e) < 0 ||
	    address_parse(words[2], &asked.to, &asked.to_port, e) < 0 ||
	    rest_parse(words + 3, count - 3, &asked, e) < 0)
		return -e->code;
	if (asked.from.family != asked.to.family)
		return fail_as(e, EXIT_USAGE, EINVAL, "'%s' and '%s' are not of one family",
			       words[1], words[2]);
	if (asked.protocol == IPPROTO_ICMP && asked.from.family == AF_INET6)
		asked.protocol = IPPROTO_ICMPV6;
	*ret_asked = asked;
	return 0;
}

int policy_why_packet(const struct enforce *f, const struct object *guard,
		      const struct packet_asked *asked, struct err *e)
{
	auto_done(strbuf) out = { 0 };

	if (packet_why(guard, enforce_state(f)->policy, asked, &out, e) < 0)
		return -e->code;
	return out_write(&out, STDOUT_FILENO, -1, e);
}

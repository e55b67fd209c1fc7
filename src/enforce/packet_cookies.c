/* SPDX-License-Identifier: BSD-2-Clause */
/* What rules that answer SYNs with cookies need of the machine, and what whoever applies them should know. */
#include "enforce/packet.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "bpf/elements.h"
#include "bpf/kernel.h"
#include "bpf/object.h"
#include "bpf/pins.h"
#include "bpf/tc.h"

#define SYNCOOKIES "/proc/sys/net/ipv4/tcp_syncookies"
#define TIMESTAMPS "/proc/sys/net/ipv4/tcp_timestamps"
#define RMEM_MAX   "/proc/sys/net/core/rmem_max"
#define LOOSE      "/proc/sys/net/netfilter/nf_conntrack_tcp_loose"

#define ACKS     "packet_acks" /* the program at TC */
#define ACKS_PIN "packet/" ACKS

/* -1: there is no such file. */
static int number_of(const char *path)
{
	auto_free char *text = NULL;
	struct err ignored = { 0 };

	return file_read(path, &text, NULL, &ignored) < 0 ? -1 : (int)strtol(text, NULL, 10);
}

static const struct policy_rule *first_answer(const struct policy *p)
{
	vec_for_each(r, &p->rules)
		if (r->verdict == POLICY_ANSWER)
			return r;
	return NULL;
}

bool packet_answers(const struct policy *p)
{
	return first_answer(p);
}

int packet_cookies_check(const struct policy *p, struct err *e)
{
	const struct policy_rule *r = first_answer(p);

	if (!r || number_of(SYNCOOKIES) > 0)
		return 0;
	fail_as(e, EXIT_KERNEL, EOPNOTSUPP,
		"the kernel takes no cookies: net.ipv4.tcp_syncookies is %s",
		number_of(SYNCOOKIES) ? "not there" : "0");
	hint(e,
	     "sysctl -w net.ipv4.tcp_syncookies=1 (while a listener's queue is full), or 2 (each SYN)");
	return policy_wrap(p, r->verdict_at, e);
}

bool packet_answers_by_generic(unsigned ifindex)
{
	auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ethtool_drvinfo driver = { .cmd = ETHTOOL_GDRVINFO };
	struct ifreq request = { .ifr_data = (void *)&driver };

	return fd >= 0 && if_indextoname(ifindex, request.ifr_name) &&
	       !ioctl(fd, SIOCETHTOOL, &request) && str_eq(driver.driver, "veth");
}

/* ---- the options of connections that were answered ---- */

static int acks_open(const struct object *o, int *ret_fd, struct err *e)
{
	int fd = object_program_fd(o, ACKS);

	if (fd >= 0 && !pins_have(ACKS_PIN) &&
	    (pins_make("packet", e) < 0 || pin_fd(fd, ACKS_PIN, e) < 0))
		return -e->code;
	return pins_have(ACKS_PIN) ? pin_open(ACKS_PIN, ret_fd, e) : 0;
}

static int acks_attach(struct object *o, int program, const ifindex_list *list, struct err *e)
{
	bool made;

	vec_for_each(ifindex, list)
		if (tc_attach(o, program, *ifindex, false, &made, e) < 0)
			return -e->code;
	return 0;
}

static int cookies_write(const struct object *o, bool acks_are_met, struct err *e)
{
	int map = object_map_fd(o, "packet_cookies"), rmem_max = number_of(RMEM_MAX);
	struct packet_cookies cookies = { 0 };
	uint32_t zero = 0;

	(void)!map_get_value(map, &zero, &cookies);
	if (!cookies.secret[0] &&
	    getrandom(cookies.secret, sizeof(cookies.secret), 0) != sizeof(cookies.secret))
		return fail(e, errno, "a secret for cookies: %s", strerror(errno));
	cookies.rmem_max = (uint32_t)max(rmem_max, 0);
	cookies.acks_are_met = acks_are_met;
	return map_set(map, "the secret of cookies", &zero, &cookies, e);
}

int packet_cookies_attach(struct object *o, const ifindex_list *list, struct err *e)
{
	auto_close int program = -1;

	if (acks_open(o, &program, e) < 0 ||
	    (program >= 0 && acks_attach(o, program, list, e) < 0))
		return -e->code;
	return cookies_write(o, program >= 0, e);
}

/* ---- telling ---- */

void packet_cookies_strength(const struct object *o, struct strbuf *out)
{
	bool acks_are_met = object_program_fd(o, ACKS) >= 0 || pins_have(ACKS_PIN);
	int timestamps = number_of(TIMESTAMPS);

	strbuf_puts(out, number_of(SYNCOOKIES) == 2 ? ", each SYN"
						    : ", when a listener's queue is full");
	strbuf_puts(out, timestamps > 1			 ? ", TCP options kept (timestamps)"
			 : timestamps == 1 && acks_are_met ? ", TCP options kept (TC)"
							   : ", no TCP options kept");
}

static bool options_are_lost(void)
{
	int timestamps = number_of(TIMESTAMPS);

	return !timestamps || (timestamps == 1 && !kernel_has_func("bpf_sk_assign_tcp_reqsk"));
}

void packet_caution(const struct policy *p, struct strbuf *out)
{
	if (!packet_answers(p))
		return;
	if (number_of(SYNCOOKIES) == 1)
		strbuf_puts(out, "SYNs are answered while a listener's queue is full "
				 "(net.ipv4.tcp_syncookies is 1; with 2: always)\n");
	if (options_are_lost())
		strbuf_puts(out, "connections that are answered have no window scaling, SACK or "
				 "timestamps; with net.ipv4.tcp_timestamps=2 they would\n");
	if (!number_of(LOOSE))
		strbuf_puts(out,
			    "connection tracking will take clients that were answered for invalid: "
			    "net.netfilter.nf_conntrack_tcp_loose is 0\n");
}

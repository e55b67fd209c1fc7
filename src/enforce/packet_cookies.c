/* SPDX-License-Identifier: BSD-2-Clause */
/* What rules that answer SYNs with cookies need of the machine, and what whoever applies them should know. */
#include "enforce/packet.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/strbuf.h"

#define SYNCOOKIES "/proc/sys/net/ipv4/tcp_syncookies"
#define LOOSE      "/proc/sys/net/netfilter/nf_conntrack_tcp_loose"

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

void packet_cookies_strength(struct strbuf *out)
{
	strbuf_puts(out, number_of(SYNCOOKIES) == 2 ? ", each SYN"
						    : ", when a listener's queue is full");
}

void packet_caution(const struct policy *p, struct strbuf *out)
{
	if (!packet_answers(p))
		return;
	if (number_of(SYNCOOKIES) == 1)
		strbuf_puts(out, "SYNs are answered while a listener's queue is full "
				 "(net.ipv4.tcp_syncookies is 1; with 2: always)\n");
	if (!number_of(LOOSE))
		strbuf_puts(out,
			    "connection tracking will take clients that were answered for invalid: "
			    "net.netfilter.nf_conntrack_tcp_loose is 0\n");
}

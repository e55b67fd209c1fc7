/* SPDX-License-Identifier: BSD-2-Clause */
/* Floods that rules drop now, out of the guard's map. */
#include "enforce/packet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "bpf/elements.h"
#include "bpf/object.h"

static void address_write(const struct packet_key *key, const char *bits, struct strbuf *out)
{
	char text[INET6_ADDRSTRLEN] = "?";

	(void)inet_ntop(key->family == 4 ? AF_INET : AF_INET6, key->address, text, sizeof(text));
	strbuf_appendf(out, "%s%s", text, bits);
}

static void who_write(const struct packet_key *key, struct strbuf *out)
{
	switch ((enum packet_per)key->per) {
	case PACKET_PER_ALL:
		strbuf_puts(out, "all");
		return;
	case PACKET_PER_SOURCE:
		strbuf_puts(out, "source ");
		address_write(key, key->family == 4 ? "" : "/64", out);
		return;
	case PACKET_PER_NETWORK:
		strbuf_puts(out, "network ");
		address_write(key, key->family == 4 ? "/24" : "/48", out);
		return;
	case PACKET_PER_DESTINATION:
		strbuf_puts(out, "destination ");
		address_write(key, "", out);
		return;
	case PACKET_PER_PORT:
		strbuf_appendf(out, "%s port %u",
			       key->protocol == IPPROTO_TCP   ? "tcp"
			       : key->protocol == IPPROTO_UDP ? "udp"
							      : "other",
			       key->port);
		return;
	}
}

int packet_floods(const struct object *o, guard_flood_fn *fn, void *ctx, struct err *e)
{
	int fd = object_map_fd(o, "packet_floods");
	uint64_t now_ns = clock_boot_ns();
	struct packet_key key, *last = NULL;
	auto_done(strbuf) who = { 0 };
	struct packet_flood flood;

	if (fd < 0)
		return fail(e, ENOENT, "the guard has no table of floods");
	for (unsigned i = 0; i < PACKET_FLOODS && map_next_key(fd, last, &key); i++, last = &key) {
		if (!map_get_value(fd, &key, &flood) || flood.ends_ns <= now_ns)
			continue;
		strbuf_reset(&who);
		who_write(&key, &who);
		fn(&(struct guard_flood){ .slot = key.slot,
					  .of = strbuf_str(&who),
					  .left_ns = flood.ends_ns - now_ns,
					  .packets = flood.packets,
					  .bytes = flood.bytes },
		   ctx);
	}
	return 0;
}

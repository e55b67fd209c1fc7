/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sockets out of /proc/net, which tells those of our own network namespace; who holds them is told by
 * the descriptors of all processes.
 */
#include "transport/proc.h"

#include "base/err.h"
#include "base/file.h"
#include "base/map.h"
#include "base/str.h"
#include "transport/proc_row.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct holder {
	pid_t pid;
	uint32_t fd, holders;
	uint64_t start_ns;
	char comm[16];
};

struct sockets {
	struct proc_walk walk;
	struct map by_inode; /* -> struct holder */
	struct proc_row row;
	const struct schema *schema;
	proc_fn *fn;
	void *ctx;
};

static int on_descriptor(struct proc_walk *w, const struct proc_process *p, int dir_fd,
			 const char *fd, struct err *e)
{
	struct sockets *s = w->ctx;
	unsigned long long inode;
	struct holder *h;
	char link[64];
	ssize_t len = readlinkat(dir_fd, fd, link, sizeof(link) - 1);

	(void)e;
	if (len < 0)
		return 0;
	link[len] = '\0';
	if (sscanf(link, "socket:[%llu]", &inode) != 1)
		return 0;
	h = map_get(&s->by_inode, inode);
	if (!h) {
		h = xnew(struct holder);
		h->pid = p->pid;
		h->fd = (uint32_t)strtoul(fd, NULL, 10);
		h->start_ns = p->start_ns;
		str_copy(h->comm, sizeof(h->comm), p->comm);
		map_put(&s->by_inode, inode, h);
	}
	h->holders++;
	return 0;
}

static void row_holder(struct sockets *s, uint64_t inode)
{
	const struct holder *h = inode ? map_get(&s->by_inode, inode) : NULL;

	proc_row_u64(&s->row, "inode", inode);
	if (!h)
		return;
	proc_row_u64(&s->row, "pid", (uint64_t)h->pid);
	proc_row_u64(&s->row, "fd", h->fd);
	proc_row_u64(&s->row, "holders", h->holders);
	proc_row_u64(&s->row, "start_ns", h->start_ns);
	proc_row_text(&s->row, "comm", h->comm);
}

/* The number behind a name of the probe's enum. */
static void row_name(struct proc_row *row, const char *field, const char *name)
{
	const struct field *f = schema_field(row->schema, field);
	uint64_t value;

	if (f && f->names && names_value(f->names, name, &value))
		proc_row_u64(row, field, value);
}

/* "0100007F:0016": words in the machine's order, then the port. */
static void row_address(struct proc_row *row, const char *field, const char *port_field,
			const char *text)
{
	struct ip ip = { .family = AF_INET };
	const char *colon = strchr(text, ':');
	size_t words = colon ? (size_t)(colon - text) / 8 : 0;
	uint32_t word[4] = { 0 };

	if (words != 1 && words != 4)
		return;
	for (size_t i = 0; i < words; i++)
		sscanf(text + 8 * i, "%8x", &word[i]);
	if (words == 4 && (word[0] || word[1] || word[2] != __builtin_bswap32(0xffff))) {
		ip.family = AF_INET6;
		memcpy(ip.bytes, word, sizeof(word));
	} else {
		memcpy(ip.bytes, &word[words - 1], sizeof(word[0]));
	}
	proc_row_bytes(row, field, &ip, sizeof(ip));
	proc_row_u64(row, port_field, strtoul(colon + 1, NULL, 16));
}

static int inet_line(struct sockets *s, const char *protocol, const char *line)
{
	char local[48], peer[48];
	unsigned state, tx, rx, uid;
	unsigned long long inode;
	bool listens;

	if (sscanf(line, " %*d: %47s %47s %x %x:%x %*x:%*x %*x %u %*d %llu", local, peer, &state,
		   &tx, &rx, &uid, &inode) != 7)
		return 0;
	listens = state == 10 && str_eq(protocol, "tcp");
	proc_row_begin(&s->row, s->schema);
	row_name(&s->row, "protocol", protocol);
	proc_row_u64(&s->row, "state", state);
	if (state == 7 && !str_eq(protocol, "tcp"))
		row_name(&s->row, "state", "unconnected");
	row_address(&s->row, "local", "local_port", local);
	row_address(&s->row, "peer", "peer_port", peer);
	proc_row_u64(&s->row, listens ? "backlog" : "rx_bytes", rx);
	proc_row_u64(&s->row, "tx_bytes", tx);
	proc_row_u64(&s->row, "uid", uid);
	row_holder(s, inode);
	return s->fn(s->row.bytes.s, (uint32_t)s->row.bytes.len, s->ctx);
}

static int unix_line(struct sockets *s, const char *protocol, const char *line)
{
	static const char *const types[] = { [SOCK_STREAM] = "unix_stream",
					     [SOCK_DGRAM] = "unix_dgram",
					     [SOCK_SEQPACKET] = "unix_seqpacket" };
	unsigned flags, type, state;
	unsigned long long inode;
	int path_at = 0;

	(void)protocol;
	if (sscanf(line, "%*x: %*x %*x %x %x %x %llu %n", &flags, &type, &state, &inode, &path_at) <
	    4)
		return 0;
	proc_row_begin(&s->row, s->schema);
	if (type < ARRAY_LEN(types) && types[type])
		row_name(&s->row, "protocol", types[type]);
	row_name(&s->row, "state",
		 flags & 0x10000 ? "listen"
		 : state == 3    ? "established"
				 : "unconnected");
	if (path_at)
		proc_row_text(&s->row, "path", line + path_at);
	row_holder(s, inode);
	return s->fn(s->row.bytes.s, (uint32_t)s->row.bytes.len, s->ctx);
}

static const struct table {
	const char *path, *protocol;
	int (*line)(struct sockets *s, const char *protocol, const char *line);
} tables[] = {
	{ "/proc/net/tcp", "tcp", inet_line },   { "/proc/net/tcp6", "tcp", inet_line },
	{ "/proc/net/udp", "udp", inet_line },   { "/proc/net/udp6", "udp", inet_line },
	{ "/proc/net/raw", "raw", inet_line },   { "/proc/net/raw6", "raw", inet_line },
	{ "/proc/net/unix", "unix", unix_line },
};

/* A kernel without the protocol has no such file. */
static int table_read(struct sockets *s, const struct table *t)
{
	auto_free char *text = NULL;
	struct err none;
	char *line, *rest;
	int code = 0;

	if (file_read(t->path, &text, NULL, &none) < 0)
		return 0;
	rest = strchr(text, '\n'); /* behind the heading */
	rest = rest ? rest + 1 : NULL;
	while (!code && (line = strsep(&rest, "\n")))
		code = t->line(s, t->protocol, line);
	return code;
}

static int sockets_read(const struct schema *schema, proc_fn *fn, void *ctx, struct err *e)
{
	struct sockets s = { .walk = { .fn = on_descriptor, .descriptors = true },
			     .schema = schema,
			     .fn = fn,
			     .ctx = ctx };
	int code;

	s.walk.ctx = &s;
	code = proc_walk(&s.walk, e);
	for (size_t i = 0; !code && i < ARRAY_LEN(tables); i++)
		code = table_read(&s, &tables[i]);
	proc_row_done(&s.row);
	map_done(&s.by_inode, free);
	return code;
}

const struct proc_source proc_sockets = {
	.probe = "net.socket",
	.without = "other network namespaces, round-trip times and retransmits",
	.read = sockets_read,
};

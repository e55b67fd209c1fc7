/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Unix sockets: only what names them. Nothing here changed from 5.8 to 7.x. */
#pragma once

#include "kernel/sock.h"

#define AF_UNIX       1
#define UNIX_PATH_MAX 108

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct unix_address {
	int len; /* of the address with its family */
};
struct unix_sock {
	struct unix_address *addr; /* NULL: it has no name */
	struct sock *peer;
};

#pragma clang attribute pop

/* struct sockaddr_un. The name is no path where it begins with a NUL; then `len` says how long it is. */
#define UNIX_FAMILY_LEN 2
struct unix_name_at {
	const char *path; /* NULL: none */
	u32 len;          /* with the family before it */
};

struct unix_address___name {
	struct {
		u16 family;
	} name[1];
} __attribute__((preserve_access_index));

static __always_inline void unix_name_of(struct unix_name_at *name, const void *address, u32 len)
{
	name->path = (const char *)address + UNIX_FAMILY_LEN;
	name->len = len;
}

/* The socket's own name, or that of the one it is connected to. */
static __always_inline void unix_sock_name(const struct sock *sk, struct unix_name_at *name)
{
	const struct unix_sock *own = (const void *)sk;
	const struct unix_sock *peer = (const void *)BPF_CORE_READ(own, peer);
	struct unix_address *addr = BPF_CORE_READ(own, addr);

	if (!addr && peer)
		addr = BPF_CORE_READ(peer, addr);
	if (addr)
		unix_name_of(name,
			     (void *)addr + bpf_core_field_offset(struct unix_address___name, name),
			     BPF_CORE_READ(addr, len));
}

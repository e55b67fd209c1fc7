/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * user.tls: what programs read and write through OpenSSL and GnuTLS, how their handshakes go, and with
 * whom. The libraries' functions have breakpoints; the peer is that of the socket which the kernel sees
 * used within such a call. What is read or written is not looked at, unless --payload asks for it.
 *
 * Why a call of OpenSSL failed, and whether at all, the program asks by SSL_get_error(3); until then it
 * is undecided. One that never asks is told of at its next call, or when the connection is freed.
 */
#include "sonda.bpf.h"
#include "sonda/argv.h"
#include "sonda/frames.h"
#include "kernel/sock.h"

PROBE(tls, "user", "TLS by OpenSSL and GnuTLS: bytes, handshakes, failures, peers");
FILTERS("task errors min");
PARAM_TEXT(library, 512, "libssl.so.3,libssl.so.1.1,libgnutls.so.30",
	   DOC("where the functions are: libraries, or programs that have them built in (by path)"));
PARAM(u32, payload, 0, DOC("how much of what is read and written is told; 0: nothing")
	   UNIT("bytes") RANGE(0, 2048));
PARAM(bool, retries, false, DOC("also calls that are to be repeated, as the socket is not ready"));

enum tls_library { TLS_LIBRARY_OPENSSL, TLS_LIBRARY_GNUTLS };
enum tls_operation { TLS_OPERATION_READ, TLS_OPERATION_WRITE, TLS_OPERATION_HANDSHAKE };
enum tls_outcome {
	TLS_OUTCOME_OK,
	TLS_OUTCOME_RETRY,  /* the socket is not ready: nothing was done */
	TLS_OUTCOME_CLOSED, /* the other end has said that it ends */
	TLS_OUTCOME_PROTOCOL,
	TLS_OUTCOME_SOCKET,
	TLS_OUTCOME_UNKNOWN,
};

EVENT(tls, "A call of a TLS library returned")
{
	struct task task;
	enum tls_library library DOC("whose function it was");
	enum tls_operation operation DOC("what was called");
	enum tls_outcome outcome DOC("closed: the other end has ended it in order; protocol: a failure "
				     "of TLS; socket: of what carries it; unknown: nothing was "
				     "done, and the program did not ask OpenSSL why");
	u64 size_bytes KIND("bytes") DOC("read or written, before encryption");
	u64 took_ns KIND("duration") DOC("of the call, with its waiting for the other end; of a "
					 "handshake, from its first call on");
	s32 result HIDE DOC("what the function returned");
	u16 peer_port KIND("port") DOC("port of the other end");
	struct ip peer DOC("address of the other end; empty: the call used no socket so far");
	struct text payload KIND("str") HIDE DOC("the first of the bytes, if --payload asks for it");
};

struct tls_labels {
	char comm[16] KIND("comm") DOC("command name of the thread");
	u32 pid KIND("pid") DOC("process");
	enum tls_operation operation DOC("what was called");
	struct ip peer DOC("address of the other end");
	u32 peer_port KIND("port") HIDE DOC("port of the other end");
	enum tls_library library HIDE DOC("whose function it was");
	u64 cgroup KIND("cgroup") HIDE DOC("cgroup v2 of the process");
};
struct tls_values {
	u64 bytes COUNTER UNIT("bytes") DOC("read or written, before encryption");
	u64 calls COUNTER DOC("calls that did something, or failed");
	u64 errors COUNTER DOC("calls that failed");
	u64 retries COUNTER HIDE DOC("calls that are to be repeated, as the socket is not ready");
	HIST_LOG2(took_ns, 38, UNIT("ns") DOC("time of a call, or of a whole handshake"));
};
METRICS_PERCPU(tls, struct tls_labels, struct tls_values, 4096, "TLS by process and peer");

/* ---- state ---- */

/* What a frame keeps of the call's arguments. */
enum { ARG_CONNECTION, ARG_BUFFER, ARG_COUNT, ARG_SOCKET };

struct connection_key {
	u64 at; /* SSL *, gnutls_session_t */
	u32 pid;
	u32 pad;
};
struct connection {
	u64 sk;
	u64 handshake_ns; /* since when; 0: none is under way */
	struct ip peer;
	u16 peer_port;
	u16 pad[3];
};
/* A connection that was forgotten is known again when it next uses its socket. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct connection_key);
	__type(value, struct connection);
} connections SEC(".maps");

/* A call that has returned. */
struct returned {
	u64 connection;
	u64 took_ns;
	u64 bytes;
	u64 buffer;
	struct ip peer;
	s32 result;
	enum tls_outcome outcome;
	enum tls_operation operation;
	enum tls_library library;
	u16 peer_port;
	u16 pad[3];
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u32); /* thread */
	__type(value, struct returned);
} undecided SEC(".maps");

static __always_inline struct connection_key key_of(u64 at)
{
	struct connection_key key = { at, bpf_get_current_pid_tgid() >> 32, 0 };

	return key;
}

/* ---- telling ---- */

/* A read that fails and nobody asks why is how many programs look whether there is more. */
static __always_inline bool has_failed(const struct returned *r)
{
	if (r->outcome == TLS_OUTCOME_UNKNOWN)
		return r->operation != TLS_OPERATION_READ;
	return r->outcome > TLS_OUTCOME_CLOSED;
}

static __noinline int call_counted(const struct returned *r)
{
	struct tls_labels key = {};
	struct tls_values *row;

	if (!r)
		return 0;
	if (label(tls, 0))
		comm_now(key.comm);
	if (label(tls, 1))
		key.pid = bpf_get_current_pid_tgid() >> 32;
	if (label(tls, 2))
		key.operation = r->operation;
	if (label(tls, 3))
		key.peer = r->peer;
	if (label(tls, 4))
		key.peer_port = r->peer_port;
	if (label(tls, 5))
		key.library = r->library;
	if (label(tls, 6))
		key.cgroup = task_cgroup_id(current_task());
	row = row_of(tls, &key);
	if (!row)
		return 0;
	if (r->outcome == TLS_OUTCOME_RETRY) {
		add(row->retries, 1);
		return 0;
	}
	add(row->calls, 1);
	add(row->bytes, r->bytes);
	if (has_failed(r))
		add(row->errors, 1);
	observe(row->took_ns, r->took_ns);
	return 0;
}

static __noinline int call_told(struct pt_regs *ctx, const struct returned *r)
{
	struct tls *e = event_new(tls);

	if (!e || !r)
		return 0;
	task_now(&e->task);
	e->library = r->library;
	e->operation = r->operation;
	e->outcome = r->outcome;
	e->size_bytes = r->bytes;
	e->took_ns = r->took_ns;
	e->result = r->result;
	e->peer = r->peer;
	e->peer_port = r->peer_port;
	if (payload && r->bytes && r->buffer)
		text_user_bytes(e, payload, (void *)r->buffer,
				r->bytes < payload ? r->bytes : payload);
	event_send(ctx, e);
	return 0;
}

static __noinline int handshake_ended(u64 at)
{
	struct connection_key key = key_of(at);
	struct connection *c = bpf_map_lookup_elem(&connections, &key);

	if (c)
		c->handshake_ns = 0;
	return 0;
}

static __noinline int tell(struct pt_regs *ctx, const struct returned *r)
{
	if (!r)
		return 0;
	if (r->operation == TLS_OPERATION_HANDSHAKE && r->outcome != TLS_OUTCOME_RETRY)
		handshake_ended(r->connection);
	if (!notable(has_failed(r) ? -1 : 0, r->took_ns))
		return 0;
	if (tables_wanted())
		call_counted(r);
	if (!events_wanted())
		return 0;
	if (r->outcome == TLS_OUTCOME_RETRY && !retries)
		return count_filtered();
	return call_told(ctx, r);
}

/* ---- calls ---- */

static __noinline int handshake_begins(u64 at, u64 now_ns)
{
	struct connection_key key = key_of(at);
	struct connection *c = bpf_map_lookup_elem(&connections, &key), fresh = {};

	if (c && c->handshake_ns)
		return 0; /* one more call of the same */
	fresh.handshake_ns = now_ns;
	bpf_map_update_elem(&connections, &key, &fresh, BPF_ANY);
	return 0;
}

/* The socket of this call, if it is another than that of earlier ones. */
static __noinline int socket_noted(const struct connection_key *key, const struct sock *sk)
{
	struct connection *c, fresh = { .sk = (u64)sk };
	struct ip local = {};

	if (!key)
		return 0;
	c = bpf_map_lookup_elem(&connections, key);
	if (c) {
		if (c->sk == (u64)sk)
			return 0;
		fresh.handshake_ns = c->handshake_ns;
	}
	sock_addresses(sk, &local, &fresh.peer);
	fresh.peer_port = sock_peer_port(sk);
	bpf_map_update_elem(&connections, key, &fresh, BPF_ANY);
	return 0;
}

/* Whom the connection is with, and since when a handshake goes on. */
static __noinline int connection_find(const struct frame *f, struct returned *r)
{
	struct connection_key key;
	struct connection *c;

	if (!f || !r)
		return 0;
	key = key_of(f->args[ARG_CONNECTION]);
	if (f->args[ARG_SOCKET])
		socket_noted(&key, (struct sock *)f->args[ARG_SOCKET]);
	c = bpf_map_lookup_elem(&connections, &key);
	if (!c)
		return 0;
	r->peer = c->peer;
	r->peer_port = c->peer_port;
	if (r->operation == TLS_OPERATION_HANDSHAKE && c->handshake_ns)
		r->took_ns = bpf_ktime_get_ns() - c->handshake_ns;
	return 0;
}

/* The thread's last failure of which it has not asked the reason. */
static __noinline int undecided_tell(struct pt_regs *ctx, enum tls_outcome outcome)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct returned *r = bpf_map_lookup_elem(&undecided, &tid);

	if (!r)
		return 0;
	r->outcome = outcome;
	tell(ctx, r);
	bpf_map_delete_elem(&undecided, &tid);
	return 0;
}

/* A function that is probed: what it belongs to, and what its result means. */
enum function {
	FUNCTION_OPENSSL,
	FUNCTION_OPENSSL_EX, /* the bytes are told by its fourth argument */
	FUNCTION_GNUTLS,
};

static __noinline int begins(struct pt_regs *ctx, enum function function, enum tls_operation operation)
{
	struct frame *f;

	if (function != FUNCTION_GNUTLS)
		undecided_tell(ctx, TLS_OUTCOME_UNKNOWN);
	if (!wanted())
		return 0;
	f = frame_push(function << 8 | operation, PT_REGS_SP(ctx));
	if (!f)
		return 0;
	f->args[ARG_CONNECTION] = PT_REGS_PARM1(ctx);
	f->args[ARG_BUFFER] = PT_REGS_PARM2(ctx);
	f->args[ARG_COUNT] = PT_REGS_PARM4(ctx);
	f->args[ARG_SOCKET] = 0;
	f->began_ns = bpf_ktime_get_ns();
	if (operation == TLS_OPERATION_HANDSHAKE)
		handshake_begins(PT_REGS_PARM1(ctx), f->began_ns);
	return 0;
}

/* Codes of <gnutls/gnutls.h>. */
static __always_inline enum tls_outcome gnutls_outcome(s32 result, enum tls_operation operation)
{
	if (result > 0)
		return TLS_OUTCOME_OK;
	if (!result)
		return operation == TLS_OPERATION_READ ? TLS_OUTCOME_CLOSED : TLS_OUTCOME_OK;
	if (result == -28 || result == -52) /* GNUTLS_E_AGAIN, _INTERRUPTED */
		return TLS_OUTCOME_RETRY;
	if (result == -53 || result == -54 || result == -110) /* _PUSH, _PULL, _PREMATURE_TERMINATION */
		return TLS_OUTCOME_SOCKET;
	return TLS_OUTCOME_PROTOCOL;
}

static __noinline int returns(struct pt_regs *ctx, const struct frame *f, enum function function,
			      enum tls_operation operation)
{
	struct returned r = { .result = PT_REGS_RC(ctx), .operation = operation };
	u32 tid = bpf_get_current_pid_tgid();

	if (!f)
		return 0;
	r.connection = f->args[ARG_CONNECTION];
	r.took_ns = bpf_ktime_get_ns() - f->began_ns;
	connection_find(f, &r);
	if (r.result > 0 && operation != TLS_OPERATION_HANDSHAKE) {
		r.buffer = f->args[ARG_BUFFER];
		r.bytes = r.result;
		if (function == FUNCTION_OPENSSL_EX)
			bpf_probe_read_user(&r.bytes, sizeof(r.bytes), (void *)f->args[ARG_COUNT]);
	}
	if (function == FUNCTION_GNUTLS) {
		r.library = TLS_LIBRARY_GNUTLS;
		r.outcome = gnutls_outcome(r.result, operation);
	} else if (r.result <= 0) {
		if (bpf_map_update_elem(&undecided, &tid, &r, BPF_ANY))
			count_lost(LOSS_STATE);
		return 0;
	}
	return tell(ctx, &r);
}

static __noinline int ends(struct pt_regs *ctx, enum function function, enum tls_operation operation)
{
	struct frame *f = frame_pop(function << 8 | operation, PT_REGS_SP(ctx));

	if (!f)
		return 0;
	returns(ctx, f, function, operation);
	frame_done();
	return 0;
}

/* Codes of <openssl/ssl.h>. */
static __always_inline enum tls_outcome openssl_outcome(s32 code)
{
	if (code == 1) /* SSL_ERROR_SSL */
		return TLS_OUTCOME_PROTOCOL;
	if (code == 5) /* SSL_ERROR_SYSCALL */
		return TLS_OUTCOME_SOCKET;
	return code == 6 /* SSL_ERROR_ZERO_RETURN */ ? TLS_OUTCOME_CLOSED : TLS_OUTCOME_RETRY;
}

/* clang-format off */
#define OPENSSL ALT(openssl, 1) OPTIONAL("OpenSSL") ANY
#define GNUTLS ALT(gnutls, 1) OPTIONAL("GnuTLS") ANY

/* The programs at the entry of a function and at its return. */
#define CALL(WHERE, symbol, function, operation)                                                   \
	WHERE TARGETS("@library:" #symbol) SEC("?uprobe")                                          \
	int symbol##_begins(struct pt_regs *ctx) { return begins(ctx, function, operation); }      \
	WHERE TARGETS("@library:" #symbol) SEC("?uretprobe")                                       \
	int symbol##_ends(struct pt_regs *ctx) { return ends(ctx, function, operation); }

CALL(OPENSSL, SSL_read, FUNCTION_OPENSSL, TLS_OPERATION_READ)
CALL(OPENSSL, SSL_write, FUNCTION_OPENSSL, TLS_OPERATION_WRITE)
CALL(OPENSSL, SSL_read_ex, FUNCTION_OPENSSL_EX, TLS_OPERATION_READ)
CALL(OPENSSL, SSL_write_ex, FUNCTION_OPENSSL_EX, TLS_OPERATION_WRITE)
CALL(OPENSSL, SSL_do_handshake, FUNCTION_OPENSSL, TLS_OPERATION_HANDSHAKE) /* accept and connect too */
CALL(GNUTLS, gnutls_record_recv, FUNCTION_GNUTLS, TLS_OPERATION_READ)
CALL(GNUTLS, gnutls_record_send, FUNCTION_GNUTLS, TLS_OPERATION_WRITE)
CALL(GNUTLS, gnutls_handshake, FUNCTION_GNUTLS, TLS_OPERATION_HANDSHAKE)

OPENSSL TARGETS("@library:SSL_get_error")
SEC("?uretprobe") int error_told(struct pt_regs *ctx)
{
	return undecided_tell(ctx, openssl_outcome(PT_REGS_RC(ctx)));
}

/* What every library has: without it there is nothing to see. Another connection may come to its place. */
ANY TARGETS("@library:SSL_free @library:gnutls_deinit")
SEC("uprobe") int freed(struct pt_regs *ctx)
{
	struct connection_key key = key_of(PT_REGS_PARM1(ctx));

	undecided_tell(ctx, TLS_OUTCOME_UNKNOWN);
	bpf_map_delete_elem(&connections, &key);
	return 0;
}

/* ---- the socket that a call uses ---- */

static __always_inline int socket_used(const struct sock *sk)
{
	struct frame *f = frame_top();
	u16 family;

	if (!f)
		return 0;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (family == AF_INET || family == AF_INET6)
		f->args[ARG_SOCKET] = (u64)sk;
	return 0;
}

#define PEER(rank) ALT(peer, rank) OPTIONAL("the peers of connections")

PEER(1) SEC("?fentry/security_socket_sendmsg") int BPF_PROG(sends_fentry, struct socket *sock)
{
	return socket_used(BPF_CORE_READ(sock, sk));
}
PEER(1) SEC("?fentry/security_socket_recvmsg") int BPF_PROG(receives_fentry, struct socket *sock)
{
	return socket_used(BPF_CORE_READ(sock, sk));
}

PEER(2) SEC("?kprobe/security_socket_sendmsg") int BPF_KPROBE(sends_kprobe, struct socket *sock)
{
	return socket_used(BPF_CORE_READ(sock, sk));
}
PEER(2) SEC("?kprobe/security_socket_recvmsg") int BPF_KPROBE(receives_kprobe, struct socket *sock)
{
	return socket_used(BPF_CORE_READ(sock, sk));
}

PEER(3) NEED("tp sock/sock_send_length") /* 6.4 */
SEC("?tp_btf/sock_send_length") int BPF_PROG(has_sent, const struct sock *sk)
{
	return socket_used(sk);
}
PEER(3) NEED("tp sock/sock_recv_length")
SEC("?tp_btf/sock_recv_length") int BPF_PROG(has_received, const struct sock *sk)
{
	return socket_used(sk);
}
/* clang-format on */

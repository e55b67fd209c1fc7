/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of errno and signal numbers: one list each, from this machine's own headers. */
#include "base/names.h"

#include "base/str.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <strings.h>

/* clang-format off */
#define ERRNOS(X) \
	X(E2BIG) X(EACCES) X(EADDRINUSE) X(EADDRNOTAVAIL) X(EADV) X(EAFNOSUPPORT) X(EAGAIN) \
	X(EALREADY) X(EBADE) X(EBADF) X(EBADFD) X(EBADMSG) X(EBADR) X(EBADRQC) X(EBADSLT) \
	X(EBFONT) X(EBUSY) X(ECANCELED) X(ECHILD) X(ECHRNG) X(ECOMM) X(ECONNABORTED) \
	X(ECONNREFUSED) X(ECONNRESET) X(EDEADLK) X(EDESTADDRREQ) X(EDOM) X(EDOTDOT) X(EDQUOT) \
	X(EEXIST) X(EFAULT) X(EFBIG) X(EHOSTDOWN) X(EHOSTUNREACH) X(EHWPOISON) X(EIDRM) \
	X(EILSEQ) X(EINPROGRESS) X(EINTR) X(EINVAL) X(EIO) X(EISCONN) X(EISDIR) X(EISNAM) \
	X(EKEYEXPIRED) X(EKEYREJECTED) X(EKEYREVOKED) X(EL2HLT) X(EL2NSYNC) X(EL3HLT) \
	X(EL3RST) X(ELIBACC) X(ELIBBAD) X(ELIBEXEC) X(ELIBMAX) X(ELIBSCN) X(ELNRNG) X(ELOOP) \
	X(EMEDIUMTYPE) X(EMFILE) X(EMLINK) X(EMSGSIZE) X(EMULTIHOP) X(ENAMETOOLONG) X(ENAVAIL) \
	X(ENETDOWN) X(ENETRESET) X(ENETUNREACH) X(ENFILE) X(ENOANO) X(ENOBUFS) X(ENOCSI) \
	X(ENODATA) X(ENODEV) X(ENOENT) X(ENOEXEC) X(ENOKEY) X(ENOLCK) X(ENOLINK) X(ENOMEDIUM) \
	X(ENOMEM) X(ENOMSG) X(ENONET) X(ENOPKG) X(ENOPROTOOPT) X(ENOSPC) X(ENOSR) X(ENOSTR) \
	X(ENOSYS) X(ENOTBLK) X(ENOTCONN) X(ENOTDIR) X(ENOTEMPTY) X(ENOTNAM) X(ENOTRECOVERABLE) \
	X(ENOTSOCK) X(ENOTTY) X(ENOTUNIQ) X(ENXIO) X(EOPNOTSUPP) X(EOVERFLOW) X(EOWNERDEAD) \
	X(EPERM) X(EPFNOSUPPORT) X(EPIPE) X(EPROTO) X(EPROTONOSUPPORT) X(EPROTOTYPE) X(ERANGE) \
	X(EREMCHG) X(EREMOTE) X(EREMOTEIO) X(ERESTART) X(ERFKILL) X(EROFS) X(ESHUTDOWN) \
	X(ESOCKTNOSUPPORT) X(ESPIPE) X(ESRCH) X(ESRMNT) X(ESTALE) X(ESTRPIPE) X(ETIME) \
	X(ETIMEDOUT) X(ETOOMANYREFS) X(ETXTBSY) X(EUCLEAN) X(EUNATCH) X(EUSERS) X(EXDEV) X(EXFULL)

/* Inside the kernel only; probes see them in return values. */
#define KERNEL_ERRNOS(X) \
	X(ERESTARTSYS, 512) X(ERESTARTNOINTR, 513) X(ERESTARTNOHAND, 514) X(ENOIOCTLCMD, 515) \
	X(ERESTART_RESTARTBLOCK, 516) X(EPROBE_DEFER, 517) X(EOPENSTALE, 518) X(ENOPARAM, 519) \
	X(EBADHANDLE, 521) X(ENOTSYNC, 522) X(EBADCOOKIE, 523) X(ENOTSUPP, 524) \
	X(ETOOSMALL, 525) X(ESERVERFAULT, 526) X(EBADTYPE, 527) X(EJUKEBOX, 528) \
	X(EIOCBQUEUED, 529) X(ERECALLCONFLICT, 530) X(ENOGRACE, 531)

#define SIGNALS(X) \
	X(HUP) X(INT) X(QUIT) X(ILL) X(TRAP) X(ABRT) X(BUS) X(FPE) X(KILL) X(USR1) X(SEGV) \
	X(USR2) X(PIPE) X(ALRM) X(TERM) X(CHLD) X(CONT) X(STOP) X(TSTP) X(TTIN) X(TTOU) X(URG) \
	X(XCPU) X(XFSZ) X(VTALRM) X(PROF) X(WINCH) X(IO) X(PWR) X(SYS)
/* clang-format on */

static const char *const errno_names[] = {
#define X(id) [id] = #id,
	ERRNOS(X)
#undef X
#define X(id, number) [number] = #id,
		KERNEL_ERRNOS(X)
#undef X
};

static const char *const signal_names[] = {
#define X(id) [SIG##id] = "SIG" #id,
	SIGNALS(X)
#undef X
};

/* Second names; those that are the same number have their first name above. */
static const struct {
	const char *name;
	int number;
} errno_aliases[] = {
	{ "EWOULDBLOCK", EWOULDBLOCK },
	{ "ENOTSUP", ENOTSUP },
	{ "EDEADLOCK", EDEADLOCK },
}, signal_aliases[] = {
	{ "SIGIOT", SIGIOT },
	{ "SIGPOLL", SIGPOLL },
	{ "SIGCLD", SIGCHLD },
};

const char *errno_name(int code)
{
	unsigned number = code < 0 ? -(unsigned)code : (unsigned)code;

	return number < ARRAY_LEN(errno_names) ? errno_names[number] : NULL;
}

/* The i-th name of an array with holes. */
static const char *nth(const char *const *names, size_t count, size_t i)
{
	for (size_t at = 0; at < count; at++)
		if (names[at] && i-- == 0)
			return names[at];
	return NULL;
}

const char *errno_nth(const void *ctx, size_t i)
{
	(void)ctx;
	return nth(errno_names, ARRAY_LEN(errno_names), i);
}

static int find(const char *const *names, size_t count, const char *name)
{
	for (size_t at = 0; at < count; at++)
		if (names[at] && !strcasecmp(names[at], name))
			return (int)at;
	return -1;
}

int errno_number(const char *name)
{
	assert(name);
	for (size_t i = 0; i < ARRAY_LEN(errno_aliases); i++)
		if (!strcasecmp(errno_aliases[i].name, name))
			return errno_aliases[i].number;
	return find(errno_names, ARRAY_LEN(errno_names), name);
}

const char *signal_name(int signo, char out[static SIGNAL_NAME_MAX])
{
	if (signo > 0 && (size_t)signo < ARRAY_LEN(signal_names) && signal_names[signo])
		str_copy(out, SIGNAL_NAME_MAX, signal_names[signo]);
	else if (signo == SIGRTMIN)
		str_copy(out, SIGNAL_NAME_MAX, "SIGRTMIN");
	else if (signo > SIGRTMIN && signo <= SIGRTMAX)
		str_format(out, SIGNAL_NAME_MAX, "SIGRTMIN+%d", signo - SIGRTMIN);
	else
		str_format(out, SIGNAL_NAME_MAX, "SIG%d", signo);
	return out;
}

/* "3" after "RTMIN+"; -1 for what isn't a number up to the last signal. */
static int small_number(const char *text)
{
	int value = 0;

	if (!*text)
		return -1;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || value > SIGRTMAX)
			return -1;
		value = value * 10 + *text - '0';
	}
	return value;
}

static int realtime_number(const char *name)
{
	int offset = name[5] ? small_number(name + 6) : 0;

	if (offset < 0 || offset > SIGRTMAX - SIGRTMIN)
		return -1;
	if (!strncasecmp(name, "RTMIN", 5) && (name[5] == '+' || !name[5]))
		return SIGRTMIN + offset;
	if (!strncasecmp(name, "RTMAX", 5) && (name[5] == '-' || !name[5]))
		return SIGRTMAX - offset;
	return -1;
}

int signal_number(const char *name)
{
	char full[SIGNAL_NAME_MAX];
	int number;

	assert(name);
	if (!strncasecmp(name, "SIG", 3))
		name += 3;
	number = small_number(name);
	if (number >= 0)
		return number > 0 && number <= SIGRTMAX ? number : -1;
	if (!strncasecmp(name, "RTM", 3) && strlen(name) >= 5)
		return realtime_number(name);
	if (!str_format(full, sizeof(full), "SIG%s", name))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(signal_aliases); i++)
		if (!strcasecmp(signal_aliases[i].name, full))
			return signal_aliases[i].number;
	return find(signal_names, ARRAY_LEN(signal_names), full);
}

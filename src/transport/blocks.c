/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading blocks. Sizes are checked before memory is taken for them. */
#include "transport/blocks.h"

#include "base/err.h"
#include "base/str.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <zstd.h>

/* A fuzzer can't be asked to guess checksums. */
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
#define CHECKSUMS 0
#else
#define CHECKSUMS 1
#endif

enum { READ_BYTES = 256 * 1024 };

struct blocks {
	int fd;
	bool own_fd, regular, at_end;
	struct recording_head head;
	ZSTD_DCtx *zstd;
	unsigned char *in; /* read, from `at` to `len` not taken yet */
	size_t at, len, room;
	unsigned char *plain;
	size_t plain_room;
};

void blocks_free(struct blocks *b)
{
	if (!b)
		return;
	if (b->own_fd)
		fd_close(&b->fd);
	ZSTD_freeDCtx(b->zstd);
	free(b->in);
	free(b->plain);
	free(b);
}

const struct recording_head *blocks_head(const struct blocks *b)
{
	return &b->head;
}

int blocks_fd(const struct blocks *b)
{
	return b->regular ? -1 : b->fd;
}

static void make_room(struct blocks *b, size_t want)
{
	if (b->at)
		memmove(b->in, b->in + b->at, b->len - b->at);
	b->len -= b->at;
	b->at = 0;
	if (want <= b->room)
		return;
	b->room = max(want, (size_t)READ_BYTES);
	b->in = xrealloc(b->in, b->room);
}

static bool readable(const struct blocks *b)
{
	struct pollfd fd = { .fd = b->fd, .events = POLLIN };

	return b->regular || poll(&fd, 1, 0) != 0;
}

/* Until `want` bytes are there. 1: they are; 0: not yet. */
static int blocks_fill(struct blocks *b, size_t want, bool wait, struct err *e)
{
	ssize_t n;

	while (b->len - b->at < want) {
		if (b->at_end)
			return fail(e, ENODATA, "ends in the middle");
		if (b->at + want > b->room)
			make_room(b, want);
		if (!wait && !readable(b))
			return 0;
		n = read(b->fd, b->in + b->len, b->room - b->len);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return fail(e, errno, "can't be read: %s", strerror(errno));
		b->at_end = n == 0;
		b->len += n > 0 ? (size_t)n : 0;
	}
	return 1;
}

static int head_check(struct recording_head *h, struct err *e)
{
	if (memcmp(h->magic, RECORDING_MAGIC, sizeof(h->magic)) != 0)
		return fail(e, EINVAL, "is no recording of sonda's");
	if (h->order != RECORDING_ORDER)
		return fail(e, EINVAL, "was made on a machine of the other byte order");
	if (h->version != RECORDING_VERSION)
		return fail(e, EINVAL, "is of version %u, and this sonda reads %u", h->version,
			    RECORDING_VERSION);
	if (CHECKSUMS && h->checksum != recording_head_checksum(h))
		return fail(e, EINVAL, "is damaged in its head");
	h->release[sizeof(h->release) - 1] = '\0';
	h->host[sizeof(h->host) - 1] = '\0';
	return 0;
}

static int head_read(struct blocks *b, struct err *e)
{
	int err = blocks_fill(b, sizeof(b->head), true, e);

	if (err == -ENODATA)
		return fail(e, EINVAL, "is %s",
			    b->len ? "no recording of sonda's" : "empty: nothing was recorded");
	if (err < 0)
		return err;
	memcpy(&b->head, b->in, sizeof(b->head));
	b->at = sizeof(b->head);
	return head_check(&b->head, e);
}

static int blocks_file(struct blocks *b, const char *path, struct err *e)
{
	struct stat st;

	b->own_fd = !str_eq(path, "-");
	b->fd = b->own_fd ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) : STDIN_FILENO;
	if (b->fd < 0)
		return fail(e, errno, "can't be opened: %s", strerror(errno));
	b->regular = !fstat(b->fd, &st) && S_ISREG(st.st_mode);
	return 0;
}

int blocks_open(const char *path, struct blocks **ret, struct err *e)
{
	auto_ptr(blocks) b = xnew(struct blocks);
	int err = blocks_file(b, path, e);

	if (err)
		return err;
	b->zstd = ZSTD_createDCtx();
	if (!b->zstd)
		return fail(e, ENOMEM, "can't be read: no memory to decompress with");
	err = head_read(b, e);
	if (err)
		return err;
	*ret = TAKE_PTR(b);
	return 0;
}

static int block_check(const struct recording_block *block, struct err *e)
{
	if (block->type < BLOCK_TYPE_COUNT && block->plain_bytes <= RECORDING_BLOCK_MAX &&
	    block->stored_bytes <= block->plain_bytes)
		return 0;
	return fail(e, EINVAL, "is damaged");
}

static int block_unpack(struct blocks *b, const struct recording_block *block, const void *stored,
			struct err *e)
{
	size_t len = block->plain_bytes;

	if (!b->plain || len > b->plain_room) {
		b->plain_room = max(len, 2 * (size_t)RECORDING_BLOCK_AIM);
		free(b->plain);
		b->plain = xmalloc(b->plain_room);
	}
	if (block->stored_bytes == len)
		memcpy(b->plain, stored, len);
	else if (ZSTD_decompressDCtx(b->zstd, b->plain, len, stored, block->stored_bytes) != len)
		return fail(e, EINVAL, "is damaged");
	return 0;
}

int blocks_next(struct blocks *b, bool wait, uint32_t *ret_type, const unsigned char **ret_bytes,
		size_t *ret_len, struct err *e)
{
	struct recording_block block;
	const unsigned char *stored;
	int err = blocks_fill(b, sizeof(block), wait, e);

	if (err <= 0)
		return err;
	memcpy(&block, b->in + b->at, sizeof(block));
	err = block_check(&block, e);
	if (!err)
		err = blocks_fill(b, sizeof(block) + block.stored_bytes, wait, e);
	if (err <= 0)
		return err;
	stored = b->in + b->at + sizeof(block);
	if (CHECKSUMS && block.checksum != recording_block_checksum(&block, stored))
		return fail(e, EINVAL, "is damaged");
	err = block_unpack(b, &block, stored, e);
	if (err)
		return err;
	b->at += sizeof(block) + block.stored_bytes;
	*ret_type = block.type;
	*ret_bytes = b->plain;
	*ret_len = block.plain_bytes;
	return 1;
}

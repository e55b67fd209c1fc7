/* SPDX-License-Identifier: BSD-2-Clause */
/* A ring in memory, laid out and written as the kernel does it. */
#include "base/test.h"

#include "base/err.h"
#include "transport/ring.h"

#include <errno.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SIZE = 4096 };

/*
 * The kernel maps the data twice in a row; a file can't, so its second copy is written too: `put`
 * writes every byte at both places.
 */
struct fake {
	int fd;
	size_t page;
	uint64_t consumer, producer;
};

static void fake_open(struct fake *f)
{
	f->page = (size_t)sysconf(_SC_PAGESIZE);
	f->fd = memfd_create("ring", 0);
	f->consumer = f->producer = 0;
	CHECK_INT(ftruncate(f->fd, (off_t)(2 * f->page + 2 * SIZE)), 0);
}

static void put(const struct fake *f, uint64_t at, const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		off_t to = (off_t)(2 * f->page + (at + i) % SIZE);

		CHECK_INT(pwrite(f->fd, (const char *)bytes + i, 1, to), 1);
		CHECK_INT(pwrite(f->fd, (const char *)bytes + i, 1, to + SIZE), 1);
	}
}

static uint64_t consumed(const struct fake *f)
{
	uint64_t at = 0;

	CHECK_INT(pread(f->fd, &at, sizeof(at), 0), sizeof(at));
	return at;
}

/* Reserves and fills a record; where it begins. */
static uint64_t fake_reserve(struct fake *f, const char *text, uint32_t len, uint32_t bits)
{
	uint32_t header[2] = { len | bits, 0 };
	uint64_t at = f->producer;

	put(f, at, header, sizeof(header));
	put(f, at + sizeof(header), text, len);
	f->producer += (sizeof(header) + len + 7) & ~7ULL;
	CHECK(f->producer - consumed(f) <= SIZE);
	CHECK_INT(pwrite(f->fd, &f->producer, sizeof(f->producer), (off_t)f->page),
		  sizeof(f->producer));
	return at;
}

/* Commits (0) or discards what was busy. */
static void fake_commit(struct fake *f, uint64_t at, uint32_t len, uint32_t bits)
{
	uint32_t header = len | bits;

	put(f, at, &header, sizeof(header));
}

/* The next record is this text. */
static void expect(struct ring *r, const char *text)
{
	uint32_t size = 0;
	const char *bytes = ring_peek(r, &size);

	if (!bytes) {
		TEST_FAULT("nothing, not '%s'", text);
		return;
	}
	CHECK_INT(size, strlen(text));
	CHECK_MEM(bytes, text, strlen(text));
	ring_next(r);
}

static void expect_nothing(struct ring *r)
{
	uint32_t size;

	CHECK(!ring_peek(r, &size));
}

TEST(records_come_in_order_and_their_space_is_given_back)
{
	auto_ptr(ring) r = NULL;
	struct fake f;
	struct err e;

	fake_open(&f);
	REQUIRE(ring_open(f.fd, SIZE, &r, &e) == 0);
	fake_reserve(&f, "one", 3, 0);
	fake_reserve(&f, "twelve bytes", 12, 0);
	expect_nothing(r); /* not looked yet */
	ring_refresh(r);
	fake_reserve(&f, "later", 5, 0);
	expect(r, "one");
	expect(r, "twelve bytes");
	expect_nothing(r); /* nor what came since */
	CHECK_INT(ring_held_bytes(r), 16 + 24);
	CHECK_INT(consumed(&f), 0);
	ring_release(r);
	CHECK_INT(consumed(&f), 16 + 24);
	CHECK_INT(ring_held_bytes(r), 0);
	ring_refresh(r);
	expect(r, "later");
	close(f.fd);
}

TEST(a_busy_record_is_waited_for)
{
	auto_ptr(ring) r = NULL;
	struct fake f;
	struct err e;
	uint64_t at;

	fake_open(&f);
	REQUIRE(ring_open(f.fd, SIZE, &r, &e) == 0);
	fake_reserve(&f, "first", 5, 0);
	at = fake_reserve(&f, "slow", 4, BPF_RINGBUF_BUSY_BIT);
	fake_reserve(&f, "behind", 6, 0);
	ring_refresh(r);
	expect(r, "first");
	expect_nothing(r);
	ring_release(r);
	CHECK_INT(consumed(&f), at);
	fake_commit(&f, at, 4, 0);
	expect(r, "slow");
	expect(r, "behind");
	expect_nothing(r);
	close(f.fd);
}

TEST(discarded_records_are_passed_over)
{
	auto_ptr(ring) r = NULL;
	struct fake f;
	struct err e;

	fake_open(&f);
	REQUIRE(ring_open(f.fd, SIZE, &r, &e) == 0);
	fake_reserve(&f, "no", 2, BPF_RINGBUF_DISCARD_BIT);
	fake_reserve(&f, "nor this", 8, BPF_RINGBUF_DISCARD_BIT);
	fake_reserve(&f, "yes", 3, 0);
	fake_reserve(&f, "no", 2, BPF_RINGBUF_DISCARD_BIT);
	ring_refresh(r);
	expect(r, "yes");
	expect_nothing(r);
	ring_release(r);
	CHECK_INT(consumed(&f), f.producer); /* their space too */
	close(f.fd);
}

/* Records of many sizes, several times around; at each turn one lies across the end. */
TEST(records_wrap_around)
{
	auto_ptr(ring) r = NULL;
	char text[512], copy[512];
	struct fake f;
	struct err e;
	unsigned crossed = 0;

	fake_open(&f);
	REQUIRE(ring_open(f.fd, SIZE, &r, &e) == 0);
	for (unsigned i = 0; i < 60; i++) {
		uint32_t len = 100 + i * 37 % 400;
		uint64_t at;

		for (uint32_t k = 0; k < len; k++)
			text[k] = (char)('a' + (i + k) % 26);
		text[len] = '\0';
		at = fake_reserve(&f, text, len, 0);
		crossed += at / SIZE != (at + len + 7) / SIZE;
		ring_refresh(r);
		memcpy(copy, text, len + 1);
		expect(r, copy);
		ring_release(r);
	}
	CHECK(crossed >= 3);
	close(f.fd);
}

TEST(a_ring_is_read_from_where_it_was_left)
{
	auto_ptr(ring) r = NULL;
	auto_ptr(ring) again = NULL;
	struct fake f;
	struct err e;

	fake_open(&f);
	REQUIRE(ring_open(f.fd, SIZE, &r, &e) == 0);
	fake_reserve(&f, "one", 3, 0);
	fake_reserve(&f, "two", 3, 0);
	ring_refresh(r);
	expect(r, "one");
	ring_release(r);
	REQUIRE(ring_open(f.fd, SIZE, &again, &e) == 0);
	ring_refresh(again);
	expect(again, "two");
	close(f.fd);
}

TEST(what_is_no_ring_is_refused)
{
	auto_ptr(ring) r = NULL;
	struct err e;

	CHECK_INT(ring_open(-1, SIZE, &r, &e), -EBADF);
	CHECK_HAS(e.text, "map the ring buffer");
	CHECK(!r);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Recordings: what the sink writes, the stream of transport/recorded.h reads. */
#include "base/test.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "schema/account.h"
#include "schema/describe.h"
#include "sink/sink.h"
#include "tests/data/sample.h"
#include "transport/recorded.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { ROWS = 3000 }; /* several blocks */

struct tape {
	struct wall wall;
	struct sink *sink;
	struct err e;
	int fd;
};

static int tape_open(struct tape *t, int fd)
{
	struct sink_options o = { .fd = fd, .cancel_fd = -1, .path = "-", .wall = &t->wall };

	wall_init_at(&t->wall, 12345);
	t->fd = fd;
	return sink_record.open(&o, &t->sink, &t->e);
}

static void tape_rows(struct tape *t, unsigned from, unsigned count)
{
	for (unsigned i = from; i < from + count; i++) {
		struct value user = i % 5 ? value_text(i % 2 ? "anna" : "bert", 4) : value_none();
		struct sample s;
		struct row r;

		sample_fill(&s);
		s.took_ns = i * 7919ull * 104729;
		r = sample_row(&s, &user);
		r.seq = i;
		CHECK_INT(sink_record.row(t->sink, &r, &t->e), 0);
	}
}

/* A recording of rows, a loss in the middle, and accounts. */
static void tape_whole(struct tape *t)
{
	struct account a = { .probe = "test.sample",
			     .kernel = { .seen = ROWS + 100,
					 .sent = ROWS + 30,
					 .filtered = 50,
					 .lost = { [LOSS_RING] = 13, [LOSS_BUSY] = 7 },
					 .cut = 3 },
			     .missed = 5,
			     .received = ROWS + 28,
			     .malformed = 1 };

	REQUIRE(tape_open(t, memfd_create("tape", 0)) == 0);
	REQUIRE(sink_record.bind(t->sink, sample_schema(), &t->e) == 0);
	tape_rows(t, 0, ROWS / 2);
	CHECK_INT(sink_record.loss(t->sink, "test.sample", "ring", 13, 777, &t->e), 0);
	tape_rows(t, ROWS / 2, ROWS / 2);
	CHECK_INT(sink_record.flush(t->sink, &t->e), 0);
	CHECK_INT(sink_record.end(t->sink, &a, 1, &t->e), 0);
	sink_record.close(t->sink);
}

struct heard {
	unsigned rows, losses, users, lost_after;
};

static int on_row(const struct row *r, void *ctx)
{
	const struct schema *s = r->schema;
	struct heard *h = ctx;
	struct value path = row_value(r, schema_field(s, "path"));
	struct value user = row_value(r, schema_field(s, "user"));

	CHECK_INT(r->seq, h->rows);
	CHECK_INT(r->cpu, 1);
	CHECK_U64(r->at_ns, 1000000000123ULL);
	CHECK_U64(row_value(r, schema_field(s, "took_ns")).u64, h->rows * 7919ull * 104729);
	CHECK_INT(path.text.len, 11);
	CHECK_MEM(path.text.s, "/etc/passwd", 11);
	CHECK((user.type == VALUE_NONE) == (h->rows % 5 == 0));
	if (user.type == VALUE_TEXT) {
		CHECK_MEM(user.text.s, h->rows % 2 ? "anna" : "bert", 4);
		h->users++;
	}
	h->rows++;
	return 0;
}

static void on_loss(const char *probe, const char *cause, uint64_t count, uint64_t at_ns, void *ctx)
{
	struct heard *h = ctx;

	CHECK_STR(probe, "test.sample");
	CHECK_STR(cause, "ring");
	CHECK_U64(count, 13);
	CHECK_U64(at_ns, 777);
	h->losses++;
	h->lost_after = h->rows;
}

static struct stream *tape_stream(int fd, struct err *e)
{
	struct stream *s = NULL;
	char path[64];

	str_format(path, sizeof(path), "/proc/self/fd/%d", fd);
	return recorded_open(path, &s, e) == 0 ? s : NULL;
}

/* Reads all; the last result of drain. */
static int stream_read(struct stream *s, unsigned limit, struct heard *h, struct err *e)
{
	int n;

	s->ops->tell_losses(s, on_loss, h);
	do {
		n = s->ops->drain(s, limit, on_row, h, e);
		CHECK(n <= (int)limit);
	} while (n > 0);
	CHECK(s->ops->ended(s));
	return n;
}

TEST(rows_losses_and_accounts_come_back)
{
	struct tape t = { 0 };
	struct heard h = { 0 };
	const struct account *a;
	struct stream *s;
	struct stat st;
	size_t count;

	tape_whole(&t);
	s = tape_stream(t.fd, &t.e);
	REQUIRE(s);
	CHECK_INT(s->ops->wall_offset_ns(s), 12345);
	CHECK(recorded_head(s)->host[0] && recorded_head(s)->release[0] && recorded_head(s)->cpus);
	CHECK_STR(s->ops->schemas(s, &count)[0]->probe, "test.sample");
	CHECK_INT(count, 1);
	CHECK_INT(stream_read(s, 100, &h, &t.e), 0);
	CHECK_INT(h.rows, ROWS);
	CHECK_INT(h.users, ROWS - ROWS / 5);
	CHECK_INT(h.losses, 1);
	CHECK_INT(h.lost_after, ROWS / 2);
	a = s->ops->accounts(s, &count);
	REQUIRE(count == 1);
	/* seen + missed = delivered + filtered + lost, as the recording's own closing line had it */
	CHECK_U64(a->kernel.seen + a->missed, ROWS + 105);
	CHECK_U64(a->received, ROWS);
	CHECK_U64(a->kernel.sent, ROWS);
	CHECK_U64(a->kernel.filtered, 50 + 27);
	CHECK_U64(a->kernel.lost[LOSS_RING] + a->missed, 20 + 2 + 1 + 5);
	CHECK_U64(a->kernel.cut, 3);
	stream_free(s);
	/* texts that rows share are written once, and the rest is compressed */
	CHECK(!fstat(t.fd, &st) && st.st_size < ROWS * 40);
	close(t.fd);
}

/* Wherever it ends: what is whole comes, then one message, and the sums hold. */
TEST(a_recording_that_is_cut_gives_what_is_whole)
{
	struct tape t = { 0 };
	struct stat st;
	unsigned before = ROWS + 1;

	tape_whole(&t);
	REQUIRE(!fstat(t.fd, &st));
	for (off_t len = st.st_size - 1; len >= 0; len -= len > 3000 ? 997 : 13) {
		struct heard h = { 0 };
		struct stream *s;
		char text[80];
		size_t count;

		REQUIRE(!ftruncate(t.fd, len));
		s = tape_stream(t.fd, &t.e);
		if (!s) {
			CHECK(len < (off_t)sizeof(struct recording_head));
			CHECK_HAS(t.e.text, len ? "is no recording" : "nothing was recorded");
			continue;
		}
		CHECK_INT(stream_read(s, 100, &h, &t.e), -ENODATA);
		str_format(text, sizeof(text), "ends in the middle: %u rows read", h.rows);
		CHECK_HAS(t.e.text, text);
		CHECK(h.rows <= before);
		before = h.rows;
		for (size_t i = 0; i < (s->ops->accounts(s, &count), count); i++) {
			const struct account *a = s->ops->accounts(s, &count);

			CHECK_U64(a->kernel.seen, h.rows + 13 * h.losses);
		}
		CHECK_INT(s->ops->drain(s, 1, on_row, &h, &t.e), 0);
		stream_free(s);
	}
	CHECK_INT(before, 0);
	close(t.fd);
}

static int any_row(const struct row *r, void *ctx)
{
	auto_done(strbuf) text = { 0 };

	(void)ctx;
	for (size_t i = 0; i < r->schema->field_count; i++)
		value_text_form(&text, &r->schema->fields[i], row_value(r, &r->schema->fields[i]));
	return 0;
}

TEST(a_changed_byte_is_noticed)
{
	struct tape t = { 0 };
	struct stat st;

	tape_whole(&t);
	REQUIRE(!fstat(t.fd, &st));
	for (off_t at = 0; at < st.st_size; at += at < 300 ? 1 : 211) {
		struct stream *s;
		uint8_t byte;
		int n = -1;

		REQUIRE(pread(t.fd, &byte, 1, at) == 1);
		byte ^= 0x10;
		REQUIRE(pwrite(t.fd, &byte, 1, at) == 1);
		s = tape_stream(t.fd, &t.e);
		while (s && (n = s->ops->drain(s, 4096, any_row, NULL, &t.e)) > 0)
			;
		CHECK(n < 0);
		CHECK_HAS(t.e.text, "recording '/proc/self/fd/");
		if (s)
			stream_free(s);
		byte ^= 0x10;
		REQUIRE(pwrite(t.fd, &byte, 1, at) == 1);
	}
	close(t.fd);
}

/* Blocks made by hand, with the right checksums and the wrong content. */
static void block_put(int fd, uint32_t type, const void *bytes, uint32_t len)
{
	struct recording_block b = { .type = type, .stored_bytes = len, .plain_bytes = len };

	b.checksum = recording_block_checksum(&b, bytes);
	CHECK_INT(write(fd, &b, sizeof(b)), sizeof(b));
	CHECK_INT(write(fd, bytes, len), len);
}

static int forged(uint32_t type, const void *bytes, uint32_t len, struct err *e)
{
	auto_done(strbuf) schema = { 0 };
	struct tape t = { 0 };
	struct stream *s;
	int n;

	CHECK_INT(tape_open(&t, memfd_create("tape", 0)), 0);
	sink_record.close(t.sink);
	schema_encode(sample_schema(), &schema);
	block_put(t.fd, BLOCK_SCHEMA, schema.s, (uint32_t)schema.len);
	block_put(t.fd, type, bytes, len);
	s = tape_stream(t.fd, e);
	close(t.fd);
	if (!s)
		return -e->code;
	while ((n = s->ops->drain(s, 4096, any_row, NULL, e)) > 0)
		;
	stream_free(s);
	return n;
}

TEST(wrong_content_under_a_right_checksum_is_refused)
{
	struct {
		struct recording_item item;
		struct recording_row row;
		char event[SAMPLE_SIZE + 8];
	} row = { { ITEM_ROW, sizeof(row.row) + 4 + SAMPLE_SIZE },
		  { .schema = 0, .derived = 1, .size = SAMPLE_SIZE },
		  { 0 } },
	  bad;
	uint32_t len = (uint32_t)(sizeof(row.item) + recording_padded(row.item.bytes));
	struct recording_account account = { .probe_bytes = 99 };
	struct err e;

	REQUIRE(len <= sizeof(row));
	CHECK_INT(forged(BLOCK_ROWS, &row, len, &e), -ENODATA); /* but for the end all is well */
	bad = row, bad.row.schema = 1;
	CHECK_INT(forged(BLOCK_ROWS, &bad, len, &e), -EINVAL);
	bad = row, bad.row.derived = 2;
	CHECK_INT(forged(BLOCK_ROWS, &bad, len, &e), -EINVAL);
	bad = row, bad.event[0] = 1; /* refers to a value that isn't there */
	CHECK_INT(forged(BLOCK_ROWS, &bad, len, &e), -EINVAL);
	bad = row, bad.row.size = 0xfffffff0;
	CHECK_INT(forged(BLOCK_ROWS, &bad, len, &e), -EINVAL);
	bad = row, bad.item.bytes = 0xfffffff9;
	CHECK_INT(forged(BLOCK_ROWS, &bad, len, &e), -EINVAL);
	bad = row, bad.item.type = 77;
	CHECK_INT(forged(BLOCK_ROWS, &bad, len, &e), -EINVAL);
	CHECK_INT(forged(BLOCK_ROWS, &row, 5, &e), -EINVAL);
	CHECK_INT(forged(77, "", 0, &e), -EINVAL);
	CHECK_INT(forged(BLOCK_SCHEMA, "nonsense", 8, &e), -EINVAL);
	CHECK_INT(forged(BLOCK_END, &account, sizeof(account), &e), -EINVAL);
	CHECK_INT(forged(BLOCK_END, "", 0, &e), 0);
}

TEST(no_recording_goes_to_a_terminal)
{
	struct tape t = { 0 };
	int master, terminal;

	REQUIRE(!openpty(&master, &terminal, NULL, NULL, NULL));
	CHECK_INT(tape_open(&t, terminal), -EINVAL);
	CHECK_STR(t.e.text, "a recording is not written to a terminal");
	CHECK_INT(err_exit_code(&t.e), EXIT_USAGE);
	close(master);
	close(terminal);
}

TEST(a_full_disk_is_told_with_the_name)
{
	struct sink_options o = { .cancel_fd = -1, .path = "/dev/full" };
	struct sink *sink;
	struct wall wall;
	struct err e;

	wall_init_at(&wall, 0);
	o.wall = &wall;
	CHECK_INT(sink_record.open(&o, &sink, &e), -ENOSPC);
	CHECK_STR(e.text, "recording '/dev/full': write the output: No space left on device");
	CHECK_HAS(e.hint, "can be replayed");
}

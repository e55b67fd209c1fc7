/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/test.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "sink/sink.h"
#include "tests/data/sample.h"

#include <errno.h>
#include <sys/mman.h>
#include <time.h>

struct bench {
	struct sink_options options;
	struct wall wall;
	struct sink *sink;
	struct err e;
	int fd;
	char *out;
};

/* A sink that writes into memory; rows are stamped 2026-01-01T00:16:40.000000123Z. */
static int bench_open(struct bench *b, const char *name, const char *const *fields, size_t count)
{
	int err;

	setenv("TZ", "UTC", 1);
	tzset();
	wall_init_at(&b->wall, 1767225600LL * 1000000000);
	b->fd = memfd_create("out", 0);
	b->options.fd = b->fd;
	b->options.cancel_fd = -1;
	b->options.wall = &b->wall;
	b->options.fields = fields;
	b->options.field_count = count;
	err = sink_find(name)->open(&b->options, &b->sink, &b->e);
	return err ? err : b->sink->ops->bind(b->sink, sample_schema(), &b->e);
}

/* What was written. */
static const char *bench_end(struct bench *b)
{
	CHECK_INT(b->sink->ops->flush(b->sink, &b->e), 0);
	b->sink->ops->close(b->sink);
	lseek(b->fd, 0, SEEK_SET);
	CHECK_INT(file_read_fd(b->fd, "out", &b->out, NULL, &b->e), 0);
	close(b->fd);
	return b->out;
}

static void bench_sample(struct bench *b)
{
	struct value user = value_text("anna", 4);
	struct sample s;
	struct row r;

	sample_fill(&s);
	r = sample_row(&s, &user);
	CHECK_INT(b->sink->ops->row(b->sink, &r, &b->e), 0);
}

/* Everything that can hurt a reader of the output, and values that are not there. */
static void bench_hostile(struct bench *b)
{
	struct value none = value_none();
	struct sample s;
	struct row r;

	sample_fill(&s);
	memcpy(s.comm, "0123456789abcdef", 16); /* no NUL */
	sample_text(&s, &s.path, "a,\"b\"\n\x1b[2J\xff\xc3\xa9", 13);
	s.path.size |= TEXT_CUT;
	s.argv = (struct text){ 0 };
	s.dst = (struct ip){ 0 };
	s.err = 0;
	s.op = 99;
	s.took_ns = UINT64_MAX;
	s.flags = 0;
	r = sample_row(&s, &none);
	CHECK_INT(b->sink->ops->row(b->sink, &r, &b->e), 0);
}

static void bench_loss(struct bench *b)
{
	CHECK_INT(b->sink->ops->loss(b->sink, "test.sample", "ring", 17, 1000000000123ULL, &b->e),
		  0);
}

TEST(json_has_every_field_and_nothing_is_cut)
{
	struct bench b = { 0 };

	REQUIRE(bench_open(&b, "json", NULL, 0) == 0);
	bench_sample(&b);
	bench_hostile(&b);
	bench_loss(&b);
	CHECK_STR(
		bench_end(&b),
		"{\"time\":\"2026-01-01T00:16:40.000000123Z\",\"probe\":\"test.sample\",\"pid\":4242,"
		"\"uid\":1000,\"err\":\"ENOENT\",\"flags\":\"O_WRONLY|O_CREAT|O_CLOEXEC\","
		"\"took_ns\":1240000,\"size_bytes\":8192,\"comm\":\"curl\",\"path\":\"/etc/passwd\","
		"\"argv\":[\"curl\",\"-s\",\"a b\"],\"dst\":\"10.1.2.3\",\"op\":\"write\",\"ok\":true,"
		"\"mask\":-2,\"port\":443,\"ports\":[1,22,443,65535],\"delta\":-5,\"user\":\"anna\"}\n"
		"{\"time\":\"2026-01-01T00:16:40.000000123Z\",\"probe\":\"test.sample\",\"pid\":4242,"
		"\"uid\":1000,\"err\":null,\"flags\":\"O_RDONLY\",\"took_ns\":18446744073709551615,"
		"\"size_bytes\":8192,\"comm\":\"0123456789abcdef\","
		"\"path\":\"a,\\\"b\\\"\\n\\u001b[2J\\udcff\xc3\xa9\",\"argv\":null,\"dst\":null,"
		"\"op\":\"99\",\"ok\":true,\"mask\":-2,\"port\":443,\"ports\":[1,22,443,65535],"
		"\"delta\":-5,\"user\":null}\n"
		"{\"time\":\"2026-01-01T00:16:40.000000123Z\",\"probe\":\"test.sample\",\"lost\":17,"
		"\"cause\":\"ring\"}\n");
	free(b.out);
}

TEST(csv_quotes_what_must_be_and_has_a_header)
{
	struct bench b = { 0 };

	REQUIRE(bench_open(&b, "csv", NULL, 0) == 0);
	bench_sample(&b);
	bench_hostile(&b);
	bench_loss(&b);
	CHECK_STR(bench_end(&b),
		  "time,probe,pid,uid,err,flags,took_ns,size_bytes,comm,path,argv,dst,op,ok,mask,"
		  "port,ports,delta,user\n"
		  "2026-01-01T00:16:40.000000123Z,test.sample,4242,1000,ENOENT,"
		  "O_WRONLY|O_CREAT|O_CLOEXEC,1240000,8192,curl,/etc/passwd,curl -s 'a b',10.1.2.3,"
		  "write,true,-2,443,\"[1,22,443,65535]\",-5,anna\n"
		  "2026-01-01T00:16:40.000000123Z,test.sample,4242,1000,,O_RDONLY,"
		  "18446744073709551615,8192,0123456789abcdef,\"a,\"\"b\"\"\n\x1b[2J\xff\xc3\xa9\","
		  ",,99,true,-2,443,\"[1,22,443,65535]\",-5,\n"
		  "# 2026-01-01T00:16:40.000000123Z test.sample: lost 17 (ring)\n");
	free(b.out);
}

TEST(text_of_one_probe_is_a_table)
{
	static const char *const some[] = { "time", "pid",  "err",  "flags", "took",
					    "size", "argv", "mask", "ports", "user" };
	struct bench b = { .options = { .one_probe = true } };

	REQUIRE(bench_open(&b, "text", some, ARRAY_LEN(some)) == 0);
	bench_sample(&b);
	bench_loss(&b);
	CHECK_STR(bench_end(&b),
		  "TIME              PID  ERR     FLAGS                           TOOK      SIZE  "
		  "ARGV                    MASK  PORTS             USER\n"
		  "00:16:40.000     4242  ENOENT  O_WRONLY|O_CREAT|O_CLOEXEC   1.24 ms   8.0 KiB  "
		  "curl -s 'a b'             -2  1,22,443,65535    anna\n"
		  "00:16:40.000  test.sample: lost 17 (ring)\n");
	free(b.out);
}

/* Their rows alternate; each stand below their own columns. */
TEST(text_of_two_events_of_a_probe_has_a_header_for_each)
{
	struct schema fewer = *sample_schema();
	struct bench b = { .options = { .one_probe = true } };
	struct value user = value_text("anna", 4);
	const char *at, *out;
	unsigned headers = 0;
	struct sample s;
	struct row r;

	fewer.field_count = 2;
	REQUIRE(bench_open(&b, "text", NULL, 0) == 0);
	REQUIRE(b.sink->ops->bind(b.sink, &fewer, &b.e) == 0);
	sample_fill(&s);
	for (int i = 0; i < 2; i++) {
		r = sample_row(&s, &user);
		r.schema = &fewer;
		CHECK_INT(b.sink->ops->row(b.sink, &r, &b.e), 0);
		CHECK_INT(b.sink->ops->row(b.sink, &r, &b.e), 0);
		bench_sample(&b);
	}
	out = bench_end(&b);
	for (at = out; (at = strstr(at, "TIME ")); at++)
		headers++;
	CHECK_INT(headers, 5);
	CHECK(strstr(out, "TIME              PID\n00:16:40.000     4242\n00:16:40.000     4242\n"));
	free(b.out);
}

/* Hidden fields are left out, also unknown values and no error; nothing reaches the terminal that could steer it. */
TEST(text_of_several_probes_is_a_line_of_words)
{
	struct bench b = { 0 };

	REQUIRE(bench_open(&b, "text", NULL, 0) == 0);
	bench_hostile(&b);
	CHECK_STR(
		bench_end(&b),
		"TIME          PROBE              PID  COMM              WHAT\n"
		"00:16:40.000  test.sample       4242  0123456789abcdef  flags=O_RDONLY "
		"took=213504 d size=8.0 KiB path=a,\"b\"\\x0a\\x1b[2J\\xff\xc3\xa9... op=99 ok=true "
		"mask=-2 port=443 ports=1,22,443,65535 delta=-5\n");
	free(b.out);
}

static char *noted;

static void keep_note(const char *text)
{
	noted = xstrdup(text);
}

/* What says which file and how long stays, in words what came of it; ids, flags and further numbers go, and it is said. */
TEST(narrow_terminals_get_fewer_columns)
{
	static const struct {
		bool one_probe;
		const char *left_out, *out;
	} cases[] = {
		{ true, "err, dst",
		  "TIME          PID      TOOK  COMM       PATH        ARGV        OP      USER\n"
		  "00:16:40     4242   1.24 ms  curl       \u2026tc/passwd  curl -s '\u2026  write   "
		  "anna\n" },
		{ false, "dst, took_ns",
		  "TIME      PROBE              PID  COMM        WHAT\n"
		  "00:16:40  test.sample       4242  curl        err=ENOENT path=/etc/passwd "
		  "argv=\u2026\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct bench b = { .options = { .one_probe = cases[i].one_probe,
						.width_cols = 80,
						.note = keep_note } };

		REQUIRE(bench_open(&b, "text", NULL, 0) == 0);
		bench_sample(&b);
		CHECK_STR(bench_end(&b), cases[i].out);
		CHECK(str_startswith(
			noted, "test.sample: no room in 80 columns for ok, delta, flags, ports, "
			       "port, mask, size_bytes, "));
		CHECK(strstr(noted, cases[i].left_out));
		CHECK(str_endswith(noted, " (a wider terminal or -f LIST shows them)"));
		free(b.out);
		free(noted);
	}
}

TEST(fields_are_chosen_by_name_in_order)
{
	static const char *const some[] = { "user", "took", "time", "nothing", "probe", "dst" };
	static const char *const formats[][2] = {
		{ "json", "{\"user\":\"anna\",\"took_ns\":1240000,"
			  "\"time\":\"2026-01-01T00:16:40.000000123Z\",\"nothing\":null,"
			  "\"probe\":\"test.sample\",\"dst\":\"10.1.2.3\"}\n" },
		{ "csv", "user,took_ns,time,nothing,probe,dst\n"
			 "anna,1240000,2026-01-01T00:16:40.000000123Z,,test.sample,10.1.2.3\n" },
		{ "text", "USER          TOOK  TIME          NOTHING  PROBE        DST\n"
			  "anna       1.24 ms  00:16:40.000  -        test.sample  10.1.2.3\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		struct bench b = { 0 };

		REQUIRE(bench_open(&b, formats[i][0], some, ARRAY_LEN(some)) == 0);
		bench_sample(&b);
		CHECK_STR(bench_end(&b), formats[i][1]);
		free(b.out);
	}
}

TEST(an_unknown_field_of_one_probe_is_refused)
{
	static const char *const some[] = { "pid", "usr" };
	static const char *const formats[] = { "json", "csv", "text" };

	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		struct bench b = { .options = { .one_probe = true } };

		CHECK_INT(bench_open(&b, formats[i], some, 2), -EINVAL);
		CHECK_STR(b.e.text,
			  "--fields: test.sample has no field 'usr' (did you mean 'user'?)");
		CHECK_INT(err_exit_code(&b.e), EXIT_USAGE);
		b.sink->ops->close(b.sink);
		close(b.fd);
	}
}

TEST(no_header_leaves_the_header_out)
{
	static const char *const pid[] = { "pid" };

	for (size_t i = 0; i < 2; i++) {
		struct bench b = { .options = { .no_header = true } };

		REQUIRE(bench_open(&b, i ? "csv" : "text", pid, 1) == 0);
		bench_sample(&b);
		CHECK_STR(bench_end(&b), i ? "4242\n" : "   4242\n");
		free(b.out);
	}
}

TEST(sinks_are_found_by_name)
{
	size_t count;
	const struct sink_ops *const *all = sink_list(&count);

	CHECK_INT(count, 6);
	for (size_t i = 0; i < count; i++)
		CHECK(sink_find(all[i]->name) == all[i] && all[i]->help[0]);
	CHECK(!sink_find("xml"));
}

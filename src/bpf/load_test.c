/* SPDX-License-Identifier: BSD-2-Clause */
/* Which alternative is taken, and what is said of the others. What needs to load is done as root only;
 * the live tests load everything anyway. */
#include "bpf/object.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/test.h"
#include "bpf/maptable.h"
#include "bpf/sets.h"

enum { OPENS = 300 };

static struct object *object_named(const char *dir_variable, const char *name)
{
	const char *dir = getenv(dir_variable);
	struct object *o = NULL;
	char path[512];
	struct err e = { 0 };

	if (!dir || !str_format(path, sizeof(path), "%s/%s.bpf.o", dir, name) ||
	    object_open_file(path, &o, &e) < 0)
		TEST_FAULT("%s of %s: %s", name, dir_variable, e.text);
	return o;
}

static struct object_program program_of(const struct object *o, const char *name)
{
	struct object_program p = { .state = PROGRAM_UNTRIED, .reason = "" };

	for (size_t i = 0; i < object_program_count(o); i++) {
		object_program(o, i, &p);
		if (str_eq(p.name, name))
			return p;
	}
	TEST_FAULT("no program %s", name);
	return p;
}

static unsigned rank_of(const struct object *o, const char *name)
{
	struct object_slot s;

	for (size_t i = 0; i < object_slot_count(o); i++) {
		object_slot(o, i, &s);
		if (str_eq(s.name, name))
			return s.rank;
	}
	TEST_FAULT("no slot %s", name);
	return 0;
}

TEST(gates_choose_before_loading)
{
	auto_ptr(object) o = object_named("SONDA_TEST_OBJECTS", "alternatives");
	struct err e = { 0 };

	REQUIRE(o);
	CHECK_INT(object_preview(o, NULL, &e), 0);
	CHECK_INT(rank_of(o, "pair"), 2);
	CHECK_INT(rank_of(o, "dreams"), 0);
	CHECK_HAS(program_of(o, "pair_gated").reason, "function no_such_function");
	CHECK_STR(program_of(o, "pair_partner").reason, "");
	CHECK_HAS(program_of(o, "pair_optional").reason, "not meant for a kernel with");
	CHECK_STR(program_of(o, "pair_optional").missed, "exits");
}

TEST(what_a_parameter_is_for_waits_until_it_is_set)
{
	auto_ptr(object) o = object_named("SONDA_OBJECTS", "process.hog");
	uint64_t limit = 100;
	struct err e = { 0 };

	REQUIRE(o);
	CHECK_INT(object_preview(o, NULL, &e), 0);
	CHECK_INT(rank_of(o, "opens"), 0);
	CHECK(program_of(o, "opens_returns").state == PROGRAM_UNTRIED);
	CHECK_INT(object_var_set(o, "opens_per_s", &limit, sizeof(limit), &e), 0);
	CHECK_INT(object_preview(o, NULL, &e), 0);
	CHECK(rank_of(o, "opens") > 0);
}

TEST(the_impossible_says_why_for_each)
{
	auto_ptr(object) o = object_named("SONDA_TEST_OBJECTS", "impossible");
	struct err e = { 0 };

	REQUIRE(o);
	CHECK(object_preview(o, NULL, &e) < 0);
	CHECK_INT(err_exit_code(&e), EXIT_KERNEL);
	CHECK_HAS(e.text, "function no_such_function: not in this kernel");
	CHECK_HAS(e.text, "type no_such_type: not in this kernel");
}

TEST(methods_are_left_out_on_demand)
{
	auto_ptr(object) o = object_named("SONDA_TEST_OBJECTS", "alternatives");
	struct err e = { 0 };
	int code;

	REQUIRE(o);
	setenv("SONDA_WITHOUT", "kprobe,raw_tp", 1);
	code = object_preview(o, NULL, &e);
	unsetenv("SONDA_WITHOUT");
	CHECK(code < 0);
	CHECK_INT(err_exit_code(&e), EXIT_KERNEL);
	CHECK_HAS(e.text, "raw_tp: left out by SONDA_WITHOUT");
}

TEST(falls_back_from_verifier_and_attach)
{
	auto_ptr(object) o = geteuid() ? NULL : object_named("SONDA_TEST_OBJECTS", "alternatives");
	struct err e = { 0 };

	if (!o)
		return;
	REQUIRE(!object_load(o, NULL, &e));
	CHECK_INT(rank_of(o, "pair"), 2);
	CHECK_INT(rank_of(o, "late"), 3);
	CHECK_HAS(program_of(o, "late_refused").reason, "the verifier refuses it");
	CHECK_HAS(program_of(o, "late_nowhere").reason, "/no/such/program");
	CHECK_INT(program_of(o, "late_works").state, PROGRAM_USED);
	CHECK_INT(program_of(o, "pair_partner").state, PROGRAM_UNTRIED);
	CHECK(object_program_fd(o, "late_works") >= 0);
	CHECK_INT(object_program_fd(o, "late_refused"), -1);
	CHECK_INT(object_map_fd(o, "sonda_sets"), -1); /* no filter is set: it isn't made */
	CHECK_INT(object_load(o, NULL, &e), -EBUSY);
}

struct sum {
	uint64_t opens;
	bool other;
};

static int row_sum(const void *key, const void *value, void *ctx)
{
	const unsigned char *k = key;
	struct sum *sum = ctx;
	uint64_t opens;

	memcpy(&opens, value, sizeof(opens));
	sum->opens += opens;
	sum->other |= k[0] == 0xff && k[1] == 0xff;
	return 0;
}

/* One map of filters, filled before anything is attached; every open of ours is sent, and counted in
 * the table. */
TEST(filters_counters_and_tables)
{
	auto_ptr(object) o = geteuid() ? NULL : object_named("SONDA_OBJECTS", "fs.open");
	auto_ptr(maptable) table = NULL;
	auto_close int sets = -1;
	struct sum sum = { 0 };
	struct stats stats;
	struct err e = { 0 };

	if (!o)
		return;
	REQUIRE(!sets_new(&sets, &e));
	REQUIRE(!sets_add(sets, SET_PID, (uint64_t)getpid(), 0, &e));
	CHECK(sets_has(sets, SET_PID, (uint64_t)getpid(), 0));
	object_conf(o)->sets_on = 1u << SET_PID;
	REQUIRE(!object_map_share(o, "sonda_sets", sets, &e));
	REQUIRE(!object_map_resize(o, "sonda_ring", 1024 * 1024, &e));
	REQUIRE(!object_load(o, NULL, &e));
	for (int i = 0; i < OPENS; i++) {
		auto_close int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
	object_detach(o);
	REQUIRE(!object_stats(o, &stats, &e));
	CHECK(stats.sent >= OPENS && stats.sent < OPENS + 20);
	CHECK_U64(stats.seen, stats.sent + stats.filtered + stats.lost[LOSS_RING] +
				      stats.lost[LOSS_STATE] + stats.lost[LOSS_BUSY] +
				      stats.lost[LOSS_ROOM]);
	CHECK_INT(object_map_max_entries(o, "sonda_ring"), 1024 * 1024);
	CHECK_INT(object_map_fd(o, "sonda_perf"), -1);
	REQUIRE(!maptable_new(o, "opens", &table, &e));
	REQUIRE(!maptable_read(table, row_sum, &sum, &e));
	CHECK_U64(sum.opens, stats.sent);
	CHECK(sum.other);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Verifier logs as kernels wrote them, and what is read out of them. */
#include "bpf/verify.h"

#include "base/mem.h"
#include "base/str.h"
#include "base/test.h"
#include "bpf/advice.h"

/* 6.18: the lookup isn't compared with NULL */
static const char log_null[] =
	"arg#0 reference type('UNKNOWN ') size cannot be determined: -22\n"
	"0: R1=ctx() R10=fp0\n"
	"; SEC(\"tp/raw_syscalls/sys_enter\") int null_unchecked(void *ctx) @ bad.bpf.c:26\n"
	"0: (b4) w1 = 1                        ; R1=1\n"
	"; u32 key = 1; @ bad.bpf.c:28\n"
	"1: (63) *(u32 *)(r10 -4) = r1         ; R1=1 R10=fp0 fp-8=mmmm????\n"
	"2: (bf) r2 = r10                      ; R2=fp0 R10=fp0\n"
	";  @ bad.bpf.c:0\n"
	"3: (07) r2 += -4                      ; R2=fp-4\n"
	"; u64 *n = bpf_map_lookup_elem(&numbers, &key); @ bad.bpf.c:29\n"
	"4: (18) r1 = 0xffff88810ce66c00       ; R1=map_ptr(map=numbers,ks=4,vs=8)\n"
	"6: (85) call bpf_map_lookup_elem#1    ; R0=map_value_or_null(id=1,map=numbers,ks=4,vs=8)\n"
	"; *n += 1; @ bad.bpf.c:31\n"
	"7: (79) r1 = *(u64 *)(r0 +0)\n"
	"R0 invalid mem access 'map_value_or_null'\n"
	"verification time 70 usec\n"
	"stack depth 8\n"
	"processed 7 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 "
	"mark_read 0\n";

/* 5.10: no file and line; registers on lines of their own; words about the way there */
static const char log_index_510[] =
	"Unrecognized arg#0 type PTR\n"
	"; if (!list)\n"
	"8: (15) if r0 == 0x0 goto pc+6\n"
	" R0_w=map_value(id=0,off=0,ks=4,vs=128,imm=0) R6_w=ctx(id=0,off=0,imm=0) R10=fp0\n"
	"; (*list)[ctx->id] += 1;\n"
	"9: (79) r1 = *(u64 *)(r6 +8)\n"
	"10: (67) r1 <<= 3\n"
	"11: (0f) r0 += r1\n"
	"last_idx 11 first_idx 0\n"
	"regs=2 stack=0 before 10: (67) r1 <<= 3\n"
	"math between map_value pointer and register with unbounded min value is not allowed\n"
	"verification time 990 usec\n"
	"stack depth 4+0+16\n"
	"processed 11 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 "
	"mark_read 0\n";

/* 6.18: two lines of words; the first says more */
static const char log_argument[] =
	"0: R1=ctx() R10=fp0\n"
	"; return ctx[7] & 1; @ bad.bpf.c:74\n"
	"0: (79) r0 = *(u64 *)(r1 +56)\n"
	"func 'sys_enter' doesn't have 5-th argument\n"
	"invalid bpf_context access off=56 size=8\n"
	"processed 1 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 "
	"mark_read 0\n";

/* libbpf's own words in the place of instructions it could not relocate */
static const char log_core[] =
	"; count_filtered(); @ open.bpf.c:210\n"
	"12: <invalid CO-RE relocation>\n"
	"failed to resolve CO-RE relocation <byte_off> [161] struct io_kiocb.cmd (0:0 @ offset 0)\n"
	"processed 29799 insns (limit 1000000) max_states_per_insn 0\n";

static const char log_loads[] =
	"verification time 48 usec\n"
	"stack depth 16\n"
	"processed 11 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 "
	"mark_read 0\n";

static char *log_read(const char *log, struct verdict *v)
{
	char *copy = xstrdup(log);

	memset(v, 0, sizeof(*v));
	verify_read_log(copy, v);
	return copy;
}

TEST(source_line_words_and_advice)
{
	struct verdict v;
	auto_free char *log = log_read(log_null, &v);

	CHECK_STR(v.source, "*n += 1;");
	CHECK_STR(v.file, "bad.bpf.c");
	CHECK_INT(v.line, 31);
	CHECK_STR(v.words, "R0 invalid mem access 'map_value_or_null'");
	CHECK_HAS(v.advice, "if (!value) return 0;");
	CHECK_INT(v.insns, 7);
	CHECK_INT(v.stack_bytes, 8);
}

TEST(old_kernels_have_no_line)
{
	struct verdict v;
	auto_free char *log = log_read(log_index_510, &v);

	CHECK_STR(v.source, "(*list)[ctx->id] += 1;");
	CHECK_STR(v.file, "");
	CHECK_INT(v.line, 0);
	CHECK_HAS(v.words, "math between map_value pointer");
	CHECK(v.advice[0]);
	CHECK_INT(v.stack_bytes, 16); /* the deepest of three functions */
}

TEST(the_first_known_words_advise)
{
	struct verdict v;
	auto_free char *log = log_read(log_argument, &v);

	CHECK_STR(v.words, "invalid bpf_context access off=56 size=8");
	CHECK_HAS(v.advice, "tpargs");
}

TEST(unresolved_fields)
{
	struct verdict v;
	auto_free char *log = log_read(log_core, &v);

	CHECK_HAS(v.words, "struct io_kiocb.cmd");
	CHECK_HAS(v.advice, "bpf_core_field_exists");
	CHECK_INT(v.line, 210);
	CHECK_INT(v.insns, 29799);
}

TEST(a_program_that_loads)
{
	struct verdict v;
	auto_free char *log = log_read(log_loads, &v);

	CHECK_STR(v.words, "");
	CHECK_STR(v.source, "");
	CHECK_INT(v.insns, 11);
	CHECK_INT(v.stack_bytes, 16);
}

TEST(odd_logs_are_survived)
{
	static const char *const logs[] = {
		"",         "\n\n",     ";",      "; ",          ";  @ ",
		"; x @ y",  "; x @ y:", "; @ :1", "stack depth", "stack depth +",
		"processed"
	};
	struct verdict v;

	for (size_t i = 0; i < ARRAY_LEN(logs); i++) {
		auto_free char *log = log_read(logs[i], &v);

		CHECK(v.words && v.source && v.file && v.advice);
	}
}

TEST(colons_and_marks_in_the_source)
{
	struct verdict v;
	auto_free char *log =
		log_read("; s = a ? \"x @ y:3\" : b; @ dir/f.c:12\n0: (95) exit\n", &v);

	CHECK_STR(v.source, "s = a ? \"x @ y:3\" : b;");
	CHECK_STR(v.file, "dir/f.c");
	CHECK_INT(v.line, 12);
}

/* A row that an earlier one always hides would never be shown. */
TEST(every_advice_can_be_reached)
{
	size_t count;
	const struct advice *rows = advice_table(&count);

	CHECK(count >= 20);
	for (size_t i = 0; i < count; i++) {
		if (advice_find(rows[i].message) != &rows[i])
			TEST_FAULT("'%s' is hidden by '%s'", rows[i].message,
				   advice_find(rows[i].message)->message);
		CHECK(rows[i].meaning[0] && rows[i].remedy[0]);
	}
}

/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What a probe says of itself. Every word becomes a BTF declaration tag "@key text" on the C
 * entity it stands on: the licence (the probe), a rodata variable (a parameter), a struct (an event
 * or a row), a member (a field), a map (a metric table), a function (a way to attach).
 * A tag is never empty: the kernel would refuse the object's whole BTF.
 */
#pragma once

#define PROBE_ABI 1

#define TAG(text) __attribute__((btf_decl_tag("@" text)))
#define STRINGIFY_(...) #__VA_ARGS__
#define STRINGIFY(...) STRINGIFY_(__VA_ARGS__)

/* --- on fields, parameters and tables --- */
#define DOC(text) TAG("doc " text)
/* What a number means; gives its printed form, its unit and its filters. See docs/probes.md. */
#define KIND(kind) TAG("kind " kind)
/* Unit of a plain number where the kind doesn't say: "ns" "us" "ms" "s" "bytes" "pages" "sectors"
 * "percent" "hz" */
#define UNIT(unit) TAG("unit " unit)
#define RANGE(low, high) TAG("range " #low " " #high)
#define HIDE TAG("hide 1")     /* not in text output unless asked for; always in JSON */
#define FLAGS TAG("flags 1")   /* an enum whose values are bits, printed as a|b */
#define KEY TAG("key 1")       /* identifies a row from one snapshot to the next */
#define COUNTER TAG("as counter")
#define GAUGE TAG("as gauge")

/* --- the probe --- */

/* PROBE(open, "fs", "Files opened"): the file probes/fs/open.bpf.c is the probe fs.open. Behind it
 * may stand INTERNAL (sonda's own helper, not offered to the user) and SLOTS(n): scratch slots at
 * most, for a probe whose EVENT_MAX is large; without, there are some for each CPU. */
#define PROBE(name, group, doc, ...)                                                               \
	char LICENSE[] SEC("license") TAG("abi " STRINGIFY(PROBE_ABI)) TAG("probe " #name)         \
		TAG("group " group) DOC(doc) __VA_ARGS__ = "Dual BSD/GPL"
#define INTERNAL TAG("internal 1")
#define SLOTS(n) TAG("slots " #n)

/* PARAM(u32, depth, 4, DOC("levels shown") RANGE(1, 16)): the option --depth. T may be bool, an
 * integer, an enum (its names are the choices) or a char array. */
#define PARAM(T, name, value, ...) const volatile T name TAG("param 1") __VA_ARGS__ = value
/* A PARAM_TEXT may be REQUIRED("BINARY:FUNCTION"), which says what is expected. */
#define REQUIRED(expected) TAG("required " expected)
#define PARAM_TEXT(name, size, value, ...)                                                         \
	const volatile char name[size] TAG("param 1") __VA_ARGS__ = value

/* PARAM_LIST(u16, port, 8, (53, 5353), DOC("ports") RANGE(1, 65535)): the option --port N,N...; eight at
 * most. What is behind the last is 0, so RANGE is needed and begins above it. */
#define PARAM_LIST(T, name, most, value, ...)                                                      \
	const volatile T name[most] TAG("param 1") __VA_ARGS__ = PARAM_LIST_ value
#define PARAM_LIST_(...)                                                                           \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

/* PARAM_FILE(file, DOC("...")): the option --file PATH, which must be given. param_file(file) is a
 * struct param_file (abi/param.h): inode, device, and the name in its directory. */
#define PARAM_FILE(name, ...)                                                                      \
	const volatile char name[sizeof(struct param_file)]                                        \
		__attribute__((aligned(8))) TAG("param file") KIND("path") __VA_ARGS__ = {}
#define param_file(name) ((const volatile struct param_file *)name)

/* EVENT(open, "One file opened") { fields }; */
#define EVENT(name, doc) struct TAG("event " #name) DOC(doc) name
/* ROW(task_row, "One process") { fields }; written by an iterator */
#define ROW(name, doc) struct TAG("row " #name) DOC(doc) name

/* The process block most events begin with; flattened, so its members are fields of the event. */
struct task {
	u32 pid KIND("pid") DOC("process (thread-group id)");
	u32 tid KIND("tid") HIDE DOC("thread");
	u32 uid KIND("uid") DOC("user the thread runs as (real user id)");
	u32 ppid KIND("pid") HIDE DOC("parent process");
	u64 cgroup KIND("cgroup") HIDE DOC("cgroup v2 of the process");
	u64 start_ns KIND("boottime") HIDE DOC("when the process began; with pid it is unique");
	char comm[16] KIND("comm") DOC("command name of the thread");
};

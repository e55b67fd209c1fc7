/* SPDX-License-Identifier: BSD-2-Clause */
/* What the verifier's messages mean and what to do. The first row that fits counts. */
#include "bpf/advice.h"

#include "base/str.h"

/* clang-format off */
static const struct advice advices[] = {
	{ "invalid mem access 'scalar'",
	  "a number is used as a pointer: the verifier doesn't know what it points to",
	  "read through it with BPF_CORE_READ or bpf_probe_read_kernel, or bpf_probe_read_user for an address of a process" },
	{ "invalid mem access 'inv'",
	  "a number is used as a pointer (words of kernels before 5.18)",
	  "read through it with BPF_CORE_READ or bpf_probe_read_kernel, or bpf_probe_read_user for an address of a process" },
	{ "invalid mem access 'map_value_or_null'",
	  "the result of a map lookup is used without asking whether it is NULL",
	  "write 'if (!value) return 0;' between the lookup and the first use" },
	{ "invalid mem access '*_or_null'",
	  "a pointer that may be NULL is used without asking",
	  "compare the pointer with NULL before its first use" },
	{ "invalid mem access",
	  "memory is read or written through something that isn't a pointer to it",
	  "check that the pointer comes from a lookup, the context or the stack, and hasn't gone through arithmetic the verifier can't follow" },
	{ "invalid access to map value",
	  "an offset into a map's value may lie outside it",
	  "bound the index just before its use: 'i &= SIZE - 1' with SIZE a power of two, or 'if (i >= SIZE) return 0;' on the same variable" },
	{ "invalid access to packet",
	  "packet bytes are touched without a check against data_end",
	  "compare 'pointer + size' with data_end after every change of the pointer, before the access" },
	{ "invalid access to memory",
	  "more bytes are touched than the pointer is known to have",
	  "bound the offset and the size before the access" },
	{ "min value is negative",
	  "a size or index may be below zero",
	  "use an unsigned variable, or mask it: 'n &= MAX' just before the call" },
	{ "unbounded min value",
	  "an index has no lower bound",
	  "use an unsigned variable and check it just before the access" },
	{ "unbounded memory access",
	  "a size or index has no upper bound that the verifier still knows",
	  "check 'if (n > MAX) n = MAX;' directly before the use, on the variable itself, not on a copy" },
	{ "invalid zero-sized read",
	  "a size may be 0 where the helper wants at least 1",
	  "return early when the size is 0" },
	{ "invalid read from stack",
	  "bytes of the stack are read that were never written",
	  "initialise the whole variable: 'struct key k = {};', holes included" },
	{ "invalid indirect read from stack",
	  "a helper is given stack bytes that were never written, often the padding of a struct",
	  "initialise the whole variable: 'struct key k = {};', and pad structs by name" },
	{ "invalid write to stack",
	  "something is written outside the function's 512 bytes of stack",
	  "check the index against the array's length just before the write" },
	{ "combined stack size of * calls is *. Too large",
	  "a function and those it calls need more than 512 bytes of stack together",
	  "build large things in the event (event_new) or in a map value, not on the stack" },
	{ "stack depth * exceeds",
	  "a function needs more than 512 bytes of stack",
	  "build large things in the event (event_new) or in a map value, not on the stack" },
	{ "BPF program is too large",
	  "the verifier gave up after a million instructions",
	  "shorten loops (at most 16 steps written plainly), make large helpers global functions (not static), check values once and early" },
	{ "sequence of * jumps is too complex",
	  "too many branches are open at once",
	  "split the code into global functions, which are verified once; leave early instead of nesting" },
	{ "back-edge from insn",
	  "the end of a loop can't be proved",
	  "give the loop a constant upper bound: 'for (int i = 0; i < 16; i++)'" },
	{ "infinite loop detected",
	  "a loop comes back in the same state",
	  "give the loop a constant upper bound, and let its variable be one the loop alone changes" },
	{ "unreachable insn",
	  "code that can never run stands in the program",
	  "compile with -O2; remove code behind an unconditional return" },
	{ "unknown func",
	  "this kernel has no such helper, or not for programs of this type",
	  "add NEED(\"helper NAME\") and an alternative without it" },
	{ "program of this type cannot use helper",
	  "the helper exists, but not for programs of this type",
	  "use another hook (ALT) for what needs the helper; bpf_d_path, for one, works in fentry on a few functions, LSM and iterators only" },
	{ "helper call is not allowed in probe",
	  "the helper needs another type of program, or more privileges (lockdown)",
	  "use another hook or another way; NEED(\"helper NAME\") alone doesn't show it" },
	{ "calling kernel function * is not allowed",
	  "the kernel function isn't open to programs of this type",
	  "use another hook for it, as an alternative with ALT" },
	{ "Unreleased reference",
	  "something was acquired (a socket, a record of the ring) and not given back on some path",
	  "release it on every path; with event_new: event_send or event_drop" },
	{ "reference has not been acquired",
	  "something is released that isn't held",
	  "release only what was acquired, once" },
	{ "R0 !read_ok",
	  "a function can end without a return value",
	  "return a value on every path" },
	{ "!read_ok",
	  "a variable is used that was never set on some path",
	  "initialise it where it is declared" },
	{ "At program exit the register R0 has",
	  "programs of this type may return only certain values",
	  "return 0, or what this hook allows (LSM: 0 or a negative errno; cgroup: 0 or 1)" },
	{ "invalid bpf_context access",
	  "the context is read at an offset it doesn't have, or in a size the kernel refuses",
	  "use the context's own type and read whole fields; an argument of tp_btf or fentry must exist on this kernel: NEED(\"tpargs NAME COUNT\")" },
	{ "func '*' doesn't have *-th argument",
	  "the hooked function or tracepoint has fewer arguments on this kernel",
	  "add an alternative with NEED(\"tpargs NAME COUNT\") for each form" },
	{ "dereference of modified",
	  "a pointer was moved by arithmetic and then followed",
	  "follow the pointer the kernel gave, member by member" },
	{ "pointer arithmetic on",
	  "a pointer of this kind can't be moved",
	  "keep the pointer as it is and compute with offsets into arrays instead" },
	{ "math between * pointer and register with unbounded",
	  "a number without bounds is added to a pointer",
	  "bound the number just before the addition: '& (SIZE - 1)'" },
	{ "R* type=* expected=",
	  "a helper is given a pointer of another kind than it wants",
	  "check the arguments' order; values for maps must lie on the stack or in a map" },
	{ "invalid argument type",
	  "a function is given something it doesn't take",
	  "check the arguments' types" },
	{ "leaks addr",
	  "a kernel address would get into a map or be returned",
	  "store a number that identifies it (an id, a hash) instead" },
	{ "BPF map '*' is referenced but wasn't created",
	  "the program uses a map that isn't made in this configuration",
	  "guard the code with wanted(), events_wanted() or tables_wanted(), or add NEED(\"map TYPE\")" },
	{ "invalid CO-RE relocation",
	  "a field or type is used that this kernel doesn't have",
	  "ask with bpf_core_field_exists() first, or add NEED(\"field STRUCT.MEMBER\")" },
	{ "failed to resolve CO-RE relocation",
	  "a field or type is used that this kernel doesn't have",
	  "ask with bpf_core_field_exists() first, or add NEED(\"field STRUCT.MEMBER\")" },
	{ "cannot call GPL-restricted function from non-GPL",
	  "the helper is only for programs under the GPL",
	  "declare the licence with PROBE(), which says Dual BSD/GPL" },
	{ "cannot call GPL only function from proprietary",
	  "the helper is only for programs under the GPL",
	  "declare the licence with PROBE(), which says Dual BSD/GPL" },
	{ "may be used only in sleepable",
	  "the helper may sleep, the hook may not",
	  "use a sleepable hook (fentry.s, lsm.s, uprobe.s), or bpf_probe_read_user instead of bpf_copy_from_user" },
	{ "tracing progs cannot use bpf_*",
	  "timers, spin locks and lists can't be used by tracing programs on this kernel",
	  "use atomic additions, or a kernel that can as one alternative of several" },
};
/* clang-format on */

const struct advice *advice_table(size_t *ret_count)
{
	*ret_count = ARRAY_LEN(advices);
	return advices;
}

/* The parts of `message` between its stars occur in `line`, in that order. */
static bool message_fits(const char *message, const char *line)
{
	size_t len;

	for (;;) {
		len = strcspn(message, "*");
		line = memmem(line, strlen(line), message, len);
		if (!line)
			return false;
		if (!message[len])
			return true;
		line += len;
		message += len + 1;
	}
}

const struct advice *advice_find(const char *line)
{
	for (size_t i = 0; i < ARRAY_LEN(advices); i++)
		if (message_fits(advices[i].message, line))
			return &advices[i];
	return NULL;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What live tests watch: a function, a mark, and a system call that carries numbers.
 *
 *	target work N		calls work(0) ... work(N - 1), each with the mark sonda:step
 *	target calls N		recurse(N), first(5), ten times a jump over three calls of hop(), then
 *				measure("one") ... measure("three"), each with the mark sonda:text
 *	target fresh		measure("fresh page") of a page that nothing has touched before
 *	target say		for each line of input, NUMBER and up to three arguments: prctl(2) with them, in
 *				a child of its own if the line begins with 'f'; answers with a line
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* What <sys/sdt.h> would make of STAP_PROBE1(sonda, NAME, VALUE): the place, and where the value is.
 * SIZE: its bytes, negative if it has a sign. */
#define MARK(name, size, value)                                                             \
	__asm__ volatile(                                                                   \
		"990: nop\n"                                                                \
		".pushsection .note.stapsdt, \"\", \"note\"\n"                              \
		".balign 4\n.4byte 992f-991f, 994f-993f, 3\n"                               \
		"991: .asciz \"stapsdt\"\n992: .balign 4\n"                                 \
		"993: .8byte 990b, mark_base, 0\n"                                          \
		".asciz \"sonda\"\n.asciz \"" name "\"\n.asciz \"" size "@%0\"\n"           \
		"994: .balign 4\n.popsection\n"                                             \
		".ifndef mark_base\n"                                                       \
		".pushsection .stapsdt.base, \"aG\", \"progbits\", .stapsdt.base, comdat\n" \
		".weak mark_base\nmark_base: .space 1\n.popsection\n.endif\n"               \
		:                                                                           \
		: "r"(value))

int work(int n);

__attribute__((noinline)) int work(int n)
{
	MARK("step", "-4", n);
	return n * 3;
}

static int work_often(int count)
{
	int sum = 0;

	for (int i = 0; i < count; i++)
		sum += work(i);
	return sum < 0;
}

int recurse(int n);
int hop(int n);
int measure(const char *text);
int last(int n);
int first(int n);

static jmp_buf back;

/* The sum of the numbers up to n; keeps its frame until the inner call is over. */
__attribute__((noinline)) int recurse(int n)
{
	volatile int sum = n;

	if (n)
		sum += recurse(n - 1);
	return sum;
}

__attribute__((noinline)) int hop(int n)
{
	volatile int kept = n;

	if (n)
		return hop(n - 1) + kept;
	if (!kept)
		longjmp(back, 1);
	return 0;
}

/* Its length, or -1 of one with an e. */
__attribute__((noinline)) int measure(const char *text)
{
	MARK("text", "8", text);
	return strchr(text, 'e') ? -1 : (int)strlen(text);
}

__attribute__((noinline)) int last(int n)
{
	return n + 1;
}

/* Its last act is a call: nothing of it is left on the stack then. */
__attribute__((noinline, optimize("O2"))) int first(int n)
{
	return last(n * 2);
}

static int call_all(int depth)
{
	static const char *const texts[] = { "one", "two", "three" };
	int sum = recurse(depth) + first(5);

	for (volatile int i = 0; i < 10; i++)
		if (!setjmp(back))
			sum += hop(2);
	for (int i = 0; i < 3; i++)
		sum += measure(texts[i]);
	return sum < 0;
}

static int call_fresh(void)
{
	static const char text[] = "fresh page";
	FILE *file = tmpfile();
	char *page;

	if (!file || fwrite(text, 1, sizeof(text), file) != sizeof(text) || fflush(file))
		return 1;
	page = mmap(NULL, sizeof(text), PROT_READ, MAP_PRIVATE, fileno(file), 0);
	return page == MAP_FAILED || measure(page) >= 0;
}

static void say(const char *line)
{
	unsigned long a[5] = { 0 };
	char *end;

	for (int i = 0; i < 5; i++, line = end)
		a[i] = strtoul(line, &end, 0);
	prctl((int)a[0], a[1], a[2], a[3], a[4]);
}

static void say_line(const char *line)
{
	if (*line != 'f') {
		say(line);
	} else if (!fork()) {
		say(line + 1);
		_exit(0);
	} else {
		wait(NULL);
	}
}

int main(int argc, char **argv)
{
	char line[256];

	if (argc == 3 && !strcmp(argv[1], "work"))
		return work_often(atoi(argv[2]));
	if (argc == 3 && !strcmp(argv[1], "calls"))
		return call_all(atoi(argv[2]));
	if (argc == 2 && !strcmp(argv[1], "fresh"))
		return call_fresh();
	while (fgets(line, sizeof(line), stdin)) {
		say_line(line);
		puts("said");
		fflush(stdout);
	}
	return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
#include "policy/policy.h"

#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "base/test.h"
#include "policy/judge.h"
#include "policy/lint.h"
#include "policy/words.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static const char whole[] =
	"# who may come in\n"
	"set admins = 198.51.100.7, 2001:db8::/64  # the office\n"
	"set login-tools = /usr/sbin/sshd, \"/opt/my tools/login\"\n"
	"\n"
	"rule shadow \"only login tools read the hashes\"\n"
	"    deny read, write of file /etc/shadow, /etc/gshadow\n"
	"    unless exe in @login-tools\n"
	"    when user in 1000, anna\n"
	"    # until the next release\n"
	"    expires 2027-01-01\n"
	"\n"
	"rule tmp\n"
	"    deny exec of file under /tmp, /dev/shm\n"
	"    mode audit\n"
	"    trip at 50/min\n"
	"\n"
	"rule ssh\n"
	"    allow packet from @admins tcp port 22 on eth0\n"
	"\n"
	"rule flood\n"
	"    limit packet tcp syn port 80, 8000-8080 to 1000/s burst 200 per source, then drop for 10m\n"
	"    unless from 10.0.0.0/8\n"
	"\n"
	"rule cookies\n"
	"    answer packet tcp syn port 443 with cookies above 10000/s for 2s per destination\n"
	"\n"
	"rule reflected\n"
	"    watch packet udp source-port @reflectors above 50000/s per port, then drop for 10m\n"
	"\n"
	"rule much\n"
	"    limit packet udp to 10MiB/s burst 1500kB per source\n"
	"\n"
	"rule more\n"
	"    watch packet above 125MB/s for 2s per network, then drop for 1m\n";

static struct policy *parsed(const char *text)
{
	struct policy *p = NULL;
	struct err e = { 0 };

	if (policy_parse("test", text, &p, &e) < 0)
		printf("%s\n", e.text);
	return p;
}

TEST(tree)
{
	auto_ptr(policy) p = parsed(whole);
	const struct policy_rule *r;

	REQUIRE(p);
	CHECK(p->sets.len == 3 && p->rules.len == 8);
	r = &p->rules.at[0];
	CHECK(r->verdict == POLICY_DENY && r->operations == (POLICY_READ | POLICY_WRITE));
	CHECK_STR(r->note, "only login tools read the hashes");
	CHECK(!r->under && r->objects.len == 2 && !policy_rule_audits(r));
	CHECK(policy_clause_find(r, WORD_EXE, 0)->unless);
	CHECK(!policy_clause_find(r, WORD_USER, 0)->unless);
	CHECK(policy_rule_audits(&p->rules.at[1]) && p->rules.at[1].under);
	CHECK(p->rules.at[2].verdict == POLICY_PASS);
	r = &p->rules.at[3];
	CHECK(r->limit.per_hour == 3600000 && r->limit.burst == 200);
	CHECK(r->limit.per == PER_SOURCE && r->limit.drop_ns == 600000000000ull);
	CHECK(policy_clause_find(r, WORD_SYN, 0) && !policy_clause_find(r, WORD_UDP, 0));
	r = &p->rules.at[4];
	CHECK(r->verdict == POLICY_ANSWER && r->cookies && r->limit.for_ns == 2000000000);
	CHECK(r->limit.per == PER_DESTINATION && !r->limit.drop_ns);
	CHECK(p->rules.at[5].limit.per == PER_PORT && p->rules.at[5].limit.drop_ns);
	r = &p->rules.at[6];
	CHECK(r->limit.bytes && r->limit.per_hour == 10485760ull * 3600);
	CHECK(r->limit.burst == 1500000 && !p->rules.at[3].limit.bytes);
	CHECK(p->sets.at[2].shipped && p->sets.at[2].form == FORM_PORT);
	CHECK(p->sets.at[0].form == FORM_NETWORK && p->sets.at[1].form == FORM_PATH);
}

TEST(printed_as_written)
{
	auto_ptr(policy) p = parsed(whole);
	auto_done(strbuf) out = { 0 };

	REQUIRE(p);
	policy_print(p, &out);
	CHECK_STR(strbuf_str(&out), whole);
}

static const char kernel[] = "rule a\n"
			     "    deny kill, ptrace of exe /bin/a, /bin/b\n"
			     "    unless exe in /bin/c\n"
			     "    when ancestor in /bin/d, /bin/e\n"
			     "    unless terminal\n"
			     "\n"
			     "rule b\n"
			     "    deny setuid to root, 1000\n"
			     "    when user in www-data\n"
			     "\n"
			     "rule c\n"
			     "    alert use of capability net_raw, CAP_SYS_TIME\n"
			     "\n"
			     "rule d\n"
			     "    deny mount, umount, load-module, bpf, user-namespace\n"
			     "    mode audit\n";

TEST(the_kernel_printed_as_written)
{
	auto_ptr(policy) p = parsed(kernel);
	auto_done(strbuf) out = { 0 };

	REQUIRE(p);
	CHECK(p->rules.at[0].domain == POLICY_KERNEL);
	CHECK(p->rules.at[0].operations == (POLICY_KILL | POLICY_PTRACE));
	CHECK(p->rules.at[1].object->object == OBJECT_TO && p->rules.at[1].objects.len == 2);
	CHECK(!p->rules.at[3].object && p->rules.at[3].domain == POLICY_KERNEL);
	policy_print(p, &out);
	CHECK_STR(strbuf_str(&out), kernel);
}

TEST(printed_in_order)
{
	auto_ptr(policy) p =
		parsed("rule a\ndrop   packet # why\n udp source-port 53 mode\taudit\n#end");
	auto_done(strbuf) out = { 0 };

	REQUIRE(p);
	policy_print(p, &out);
	CHECK_STR(strbuf_str(&out), "rule a\n    drop packet udp source-port 53  # why\n"
				    "    mode audit\n#end\n");
}

/* The tables are indexed by their enums. */
TEST(tables)
{
	size_t count;
	const struct policy_word_row *words = policy_words(&count);
	const struct policy_verdict_row *verdicts;

	for (size_t i = 0; i < count; i++)
		CHECK(words[i].word == i);
	verdicts = policy_verdicts(&count);
	for (size_t i = 0; i < count; i++)
		CHECK(verdicts[i].verdict == i);
}

/* tests/policy/wrong: policies between lines of "----", the message of each behind "=> ". */
static void wrong_case(char *text)
{
	char *message = strstr(text, "=> ");
	struct policy *p = NULL;
	struct err e = { 0 };

	REQUIRE(message);
	message[-1] = '\0';
	message += strlen("=> ");
	message[strcspn(message, "\n")] = '\0';
	CHECK(policy_parse("t", text, &p, &e) < 0);
	CHECK_INT(err_exit_code(&e), EXIT_POLICY);
	CHECK_STR(e.text, message);
	policy_free(p);
}

TEST(wrong)
{
	auto_free char *text = NULL;
	unsigned seen = 0;
	struct err e = { 0 };

	REQUIRE(!file_read("tests/policy/wrong", &text, NULL, &e));
	for (char *at = text, *next; at && *at; at = next, seen++) {
		next = strstr(at, "----\n");
		if (next) {
			*next = '\0';
			next += strlen("----\n");
		}
		wrong_case(at);
	}
	CHECK(seen >= 100);
}

/* What is shipped is what it says, and locks nobody out of this machine. */
TEST(examples)
{
	static const char *const paths[] = { "policies/server.policy", "policies/web.policy",
					     "policies/bastion.policy",
					     "policies/workstation.policy" };

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		auto_done(strbuf) printed = { 0 }, again = { 0 };
		auto_ptr(policy) p = NULL;
		auto_ptr(policy) q = NULL;
		struct err e = { 0 };

		REQUIRE(!policy_read(paths[i], &p, NULL, &e));
		CHECK(!policy_lint(p, &e) && !policy_lint_logins(p, &e));
		policy_print(p, &printed);
		REQUIRE(!policy_parse(paths[i], strbuf_str(&printed), &q, &e));
		policy_print(q, &again);
		CHECK_STR(strbuf_str(&again), strbuf_str(&printed));
	}
}

static int linted(const char *text)
{
	auto_ptr(policy) p = parsed(text);
	struct err e = { 0 };

	return p ? policy_lint(p, &e) : -1;
}

/* /bin/sh is everywhere, and this program stands for sonda. */
TEST(lock_out)
{
	CHECK(linted("rule a deny exec of file under /") < 0);
	CHECK(linted("rule a deny any of file under /proc/self/exe") < 0);
	CHECK(linted("rule a deny read of file under / when user in root") < 0);
	CHECK(!linted("rule a deny exec of file under / mode audit"));
	CHECK(!linted("rule a alert exec of file under /"));
	CHECK(!linted("rule a deny exec of file under /tmp/nowhere"));
	CHECK(!linted("rule a deny exec of file under / when user in nobody"));
	CHECK(!linted("rule a deny exec of file under / when exe in /bin/true"));
	CHECK(!linted("rule a drop packet tcp"));
	CHECK(linted("rule a deny kill") < 0);
	CHECK(linted("rule a deny kill of exe /bin/bash") < 0);
	CHECK(linted("rule a deny setuid") < 0);
	CHECK(linted("rule a deny setuid to root unless exe in /bin/true") < 0);
	CHECK(!linted("rule a deny setuid to root when user in nobody"));
	CHECK(!linted("rule a deny setuid mode audit"));
	CHECK(!linted("rule a alert kill"));
	CHECK(!linted("rule a deny kill of exe /bin/false"));
	CHECK(!linted("rule a deny bpf, load-module"));
}

/* Libraries, devices, what /proc tells: no shell starts without. */
TEST(lock_out_by_what_programs_need)
{
	CHECK(linted("rule a deny exec of file under /lib, /usr/lib") < 0);
	CHECK(linted("rule a deny read, write of file under /dev") < 0);
	CHECK(linted("rule a deny write of file /dev/null") < 0);
	CHECK(linted("rule a deny write of file under /etc/passwd") < 0);
	CHECK(!linted("rule a deny write of file /etc/passwd when user in nobody"));
}

/* By another name it is the same file. */
TEST(lock_out_by_other_names)
{
	char dir[] = "/tmp/sonda-lint-XXXXXX";
	auto_free char *linked = NULL, *policy = NULL, *self = NULL;
	char exe[PATH_MAX];
	struct err e = { 0 };

	REQUIRE(mkdtemp(dir) && proc_self_exe(exe, &e) == 0);
	self = xasprintf("%s.linked", exe); /* a hard link must be on the same file system */
	linked = xasprintf("%s/exe", dir);
	REQUIRE(link(exe, self) == 0 && symlink(self, linked) == 0);
	policy = xasprintf("rule a deny any of file %s", self);
	CHECK(linted(policy) < 0);
	free(policy);
	policy = xasprintf("rule a deny any of file %s", linked);
	CHECK(linted(policy) < 0);
	unlink(self);
	unlink(linked);
	rmdir(dir);
}

/* From 198.51.100.7 somebody is logged in on eth0; or nobody is known to be. */
static int logins_linted(const char *text, bool is_there)
{
	auto_ptr(policy) p = parsed(text);
	struct lint_login login = { .port = 22, .interface = "eth0", .is_there = is_there };
	lint_logins logins = { 0 };
	struct err e = { 0 };
	int err;

	if (!p || policy_network_parse("198.51.100.7", &login.peer, &e) < 0 ||
	    policy_network_parse("192.0.2.1", &login.own, &e) < 0)
		return -1;
	vec_push(&logins, login);
	err = lint_logins_judge(p, &logins, &e);
	vec_done(&logins);
	return err;
}

/* clang-format off */
static const struct {
	const char *text;
	bool cuts_one, cuts_all;
} logins_cases[] = {
	{ "rule a drop packet", true, true },
	{ "rule a drop packet out", true, true },
	{ "rule a drop packet at input tcp port 1-100", true, true },
	{ "rule a drop packet at output tcp source-port 22", true, true },
	{ "rule a drop packet at forward", false, false },
	{ "rule a drop packet tcp syn port 22 on eth0", true, true },
	{ "rule a drop packet on eth1", false, false },
	{ "rule a drop packet mode audit", false, false },
	{ "rule a drop packet expires 2000-01-01", false, false },
	{ "rule a drop packet udp\nrule b drop packet malformed", false, false },
	{ "rule a allow packet from 198.51.100.0/24\nrule b drop packet", false, false },
	{ "rule a allow packet from 203.0.113.0/24 tcp port 22\nrule b drop packet", true, false },
	{ "set s = 203.0.113.0/24\nrule a drop packet tcp port 22 unless from @s", true, false },
	{ "rule a drop packet from 198.51.100.0/24", true, false },
	{ "rule a limit packet tcp syn to 1/h", false, false },
	{ "rule a deny connect", false, false },
};
/* clang-format on */

TEST(logins)
{
	lint_logins none = { 0 };
	struct err e = { 0 };
	auto_ptr(policy) p = parsed("rule a drop packet");

	for (size_t i = 0; i < ARRAY_LEN(logins_cases); i++) {
		const char *text = logins_cases[i].text;

		if (logins_linted(text, true) != (logins_cases[i].cuts_one ? -EPERM : 0) ||
		    logins_linted(text, false) != (logins_cases[i].cuts_all ? -EPERM : 0))
			CHECK_STR(text, "judged otherwise");
	}
	CHECK(!lint_logins_judge(p, &none, &e)); /* where no sshd listens */
}

static void cautioned(const char *text, const char *says)
{
	auto_ptr(policy) p = parsed(text);
	auto_done(strbuf) out = { 0 };

	REQUIRE(p);
	policy_cautions(p, &out);
	CHECK_STR(strbuf_str(&out), says);
}

TEST(cautions)
{
	cautioned(
		"rule a deny write of file /etc/*.conf",
		"test: line 1, column 27: '/etc/*.conf': a path is taken by its letters, not as a pattern; `file under DIRECTORY` is about all in it\n");
	cautioned(
		"rule a deny write of file /etc/passwd, /etc/pasword",
		"test: line 1, column 40: there is no file '/etc/pasword'; whatever gets that name is meant\n");
	cautioned("rule a deny create of file /etc/nologin", "");
	cautioned(
		"rule a drop packet from 10.0.0.0/8 to 2001:db8::/32",
		"test: line 1, column 36: rule 'a' can match nothing: no packet goes from IPv4 to IPv6\n");
	cautioned("rule a drop packet from 10.0.0.0/8, 2001:db9::/32 to 2001:db8::/32", "");
	cautioned("rule a drop packet unless from 10.0.0.0/8 to 2001:db8::/32", "");
}

TEST(networks)
{
	struct policy_network n;
	struct err e = { 0 };

	CHECK(!policy_network_parse("10.0.0.0/8", &n, &e) && n.family == AF_INET && n.bits == 8);
	CHECK(!policy_network_parse("0.0.0.0/0", &n, &e) && n.bits == 0);
	CHECK(!policy_network_parse("192.0.2.1", &n, &e) && n.bits == 32 && n.bytes[3] == 1);
	CHECK(!policy_network_parse("::ffff:192.0.2.0/120", &n, &e) && n.family == AF_INET);
	CHECK(n.bits == 24 && n.bytes[0] == 192);
	CHECK(!policy_network_parse("2001:db8::/32", &n, &e) && n.family == AF_INET6 &&
	      n.bits == 32);
	CHECK(policy_network_parse("10.0.0.1/8", &n, &e) < 0);
	CHECK(policy_network_parse("10.0.0.0/33", &n, &e) < 0);
	CHECK(policy_network_parse("10.0.0.0/", &n, &e) < 0);
	CHECK(policy_network_parse("10.0.0.0/-1", &n, &e) < 0);
	CHECK(policy_network_parse("010.0.0.0", &n, &e) < 0);
}

TEST(ports)
{
	uint16_t first, last;
	struct err e = { 0 };

	CHECK(!policy_ports_parse("80", &first, &last, &e) && first == 80 && last == 80);
	CHECK(!policy_ports_parse("8000-8080", &first, &last, &e) && last == 8080);
	CHECK(policy_ports_parse("0", &first, &last, &e) < 0);
	CHECK(policy_ports_parse("65536", &first, &last, &e) < 0);
	CHECK(policy_ports_parse("90-80", &first, &last, &e) < 0);
	CHECK(policy_ports_parse("80-", &first, &last, &e) < 0);
}

TEST(dates)
{
	struct err e = { 0 };
	int64_t s;

	setenv("TZ", "UTC", 1);
	CHECK(!policy_date_parse("2027-01-31", 0, &s, &e) && s == 1801353600);
	CHECK(!policy_date_parse("2027-01-31T12:30", 0, &s, &e) && s == 1801353600 + 45000);
	CHECK(!policy_date_parse("90m", 1000, &s, &e) && s == 6400);
	CHECK(policy_date_parse("2027-13-31", 0, &s, &e) < 0);
	CHECK(policy_date_parse("soon", 0, &s, &e) < 0);
}

static int join(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	(void)e;
	strbuf_appendf(ctx, "%s:%u ", text, at.line);
	return 0;
}

/* Places of values that lists have are wrapped as guards do. */
static int on_network(const char *text, struct policy_at at, void *ctx, struct err *e)
{
	struct policy_network n;

	return policy_network_parse(text, &n, e) < 0 ? policy_wrap(ctx, at, e) : 0;
}

TEST(each_value)
{
	char path[] = "/tmp/sonda-list-XXXXXX";
	int fd = mkstemp(path);
	auto_free char *text = xasprintf("set l = lines of %s\nset s = 10.0.0.0/8,\n 10.1.0.0/16\n"
					 "rule r drop packet from @l, 1.2.3.4, @s\n",
					 path);
	auto_ptr(policy) p = parsed(text);
	auto_done(strbuf) out = { 0 };
	auto_ptr(policy) again = NULL;
	auto_free char *says = NULL;
	struct err e = { 0 };

	REQUIRE(p && fd >= 0);
	CHECK(dprintf(fd, "# bad\n192.0.2.1 # one\n\n  198.51.100.0/24\r\n") > 0);
	CHECK(!policy_each(p, &p->rules.at[0].clauses.at[0].values, join, &out, &e));
	CHECK_STR(strbuf_str(&out),
		  "192.0.2.1:2 198.51.100.0/24:4 1.2.3.4:4 10.0.0.0/8:2 10.1.0.0/16:3 ");
	CHECK(dprintf(fd, "wrong\n") > 0);
	CHECK(policy_each(p, &p->rules.at[0].clauses.at[0].values, on_network, p, &e) < 0);
	says = xasprintf(
		"test: line 1, column 5: %s: line 5: 'wrong': expected an address or network such as 10.0.0.0/8 or 2001:db8::/32",
		path);
	CHECK_STR(e.text, says);
	close(fd);
	unlink(path);
	CHECK(policy_each(p, &p->rules.at[0].clauses.at[0].values, join, &out, &e) < 0);
	CHECK_INT(err_exit_code(&e), EXIT_POLICY);
	REQUIRE(mkfifo(path, 0600) == 0);
	CHECK(policy_each(p, &p->rules.at[0].clauses.at[0].values, join, &out, &e) < 0);
	CHECK(policy_read(path, &again, NULL, &e) < 0 && strstr(e.text, "is a pipe"));
	unlink(path);
}

static void met(const struct policy_rule *r, const struct policy_judged *judged, void *ctx)
{
	strbuf_appendf(ctx, "%s%s ", r->name, judged->answer == ANSWER_UNKNOWN ? "?" : "");
}

/* Rules are asked up to the one that decides, at each place by itself; what is not known leaves them perhaps. */
TEST(packets_judged)
{
	auto_ptr(policy) p = parsed("rule audit drop packet tcp mode audit\n"
				    "rule pass allow packet from 10.0.0.0/8 tcp port 22\n"
				    "rule eth drop packet on eth0 tcp port 22-23\n"
				    "rule all drop packet unless udp\n"
				    "rule late drop packet\n"
				    "rule hook drop packet at input tcp\n"
				    "rule other drop packet at input priority -5 tcp\n");
	struct policy_question q = { .domain = POLICY_PACKET, .protocol = 6, .port = 22 };
	auto_done(strbuf) out = { 0 };
	struct err e = { 0 };

	REQUIRE(p);
	CHECK(!policy_network_parse("10.1.1.1", &q.from, &e));
	CHECK(!policy_network_parse("192.0.2.1", &q.to, &e));
	CHECK(!policy_judge_packet(p, &q, NULL, met, &out, &e));
	CHECK_STR(strbuf_str(&out), "audit pass ");
	strbuf_reset(&out);
	q.port = 23;
	CHECK(!policy_judge_packet(p, &q, NULL, met, &out, &e));
	CHECK_STR(strbuf_str(&out), "audit eth? all? late? ");
	strbuf_reset(&out);
	q.interface = "lo"; /* rules without `on` don't stand there */
	CHECK(!policy_judge_packet(p, &q, NULL, met, &out, &e));
	CHECK_STR(strbuf_str(&out), "");
	q.domain = POLICY_FILTER;
	q.hooks = 1 << 1;
	CHECK(!policy_judge_packet(p, &q, NULL, met, &out, &e));
	CHECK_STR(strbuf_str(&out), "hook other ");
}

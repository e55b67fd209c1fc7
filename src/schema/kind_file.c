/* SPDX-License-Identifier: BSD-2-Clause */
/* Kinds: flags of open(2), modes of files, devices. */
#include "schema/kinds.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <asm/fcntl.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/str.h"

/* The kernel's numbers: the C library's O_LARGEFILE is 0. */
#define FLAG(name)          \
	{                   \
		name, #name \
	}
/* By value, as struct names wants it. */
static const struct names_row open_flag_rows[] = {
	FLAG(O_CREAT),     FLAG(O_EXCL),     FLAG(O_NOCTTY),  FLAG(O_TRUNC),   FLAG(O_APPEND),
	FLAG(O_NONBLOCK),  FLAG(O_DSYNC),    FLAG(FASYNC),    FLAG(O_DIRECT),  FLAG(O_LARGEFILE),
	FLAG(O_DIRECTORY), FLAG(O_NOFOLLOW), FLAG(O_NOATIME), FLAG(O_CLOEXEC), FLAG(O_SYNC),
	FLAG(O_PATH),      FLAG(O_TMPFILE),
};
static const struct names open_flags = {
	.enum_name = "", .prefix = "", .at = open_flag_rows, .count = ARRAY_LEN(open_flag_rows)
};
static const struct names_row access_rows[] = { FLAG(O_RDONLY), FLAG(O_WRONLY), FLAG(O_RDWR) };
#undef FLAG

static bool fd_is_none(struct value v)
{
	return v.type == VALUE_S64 && v.s64 < 0;
}

void fd_text(struct strbuf *out, const struct field *f, struct value v)
{
	if (fd_is_none(v))
		strbuf_putc(out, '-');
	else
		plain_text(out, f, v);
}

void fd_json(struct json *out, const struct field *f, struct value v)
{
	if (fd_is_none(v))
		json_null(out);
	else
		plain_json(out, f, v);
}

void open_flags_text(struct strbuf *out, const struct field *f, struct value v)
{
	uint64_t access = v.u64 & O_ACCMODE, rest = v.u64 & ~(uint64_t)O_ACCMODE;

	(void)f;
	/* 3 is neither: a descriptor for ioctl(2) only */
	strbuf_puts(out, access < ARRAY_LEN(access_rows) ? access_rows[access].name : "0x3");
	if (!rest)
		return;
	strbuf_putc(out, '|');
	flags_text(out, &open_flags, rest);
}

int open_flags_parse(const struct field *f, const char *text, struct value *ret_value,
		     struct err *e)
{
	struct names_row rows[ARRAY_LEN(access_rows) + ARRAY_LEN(open_flag_rows)];
	const struct names all = {
		.enum_name = "", .prefix = "O_", .at = rows, .count = ARRAY_LEN(rows)
	};
	uint64_t value;

	memcpy(rows, access_rows, sizeof(access_rows));
	memcpy(rows + ARRAY_LEN(access_rows), open_flag_rows, sizeof(open_flag_rows));
	if (flags_parse(&all, "flag", text, &value, e) < 0)
		return -e->code;
	*ret_value = value_of_field(f, value);
	return 0;
}

static const struct {
	unsigned type;
	const char *name;
} file_types[] = {
	{ S_IFREG, "file" }, { S_IFDIR, "dir" },  { S_IFLNK, "symlink" }, { S_IFSOCK, "socket" },
	{ S_IFIFO, "fifo" }, { S_IFCHR, "char" }, { S_IFBLK, "block" },
};

/* At least four digits. */
static void octal_text(struct strbuf *out, uint64_t n)
{
	unsigned shift = 9;

	while (shift < 63 && n >> (shift + 3))
		shift += 3;
	for (; shift; shift -= 3)
		strbuf_putc(out, (char)('0' + (n >> shift & 7)));
	strbuf_putc(out, (char)('0' + (n & 7)));
}

void mode_text(struct strbuf *out, const struct field *f, struct value v)
{
	if (v.type == VALUE_DOUBLE) {
		plain_text(out, f, v);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(file_types); i++) {
		if ((v.u64 & S_IFMT) != file_types[i].type)
			continue;
		strbuf_puts(out, file_types[i].name);
		strbuf_putc(out, ' ');
	}
	octal_text(out, v.u64 & ~(uint64_t)S_IFMT);
}

/* Octal, with a file's type before it or without: "0644", "644", "dir 0755". */
int mode_parse(const struct field *f, const char *text, struct value *ret_value, struct err *e)
{
	const char *space = strchr(text, ' '), *digits = space ? space + 1 : text;
	uint64_t mode = 0;

	for (size_t i = 0; space && i < ARRAY_LEN(file_types); i++)
		if (strlen(file_types[i].name) == (size_t)(space - text) &&
		    str_startswith(text, file_types[i].name))
			mode = file_types[i].type;
	if ((space && !mode) || !*digits || strlen(digits) > 6 ||
	    digits[strspn(digits, "01234567")])
		return fail(e, EINVAL, "'%s': expected permissions in octal, like 0644", text);
	*ret_value = value_of_field(f, mode | strtoul(digits, NULL, 8));
	return 0;
}

/* Devices come as the kernel has them inside. */
enum { DEVICE_MINOR_BITS = 20, DEVICE_NAME_MAX = 32, DEVICES_CACHED = 64, DEVICE_FRESH_S = 5 };

static unsigned device_major(uint64_t device)
{
	return (unsigned)(device >> DEVICE_MINOR_BITS) & 0xfff;
}
static unsigned device_minor(uint64_t device)
{
	return (unsigned)device & ((1u << DEVICE_MINOR_BITS) - 1);
}

/* "vda1" out of where /sys/dev/block/254:1 points; false when there is none. */
static bool device_read_name(uint64_t device, char name[static DEVICE_NAME_MAX])
{
	char link[64], target[512];
	ssize_t len;

	str_format(link, sizeof(link), "/sys/dev/block/%u:%u", device_major(device),
		   device_minor(device));
	len = readlink(link, target, sizeof(target) - 1);
	if (len <= 0)
		return false;
	target[len] = '\0';
	return str_copy(name, DEVICE_NAME_MAX, path_base(target));
}

/* The name, or NULL; looked up again when it is some seconds old. One cache a thread. */
static const char *device_name(uint64_t device)
{
	static _Thread_local struct {
		uint64_t device, until_ns;
		char name[DEVICE_NAME_MAX];
	} cache[DEVICES_CACHED], *c;
	uint64_t now_ns;

	if (!device_major(device) || kind_is_replaying())
		return NULL;
	now_ns = clock_mono_ns();
	c = &cache[(device ^ device >> DEVICE_MINOR_BITS) % DEVICES_CACHED];
	if (c->device != device || now_ns >= c->until_ns) {
		c->device = device;
		c->until_ns = now_ns + DEVICE_FRESH_S * 1000000000ULL;
		if (!device_read_name(device, c->name))
			c->name[0] = '\0';
	}
	return *c->name ? c->name : NULL;
}

static void device_number(struct strbuf *out, uint64_t device)
{
	strbuf_u64(out, device_major(device));
	strbuf_putc(out, ':');
	strbuf_u64(out, device_minor(device));
}

void device_text(struct strbuf *out, const struct field *f, struct value v)
{
	const char *name = device_name(v.u64);

	(void)f;
	if (name)
		strbuf_puts(out, name);
	else if (!v.u64)
		strbuf_puts(out, "-");
	else
		device_number(out, v.u64);
}

void device_json(struct json *out, const struct field *f, struct value v)
{
	(void)f;
	json_sep(out);
	strbuf_putc(out->out, '"');
	device_number(out->out, v.u64);
	strbuf_putc(out->out, '"');
}

static int device_number_of_node(const char *text, unsigned *ret_major, unsigned *ret_minor)
{
	char path[128], line[64];
	struct err ignored;
	char junk;

	if (strchr(text, '/') || str_startswith(text, ".") ||
	    !str_format(path, sizeof(path), "/sys/class/block/%s/dev", text))
		return -EINVAL;
	if (file_line(path, line, sizeof(line), &ignored) < 0)
		return -ENOENT;
	return sscanf(line, "%u:%u%c", ret_major, ret_minor, &junk) == 2 ? 0 : -EINVAL;
}

/* "254:1", "vda1", "/dev/vda1". */
int device_parse(const struct field *f, const char *text, struct value *ret_value, struct err *e)
{
	const char *name = str_after(text, "/dev/");
	unsigned major, minor;
	char junk;

	if (sscanf(text, "%u:%u%c", &major, &minor, &junk) != 2 &&
	    device_number_of_node(name ? name : text, &major, &minor) < 0)
		return fail(e, EINVAL,
			    "no block device '%s': expected its name (vda1) or numbers (254:1)",
			    text);
	if (major > 0xfff || minor >= 1u << DEVICE_MINOR_BITS)
		return fail(e, ERANGE, "there can't be a device '%s'", text);
	*ret_value = value_of_field(f, (uint64_t)major << DEVICE_MINOR_BITS | minor);
	return 0;
}

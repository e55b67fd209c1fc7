/* SPDX-License-Identifier: BSD-2-Clause */
/* Interrupt lines of PCI devices. */
#include "enrich/irq_lines.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/map.h"
#include "base/str.h"

struct irq_lines {
	const char *path;
	struct map devices; /* line -> char *, "" where nobody's */
};

struct irq_lines *irq_lines_new(const char *path)
{
	struct irq_lines *l = xnew(struct irq_lines);

	l->path = path;
	return l;
}

void irq_lines_free(struct irq_lines *l)
{
	if (!l)
		return;
	map_done(&l->devices, free);
	free(l);
}

struct device {
	struct irq_lines *lines;
	const char *address, *driver;
};

static void line_put(const struct device *d, const char *number)
{
	uint64_t line = strtoull(number, NULL, 10);

	if (line)
		free(map_put(&d->lines->devices, line, xasprintf("%s %s", d->driver, d->address)));
}

static int message_line(int dir_fd, const char *name, unsigned char type, void *ctx, struct err *e)
{
	(void)dir_fd, (void)type, (void)e;
	line_put(ctx, name);
	return 0;
}

/* Lines of messages (MSI), or, where it has none, the one of its pin. */
static int device_lines(int dir_fd, const char *name, unsigned char type, void *ctx, struct err *e)
{
	struct device d = { .lines = ctx, .address = name };
	auto_free char *messages = xasprintf("%s/%s/msi_irqs", d.lines->path, name);
	auto_free char *pin = xasprintf("%s/%s/irq", d.lines->path, name);
	auto_free char *driver = xasprintf("%s/%s/driver", d.lines->path, name);
	char target[PATH_MAX], line[32];
	struct err ignored;
	ssize_t len = readlink(driver, target, sizeof(target) - 1);

	(void)dir_fd, (void)type, (void)e;
	if (len < 0) /* without a driver it has no lines */
		return 0;
	target[len] = '\0';
	d.driver = path_base(target);
	if (!dir_each(messages, message_line, &d, &ignored))
		return 0;
	if (!file_line(pin, line, sizeof(line), &ignored))
		line_put(&d, line);
	return 0;
}

const char *irq_line_device(struct irq_lines *l, uint32_t line)
{
	struct err ignored;
	const char *device;

	if (!map_has(&l->devices, line) && dir_each(l->path, device_lines, l, &ignored) < 0)
		return NULL;
	device = map_get(&l->devices, line);
	if (!device) /* asked once */
		map_put(&l->devices, line, xstrdup(""));
	return device && *device ? device : NULL;
}

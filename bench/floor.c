/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * floor OBJECT PROGRAM BYTES: loads floor.bpf.o with one of its programs, attaches it, and empties its
 * ring every 10 ms, as sonda does, until a signal ends it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define PERIOD_US 10000

static int discard(void *ctx, void *bytes, size_t size)
{
	(void)ctx, (void)bytes, (void)size;
	return 0;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void set_record_bytes(struct bpf_object *obj, unsigned bytes)
{
	struct bpf_map *rodata = bpf_object__find_map_by_name(obj, ".rodata");
	size_t size;
	unsigned *value = rodata ? bpf_map__initial_value(rodata, &size) : NULL;

	if (!value || size < sizeof(*value))
		die("rodata");
	*value = bytes; /* the only variable there */
}

static struct bpf_object *load(const char *path, const char *program, unsigned bytes)
{
	struct bpf_object *obj = bpf_object__open_file(path, NULL);
	struct bpf_program *p = obj ? bpf_object__find_program_by_name(obj, program) : NULL;

	if (!p)
		die(path);
	bpf_program__set_autoload(p, true);
	set_record_bytes(obj, bytes);
	if (bpf_object__load(obj))
		die("load");
	if (!bpf_program__attach(p))
		die("attach");
	return obj;
}

int main(int argc, char **argv)
{
	struct ring_buffer *ring;
	struct bpf_object *obj;

	if (argc != 4)
		return fputs("usage: floor OBJECT PROGRAM BYTES\n", stderr), 2;
	obj = load(argv[1], argv[2], strtoul(argv[3], NULL, 10));
	ring = ring_buffer__new(bpf_object__find_map_fd_by_name(obj, "ring"), discard, NULL, NULL);
	if (!ring)
		die("ring");
	for (;;) {
		ring_buffer__consume(ring);
		usleep(PERIOD_US);
	}
}

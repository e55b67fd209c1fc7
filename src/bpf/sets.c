/* SPDX-License-Identifier: BSD-2-Clause */
/* The sets of the common filters, one hash map for all probes of a command. */
#include "bpf/sets.h"

#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "base/err.h"

enum { SETS_MAX = 16384 }; /* as in probes/include/sonda/filter.h */

int sets_new(int *ret_fd, struct err *e)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "sonda_sets", sizeof(struct set_key), 1,
				SETS_MAX, NULL);

	if (fd >= 0) {
		*ret_fd = fd;
		return 0;
	}
	if (errno != EPERM)
		return fail(e, errno, "map of filters: %s", strerror(errno));
	return fail_as(e, EXIT_DENIED, EPERM, "making BPF maps is not permitted");
}

static struct set_key set_key(enum filter_set set, uint64_t a, uint64_t b)
{
	return (struct set_key){ .kind = set, .a = a, .b = b };
}

int sets_add(int fd, enum filter_set set, uint64_t a, uint64_t b, struct err *e)
{
	struct set_key key = set_key(set, a, b);
	uint8_t one = 1;

	if (bpf_map_update_elem(fd, &key, &one, BPF_ANY))
		return fail(e, errno, "filters hold at most %d values: %s", SETS_MAX,
			    strerror(errno));
	return 0;
}

bool sets_has(int fd, enum filter_set set, uint64_t a, uint64_t b)
{
	struct set_key key = set_key(set, a, b);
	uint8_t one;

	return !bpf_map_lookup_elem(fd, &key, &one);
}

void sets_comm(const char *comm, uint64_t *ret_a, uint64_t *ret_b)
{
	char name[16] = { 0 };

	memcpy(name, comm, strnlen(comm, sizeof(name) - 1));
	memcpy(ret_a, name, 8);
	memcpy(ret_b, name + 8, 8);
}

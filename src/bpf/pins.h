/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * What outlives sonda: maps and links pinned in the BPF file system, below one directory. A guard goes on
 * deciding when sonda ends, in whatever way; a later sonda finds it there. Removing the pins ends it.
 * One thread.
 */
#include <stdbool.h>

#include "base/attr.h"
#include "bpf/object.h"

struct err;

#define PINS_ROOT "/sys/fs/bpf/sonda"

/* Makes the BPF file system and the directory PINS_ROOT/`dir` be there ("" for the root itself).
 * Errors: EPERM and EACCES (EXIT_DENIED), those of mount and mkdir. */
MUST_USE int pins_make(const char *dir, struct err *e);
/* Is there such a pin or directory? */
MUST_USE bool pins_have(const char *path);
/* Removes the directory with all in it; no effect when it isn't there. */
MUST_USE int pins_remove(const char *dir, struct err *e);

/* What another version left in force is kept aside under this name while it is taken over. Not with a dot,
 * which the BPF file system refuses. */
#define PINS_ASIDE PINS_ROOT "-before"
/* Moves all pins aside, or back. Errors: those of rename(2). */
MUST_USE int pins_aside(struct err *e);
MUST_USE int pins_back(struct err *e);
/* Removes what was kept aside; no effect when nothing was. */
MUST_USE int pins_aside_remove(struct err *e);
MUST_USE bool pins_are_aside(void);

/* `path` is below PINS_ROOT: "policy/state". */
MUST_USE int pin_fd(int fd, const char *path, struct err *e);
/* The map's descriptor is the caller's. Errors: ENOENT. */
MUST_USE int pin_open(const char *path, int *ret_fd, struct err *e);

/* Pins all maps and links of a loaded object in `dir`, which pins_make() made; of one that was adopted
 * what came since. Afterwards the object may be freed: its programs stay. Maps that were shared are
 * left out.
 * Errors: ENOTSUP (an attachment that can't be pinned); what was pinned stays, for pins_remove(). */
MUST_USE int object_pin(const struct object *o, const char *dir, struct err *e);
/* Has `o`, which is not loaded, use the maps that `from` has, which is loaded or was adopted. */
MUST_USE int object_maps_share(struct object *o, const struct object *from, struct err *e);
/* Takes the maps and links that lie in `dir` for those of an object that is not loaded: it reads and
 * writes them as if it had been. Errors: ENOENT, EINVAL (of another sonda: other sizes). */
MUST_USE int object_adopt(struct object *o, const char *dir, struct err *e);

/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * What outlives sonda: maps and links pinned in the BPF file system, below one directory. A guard goes on
 * deciding when sonda ends, in whatever way; a later sonda finds it there. Removing the pins ends it.
 * One thread.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "bpf/object.h"

struct err;

#define PINS_ROOT "/sys/fs/bpf/sonda"

/* Makes the BPF file system and the directory PINS_ROOT/`dir` be there ("" for the root itself).
 * Errors: EPERM and EACCES (EXIT_DENIED), those of mount and mkdir. */
MUST_USE int pins_make(const char *dir, struct err *e);
/* Where there is a PINS_ROOT, or something aside: is it root's alone to change, and may this process look into it?
 * Errors: EACCES (EXIT_DENIED), EPERM (somebody else could have made it, or may change it). */
MUST_USE int pins_check(struct err *e);
/* Is there such a pin or directory? */
MUST_USE bool pins_have(const char *path);
/* Removes the directory with all in it; no effect when it isn't there. */
MUST_USE int pins_remove(const char *dir, struct err *e);

/* What another version left in force is kept aside under this name while it is taken over. Not with a dot,
 * which the BPF file system refuses. */
#define PINS_ASIDE       PINS_ROOT "-before"
/* The same, as the name of a directory below PINS_ROOT. */
#define PINS_ASIDE_BELOW "../sonda-before"
/* Moves all pins aside, should there be any, or back. Errors: those of rename(2). */
MUST_USE int pins_aside(struct err *e);
MUST_USE int pins_back(struct err *e);
/* Removes what was kept aside; no effect when nothing was. */
MUST_USE int pins_aside_remove(struct err *e);
MUST_USE bool pins_are_aside(void);
/* The first link kept aside in `dir` of which `is` says so: the caller's. -1: there is none. */
struct bpf_link_info;
typedef bool link_is_fn(const struct bpf_link_info *info, const void *ctx);
MUST_USE int pins_aside_link(const char *dir, link_is_fn *is, const void *ctx);

/* `path` is below PINS_ROOT: "policy/state". */
MUST_USE int pin_fd(int fd, const char *path, struct err *e);
/* The map's descriptor is the caller's. Errors: ENOENT. */
MUST_USE int pin_open(const char *path, int *ret_fd, struct err *e);

/* Pins all maps and links of a loaded object in `dir`, which pins_make() made; of one that was adopted
 * what came since. Afterwards the object may be freed: its programs stay. Maps that were shared are
 * left out. Pins of links that don't stand any more make room.
 * Errors: ENOTSUP (an attachment that can't be pinned); what was pinned stays, for pins_remove(). */
MUST_USE int object_pin(const struct object *o, const char *dir, struct err *e);
/* How many of the links that were pinned in `dir`, from which `o` was adopted, don't stand any more: their pins were
 * removed, they were detached, or what they stood at is gone. */
MUST_USE unsigned object_links_lost(const struct object *o, const char *dir, unsigned *ret_all);
/* One more than the highest number of a link's pin ("link7") in that directory; 0: there are none. */
MUST_USE unsigned pins_links_end(const char *path);
/* Removes the pin of the link with that id. */
void pins_link_remove(const char *dir, uint32_t id);
/* Has `o`, which is not loaded, use the maps that `from` has, which is loaded or was adopted. */
MUST_USE int object_maps_share(struct object *o, const struct object *from, struct err *e);
/* Takes the maps and links that lie in `dir` for those of an object that is not loaded: it reads and
 * writes them as if it had been. Errors: ENOENT, EINVAL (of another sonda: other sizes). */
MUST_USE int object_adopt(struct object *o, const char *dir, struct err *e);

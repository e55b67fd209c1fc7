/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * fs.open without any filter in it, to show what one that is unset costs: every question that the
 * probe language asks before it tells an event is answered here, by the compiler.
 */
#define EVENT_MAX 4608
#include "sonda.bpf.h"
#include "sonda/glob.h"

#undef events_wanted
#undef tables_wanted
#undef PARAM_TEXT
#undef TEXT_GLOB
#undef text_matches
#undef FILTERS
#define FILTERS(list)                      struct no_filters
#define wanted()                           true
#define wanted_id(id)                      true
#define notable(err, took_ns)              true
#define where_wants(slot, type)            ((void)(slot), true)
#define events_wanted()                    true
#define tables_wanted()                    false
#define PARAM_TEXT(name, size, value, ...) static const char name[size] = value
#define TEXT_GLOB(name)
#define text_matches(e, field, pattern) true
#undef EVENT_MAX
#include "probes/fs/open.bpf.c"

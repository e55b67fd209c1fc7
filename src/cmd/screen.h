/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/*
 * A screen that is drawn anew in place, and single keys. Only one at a time. The terminal is as it
 * was before when screen_free() or the process's exit() is done, while the process is stopped
 * (Ctrl-Z), and after Ctrl-\. One thread.
 */
#include <stdbool.h>

#include "base/attr.h"
#include "base/mem.h"

struct err;
struct loop;
struct screen;
struct strbuf;

/* Keys that are no character. */
enum screen_key { KEY_LEFT = 256, KEY_RIGHT, KEY_UP, KEY_DOWN, KEY_ESCAPE };

/* A key was pressed, or (key 0) the screen must be drawn anew: resized, continued. */
typedef void screen_fn(int key, void *ctx);

/* Standard output is a terminal. `keys`: read them from standard input, where that is a terminal
 * whose foreground is ours. Errors: of the loop. */
MUST_USE int screen_new(struct loop *l, bool keys, screen_fn *fn, void *ctx, struct screen **ret,
			struct err *e);
void screen_free(struct screen *s);
AUTO_PTR(screen)

MUST_USE unsigned screen_width_cols(const struct screen *s);
MUST_USE unsigned screen_height_rows(const struct screen *s);
MUST_USE bool screen_has_keys(const struct screen *s);

/* Makes `text` (lines) into what draws it from the top left, at most the screen's height. */
void screen_draw(const struct screen *s, const struct strbuf *text, struct strbuf *out);

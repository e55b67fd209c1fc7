/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once
/* How readings come to the terminal or the pipe; for meter.c. One thread. */
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

struct err;
struct meter;

#define METER_LIMIT_UNSET UINT32_MAX

/* Finds what --output names, or else text. Errors: EINVAL. */
MUST_USE int meter_form_choose(struct meter *m, struct err *e);
MUST_USE bool meter_is_text(const struct meter *m);

/* Draws the last reading, perhaps again. */
void meter_draw(struct meter *m);
/* A key was pressed; 0: the screen has another size. `ctx` is the meter. */
void meter_key(int key, void *ctx);

/* Keeps the first failure and ends the loop. */
void meter_check(struct meter *m, int err);

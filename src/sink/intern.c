/* SPDX-License-Identifier: BSD-2-Clause */
/* Values written once a block: a hash table with open addressing into the block itself. */
#include "sink/intern.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "schema/recording.h"

#include <assert.h>

void intern_done(struct intern *t)
{
	free(t->slots);
	*t = (struct intern){ 0 };
}

void intern_reset(struct intern *t)
{
	if (t->count)
		memset(t->slots, 0, INTERN_SLOTS * sizeof(*t->slots));
	t->count = 0;
}

bool intern_full(const struct intern *t)
{
	return t->count > INTERN_SLOTS / 2;
}

/* What a value's bytes are. */
static const void *value_bytes(const struct value *v, uint32_t *ret_len)
{
	switch (v->type) {
	case VALUE_U64:
	case VALUE_S64:
	case VALUE_DOUBLE:
		*ret_len = sizeof(v->u64);
		return &v->u64;
	case VALUE_BOOL:
		*ret_len = sizeof(v->boolean);
		return &v->boolean;
	case VALUE_TEXT:
		*ret_len = v->text.len;
		return v->text.s;
	case VALUE_BYTES:
		*ret_len = v->bytes.len;
		return v->bytes.at;
	case VALUE_IP:
		*ret_len = sizeof(v->ip);
		return &v->ip;
	case VALUE_LIST: /* no field that is derived has one */
	case VALUE_NONE:
		break;
	}
	return NULL;
}

static void item_append(struct strbuf *block, const struct recording_value *head, const void *bytes,
			uint32_t len)
{
	struct recording_item item = { .type = ITEM_VALUE, .bytes = (uint32_t)sizeof(*head) + len };

	strbuf_append(block, (const void *)&item, sizeof(item));
	strbuf_append(block, (const void *)head, sizeof(*head));
	strbuf_append(block, bytes, len);
	strbuf_pad(block, '\0', recording_padded(len) - len);
}

static bool slot_has(const struct interned *slot, const struct strbuf *block, uint64_t hash,
		     const struct recording_value *head, const void *bytes, uint32_t len)
{
	return slot->hash == hash && slot->bytes == len &&
	       !memcmp(block->s + slot->at, head, sizeof(*head)) &&
	       !memcmp(block->s + slot->at + sizeof(*head), bytes, len);
}

uint32_t intern_value(struct intern *t, struct strbuf *block, struct value v)
{
	struct recording_value head = { .type = v.type, .cut = v.cut };
	uint32_t len = 0;
	const void *bytes = value_bytes(&v, &len);
	uint64_t hash, at;

	if (!bytes)
		return 0;
	if (!t->slots)
		t->slots = xcalloc(INTERN_SLOTS, sizeof(*t->slots));
	assert(t->count < INTERN_SLOTS - 1);
	hash = hash_bytes(bytes, len, (uint64_t)head.type << 1 | head.cut);
	for (at = hash % INTERN_SLOTS; t->slots[at].ref; at = (at + 1) % INTERN_SLOTS)
		if (slot_has(&t->slots[at], block, hash, &head, bytes, len))
			return t->slots[at].ref;
	t->slots[at] =
		(struct interned){ .hash = hash,
				   .at = (uint32_t)(block->len + sizeof(struct recording_item)),
				   .bytes = len,
				   .ref = ++t->count };
	item_append(block, &head, bytes, len);
	return t->count;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Typed reading of a row: the hot path. Nothing is read outside the row's bytes. */
#include "schema/schema.h"

#include "schema/kind.h"

#include <string.h>

#include <sys/socket.h>

static inline bool holds(const struct row *r, uint32_t offset, uint32_t size)
{
	return offset <= r->size && size <= r->size - offset;
}

static uint64_t load_odd(const unsigned char *at, uint32_t size)
{
	uint64_t n = 0;

	memcpy(&n, at, size < sizeof(n) ? size : sizeof(n));
	return n;
}

static inline uint64_t load(const unsigned char *at, uint32_t size)
{
	uint64_t n8;
	uint32_t n4;
	uint16_t n2;

	switch (size) {
	case 8:
		memcpy(&n8, at, sizeof(n8));
		return n8;
	case 4:
		memcpy(&n4, at, sizeof(n4));
		return n4;
	case 2:
		memcpy(&n2, at, sizeof(n2));
		return n2;
	case 1:
		return *at;
	default:
		return load_odd(at, size);
	}
}

static inline uint64_t sign_extend(uint64_t n, unsigned bits)
{
	uint64_t sign = 1ULL << (bits - 1);

	return (n ^ sign) - sign;
}

static inline struct value int_value(const unsigned char *at, const struct field *f)
{
	uint64_t n = load(at, f->size);
	unsigned bits = f->size * 8;

	if (unlikely(f->bits)) {
		bits = f->bits;
		n >>= f->bit_offset & 63;
		if (bits < 64)
			n &= (1ULL << bits) - 1;
	}
	if (f->is_bool)
		return value_bool(n);
	if (!f->is_signed)
		return value_u64(n);
	return value_s64((int64_t)(bits && bits < 64 ? sign_extend(n, bits) : n));
}

static struct value text_value(const struct row *r, const unsigned char *at)
{
	struct text t;
	struct value v;
	uint32_t room;

	memcpy(&t, at, sizeof(t));
	if (!t.at || t.at > r->size)
		return value_none();
	room = r->size - t.at;
	v = value_text((const char *)r->bytes + t.at, t.size & ~TEXT_CUT);
	v.cut = t.size & TEXT_CUT;
	if (v.text.len > room) {
		v.text.len = room;
		v.cut = true;
	}
	return v;
}

static struct value stack_value(const struct row *r, const unsigned char *at)
{
	struct stack s;
	uint32_t bytes;

	memcpy(&s, at, sizeof(s));
	bytes = s.size & ~STACK_CUT;
	if (!s.at || s.at > r->size || bytes > r->size - s.at)
		return value_none();
	return (struct value){ .type = VALUE_LIST,
			       .cut = s.size & STACK_CUT,
			       .list = { r->bytes + s.at, bytes / 8 } };
}

static struct value stack_id_value(const unsigned char *at)
{
	uint64_t id = load(at, sizeof(id));

	return id && id != STACK_LOST ? value_u64(id) : value_none();
}

static struct value chars_value(const unsigned char *at, uint32_t size)
{
	return value_text((const char *)at, (uint32_t)strnlen((const char *)at, size));
}

static struct value ip_value(const unsigned char *at)
{
	struct value v = { .type = VALUE_IP };

	memcpy(&v.ip, at, sizeof(v.ip));
	if (v.ip.family != AF_INET && v.ip.family != AF_INET6)
		return value_none();
	return v;
}

static struct value derive_time(const struct field *f, const struct row *r, void *ctx)
{
	(void)f, (void)ctx;
	return value_u64(r->at_ns);
}

/* A recording keeps what was derived then; of the time each row has its own. */
static struct value derived_value(const struct row *r, const struct field *f)
{
	if (r->derived && f->derive != derive_time)
		return r->derived[f->offset];
	return f->derive ? f->derive(f, r, f->derive_ctx) : value_none();
}

struct value ratio_value(const struct ratio_shape *shape, uint64_t part, uint64_t whole)
{
	double share;

	if (!whole)
		return value_none();
	share = part < whole ? (double)part / (double)whole : 1;
	return value_double(shape->rest ? 1 - share : share);
}

static struct value ratio_of(const struct row *r, const struct ratio_shape *shape)
{
	if (!holds(r, shape->part, sizeof(uint64_t)) || !holds(r, shape->whole, sizeof(uint64_t)))
		return value_none();
	return ratio_value(shape, load(r->bytes + shape->part, sizeof(uint64_t)),
			   load(r->bytes + shape->whole, sizeof(uint64_t)));
}

const struct field *row_time_field(void)
{
	static struct field at = { .name = "time",
				   .doc = "when it happened",
				   .unit = "ns",
				   .type = FIELD_DERIVED,
				   .derive = derive_time };

	at.kind = kind_find("boottime");
	return &at;
}

struct value row_value(const struct row *r, const struct field *f)
{
	const unsigned char *at;

	if (f->type == FIELD_DERIVED)
		return derived_value(r, f);
	if (unlikely(!holds(r, f->offset, f->size)))
		return value_none();
	at = r->bytes + f->offset;
	switch (f->type) {
	case FIELD_INT:
	case FIELD_ENUM:
		return int_value(at, f);
	case FIELD_CHARS:
		return chars_value(at, f->size);
	case FIELD_TEXT:
		return f->size == sizeof(struct text) ? text_value(r, at) : value_none();
	case FIELD_IP:
		return f->size == sizeof(struct ip) ? ip_value(at) : value_none();
	case FIELD_BYTES:
		return (struct value){ .type = VALUE_BYTES, .bytes = { at, f->size } };
	case FIELD_ARRAY:
		if ((uint64_t)f->count * f->element_size > f->size)
			return value_none();
		return (struct value){ .type = VALUE_LIST, .list = { at, f->count } };
	case FIELD_STACK:
		return f->size == sizeof(struct stack) ? stack_value(r, at) : value_none();
	case FIELD_STACK_ID:
		return f->size == sizeof(struct stack_id) ? stack_id_value(at) : value_none();
	case FIELD_RATIO:
		return ratio_of(r, &f->ratio);
	case FIELD_DERIVED:
	case FIELD_HIST:
	case FIELD_TYPE_COUNT:
		break;
	}
	return value_none();
}

struct value field_element(const struct field *f, struct value list, uint32_t nth)
{
	unsigned bits = f->element_size * 8u;
	uint64_t n;

	if (list.type != VALUE_LIST || nth >= list.list.count || !bits)
		return value_none();
	n = load(list.list.at + (size_t)nth * f->element_size, f->element_size);
	if (!f->is_signed)
		return value_u64(n);
	return value_s64((int64_t)(bits < 64 ? sign_extend(n, bits) : n));
}

bool hist_read(const struct row *r, const struct field *f, uint64_t *ret_sum, uint64_t *slots)
{
	uint64_t bytes = ((uint64_t)f->count + 1) * sizeof(uint64_t);

	if (f->type != FIELD_HIST || bytes > f->size || !holds(r, f->offset, f->size))
		return false;
	memcpy(ret_sum, r->bytes + f->offset, sizeof(*ret_sum));
	memcpy(slots, r->bytes + f->offset + sizeof(*ret_sum), f->count * sizeof(*slots));
	return true;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets as tcpdump and Wireshark read them: of each row that has a field of kind "frame" those bytes,
 * with the row's time and, where there is a field "length_bytes", what the frame was long. Of kind "packet"
 * it is without a link's header: it gets one of Ethernet, without addresses, because a file holds packets of
 * one link. Rows of other probes are left out.
 */
#include "sink/sinks.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "schema/kind.h"
#include "sink/out.h"

enum { LINKTYPE_ETHERNET = 1, SNAPLEN = 65535, VERSION_MAJOR = 2, VERSION_MINOR = 4 };
#define MAGIC_NANOSECONDS 0xa1b23c4du

struct file_header {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t zone, accuracy, snaplen, link_type;
};
struct packet_header {
	uint32_t at_s, at_ns, kept_bytes, length_bytes;
};
struct link_header {
	uint8_t to[6], from[6], type[2];
};

struct pcap_sink {
	struct sink sink;
	struct sink_options options;
	struct strbuf out;
	uint64_t without; /* rows that could have had bytes */
};

static struct pcap_sink *pcap_of(struct sink *s)
{
	return container_of(s, struct pcap_sink, sink);
}

static int pcap_open(const struct sink_options *options, struct sink **ret, struct err *e)
{
	static const struct file_header header = { .magic = MAGIC_NANOSECONDS,
						   .major = VERSION_MAJOR,
						   .minor = VERSION_MINOR,
						   .snaplen = SNAPLEN,
						   .link_type = LINKTYPE_ETHERNET };
	struct pcap_sink *p = xnew(struct pcap_sink);

	(void)e;
	p->sink.ops = &sink_pcap;
	p->options = *options;
	strbuf_append(&p->out, (const char *)&header, sizeof(header));
	*ret = &p->sink;
	return 0;
}

static int pcap_bind(struct sink *s, const struct schema *schema, struct err *e)
{
	(void)s, (void)schema, (void)e;
	return 0;
}

static const struct field *frame_field(const struct schema *schema)
{
	for (size_t i = 0; i < schema->field_count; i++)
		if (str_eq(schema->fields[i].kind->name, "frame") ||
		    str_eq(schema->fields[i].kind->name, "packet"))
			return &schema->fields[i];
	return NULL;
}

/* What comes before the bytes of an IP packet. */
static struct link_header link_of(const char *packet)
{
	bool is_v6 = (uint8_t)packet[0] >> 4 == 6;

	return (struct link_header){ .type = { is_v6 ? 0x86 : 0x08, is_v6 ? 0xdd : 0x00 } };
}

static int pcap_row(struct sink *s, const struct row *r, struct err *e)
{
	const struct field *frame = frame_field(r->schema);
	const struct field *length = schema_field(r->schema, "length_bytes");
	struct pcap_sink *p = pcap_of(s);
	struct packet_header header;
	struct link_header link;
	uint32_t link_bytes;
	uint64_t at_ns;
	struct value v;

	(void)e;
	if (!frame)
		return 0;
	v = row_value(r, frame);
	if (v.type != VALUE_TEXT || !v.text.len) {
		p->without++;
		return 0;
	}
	link = link_of(v.text.s);
	link_bytes = str_eq(frame->kind->name, "packet") ? sizeof(link) : 0;
	at_ns = wall_real_ns(p->options.wall, r->at_ns);
	header = (struct packet_header){ .at_s = (uint32_t)(at_ns / 1000000000),
					 .at_ns = (uint32_t)(at_ns % 1000000000),
					 .kept_bytes = v.text.len,
					 .length_bytes = v.text.len };
	if (length && row_value(r, length).type == VALUE_U64)
		header.length_bytes = (uint32_t)row_value(r, length).u64;
	header.kept_bytes += link_bytes;
	header.length_bytes += link_bytes;
	strbuf_append(&p->out, (const char *)&header, sizeof(header));
	strbuf_append(&p->out, (const char *)&link, link_bytes);
	strbuf_append(&p->out, v.text.s, v.text.len);
	return 0;
}

static int pcap_loss(struct sink *s, const char *probe, const char *cause, uint64_t count,
		     uint64_t at_ns, struct err *e)
{
	(void)s, (void)probe, (void)cause, (void)count, (void)at_ns, (void)e;
	return 0; /* the format has no place for it; the closing line tells */
}

static int pcap_flush(struct sink *s, struct err *e)
{
	struct pcap_sink *p = pcap_of(s);

	return out_write(&p->out, p->options.fd, p->options.cancel_fd, e);
}

static void pcap_close(struct sink *s)
{
	struct pcap_sink *p = pcap_of(s);

	if (p->without)
		log_warn("pcap",
			 "%llu events had no bytes of their packet (--snap N asks for them)",
			 (unsigned long long)p->without);
	strbuf_done(&p->out);
	free(p);
}

const struct sink_ops sink_pcap = {
	.name = "pcap",
	.help = "packets, for tcpdump and Wireshark (events that have bytes of them)",
	.open = pcap_open,
	.bind = pcap_bind,
	.row = pcap_row,
	.loss = pcap_loss,
	.flush = pcap_flush,
	.close = pcap_close,
};

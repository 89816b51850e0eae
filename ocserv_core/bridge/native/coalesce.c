/* See coalesce.h. */
#include "coalesce.h"

#include <string.h>

#define DONT_FRAGMENT 0x4000

void oc_coalesce_open(struct oc_coalescer *c, uint8_t *memory)
{
	memset(c, 0, sizeof *c);
	c->start = memory + OC_PREFIX_MAX + OC_VNET_SIZE;
}

/* ---- placing --------------------------------------------------------------------------------------------------- */

/* Something follows the first packet, so that its own checksums begin to matter. */
static void verify_first(struct oc_coalescer *c)
{
	if (!c->verified && !c->closed)
		c->closed = !oc_sums_hold(c->start, &c->first);
	c->verified = 1;
}

uint8_t *oc_coalesce_place(struct oc_coalescer *c, size_t prefix)
{
	uint8_t *at = c->start + c->size;

	c->kept_size = 0;
	if (!c->size)
		return at - prefix;
	verify_first(c);
	/* The first packet's headers must stay readable: so small a payload is cheaply copied. */
	if (c->closed || c->size < prefix + 2 * c->first.headers)
		return at;
	c->kept_size = prefix + c->first.headers;
	at -= c->kept_size;
	memcpy(c->kept, at, c->kept_size);
	return at;
}

static void put_back(struct oc_coalescer *c)
{
	if (c->kept_size)
		memcpy(c->start + c->size - c->kept_size, c->kept, c->kept_size);
	c->kept_size = 0;
}

void oc_coalesce_undo(struct oc_coalescer *c)
{
	put_back(c);
}

/* ---- whether it continues what is there ------------------------------------------------------------------------ */

static int same(const uint8_t *a, const uint8_t *b, size_t from, size_t to)
{
	return memcmp(a + from, b + from, to - from) == 0;
}

/* All but length, identification and checksum. The identification counts where a router may fragment (RFC 6864). */
static int ip_continues(const struct oc_coalescer *c, const uint8_t *packet)
{
	const uint8_t *first = c->start;

	if (c->first.version == 6)
		return same(first, packet, 0, 4) && same(first, packet, 6, OC_IPV6_HEADER);
	if (!same(first, packet, 0, 2) || !same(first, packet, 6, 10) || !same(first, packet, 12, OC_IPV4_HEADER))
		return 0;
	return oc_get16(packet + 6) & DONT_FRAGMENT ||
	       oc_get16(packet + 4) == (uint16_t)(oc_get16(first + 4) + c->packets);
}

static int plain_segment(const uint8_t *tcp)
{
	return (tcp[13] & ~OC_TCP_PSH) == OC_TCP_ACK && (tcp[12] & 15) == 0;
}

/* Ports, acknowledgement, window, urgent pointer, options; PSH may be new, and what was gathered has none. */
static int tcp_continues(const struct oc_coalescer *c, const uint8_t *packet)
{
	const uint8_t *first = c->start + c->first.ip, *tcp = packet + c->first.ip;
	size_t gathered = c->size - c->first.headers, header = c->first.headers - c->first.ip;

	return plain_segment(first) && plain_segment(tcp) && same(first, tcp, 0, 4) && same(first, tcp, 8, 13) &&
	       same(first, tcp, 14, 16) && same(first, tcp, 18, header) &&
	       oc_get32(tcp + 4) == oc_get32(first + 4) + (uint32_t)gathered;
}

static int udp_continues(const struct oc_coalescer *c, const uint8_t *packet)
{
	return c->packets < OC_UDP_SEGMENTS && same(c->start + c->first.ip, packet + c->first.ip, 0, 4);
}

static int continues(struct oc_coalescer *c, const uint8_t *packet, const struct oc_flow_packet *f)
{
	size_t payload = f->size - f->headers;

	if (c->closed || f->protocol != c->first.protocol || f->version != c->first.version ||
	    f->headers != c->first.headers || payload == 0 || payload > c->gso || c->size + payload > OC_PACKET_MAX)
		return 0;
	if (!ip_continues(c, packet) || !(f->protocol == OC_TCP ? tcp_continues(c, packet) : udp_continues(c, packet)))
		return 0;
	return oc_sums_hold(packet, f);
}

/* ---- taking ---------------------------------------------------------------------------------------------------- */

static int may_gather(const struct oc_coalescer *c, const struct oc_flow_packet *f)
{
	return f->protocol == OC_TCP ? c->tcp : f->protocol == OC_UDP && c->udp;
}

static int ends_here(const struct oc_coalescer *c, const uint8_t *headers, size_t payload)
{
	return payload < c->gso || (c->first.protocol == OC_TCP && headers[c->first.ip + 13] & OC_TCP_PSH);
}

static void begin(struct oc_coalescer *c, size_t n)
{
	c->first = oc_parse_flow_packet(c->start, n);
	if (!may_gather(c, &c->first) || c->first.headers == n)
		c->first.protocol = 0;
	c->gso = n - c->first.headers;
	c->closed = !c->first.protocol || ends_here(c, c->start, c->gso);
	c->verified = 0;
	c->size = n;
	c->packets = 1;
	c->bytes = n;
	c->data = oc_is_data(c->start, n);
}

static void add(struct oc_coalescer *c, const uint8_t *packet, size_t n)
{
	uint8_t headers[OC_HEADERS_MAX];
	size_t payload = n - c->first.headers;

	memcpy(headers, packet, c->first.headers);
	put_back(c);
	if (packet + c->first.headers != c->start + c->size)
		memcpy(c->start + c->size, packet + c->first.headers, payload);
	c->size += payload;
	c->packets++;
	c->bytes += n;
	c->closed = ends_here(c, headers, payload);
	if (c->first.protocol == OC_TCP)
		c->start[c->first.ip + 13] |= headers[c->first.ip + 13] & OC_TCP_PSH;
}

/* What the first packet's end lies under must come back before that one is written. */
static void set_aside(struct oc_coalescer *c, const uint8_t *packet, size_t n)
{
	size_t covering = c->kept_size ? c->first.headers : 0;

	c->next_size = n;
	c->next_head = covering < n ? covering : n;
	memcpy(c->head, packet, c->next_head);
	c->next_rest = (uint8_t *)packet + c->next_head;
	put_back(c);
}

int oc_coalesce_take(struct oc_coalescer *c, const uint8_t *packet, size_t n)
{
	struct oc_flow_packet f;

	if (!c->size) {
		memmove(c->start, packet, n);
		begin(c, n);
		return 1;
	}
	verify_first(c);
	f = oc_parse_flow_packet(packet, n);
	if (continues(c, packet, &f)) {
		add(c, packet, n);
		return 1;
	}
	set_aside(c, packet, n);
	return 0;
}

int oc_coalesce_is_full(const struct oc_coalescer *c)
{
	return c->closed || c->size + c->gso > OC_PACKET_MAX;
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

static struct oc_vnet one_of_many(struct oc_coalescer *c)
{
	uint8_t *ip = c->start, *at = ip + c->first.ip;
	size_t n = c->size - c->first.ip;
	int tcp = c->first.protocol == OC_TCP;
	struct oc_vnet vnet = {
		.flags = OC_VNET_NEEDS_CSUM,
		.gso_type = !tcp ? OC_GSO_UDP_L4 : c->first.version == 4 ? OC_GSO_TCPV4 : OC_GSO_TCPV6,
		.header = (uint16_t)c->first.headers,
		.gso_size = (uint16_t)c->gso,
		.csum_start = (uint16_t)c->first.ip,
		.csum_offset = tcp ? OC_TCP_CSUM : OC_UDP_CSUM,
	};

	if (c->first.version == 4) {
		oc_put16(ip + 2, c->size);
		oc_put_ip_sum(ip, c->first.ip);
	} else {
		oc_put16(ip + 4, n);
	}
	if (!tcp)
		oc_put16(at + 4, n);
	oc_put16(at + vnet.csum_offset, oc_pseudo_sum(ip, c->first.protocol, n));
	return vnet;
}

uint8_t *oc_coalesce_finish(struct oc_coalescer *c, size_t *n)
{
	struct oc_vnet vnet = { 0 };

	if (c->packets > 1)
		vnet = one_of_many(c);
	memcpy(c->start - OC_VNET_SIZE, &vnet, OC_VNET_SIZE);
	*n = OC_VNET_SIZE + c->size;
	return c->start - OC_VNET_SIZE;
}

void oc_coalesce_next(struct oc_coalescer *c)
{
	size_t n = c->next_size;

	c->size = c->next_size = 0;
	if (!n)
		return;
	memmove(c->start + c->next_head, c->next_rest, n - c->next_head);
	memcpy(c->start, c->head, c->next_head);
	begin(c, n);
}

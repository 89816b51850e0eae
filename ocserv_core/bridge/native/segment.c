/* See segment.h. What the kernel says of a packet is checked against the packet before it is used. */
#include "segment.h"

#include <string.h>

static size_t csum_offset(int protocol)
{
	return protocol == OC_TCP ? OC_TCP_CSUM : OC_UDP_CSUM;
}

/* ---- one packet ------------------------------------------------------------------------------------------------ */

/* The field holds the pseudo header's sum; what the kernel wants is the sum of all from `csum_start` on. */
static int finish_sum(const struct oc_vnet *vnet, uint8_t *packet, size_t n)
{
	size_t field = (size_t)vnet->csum_start + vnet->csum_offset;
	uint16_t sum;

	if (vnet->csum_start >= n || field + 2 > n)
		return -1;
	sum = (uint16_t)~oc_sum(packet + vnet->csum_start, n - vnet->csum_start, 0);
	if (sum == 0 && vnet->csum_offset == OC_UDP_CSUM) /* RFC 768: zero says that there is none */
		sum = 0xffff;
	oc_put16(packet + field, sum);
	return 0;
}

static int begin_plain(struct oc_segments *s, const struct oc_vnet *vnet, uint8_t *packet, size_t n)
{
	if (vnet->flags & OC_VNET_NEEDS_CSUM && finish_sum(vnet, packet, n) < 0)
		return -1;
	s->payload = packet;
	s->left = s->gso = n;
	return 0;
}

/* ---- many ------------------------------------------------------------------------------------------------------ */

static int protocol_of(int gso_type, int version)
{
	switch (gso_type) {
	case OC_GSO_TCPV4:
		return version == 4 ? OC_TCP : 0;
	case OC_GSO_TCPV6:
		return version == 6 ? OC_TCP : 0;
	case OC_GSO_UDP_L4:
		return version == 4 || version == 6 ? OC_UDP : 0;
	default:
		return 0;
	}
}

/* Whether the IP header ends where the kernel says that TCP or UDP begins. */
static int ip_header_fits(const struct oc_segments *s, const uint8_t *packet, size_t n)
{
	if (packet[0] >> 4 == 4)
		return s->ip >= OC_IPV4_HEADER && s->ip == (size_t)(packet[0] & 15) * 4 && oc_get16(packet + 2) == n;
	return s->ip >= OC_IPV6_HEADER && oc_get16(packet + 4) == n - OC_IPV6_HEADER;
}

static size_t least_header(int protocol)
{
	return protocol == OC_TCP ? OC_TCP_HEADER : OC_UDP_HEADER;
}

static size_t transport_header(int protocol, const uint8_t *at)
{
	return protocol == OC_TCP ? (size_t)(at[12] >> 4) * 4 : OC_UDP_HEADER;
}

static int begin_gso(struct oc_segments *s, const struct oc_vnet *vnet, uint8_t *packet, size_t n)
{
	size_t transport;

	s->protocol = protocol_of(vnet->gso_type & ~OC_GSO_ECN, packet[0] >> 4);
	s->ip = vnet->csum_start;
	if (!s->protocol || !(vnet->flags & OC_VNET_NEEDS_CSUM) || vnet->gso_size == 0 ||
	    vnet->csum_offset != csum_offset(s->protocol) || s->ip + least_header(s->protocol) > n ||
	    !ip_header_fits(s, packet, n))
		return -1;
	transport = transport_header(s->protocol, packet + s->ip);
	s->headers = s->ip + transport;
	if (transport < least_header(s->protocol) || s->headers >= n || s->headers > OC_HEADERS_MAX)
		return -1;
	memcpy(s->template, packet, s->headers);
	s->payload = packet + s->headers;
	s->left = n - s->headers;
	s->gso = vnet->gso_size;
	s->first = 1;
	/* The field holds the sum with the whole packet's length, whatever extension headers there are. */
	s->pseudo = oc_sum(s->template + s->ip + csum_offset(s->protocol), 2, (uint16_t)~(n - s->ip));
	s->id = oc_get16(packet + 4);
	s->seq = oc_get32(packet + s->ip + 4);
	return 0;
}

int oc_segments_begin(struct oc_segments *s, const struct oc_vnet *vnet, uint8_t *packet, size_t n)
{
	s->headers = 0;
	if (n < OC_IPV4_HEADER || n > OC_PACKET_MAX)
		return -1;
	if ((vnet->gso_type & ~OC_GSO_ECN) == OC_GSO_NONE)
		return begin_plain(s, vnet, packet, n);
	return begin_gso(s, vnet, packet, n);
}

static void build_ip(struct oc_segments *s, uint8_t *ip, size_t n)
{
	if (ip[0] >> 4 == 6) {
		oc_put16(ip + 4, n - OC_IPV6_HEADER);
		return;
	}
	oc_put16(ip + 2, n);
	oc_put16(ip + 4, s->id++);
	oc_put_ip_sum(ip, s->ip);
}

static void build_transport(struct oc_segments *s, uint8_t *at, size_t n, size_t payload)
{
	uint16_t sum;

	if (s->protocol == OC_UDP) {
		oc_put16(at + 4, n);
	} else {
		oc_put32(at + 4, s->seq);
		s->seq += (uint32_t)payload;
		if (s->left) /* RFC 9293: they are said of the last byte */
			at[13] &= (uint8_t)~(OC_TCP_FIN | OC_TCP_PSH);
		if (!s->first) /* RFC 3168 6.1.2: CWR is said once */
			at[13] &= (uint8_t)~OC_TCP_CWR;
	}
	oc_put16(at + csum_offset(s->protocol), 0);
	sum = (uint16_t)~oc_sum(at, n, (uint32_t)s->pseudo + (uint32_t)n);
	if (sum == 0 && s->protocol == OC_UDP)
		sum = 0xffff;
	oc_put16(at + csum_offset(s->protocol), sum);
}

uint8_t *oc_segments_next(struct oc_segments *s, size_t *n)
{
	size_t payload = s->left < s->gso ? s->left : s->gso;
	uint8_t *segment = s->payload - s->headers;

	if (!s->left)
		return NULL;
	s->left -= payload;
	s->payload += payload;
	*n = s->headers + payload;
	if (!s->headers)
		return segment;
	memcpy(segment, s->template, s->headers);
	build_ip(s, segment, *n);
	build_transport(s, segment + s->ip, *n - s->ip, payload);
	s->first = 0;
	return segment;
}

/* A packet of the TUN with its vnet header. Input: options, the header, the packet; an option makes them fit together,
 * and then every segment must be right. */
#include "segment.h"

#include "input.h"
#include "packets.h"

static int make_fit(struct oc_vnet *vnet, uint8_t *packet, size_t n, int udp)
{
	size_t ip = packet[0] & 1 ? OC_IPV6_HEADER : OC_IPV4_HEADER, rest = n - ip;

	if (n < OC_IPV6_HEADER + OC_TCP_HEADER + 1)
		return 0;
	if (ip == OC_IPV6_HEADER) {
		packet[0] = 0x60;
		oc_put16(packet + 4, rest);
		packet[6] = udp ? OC_UDP : OC_TCP;
	} else {
		packet[0] = 0x45;
		packet[6] &= 0x40;
		packet[7] = 0;
		oc_put16(packet + 2, n);
		packet[9] = udp ? OC_UDP : OC_TCP;
	}
	if (udp)
		oc_put16(packet + ip + 4, rest);
	else
		packet[ip + 12] = 0x50;
	vnet->flags = OC_VNET_NEEDS_CSUM;
	vnet->gso_type = udp ? OC_GSO_UDP_L4 : ip == OC_IPV6_HEADER ? OC_GSO_TCPV6 : OC_GSO_TCPV4;
	vnet->gso_size = vnet->gso_size ? vnet->gso_size : 1;
	vnet->csum_start = (uint16_t)ip;
	vnet->csum_offset = udp ? 6 : 16;
	oc_put16(packet + ip + vnet->csum_offset, oc_pseudo_sum(packet, udp ? OC_UDP : OC_TCP, rest));
	return 1;
}

static void check(uint8_t *segment, size_t n)
{
	struct oc_flow_packet f = oc_parse_flow_packet(segment, n);

	MUST(f.protocol && f.headers < n);
	MUST(oc_sums_hold(segment, &f));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct input in = { data, n };
	unsigned int options = take8(&in);
	struct oc_segments segments;
	struct oc_vnet vnet = { 0 };
	size_t got, size, payload = 0;
	const uint8_t *header = take(&in, OC_VNET_SIZE, &got);
	uint8_t *packet, *segment;
	int fits = 0;

	memcpy(&vnet, header, got);
	n = in.left;
	packet = copy_of(in.at, n);
	if (options & 1 && n)
		fits = make_fit(&vnet, packet, n, options & 2);
	if (oc_segments_begin(&segments, &vnet, packet, n) == 0) {
		size_t headers = segments.headers;

		while ((segment = oc_segments_next(&segments, &size))) {
			MUST(segment >= packet && segment + size <= packet + n && size > headers);
			if (fits)
				check(segment, size);
			payload += size - headers;
			memset(segment, 0xee, size);
		}
		MUST(payload + headers == n);
	} else {
		MUST(!fits);
	}
	free(packet);
	return 0;
}

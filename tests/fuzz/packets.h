/* Packets of an input, and what is the same packet after a TUN has had it gathered. */
#ifndef FUZZ_PACKETS_H
#define FUZZ_PACKETS_H

#include "input.h"
#include "packet.h"
#include "segment.h"

#define FUZZ_PACKET_MAX 2048

static inline void put_sums(uint8_t *packet, size_t n)
{
	size_t ip = packet[0] >> 4 == 4 ? OC_IPV4_HEADER : OC_IPV6_HEADER;
	int protocol = packet[0] >> 4 == 4 ? packet[9] : packet[6];
	size_t field = ip + (protocol == OC_TCP ? 16 : 6);
	uint16_t sum;

	if (ip == OC_IPV4_HEADER)
		oc_put_ip_sum(packet, ip);
	if (field + 2 > n)
		return;
	oc_put16(packet + field, 0);
	sum = (uint16_t)~oc_sum(packet + ip, n - ip, oc_pseudo_sum(packet, protocol, n - ip));
	oc_put16(packet + field, sum || protocol == OC_TCP ? sum : 0xffff);
}

/* A conversation's next packet: mostly one that continues the one before. */
struct talk {
	uint32_t seq;
	uint16_t id;
};

static inline size_t make_packet(struct talk *t, struct input *in, uint8_t *packet)
{
	unsigned int kind = take8(in), at, bits;
	size_t payload = take16(in) % 1400, ip = kind & 1 ? OC_IPV6_HEADER : OC_IPV4_HEADER, got;
	size_t transport = kind & 2 ? OC_UDP_HEADER : OC_TCP_HEADER, n = ip + transport + payload;

	memset(packet, 0, ip + transport);
	if (kind & 1) {
		packet[0] = 0x60;
		oc_put16(packet + 4, n - ip);
		packet[6] = kind & 2 ? OC_UDP : OC_TCP;
		packet[8] = packet[24] = 0x20;
	} else {
		packet[0] = 0x45;
		oc_put16(packet + 2, n);
		oc_put16(packet + 4, t->id++);
		packet[6] = kind & 4 ? 0 : 0x40;
		packet[9] = kind & 2 ? OC_UDP : OC_TCP;
		packet[12] = packet[16] = 10;
	}
	if (kind & 2) {
		oc_put16(packet + ip + 4, transport + payload);
	} else {
		if (kind & 8)
			t->seq += take8(in);
		oc_put32(packet + ip + 4, t->seq);
		t->seq += (uint32_t)payload;
		packet[ip + 12] = 0x50;
		packet[ip + 13] = (uint8_t)(kind & 16 ? take8(in) : OC_TCP_ACK);
	}
	memset(packet + ip + transport, (int)kind, payload);
	touch(take(in, 0, &got), got);
	if (kind & 32) {
		at = take8(in) % n;
		bits = take8(in);
		packet[at] ^= (uint8_t)bits;
	}
	if (!(kind & 64))
		put_sums(packet, n);
	if (kind & 128) {
		at = take16(in) % n;
		packet[at] ^= (uint8_t)take8(in);
	}
	return n;
}

/* 0x0000 and 0xffff are the same sum. */
static inline int same_sum(uint8_t *a, uint8_t *b, size_t field)
{
	uint16_t x = oc_get16(a + field), y = oc_get16(b + field);

	memset(a + field, 0, 2);
	memset(b + field, 0, 2);
	return x == y || (x == 0 && y == 0xffff) || (x == 0xffff && y == 0);
}

/* Whether `made` is what `given` became when it was one of many: the identification of a packet that no router may
 * fragment counts anew, and a checksum of zero may be written in either way. */
static inline int same_packet(const uint8_t *given, const uint8_t *made, size_t n)
{
	struct oc_flow_packet f = oc_parse_flow_packet(given, n);
	uint8_t *a, *b;
	int same;

	if (!memcmp(given, made, n))
		return 1;
	if (!f.protocol || !oc_sums_hold(given, &f) || !oc_sums_hold(made, &f))
		return 0;
	a = copy_of(given, n);
	b = copy_of(made, n);
	if (f.version == 4) {
		if (a[6] & 0x40)
			memcpy(b + 4, a + 4, 2);
		memset(a + 10, 0, 2);
		memset(b + 10, 0, 2);
	}
	same = same_sum(a, b, f.ip + (f.protocol == OC_TCP ? 16 : 6)) && !memcmp(a, b, n);
	free(a);
	free(b);
	return same;
}

#endif

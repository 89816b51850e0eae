/* See packet.h. */
#include "packet.h"

#include <string.h>

/* ---- checksums ------------------------------------------------------------------------------------------------- */

/* Every byte of every packet passes here: the wide registers of newer processors halve what that costs. */
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(OC_FUZZ)
#define OC_WIDE __attribute__((target_clones("avx2", "default"), optimize("O3")))
#else
#define OC_WIDE
#endif

/* Words in the machine's own order: the sum is the same but for a swap at the end (RFC 1071 2(B)). */
OC_WIDE static uint64_t sum_words(const uint8_t *data, size_t words)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < words; i++) {
		uint32_t word;

		memcpy(&word, data + 4 * i, 4);
		sum += word;
	}
	return sum;
}

static uint16_t fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static uint16_t to_network(uint16_t sum)
{
	uint8_t bytes[2];

	memcpy(bytes, &sum, 2);
	return oc_get16(bytes);
}

uint16_t oc_sum(const uint8_t *data, size_t n, uint32_t sum)
{
	uint64_t own = sum_words(data, n / 4);
	uint8_t rest[4] = { 0 };
	uint32_t word;

	memcpy(rest, data + n / 4 * 4, n % 4);
	memcpy(&word, rest, 4);
	return fold((uint64_t)to_network(fold(own + word)) + sum);
}

uint16_t oc_pseudo_sum(const uint8_t *ip, int protocol, size_t n)
{
	uint32_t rest = (uint32_t)protocol + fold(n);

	return ip[0] >> 4 == 4 ? oc_sum(ip + 12, 8, rest) : oc_sum(ip + 8, 32, rest);
}

void oc_put_ip_sum(uint8_t *ip, size_t header)
{
	oc_put16(ip + 10, 0);
	oc_put16(ip + 10, (uint16_t)~oc_sum(ip, header, 0));
}

/* ---- what a packet is ------------------------------------------------------------------------------------------ */

static size_t transport_header(int protocol, const uint8_t *at, size_t n)
{
	size_t size;

	if (protocol == OC_UDP)
		return n >= OC_UDP_HEADER && oc_get16(at + 4) == n ? OC_UDP_HEADER : 0;
	if (protocol != OC_TCP || n < OC_TCP_HEADER)
		return 0;
	size = (size_t)(at[12] >> 4) * 4;
	return size >= OC_TCP_HEADER && size <= n ? size : 0;
}

struct oc_flow_packet oc_parse_flow_packet(const uint8_t *packet, size_t n)
{
	struct oc_flow_packet f = { .size = n };
	size_t transport;

	if (n >= OC_IPV4_HEADER && packet[0] == 0x45) {
		/* An offset, or more to come: a fragment. */
		if (oc_get16(packet + 2) != n || oc_get16(packet + 6) & 0x3fff)
			return f;
		f.version = 4;
		f.ip = OC_IPV4_HEADER;
		f.protocol = packet[9];
	} else if (n >= OC_IPV6_HEADER && packet[0] >> 4 == 6) {
		if (oc_get16(packet + 4) != n - OC_IPV6_HEADER)
			return f;
		f.version = 6;
		f.ip = OC_IPV6_HEADER;
		f.protocol = packet[6];
	} else {
		return f;
	}
	transport = transport_header(f.protocol, packet + f.ip, n - f.ip);
	f.headers = f.ip + transport;
	if (!transport)
		f.protocol = 0;
	return f;
}

int oc_sums_hold(const uint8_t *packet, const struct oc_flow_packet *f)
{
	size_t n = f->size - f->ip;

	if (f->version == 4 && oc_sum(packet, f->ip, 0) != 0xffff)
		return 0;
	if (f->protocol == OC_UDP && oc_get16(packet + f->ip + 6) == 0)
		return 0;
	return oc_sum(packet + f->ip, n, oc_pseudo_sum(packet, f->protocol, n)) == 0xffff;
}

int oc_is_data(const uint8_t *packet, size_t n)
{
	if (n >= OC_IPV4_HEADER && packet[0] >> 4 == 4)
		return packet[9] != 1 && packet[9] != 2;
	if (n > OC_IPV6_HEADER && packet[0] >> 4 == 6) /* MLD's ICMPv6 stands behind a hop-by-hop header */
		return (packet[6] == 0 ? packet[40] : packet[6]) != 58;
	return 0;
}

int oc_yields(const uint8_t *packet, size_t n)
{
	enum { HTTPS = 443 };
	struct oc_flow_packet f = oc_parse_flow_packet(packet, n);

	if (f.protocol == OC_UDP)
		return oc_get16(packet + f.ip) == HTTPS || oc_get16(packet + f.ip + 2) == HTTPS;
	return f.protocol == OC_TCP && f.size > f.headers;
}

/* ---- whose it is ----------------------------------------------------------------------------------------------- */

static int matches(const uint8_t *address, const struct oc_network *network)
{
	size_t whole = network->bits / 8;
	uint8_t rest = (uint8_t)(0xff00 >> network->bits % 8);

	if (memcmp(address, network->address, whole) != 0)
		return 0;
	return network->bits % 8 == 0 || ((address[whole] ^ network->address[whole]) & rest) == 0;
}

static int is_link_local(const uint8_t *address)
{
	static const uint8_t unspecified[16];

	return (address[0] == 0xfe && (address[1] & 0xc0) == 0x80) || memcmp(address, unspecified, 16) == 0;
}

enum oc_source oc_judge_source(const uint8_t *packet, size_t n, const struct oc_network *networks, unsigned int count)
{
	int version = n ? packet[0] >> 4 : 0;
	const uint8_t *source = packet + (version == 4 ? 12 : 8);

	if ((version != 4 || n < OC_IPV4_HEADER) && (version != 6 || n < OC_IPV6_HEADER))
		return OC_SOURCE_FOREIGN;
	for (unsigned int i = 0; i < count; i++)
		if (networks[i].version == version && matches(source, &networks[i]))
			return OC_SOURCE_OURS;
	return version == 6 && is_link_local(source) ? OC_SOURCE_LINK_LOCAL : OC_SOURCE_FOREIGN;
}

/* The packets inside the tunnel, as far as the data path looks: lengths, addresses, protocol, checksums (RFC 1071).
 * No I/O, no state. Nothing here reads behind the length that it is given. */
#ifndef OC_PACKET_H
#define OC_PACKET_H

#include <stddef.h>
#include <stdint.h>

#define OC_IPV4_HEADER 20
#define OC_IPV6_HEADER 40
#define OC_TCP_HEADER 20
#define OC_UDP_HEADER 8
#define OC_PACKET_MAX 65535

/* IP and TCP header with all their options (60 each), or IPv6 and TCP. */
#define OC_HEADERS_MAX 120

enum { OC_TCP = 6, OC_UDP = 17 };
enum { OC_TCP_CSUM = 16, OC_UDP_CSUM = 6 }; /* where the checksum is */
enum { OC_TCP_FIN = 0x01, OC_TCP_PSH = 0x08, OC_TCP_ACK = 0x10, OC_TCP_CWR = 0x80 };

static inline uint16_t oc_get16(const uint8_t *from)
{
	return (uint16_t)(from[0] << 8 | from[1]);
}

static inline void oc_put16(uint8_t *to, size_t value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

static inline uint32_t oc_get32(const uint8_t *from)
{
	return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

static inline void oc_put32(uint8_t *to, uint32_t value)
{
	oc_put16(to, value >> 16);
	oc_put16(to + 2, (uint16_t)value);
}

static inline uint64_t oc_get64(const uint8_t *from)
{
	return (uint64_t)oc_get32(from) << 32 | oc_get32(from + 4);
}

static inline void oc_put64(uint8_t *to, uint64_t value)
{
	oc_put32(to, (uint32_t)(value >> 32));
	oc_put32(to + 4, (uint32_t)value);
}

/* The one's complement sum of n bytes, folded to 16 bits, on top of `sum`. Bytes of an odd end count as high ones. */
uint16_t oc_sum(const uint8_t *data, size_t n, uint32_t sum);

/* The sum of the pseudo header (RFC 9293 3.1, RFC 8200 8.1) of the IP packet at `ip` with n bytes behind its header. */
uint16_t oc_pseudo_sum(const uint8_t *ip, int protocol, size_t n);

/* Write the IPv4 header's checksum; `header` bytes are there. */
void oc_put_ip_sum(uint8_t *ip, size_t header);

/* A plain TCP segment or UDP datagram: no fragment, no IP options, no extension headers, its length that of the IP
 * header. headers: bytes of IP and TCP or UDP header. protocol: 0 when it is none. */
struct oc_flow_packet {
	int version, protocol;
	size_t ip, headers, size;
};

struct oc_flow_packet oc_parse_flow_packet(const uint8_t *packet, size_t n);

/* Whether the checksums of such a packet are right; a UDP datagram without one is not. */
int oc_sums_hold(const uint8_t *packet, const struct oc_flow_packet *f);

/* Whether an inner packet shows that somebody uses the tunnel: not ICMP, IGMP, ICMPv6. */
int oc_is_data(const uint8_t *packet, size_t n);

/* Whether its sender slows down when it is lost: TCP with a payload, or QUIC (by its port). */
int oc_yields(const uint8_t *packet, size_t n);

/* Networks that a packet may come from: `bits` of `address` count; version 4 or 6. */
struct oc_network {
	uint8_t version, bits, address[16];
};

enum oc_source { OC_SOURCE_OURS, OC_SOURCE_LINK_LOCAL, OC_SOURCE_FOREIGN };

/* Whose the source address of a packet is. IPv6's link-local and unspecified ones are nobody's: neighbour and router
 * discovery, which a tunnel has no use for. */
enum oc_source oc_judge_source(const uint8_t *packet, size_t n, const struct oc_network *networks, unsigned int count);

#endif

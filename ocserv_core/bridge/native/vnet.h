/* The header in front of each packet of a TUN device that was opened with IFF_VNET_HDR: what the kernel left undone
 * (reading), what it may leave undone (writing). struct virtio_net_hdr, in the machine's own byte order. */
#ifndef OC_VNET_H
#define OC_VNET_H

#include <stdint.h>

#define OC_VNET_SIZE 10

enum { OC_VNET_NEEDS_CSUM = 1 };
enum { OC_GSO_NONE = 0, OC_GSO_TCPV4 = 1, OC_GSO_TCPV6 = 4, OC_GSO_UDP_L4 = 5, OC_GSO_ECN = 0x80 };

struct oc_vnet {
	uint8_t flags, gso_type;
	uint16_t header; /* bytes of IP and TCP or UDP header */
	uint16_t gso_size; /* payload bytes of each packet but the last */
	uint16_t csum_start, csum_offset;
};

_Static_assert(sizeof(struct oc_vnet) == OC_VNET_SIZE, "TUNSETVNETHDRSZ says ten bytes");

#endif

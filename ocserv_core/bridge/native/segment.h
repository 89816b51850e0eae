/* One packet of the TUN, as the packets on the wire that it stands for: TCP (TSO) and UDP (USO) segmentation, and the
 * checksums that the kernel left to us. Used by downstream.c; no I/O.
 *
 * Segments are built where they lie: each header is written right before its payload, over the end of the segment
 * before it, which must have been used up by then. */
#ifndef OC_SEGMENT_H
#define OC_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

#include "packet.h"
#include "vnet.h"

struct oc_segments {
	uint8_t *payload; /* of the next segment */
	size_t left;      /* payload bytes from there on */
	size_t gso;       /* payload bytes of a segment */
	size_t ip, headers;
	int protocol, first;
	uint16_t pseudo; /* sum of the pseudo header, without the length */
	uint32_t seq;
	uint16_t id;
	uint8_t template[OC_HEADERS_MAX]; /* of the headers */
};

/* Begin with the packet of n bytes. 0, or -1 when it is not what the header says. */
int oc_segments_begin(struct oc_segments *s, const struct oc_vnet *vnet, uint8_t *packet, size_t n);

/* The next segment and its length, NULL after the last. */
uint8_t *oc_segments_next(struct oc_segments *s, size_t *n);

#endif

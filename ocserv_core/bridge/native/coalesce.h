/* Packets from the client, gathered into one for the TUN: TCP segments in order, UDP datagrams of one size. Used by
 * upstream.c; no I/O.
 *
 * What is opened is written to where it would lie if it continued the packet that is being gathered: the payload then
 * needs no copy. The few bytes before it (its headers, and what is in front of a packet in its record) cover the end
 * of what was gathered, so these are kept aside and put back.
 *
 *     place() → open into it → take(), or undo() when it is no packet
 *     take(): gathered; or it does not fit, then finish() → write → next()
 *
 * The kernel believes what it is told of a gathered packet, so each one's own checksums are verified before: a
 * corrupt packet would get a fresh valid checksum. */
#ifndef OC_COALESCE_H
#define OC_COALESCE_H

#include <stddef.h>
#include <stdint.h>

#include "packet.h"
#include "vnet.h"

/* Before a packet in its record: a CSTP header, or the type byte of DTLS. */
#define OC_PREFIX_MAX 8
/* The longest thing that is opened: a TLS record's content, its type, and padding (RFC 8446 5.4). */
#define OC_PLACED_MAX (16384 + 256 + 1)
#define OC_COALESCE_SIZE (OC_PREFIX_MAX + OC_VNET_SIZE + OC_PACKET_MAX + OC_PLACED_MAX)

/* Linux's UDP_MAX_SEGMENTS before 6.9. */
#define OC_UDP_SEGMENTS 64

struct oc_coalescer {
	uint8_t *start;  /* of the packet; OC_PREFIX_MAX + OC_VNET_SIZE bytes are before it */
	int tcp, udp;    /* what may be gathered */
	size_t size;     /* bytes gathered; 0 for none */
	unsigned int packets;
	uint64_t bytes;  /* of the packets as they came */
	int closed;      /* nothing can be added any more */
	int verified;    /* the first packet's checksums were looked at */
	int data;        /* one of them was a user's (oc_is_data) */
	size_t gso;      /* payload bytes of the first */
	struct oc_flow_packet first;

	size_t kept_size; /* what place() covered */
	uint8_t kept[OC_PREFIX_MAX + OC_HEADERS_MAX];
	size_t next_size, next_head; /* what take() could not add: its length, and how much of it is in `head` */
	uint8_t head[OC_HEADERS_MAX];
	uint8_t *next_rest;
};

void oc_coalesce_open(struct oc_coalescer *c, uint8_t *memory);

/* Where the next content goes, whose packet stands `prefix` bytes behind its begin. OC_PLACED_MAX bytes are there.
 * Nothing may wait for next(). */
uint8_t *oc_coalesce_place(struct oc_coalescer *c, size_t prefix);

/* What was placed is no packet, or is one that is dropped: it may be looked at until the next call. */
void oc_coalesce_undo(struct oc_coalescer *c);

/* A packet of n bytes, 0 < n ≤ OC_PLACED_MAX: the one that was placed, or after undo() one that is elsewhere and stays
 * there until next(). 1: gathered. 0: it waits for next(), when the others are written. */
int oc_coalesce_take(struct oc_coalescer *c, const uint8_t *packet, size_t n);

/* Whether it is as well to write what is gathered now. */
int oc_coalesce_is_full(const struct oc_coalescer *c);

/* Make what was gathered one packet. Returns what is to be written, vnet header first, and its length. */
uint8_t *oc_coalesce_finish(struct oc_coalescer *c, size_t *n);

/* What finish() gave was written: begin anew, with what waits. */
void oc_coalesce_next(struct oc_coalescer *c);

#endif

/* Records of DTLS 1.2 (RFC 6347 4.1) with AEAD suites, and the window that refuses replayed ones. No I/O. */
#ifndef OC_DTLS_RECORD_H
#define OC_DTLS_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "record.h"

#define OC_DTLS_HEADER 13 /* type, version, epoch, number, length */

/* RFC 6347 4.1.2.6 wants 32 at least; a path that spreads a burst over queues reorders by whole bursts of 64. */
#define OC_WINDOW_BITS 1024

struct oc_window {
	uint64_t next; /* one past the highest number that was seen */
	uint64_t bits[OC_WINDOW_BITS / 64];
};

/* Whether this number is neither noted nor too old; note it, once its record is known to be genuine. */
int oc_window_admits(const struct oc_window *w, uint64_t number);
void oc_window_note(struct oc_window *w, uint64_t number);

/* A record's header, when a whole one is there. */
struct oc_dtls_header {
	int type;
	uint16_t version, epoch;
	uint64_t number; /* without the epoch */
	size_t size;     /* of the record, header included */
};

/* 0, or -1 when no whole record is there. */
int oc_dtls_parse(const uint8_t *record, size_t n, struct oc_dtls_header *header);

/* Bytes that a record is longer than its content. */
size_t oc_dtls_overhead(const struct oc_half *h);

/* Seal as oc_seal does; epoch and number are h->seq's. Length of the record, or a fault. */
long oc_dtls_seal(struct oc_half *h, int type, const uint8_t *plain, size_t n, uint8_t *record, size_t room);

/* Open a whole record of the half's epoch. The window is asked, and not told. Length of the content, or a fault. */
long oc_dtls_unseal(const struct oc_half *h, const struct oc_window *w, const struct oc_dtls_header *header,
		    const uint8_t *record, uint8_t *plain, size_t room);

#endif

/* A socket under a GnuTLS session: every wait has a deadline, and GnuTLS sees only whole records, so that the stream
 * can be taken over between any two of them. Also keeps the traffic secrets that KeyUpdate starts from.
 * Used by tls.py; handed over to pump.c after CONNECT. Knows nothing of what the bytes mean. */
#ifndef OC_TRANSPORT_H
#define OC_TRANSPORT_H

#include <gnutls/gnutls.h>
#include <stddef.h>
#include <stdint.h>

#define OC_HEADER 5                       /* type, version, length */
#define OC_RECORD_MAX (OC_HEADER + 16384 + 2048) /* RFC 5246 6.2.3, the longer of the two versions' limits */
#define OC_SECRET_MAX 48                  /* SHA-384 */

struct oc_transport {
	int fd;
	double deadline; /* CLOCK_MONOTONIC, seconds */
	int timed_out;   /* the last EAGAIN was the deadline's */
	int eof;
	uint8_t *in; /* allocated when first needed */
	size_t start, whole, end; /* [start, whole) are whole records, or what GnuTLS shall refuse */
	uint8_t client_secret[OC_SECRET_MAX], server_secret[OC_SECRET_MAX];
	size_t secret_size; /* 0 before TLS 1.3's secrets are known */
};

double oc_now(void);
struct oc_transport *oc_transport_open(gnutls_session_t session, int fd);
void oc_transport_close(struct oc_transport *t);

/* What was read and not handed to GnuTLS: at most `room` bytes into `to`, or -1 when there is more. */
long oc_transport_rest(struct oc_transport *t, uint8_t *to, size_t room);

/* Bytes of whole records that wait here. */
size_t oc_transport_waiting(const struct oc_transport *t);

/* How long the record that begins here is, header included: 0 when that cannot be told yet, -1 when it is none. */
long oc_record_length(const uint8_t *data, size_t n);

#endif

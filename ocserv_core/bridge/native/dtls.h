/* One DTLS session: GnuTLS shakes hands and answers what is left of a handshake later, our own records carry the data
 * (or GnuTLS's, in the suites that record.c does not serve). Used by dtls.py and by the pump.
 *
 * It never reads its socket: datagrams are given to it, so that two sessions can share one. Sending never waits: what
 * the socket does not take is lost, as datagrams may be. */
#ifndef OC_DTLS_H
#define OC_DTLS_H

#include <gnutls/dtls.h>
#include <gnutls/gnutls.h>
#include <stddef.h>
#include <stdint.h>

#include "dtls_record.h"

#define OC_PSK_MAX 64
#define OC_MASTER_SECRET 48
#define OC_SESSION_ID 32

struct oc_dtls {
	gnutls_session_t session;
	gnutls_psk_server_credentials_t psk_server;
	gnutls_psk_client_credentials_t psk_client;
	gnutls_certificate_credentials_t certificate; /* GnuTLS wants one to resume by; it is empty */
	uint8_t psk[OC_PSK_MAX];
	size_t psk_size;

	int fd;
	const uint8_t *given; /* the datagram at hand, not ours */
	size_t given_at, given_size;
	int starved; /* GnuTLS has asked for more than was given */
	int answered; /* the client has the keys, so it is where its datagrams come from */
	size_t heard, said; /* bytes of the handshake until then */

	int established;
	int library;    /* data goes by GnuTLS's records */
	uint8_t *taken; /* a library session's content that oc_dtls_opens had to take; oc_dtls_next gives it */
	size_t taken_size;
	int taken_type;
	int deaf;       /* GnuTLS gave up: it hears nothing more, the keys still serve */
	uint16_t epoch; /* of the keys */
	struct oc_half read, write;
	struct oc_window window;
	size_t overhead; /* bytes of a record beyond its content, at most */
	double last_rx;  /* when a record of the client's was opened */
	double last_library, library_turn; /* when GnuTLS was last given something; when its turn began */
	unsigned int library_heard;        /* datagrams of this turn */
	uint64_t refused; /* records that did not open */
};

/* NULL and *error, a GnuTLS error. `mtu`: bytes of the longest datagram of a handshake. */
struct oc_dtls *oc_dtls_open(int client, unsigned int mtu, int *error);
void oc_dtls_close(struct oc_dtls *d);

/* What it is to agree on; 0 or a GnuTLS error. session_id: 32 bytes, of a client's hello. */
int oc_dtls_use_psk(struct oc_dtls *d, gnutls_priority_t priorities, const uint8_t *key, size_t n,
		    const uint8_t *session_id);

/* Resume a session that never was: its master secret is known by both (AnyConnect's X-DTLS-Master-Secret). Names are
 * GnuTLS's ("DTLS1.2", "RSA", "AES-256-GCM", "AEAD"). */
int oc_dtls_use_legacy(struct oc_dtls *d, gnutls_priority_t priorities, const char *version, const char *kx,
		       const char *cipher, const char *mac, const uint8_t *master_secret, const uint8_t *session_id);

/* Whether this begins with a ClientHello in the clear. */
int oc_dtls_is_hello(const uint8_t *datagram, size_t n);

/* Go on shaking hands, with a datagram or because time has passed (n = 0). 1: done. 0: not yet. Else a GnuTLS error. */
int oc_dtls_handshake(struct oc_dtls *d, const uint8_t *datagram, size_t n);

/* Milliseconds until oc_dtls_handshake is to be called again. */
unsigned int oc_dtls_timeout(struct oc_dtls *d);

/* ---- an established session ------------------------------------------------------------------------------------ */

/* Whether this session's keys open the datagram's first record. Nothing is noted, or what GnuTLS has noted is given
 * again by oc_dtls_next; `room` bytes are written over. */
int oc_dtls_opens(struct oc_dtls *d, const uint8_t *datagram, size_t n, uint8_t *scratch, size_t room);

/* A datagram, whose contents oc_dtls_next gives one by one: a length and *type (application data or alert), 0 after
 * the last. Records that do not open are passed over (RFC 6347 4.1.2.7), what belongs to a handshake is answered. */
void oc_dtls_give(struct oc_dtls *d, const uint8_t *datagram, size_t n);
long oc_dtls_next(struct oc_dtls *d, uint8_t *plain, size_t room, int *type, double now);

/* A library session's data: sent at once. 0, or an errno. */
int oc_dtls_library_send(struct oc_dtls *d, const uint8_t *plain, size_t n);

/* An alert, sent at once. */
void oc_dtls_alert(struct oc_dtls *d, int level, int description);

#endif

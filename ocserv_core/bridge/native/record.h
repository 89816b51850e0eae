/* TLS records with AEAD suites, one direction at a time: TLS 1.2 (RFC 5246 6.2.3.3, RFC 5288, RFC 6655, RFC 7905) and
 * TLS 1.3 (RFC 8446 5.2), and the next generation of keys (RFC 8446 7.2). Used by the pump; no I/O. */
#ifndef OC_RECORD_H
#define OC_RECORD_H

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stddef.h>
#include <stdint.h>

#include "transport.h"

#define OC_CONTENT_MAX 16384
#define OC_OVERHEAD_MAX (OC_HEADER + 8 + 1 + 16)

enum { OC_CHANGE_CIPHER_SPEC = 20, OC_ALERT = 21, OC_HANDSHAKE = 22, OC_APPLICATION = 23 };

/* Why a record, or what is in it, is refused; functions return them negated. pump.py has the words. */
enum oc_fault {
	OC_FAULT_HEADER = 1, /* not a protected record of this version */
	OC_FAULT_LENGTH,     /* longer or shorter than a record can be */
	OC_FAULT_MAC,        /* not sealed with these keys */
	OC_FAULT_EMPTY,      /* TLS 1.3: nothing but padding */
	OC_FAULT_TYPE,       /* a kind of record that may not come now */
	OC_FAULT_ALERT,      /* an alert that is not two bytes */
	OC_FAULT_HANDSHAKE,  /* TLS 1.3: a message that is not KeyUpdate */
	OC_FAULT_RENEGOTIATION,
	OC_FAULT_FRAME_MAGIC,
	OC_FAULT_FRAME_LENGTH, /* longer than the record it came in */
	OC_FAULT_LIBRARY,      /* GnuTLS refused it */
	OC_FAULT_KEYS,         /* new keys could not be made */
	OC_FAULT_REPLAY        /* DTLS: a record that was there before, or is too old to tell */
};

struct oc_half {
	gnutls_aead_cipher_hd_t aead;
	uint64_t seq; /* of the next record; in DTLS the epoch is its upper 16 bits */
	gnutls_cipher_algorithm_t cipher;
	int tls13;
	size_t tag, explicit_nonce;
	uint8_t iv[12]; /* TLS 1.2 with an explicit nonce: the salt, then zeros */
	uint8_t secret[OC_SECRET_MAX];
	size_t secret_size;
};

/* Whether `cipher` is served here. */
int oc_record_serves(int cipher);

/* Keys as gnutls_record_get_state gives them. secret: TLS 1.3's traffic secret of these or of earlier keys. */
int oc_half_open(struct oc_half *h, int tls13, int cipher, const uint8_t *key, size_t key_size, const uint8_t *iv,
		 size_t iv_size, uint64_t seq, const uint8_t *secret, size_t secret_size);
void oc_half_close(struct oc_half *h);

/* TLS 1.3: from now on the next generation of keys. */
int oc_half_update(struct oc_half *h);

/* RFC 8446 5.3, RFC 7905 2; with an explicit nonce the IV's last eight bytes are zero, and this is RFC 5288's salt and
 * counter. */
void oc_make_nonce(const struct oc_half *h, uint64_t seq, uint8_t nonce[12]);

/* Seal `plain` into one record. `plain` must have room for one byte behind it, which is as before afterwards. Length of
 * the record, or a fault. */
long oc_seal(struct oc_half *h, int type, uint8_t *plain, size_t n, uint8_t *record, size_t room);

/* Open one whole record of n bytes, header included; `room` ≥ n suffices. Length of the content, or a fault. */
long oc_open(struct oc_half *h, const uint8_t *record, size_t n, uint8_t *plain, size_t room, int *type);

#endif

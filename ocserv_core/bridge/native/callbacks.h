/* What GnuTLS asks back, made simple for Python: bytes and numbers instead of enums and structs by value.
 * The oc_py_* functions are callbacks.py's; each returns 0, or a negative GnuTLS error that fails the handshake. */
#ifndef OC_CALLBACKS_H
#define OC_CALLBACKS_H

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <stddef.h>
#include <stdint.h>

/* A private key that is elsewhere. */
struct oc_key {
	void *handle; /* of callbacks.py */
	int algorithm;
	unsigned int bits;
};

int oc_py_sign(void *key, int algorithm, const uint8_t *data, size_t n, gnutls_datum_t *signature);
int oc_py_decrypt(void *key, const uint8_t *data, size_t n, gnutls_datum_t *plain);
int oc_py_client_hello(void *session, const uint8_t *name, size_t n);
int oc_py_verify(void *session);
int oc_py_store(void *session, const uint8_t *id, size_t id_size, const uint8_t *data, size_t n);
int oc_py_fetch(void *session, const uint8_t *id, size_t id_size, gnutls_datum_t *data);
int oc_py_delete(void *session, const uint8_t *id, size_t id_size);

/* A copy of `data` that GnuTLS may free. */
int oc_datum_set(gnutls_datum_t *datum, const uint8_t *data, size_t n);
/* Free what GnuTLS allocated. */
void oc_free(void *data);

int oc_key_import(gnutls_privkey_t to, struct oc_key *key);
void oc_callbacks_set(gnutls_session_t session, void *handle, int resumption);
void oc_verify_set(gnutls_certificate_credentials_t credentials);
/* The peer's chain, as that of a TLS client: `status` is 0 where it is valid. A GnuTLS error where it sent none. */
int oc_verify_client(gnutls_session_t session, unsigned int *status);
/* When the first of these revocation lists ends (seconds since 1970), 0 where none says. A GnuTLS error. */
int oc_crl_next_update(const gnutls_datum_t *data, int format, int64_t *earliest);

#endif

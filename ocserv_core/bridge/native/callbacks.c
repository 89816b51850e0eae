/* See callbacks.h. */
#include "callbacks.h"

#include <gnutls/crypto.h>
#include <string.h>

#define SERVER_NAME 0 /* the extension, RFC 6066 3; also the number of its only kind of name */
#define NAME_MAX_SIZE 255

int oc_datum_set(gnutls_datum_t *datum, const uint8_t *data, size_t n)
{
	datum->data = gnutls_malloc(n ? n : 1);
	if (!datum->data)
		return GNUTLS_E_MEMORY_ERROR;
	memcpy(datum->data, data, n);
	datum->size = (unsigned int)n;
	return 0;
}

void oc_free(void *data)
{
	gnutls_free(data);
}

/* ---- private keys ---------------------------------------------------------------------------------------------- */

static int sign_hash(gnutls_privkey_t key, gnutls_sign_algorithm_t algorithm, void *ptr, unsigned int flags,
		     const gnutls_datum_t *hash, gnutls_datum_t *signature)
{
	struct oc_key *k = ptr;

	(void)key;
	(void)flags;
	*signature = (gnutls_datum_t){ NULL, 0 };
	return oc_py_sign(k->handle, (int)algorithm, hash->data, hash->size, signature);
}

static int sign_data(gnutls_privkey_t key, gnutls_sign_algorithm_t algorithm, void *ptr, unsigned int flags,
		     const gnutls_datum_t *data, gnutls_datum_t *signature)
{
	uint8_t digest[64];
	gnutls_datum_t hash = { digest, 0 };
	gnutls_digest_algorithm_t kind = gnutls_sign_get_hash_algorithm(algorithm);
	int e;

	if (algorithm == GNUTLS_SIGN_EDDSA_ED25519)
		return sign_hash(key, algorithm, ptr, flags, data, signature);
	hash.size = gnutls_hash_get_len(kind);
	if (hash.size == 0 || hash.size > sizeof digest)
		return GNUTLS_E_UNSUPPORTED_SIGNATURE_ALGORITHM;
	e = gnutls_hash_fast(kind, data->data, data->size, digest);
	return e < 0 ? e : sign_hash(key, algorithm, ptr, flags, &hash, signature);
}

static int decrypt(gnutls_privkey_t key, void *ptr, const gnutls_datum_t *data, gnutls_datum_t *plain)
{
	struct oc_key *k = ptr;

	(void)key;
	/* GnuTLS 3.7 frees what is in here even when the decryption failed, and has put nothing into it. */
	*plain = (gnutls_datum_t){ NULL, 0 };
	return oc_py_decrypt(k->handle, data->data, data->size, plain);
}

static int key_info(gnutls_privkey_t key, unsigned int flags, void *ptr)
{
	struct oc_key *k = ptr;

	(void)key;
	if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO)
		return k->algorithm;
	if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO_BITS)
		return (int)k->bits;
	if (flags & GNUTLS_PRIVKEY_INFO_HAVE_SIGN_ALGO)
		return (int)gnutls_sign_supports_pk_algorithm(GNUTLS_FLAGS_TO_SIGN_ALGO(flags),
							      (gnutls_pk_algorithm_t)k->algorithm);
	return -1;
}

int oc_key_import(gnutls_privkey_t to, struct oc_key *key)
{
	return gnutls_privkey_import_ext4(to, key, sign_data, sign_hash, decrypt, NULL, key_info, 0);
}

/* ---- the ClientHello ------------------------------------------------------------------------------------------- */

/* ServerNameList: length(2), then kind(1) length(2) name, of which only the first matters (RFC 6066 3). */
static int take_name(void *ctx, unsigned int extension, const unsigned char *data, unsigned int size)
{
	gnutls_datum_t *name = ctx;
	size_t n;

	if (extension != SERVER_NAME || size < 5 || data[2] != SERVER_NAME)
		return 0;
	n = (size_t)data[3] << 8 | data[4];
	if (n > size - 5 || n > NAME_MAX_SIZE)
		return 0;
	name->data = (unsigned char *)data + 5;
	name->size = (unsigned int)n;
	return 0;
}

static int client_hello(gnutls_session_t session, unsigned int type, unsigned int when, unsigned int incoming,
			const gnutls_datum_t *message)
{
	gnutls_datum_t name = { (unsigned char *)"", 0 };
	int e;

	(void)type;
	(void)when;
	if (!incoming)
		return 0;
	e = gnutls_ext_raw_parse(&name, take_name, message, GNUTLS_EXT_RAW_FLAG_TLS_CLIENT_HELLO);
	/* A hello without extensions is an old client's; whatever else is wrong with it GnuTLS will say itself. */
	if (e < 0)
		name.size = 0;
	return oc_py_client_hello(gnutls_session_get_ptr(session), name.data, name.size);
}

/* ---- resumption and verification ------------------------------------------------------------------------------- */

static int store(void *handle, gnutls_datum_t id, gnutls_datum_t data)
{
	return oc_py_store(handle, id.data, id.size, data.data, data.size);
}

static gnutls_datum_t fetch(void *handle, gnutls_datum_t id)
{
	gnutls_datum_t data = { NULL, 0 };

	if (oc_py_fetch(handle, id.data, id.size, &data) < 0)
		data.size = 0;
	return data;
}

static int forget(void *handle, gnutls_datum_t id)
{
	return oc_py_delete(handle, id.data, id.size);
}

static int verify(gnutls_session_t session)
{
	return oc_py_verify(gnutls_session_get_ptr(session));
}

void oc_verify_set(gnutls_certificate_credentials_t credentials)
{
	gnutls_certificate_set_verify_function(credentials, verify);
}

void oc_callbacks_set(gnutls_session_t session, void *handle, int resumption)
{
	gnutls_session_set_ptr(session, handle);
	gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_CLIENT_HELLO, GNUTLS_HOOK_PRE, client_hello);
	if (!resumption)
		return;
	gnutls_db_set_ptr(session, handle);
	gnutls_db_set_store_function(session, store);
	gnutls_db_set_retrieve_function(session, fetch);
	gnutls_db_set_remove_function(session, forget);
}

int oc_verify_client(gnutls_session_t session, unsigned int *status)
{
	/* Without a purpose GnuTLS takes a server's certificate for a client's. */
	gnutls_typed_vdata_st purpose = {
		.type = GNUTLS_DT_KEY_PURPOSE_OID,
		.data = (unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT,
	};
	return gnutls_certificate_verify_peers(session, &purpose, 1, status);
}

int oc_crl_next_update(const gnutls_datum_t *data, int format, int64_t *earliest)
{
	gnutls_x509_crl_t *lists = NULL;
	unsigned int count = 0;
	int code = gnutls_x509_crl_list_import2(&lists, &count, data, format, 0);
	if (code < 0)
		return code;
	*earliest = 0;
	for (unsigned int i = 0; i < count; i++) {
		time_t next = gnutls_x509_crl_get_next_update(lists[i]);
		if (next != (time_t)-1 && (*earliest == 0 || next < *earliest))
			*earliest = next;
		gnutls_x509_crl_deinit(lists[i]);
	}
	gnutls_free(lists);
	return 0;
}

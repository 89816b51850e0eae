/* See record.h. Lengths are checked before anything is read or written. */
#include "record.h"

#include <string.h>

#include "packet.h"

static const struct suite {
	gnutls_cipher_algorithm_t cipher;
	size_t tag, explicit_nonce; /* the latter in TLS 1.2 only */
} suites[] = {
	{ GNUTLS_CIPHER_AES_128_GCM, 16, 8 },	{ GNUTLS_CIPHER_AES_256_GCM, 16, 8 },
	{ GNUTLS_CIPHER_AES_128_CCM, 16, 8 },	{ GNUTLS_CIPHER_AES_256_CCM, 16, 8 },
	{ GNUTLS_CIPHER_AES_128_CCM_8, 8, 8 },	{ GNUTLS_CIPHER_AES_256_CCM_8, 8, 8 },
	{ GNUTLS_CIPHER_CHACHA20_POLY1305, 16, 0 },
};

static const struct suite *find_suite(int cipher)
{
	for (size_t i = 0; i < sizeof suites / sizeof *suites; i++)
		if ((int)suites[i].cipher == cipher)
			return &suites[i];
	return NULL;
}

int oc_record_serves(int cipher)
{
	return find_suite(cipher) != NULL;
}

/* ---- keys ------------------------------------------------------------------------------------------------------ */

/* HKDF-Expand-Label with an empty context (RFC 8446 7.1). */
static int expand(const struct oc_half *h, const char *label, uint8_t *out, size_t n)
{
	size_t label_size = strlen(label);
	gnutls_mac_algorithm_t mac = h->secret_size == 48 ? GNUTLS_MAC_SHA384 : GNUTLS_MAC_SHA256;
	gnutls_datum_t secret = { (unsigned char *)h->secret, (unsigned int)h->secret_size };
	uint8_t text[32] = { 0, (uint8_t)n, (uint8_t)(6 + label_size), 't', 'l', 's', '1', '3', ' ' };
	gnutls_datum_t info = { text, (unsigned int)(9 + label_size + 1) };

	memcpy(text + 9, label, label_size);
	return gnutls_hkdf_expand(mac, &secret, &info, out, n);
}

static int use_key(struct oc_half *h, const uint8_t *key, size_t n)
{
	gnutls_datum_t datum = { (unsigned char *)key, (unsigned int)n };

	if (h->aead)
		gnutls_aead_cipher_deinit(h->aead);
	h->aead = NULL;
	return gnutls_aead_cipher_init(&h->aead, h->cipher, &datum);
}

static int next_secret(struct oc_half *h)
{
	uint8_t next[OC_SECRET_MAX];
	int e = expand(h, "traffic upd", next, h->secret_size);

	if (e == 0)
		memcpy(h->secret, next, h->secret_size);
	gnutls_memset(next, 0, sizeof next);
	return e;
}

static int derive_key(const struct oc_half *h, uint8_t *key, size_t n)
{
	return expand(h, "key", key, n);
}

/* The secret was told at the handshake; since then GnuTLS may have answered a KeyUpdate or two. */
#define GENERATIONS_MAX 64

static int catch_up(struct oc_half *h, const uint8_t *key, size_t n)
{
	uint8_t derived[64];
	int e = n > sizeof derived ? GNUTLS_E_INVALID_REQUEST : 0;
	int found = 0;

	for (int i = 0; e == 0 && !found && i < GENERATIONS_MAX; i++) {
		e = derive_key(h, derived, n);
		found = e == 0 && gnutls_memcmp(derived, key, n) == 0;
		if (e == 0 && !found)
			e = next_secret(h);
	}
	gnutls_memset(derived, 0, sizeof derived);
	return e < 0 ? e : found ? 0 : GNUTLS_E_INVALID_SESSION;
}

int oc_half_open(struct oc_half *h, int tls13, int cipher, const uint8_t *key, size_t key_size, const uint8_t *iv,
		 size_t iv_size, uint64_t seq, const uint8_t *secret, size_t secret_size)
{
	const struct suite *suite = find_suite(cipher);

	memset(h, 0, sizeof *h);
	if (!suite)
		return GNUTLS_E_UNKNOWN_CIPHER_SUITE;
	h->explicit_nonce = tls13 ? 0 : suite->explicit_nonce;
	if (key_size != gnutls_cipher_get_key_size(suite->cipher) || iv_size != (h->explicit_nonce ? 4 : 12))
		return GNUTLS_E_INVALID_REQUEST;
	if (tls13 && secret_size != 32 && secret_size != 48)
		return GNUTLS_E_INVALID_REQUEST;
	h->tls13 = tls13;
	h->cipher = suite->cipher;
	h->tag = suite->tag;
	h->seq = seq;
	memcpy(h->iv, iv, iv_size);
	if (tls13) {
		int e;

		memcpy(h->secret, secret, secret_size);
		h->secret_size = secret_size;
		if ((e = catch_up(h, key, key_size)) < 0)
			return e;
	}
	return use_key(h, key, key_size);
}

int oc_half_update(struct oc_half *h)
{
	uint8_t key[32];
	size_t key_size = gnutls_cipher_get_key_size(h->cipher);
	int e = h->tls13 && key_size <= sizeof key ? next_secret(h) : GNUTLS_E_INVALID_REQUEST;

	if (e == 0)
		e = derive_key(h, key, key_size);
	if (e == 0)
		e = expand(h, "iv", h->iv, sizeof h->iv);
	if (e == 0)
		e = use_key(h, key, key_size);
	gnutls_memset(key, 0, sizeof key);
	h->seq = 0;
	return e;
}

void oc_half_close(struct oc_half *h)
{
	if (h->aead)
		gnutls_aead_cipher_deinit(h->aead);
	gnutls_memset(h, 0, sizeof *h);
}

/* ---- records --------------------------------------------------------------------------------------------------- */

static void put_header(uint8_t *to, int type, size_t n)
{
	to[0] = (uint8_t)type;
	to[1] = 3;
	to[2] = 3;
	to[3] = (uint8_t)(n >> 8);
	to[4] = (uint8_t)n;
}

void oc_make_nonce(const struct oc_half *h, uint64_t seq, uint8_t nonce[12])
{
	uint8_t number[8];

	oc_put64(number, seq);
	memcpy(nonce, h->iv, 4);
	for (int i = 0; i < 8; i++)
		nonce[4 + i] = h->iv[4 + i] ^ number[i];
}

/* What is authenticated besides the content: the header (TLS 1.3), or number, type and length (TLS 1.2). */
static size_t make_aad(const struct oc_half *h, uint8_t aad[13], const uint8_t *header, size_t content)
{
	if (h->tls13) {
		memcpy(aad, header, OC_HEADER);
		return OC_HEADER;
	}
	oc_put64(aad, h->seq);
	put_header(aad + 8, header[0], content);
	return 13;
}

long oc_seal(struct oc_half *h, int type, uint8_t *plain, size_t n, uint8_t *record, size_t room)
{
	uint8_t nonce[12], aad[13];
	uint8_t *body = record + OC_HEADER + h->explicit_nonce;
	size_t inner = n + (h->tls13 ? 1 : 0), sealed = inner + h->tag, aad_size;
	uint8_t behind;
	int e;

	if (n > OC_CONTENT_MAX || room < OC_HEADER + h->explicit_nonce + sealed)
		return -OC_FAULT_LENGTH;
	behind = plain[n];
	if (h->tls13)
		plain[n] = (uint8_t)type;
	put_header(record, h->tls13 ? OC_APPLICATION : type, h->explicit_nonce + sealed);
	oc_make_nonce(h, h->seq, nonce);
	if (h->explicit_nonce)
		memcpy(record + OC_HEADER, nonce + 4, 8);
	aad_size = make_aad(h, aad, record, n);
	e = gnutls_aead_cipher_encrypt(h->aead, nonce, 12, aad, aad_size, h->tag, plain, inner, body, &sealed);
	plain[n] = behind;
	if (e < 0)
		return -OC_FAULT_KEYS;
	h->seq++;
	return (long)(OC_HEADER + h->explicit_nonce + sealed);
}

/* TLS 1.3: behind the content stand its type and any number of zeros (RFC 8446 5.4). */
static long strip_padding(const uint8_t *plain, size_t n, int *type)
{
	while (n && plain[n - 1] == 0)
		n--;
	if (!n)
		return -OC_FAULT_EMPTY;
	*type = plain[n - 1];
	return (long)n - 1;
}

static int check_header(const struct oc_half *h, const uint8_t *record, size_t n)
{
	size_t least = OC_HEADER + h->explicit_nonce + h->tag + (h->tls13 ? 1 : 0);
	size_t most = OC_HEADER + OC_CONTENT_MAX + (h->tls13 ? 256 : 2048);

	if (n < least || n > most || OC_HEADER + ((size_t)record[3] << 8 | record[4]) != n)
		return -OC_FAULT_LENGTH;
	if (record[1] != 3 || record[2] != 3 || (h->tls13 && record[0] != OC_APPLICATION))
		return -OC_FAULT_HEADER;
	return 0;
}

long oc_open(struct oc_half *h, const uint8_t *record, size_t n, uint8_t *plain, size_t room, int *type)
{
	uint8_t nonce[12], aad[13];
	size_t aad_size, content, got = room;
	int fault = check_header(h, record, n);
	long length;

	if (fault)
		return fault;
	content = n - OC_HEADER - h->explicit_nonce - h->tag;
	if (content > room)
		return -OC_FAULT_LENGTH;
	oc_make_nonce(h, h->seq, nonce);
	if (h->explicit_nonce)
		memcpy(nonce + 4, record + OC_HEADER, 8);
	aad_size = make_aad(h, aad, record, content);
	if (gnutls_aead_cipher_decrypt(h->aead, nonce, 12, aad, aad_size, h->tag,
				       record + OC_HEADER + h->explicit_nonce, content + h->tag, plain, &got) < 0)
		return -OC_FAULT_MAC;
	h->seq++;
	*type = record[0];
	length = h->tls13 ? strip_padding(plain, got, type) : (long)got;
	return length > OC_CONTENT_MAX ? -OC_FAULT_LENGTH : length;
}

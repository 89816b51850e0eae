/* See dtls_record.h. Lengths are checked before anything is read or written. */
#include "dtls_record.h"

#include <string.h>

#include "packet.h"

#define VERSION 0xfefd
#define NUMBER_MASK 0xffffffffffffULL
#define WORDS (OC_WINDOW_BITS / 64)

/* ---- replay ---------------------------------------------------------------------------------------------------- */

/* A ring of words (RFC 6479): going on clears what the window has left, a word at a time; the newest word is not whole,
 * so one word less counts. */
int oc_window_admits(const struct oc_window *w, uint64_t number)
{
	if (number >= w->next)
		return 1;
	if (w->next - number > OC_WINDOW_BITS - 64)
		return 0;
	return !(w->bits[number / 64 % WORDS] >> number % 64 & 1);
}

void oc_window_note(struct oc_window *w, uint64_t number)
{
	if (number >= w->next) {
		uint64_t from = w->next ? (w->next - 1) / 64 : 0, to = number / 64;

		for (uint64_t word = from + 1; word <= to && word <= from + WORDS; word++)
			w->bits[word % WORDS] = 0;
		w->next = number + 1;
	}
	w->bits[number / 64 % WORDS] |= (uint64_t)1 << number % 64;
}

/* ---- records --------------------------------------------------------------------------------------------------- */

int oc_dtls_parse(const uint8_t *record, size_t n, struct oc_dtls_header *header)
{
	if (n < OC_DTLS_HEADER)
		return -1;
	header->type = record[0];
	header->version = oc_get16(record + 1);
	header->epoch = oc_get16(record + 3);
	header->number = (uint64_t)oc_get16(record + 5) << 32 | oc_get32(record + 7);
	header->size = OC_DTLS_HEADER + (size_t)oc_get16(record + 11);
	return header->size <= n ? 0 : -1;
}

size_t oc_dtls_overhead(const struct oc_half *h)
{
	return OC_DTLS_HEADER + h->explicit_nonce + h->tag;
}

/* Epoch and number, type, version, length of the content (RFC 6347 4.1.2.1). */
static void make_aad(uint8_t aad[13], uint64_t seq, int type, size_t content)
{
	oc_put64(aad, seq);
	aad[8] = (uint8_t)type;
	oc_put16(aad + 9, VERSION);
	oc_put16(aad + 11, content);
}

long oc_dtls_seal(struct oc_half *h, int type, const uint8_t *plain, size_t n, uint8_t *record, size_t room)
{
	uint8_t nonce[12], aad[13];
	size_t sealed = n + h->tag, size = oc_dtls_overhead(h) + n;

	/* The last number would make the next one belong to another epoch. */
	if (n > OC_CONTENT_MAX || room < size || (h->seq & NUMBER_MASK) == NUMBER_MASK)
		return -OC_FAULT_LENGTH;
	make_aad(aad, h->seq, type, n);
	record[0] = (uint8_t)type;
	oc_put16(record + 1, VERSION);
	memcpy(record + 3, aad, 8);
	oc_put16(record + 11, size - OC_DTLS_HEADER);
	oc_make_nonce(h, h->seq, nonce);
	if (h->explicit_nonce)
		memcpy(record + OC_DTLS_HEADER, nonce + 4, 8);
	if (gnutls_aead_cipher_encrypt(h->aead, nonce, 12, aad, sizeof aad, h->tag, plain, n,
				       record + OC_DTLS_HEADER + h->explicit_nonce, &sealed) < 0)
		return -OC_FAULT_KEYS;
	h->seq++;
	return (long)size;
}

long oc_dtls_unseal(const struct oc_half *h, const struct oc_window *w, const struct oc_dtls_header *header,
		    const uint8_t *record, uint8_t *plain, size_t room)
{
	uint8_t nonce[12], aad[13];
	uint64_t seq = (uint64_t)header->epoch << 48 | header->number;
	size_t content, got = room;

	if (header->version != VERSION)
		return -OC_FAULT_HEADER;
	if (header->size < oc_dtls_overhead(h) || header->size > oc_dtls_overhead(h) + OC_CONTENT_MAX)
		return -OC_FAULT_LENGTH;
	content = header->size - oc_dtls_overhead(h);
	if (content > room)
		return -OC_FAULT_LENGTH;
	if (!oc_window_admits(w, header->number))
		return -OC_FAULT_REPLAY;
	make_aad(aad, seq, header->type, content);
	oc_make_nonce(h, seq, nonce);
	if (h->explicit_nonce)
		memcpy(nonce + 4, record + OC_DTLS_HEADER, 8);
	if (gnutls_aead_cipher_decrypt(h->aead, nonce, 12, aad, sizeof aad, h->tag,
				       record + OC_DTLS_HEADER + h->explicit_nonce, content + h->tag, plain, &got) < 0)
		return -OC_FAULT_MAC;
	return (long)got;
}

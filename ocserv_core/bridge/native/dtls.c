/* See dtls.h. */
#include "dtls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "packet.h"
#include "transport.h"

#define RETRANSMIT_MS 400 /* as the C server; it doubles */
#define GIVE_UP_MS 15000  /* clients give up after 12 s, and begin anew */

/* A hello may come from anybody who has seen one, in anybody's name: what is sent there is at most so many times as long
 * (as in RFC 9000 8.1). Our flight fits in twice: a client that has got its first datagram does not repeat its hello. */
#define AMPLIFICATION_MAX 3
#define STEPS_MAX 64

/* GnuTLS says 0 as long as no flight of ours is on its way: of half a hello there is nothing to repeat. */
#define LEAST_TIMEOUT_MS 50

/* What a handshake leaves behind is heard ten times a second at most: a client repeats its flight once a second, in one
 * datagram (GnuTLS) or in three (OpenSSL). */
#define LIBRARY_INTERVAL 0.1
#define LIBRARY_DATAGRAMS 4

/* ---- datagrams under GnuTLS ------------------------------------------------------------------------------------ */

static ssize_t pull(gnutls_transport_ptr_t ptr, void *to, size_t room)
{
	struct oc_dtls *d = ptr;
	size_t n = d->given_size - d->given_at;

	if (!n) {
		d->starved = 1;
		errno = EAGAIN;
		return -1;
	}
	if (n > room)
		n = room;
	memcpy(to, d->given + d->given_at, n);
	d->given_at = d->given_size; /* a datagram is read at once, or its end is lost */
	return (ssize_t)n;
}

static int pull_timeout(gnutls_transport_ptr_t ptr, unsigned int ms)
{
	struct oc_dtls *d = ptr;

	(void)ms;
	return d->given_at < d->given_size;
}

/* A datagram that cannot be sent now is one that was lost on its way; the handshake has timers for that. */
static ssize_t push(gnutls_transport_ptr_t ptr, const void *data, size_t n)
{
	struct oc_dtls *d = ptr;

	if (d->answered || d->said + n <= AMPLIFICATION_MAX * d->heard) {
		(void)!send(d->fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		d->said += n;
	}
	return (ssize_t)n;
}

/* ---- opening and closing --------------------------------------------------------------------------------------- */

struct oc_dtls *oc_dtls_open(int client, unsigned int mtu, int *error)
{
	struct oc_dtls *d = calloc(1, sizeof *d);
	unsigned int role = client ? GNUTLS_CLIENT : GNUTLS_SERVER;

	*error = d ? gnutls_init(&d->session, role | GNUTLS_DATAGRAM | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) :
		     GNUTLS_E_MEMORY_ERROR;
	if (*error < 0) {
		free(d);
		return NULL;
	}
	d->fd = -1;
	d->answered = client;
	gnutls_transport_set_ptr(d->session, d);
	gnutls_session_set_ptr(d->session, d);
	gnutls_transport_set_pull_function(d->session, pull);
	gnutls_transport_set_pull_timeout_function(d->session, pull_timeout);
	gnutls_transport_set_push_function(d->session, push);
	gnutls_dtls_set_timeouts(d->session, RETRANSMIT_MS, GIVE_UP_MS);
	gnutls_dtls_set_mtu(d->session, mtu);
	return d;
}

void oc_dtls_close(struct oc_dtls *d)
{
	gnutls_deinit(d->session);
	if (d->psk_server)
		gnutls_psk_free_server_credentials(d->psk_server);
	if (d->psk_client)
		gnutls_psk_free_client_credentials(d->psk_client);
	if (d->certificate)
		gnutls_certificate_free_credentials(d->certificate);
	oc_half_close(&d->read);
	oc_half_close(&d->write);
	free(d->taken);
	gnutls_memset(d, 0, sizeof *d);
	free(d);
}

/* ---- what to agree on ------------------------------------------------------------------------------------------ */

/* Whatever identity a client names: the key is this connection's, and nobody else has it. */
static int give_psk(gnutls_session_t session, const char *identity, gnutls_datum_t *key)
{
	struct oc_dtls *d = gnutls_session_get_ptr(session);

	(void)identity;
	key->data = gnutls_malloc(d->psk_size);
	if (!key->data)
		return -1;
	memcpy(key->data, d->psk, d->psk_size);
	key->size = (unsigned int)d->psk_size;
	return 0;
}

static int use_psk_as_server(struct oc_dtls *d)
{
	int e = gnutls_psk_allocate_server_credentials(&d->psk_server);

	if (e < 0)
		return e;
	gnutls_psk_set_server_credentials_function(d->psk_server, give_psk);
	return gnutls_credentials_set(d->session, GNUTLS_CRD_PSK, d->psk_server);
}

static int use_psk_as_client(struct oc_dtls *d, const uint8_t *session_id)
{
	gnutls_datum_t key = { d->psk, (unsigned int)d->psk_size };
	gnutls_datum_t id = { (unsigned char *)session_id, OC_SESSION_ID };
	int e = gnutls_psk_allocate_client_credentials(&d->psk_client);

	if (e == 0)
		e = gnutls_psk_set_client_credentials(d->psk_client, "psk", &key, GNUTLS_PSK_KEY_RAW);
	if (e == 0)
		e = gnutls_credentials_set(d->session, GNUTLS_CRD_PSK, d->psk_client);
	return e < 0 ? e : gnutls_session_set_id(d->session, &id);
}

int oc_dtls_use_psk(struct oc_dtls *d, gnutls_priority_t priorities, const uint8_t *key, size_t n,
		    const uint8_t *session_id)
{
	int e = n && n <= OC_PSK_MAX ? gnutls_priority_set(d->session, priorities) : GNUTLS_E_INVALID_REQUEST;

	if (e < 0)
		return e;
	memcpy(d->psk, key, n);
	d->psk_size = n;
	return session_id ? use_psk_as_client(d, session_id) : use_psk_as_server(d);
}

int oc_dtls_use_legacy(struct oc_dtls *d, gnutls_priority_t priorities, const char *version, const char *kx,
		       const char *cipher, const char *mac, const uint8_t *master_secret, const uint8_t *session_id)
{
	gnutls_datum_t secret = { (unsigned char *)master_secret, OC_MASTER_SECRET };
	gnutls_datum_t id = { (unsigned char *)session_id, OC_SESSION_ID };
	gnutls_protocol_t protocol = gnutls_protocol_get_id(version);
	int e = gnutls_priority_set(d->session, priorities);

	if (e == 0)
		e = gnutls_certificate_allocate_credentials(&d->certificate);
	if (e == 0)
		e = gnutls_credentials_set(d->session, GNUTLS_CRD_CERTIFICATE, d->certificate);
	if (e < 0)
		return e;
	return gnutls_session_set_premaster(d->session, GNUTLS_SERVER, protocol, gnutls_kx_get_id(kx),
					    gnutls_cipher_get_id(cipher), gnutls_mac_get_id(mac), GNUTLS_COMP_NULL,
					    &secret, &id);
}

/* ---- the handshake --------------------------------------------------------------------------------------------- */

static int take_half(struct oc_dtls *d, struct oc_half *h, int read)
{
	gnutls_datum_t mac, iv, key;
	unsigned char seq[8];
	int e = gnutls_record_get_state(d->session, (unsigned int)read, &mac, &iv, &key, seq);

	return e < 0 ? e : oc_half_open(h, 0, (int)gnutls_cipher_get(d->session), key.data, key.size, iv.data, iv.size,
					oc_get64(seq), NULL, 0);
}

static int take_keys(struct oc_dtls *d)
{
	int e;

	d->established = d->answered = 1;
	d->library = !oc_record_serves((int)gnutls_cipher_get(d->session)) ||
		     gnutls_protocol_get_version(d->session) != GNUTLS_DTLS1_2;
	if (d->library) {
		size_t room = gnutls_dtls_get_mtu(d->session), data = gnutls_dtls_get_data_mtu(d->session);

		d->overhead = room > data ? room - data : 0;
		d->taken = malloc(OC_CONTENT_MAX);
		return d->taken ? 0 : GNUTLS_E_MEMORY_ERROR;
	}
	if ((e = take_half(d, &d->read, 1)) < 0 || (e = take_half(d, &d->write, 0)) < 0)
		return e;
	d->overhead = oc_dtls_overhead(&d->write);
	d->epoch = (uint16_t)(d->read.seq >> 48);
	d->window.next = d->read.seq & 0xffffffffffffULL;
	return 0;
}

int oc_dtls_is_hello(const uint8_t *datagram, size_t n)
{
	enum { CLIENT_HELLO = 1 };
	struct oc_dtls_header header;

	return oc_dtls_parse(datagram, n, &header) == 0 && header.type == OC_HANDSHAKE && header.epoch == 0 &&
	       header.size > OC_DTLS_HEADER && datagram[OC_DTLS_HEADER] == CLIENT_HELLO;
}

int oc_dtls_handshake(struct oc_dtls *d, const uint8_t *datagram, size_t n)
{
	int e;

	d->heard += n;
	oc_dtls_give(d, datagram, n);
	d->starved = 0;
	for (int i = 0; i < STEPS_MAX; i++) {
		e = gnutls_handshake(d->session);
		if (e == 0) {
			e = take_keys(d);
			break;
		}
		if (gnutls_error_is_fatal(e) || d->starved)
			break;
	}
	oc_dtls_give(d, NULL, 0);
	return e == 0 ? 1 : gnutls_error_is_fatal(e) ? e : 0;
}

unsigned int oc_dtls_timeout(struct oc_dtls *d)
{
	unsigned int ms = gnutls_dtls_get_timeout(d->session);

	return ms > LEAST_TIMEOUT_MS ? ms : LEAST_TIMEOUT_MS;
}

/* ---- what GnuTLS still has to say ------------------------------------------------------------------------------ */

/* The library does not know of our records: without this its next one had a number, and a nonce, that was used. */
static void lend_numbers(struct oc_dtls *d)
{
	uint8_t seq[8];

	oc_put64(seq, d->write.seq);
	gnutls_record_set_state(d->session, 0, seq);
}

static void take_numbers_back(struct oc_dtls *d)
{
	gnutls_datum_t mac, iv, key;
	unsigned char seq[8];

	if (gnutls_record_get_state(d->session, 0, &mac, &iv, &key, seq) == 0)
		d->write.seq = oc_get64(seq);
}

/* The client's last flight once more, because ours was lost: GnuTLS repeats ours. A new handshake inside this session
 * is refused: who wants new keys opens a new session beside this one. */
static void hear_library(struct oc_dtls *d)
{
	uint8_t nothing[64];
	ssize_t e;

	d->starved = 0;
	lend_numbers(d);
	for (int i = 0; i < STEPS_MAX && !d->starved && !d->deaf; i++) {
		e = gnutls_record_recv(d->session, nothing, sizeof nothing);
		if (e == GNUTLS_E_REHANDSHAKE)
			gnutls_alert_send(d->session, GNUTLS_AL_WARNING, GNUTLS_A_NO_RENEGOTIATION);
		else if (e < 0 && gnutls_error_is_fatal((int)e))
			d->deaf = 1;
	}
	take_numbers_back(d);
}

static void answer_handshake(struct oc_dtls *d, double now)
{
	if (now - d->library_turn >= LIBRARY_INTERVAL) {
		d->library_turn = now;
		d->library_heard = 0;
	}
	if (!d->deaf && d->library_heard++ < LIBRARY_DATAGRAMS) {
		d->last_library = now;
		hear_library(d);
	}
	d->given_at = d->given_size;
}

/* ---- records of the library's ---------------------------------------------------------------------------------- */

static long library_next(struct oc_dtls *d, uint8_t *plain, size_t room, int *type)
{
	d->starved = 0;
	for (int i = 0; i < STEPS_MAX && !d->starved && !d->deaf; i++) {
		ssize_t n = gnutls_record_recv(d->session, plain, room);

		if (n > 0) {
			*type = OC_APPLICATION;
			return n;
		}
		if (n == 0) {
			plain[0] = GNUTLS_AL_WARNING;
			plain[1] = GNUTLS_A_CLOSE_NOTIFY;
			*type = OC_ALERT;
			d->deaf = 1;
			return 2;
		}
		if (n == GNUTLS_E_REHANDSHAKE)
			gnutls_alert_send(d->session, GNUTLS_AL_WARNING, GNUTLS_A_NO_RENEGOTIATION);
		else if (gnutls_error_is_fatal((int)n)) {
			plain[0] = GNUTLS_AL_FATAL;
			plain[1] = GNUTLS_A_INTERNAL_ERROR;
			*type = OC_ALERT;
			d->deaf = 1;
			return 2;
		}
	}
	return 0;
}

int oc_dtls_library_send(struct oc_dtls *d, const uint8_t *plain, size_t n)
{
	ssize_t sent = d->deaf ? GNUTLS_E_INVALID_SESSION : gnutls_record_send(d->session, plain, n);

	return sent == (ssize_t)n ? 0 : sent == GNUTLS_E_LARGE_PACKET ? EMSGSIZE : EIO;
}

/* ---- datagrams ------------------------------------------------------------------------------------------------- */

static int is_ours(const struct oc_dtls *d, const struct oc_dtls_header *header)
{
	return (header->type == OC_APPLICATION || header->type == OC_ALERT) && header->epoch == d->epoch;
}

/* There is no looking without taking. */
static int library_opens(struct oc_dtls *d, const uint8_t *datagram, size_t n)
{
	oc_dtls_give(d, datagram, n);
	d->taken_size = (size_t)library_next(d, d->taken, OC_CONTENT_MAX, &d->taken_type);
	oc_dtls_give(d, NULL, 0);
	return d->taken_size && d->taken_type == OC_APPLICATION;
}

static long library_content(struct oc_dtls *d, uint8_t *plain, size_t room, int *type)
{
	size_t n = d->taken_size;

	if (!n || n > room)
		return library_next(d, plain, room, type);
	memcpy(plain, d->taken, n);
	*type = d->taken_type;
	d->taken_size = 0;
	return (long)n;
}

int oc_dtls_opens(struct oc_dtls *d, const uint8_t *datagram, size_t n, uint8_t *scratch, size_t room)
{
	struct oc_dtls_header header;

	if (!d->established || oc_dtls_parse(datagram, n, &header) < 0)
		return 0;
	if (d->library)
		return header.type == OC_APPLICATION && library_opens(d, datagram, n);
	return is_ours(d, &header) && oc_dtls_unseal(&d->read, &d->window, &header, datagram, scratch, room) >= 0;
}

void oc_dtls_give(struct oc_dtls *d, const uint8_t *datagram, size_t n)
{
	d->given = datagram;
	d->given_at = 0;
	d->given_size = n;
}

long oc_dtls_next(struct oc_dtls *d, uint8_t *plain, size_t room, int *type, double now)
{
	struct oc_dtls_header header;

	if (d->library) {
		long n = library_content(d, plain, room, type);

		if (n > 0)
			d->last_rx = now;
		return n;
	}
	while (d->given_at < d->given_size) {
		const uint8_t *record = d->given + d->given_at;
		long n;

		if (oc_dtls_parse(record, d->given_size - d->given_at, &header) < 0)
			break;
		if (!is_ours(d, &header)) {
			answer_handshake(d, now);
			return 0;
		}
		d->given_at += header.size;
		n = oc_dtls_unseal(&d->read, &d->window, &header, record, plain, room);
		if (n <= 0) {
			d->refused += n < 0;
			continue;
		}
		oc_window_note(&d->window, header.number);
		d->last_rx = now;
		*type = header.type;
		return n;
	}
	d->given_at = d->given_size;
	return 0;
}

void oc_dtls_alert(struct oc_dtls *d, int level, int description)
{
	uint8_t alert[2] = { (uint8_t)level, (uint8_t)description };
	uint8_t record[OC_DTLS_HEADER + 8 + 2 + 16];
	long n;

	if (!d->established || d->library) {
		gnutls_alert_send(d->session, (gnutls_alert_level_t)level, (gnutls_alert_description_t)description);
		return;
	}
	n = oc_dtls_seal(&d->write, OC_ALERT, alert, 2, record, sizeof record);
	if (n > 0)
		(void)!send(d->fd, record, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

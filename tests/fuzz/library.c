/* The suites that GnuTLS's own records serve (CBC), from what a client sends to the TUN. Input: options (TLS, or DTLS with
 * one session or two on the socket), then steps: raw bytes, and frames or packets that the client has sealed. */
#include "pumped.h"

#include "dtls.h"

#define CBC "-CIPHER-ALL:+AES-128-CBC:+SHA1:-KX-ALL:+PSK"

static const uint8_t key[32], session_id[OC_SESSION_ID] = { 1 };
static int path[2];

static gnutls_priority_t priorities(int dtls)
{
	static gnutls_priority_t made[2];

	if (!made[dtls])
		MUST(!gnutls_priority_init(&made[dtls],
					   dtls ? "NORMAL:-VERS-ALL:+VERS-DTLS1.2:" CBC :
						  "NORMAL:-VERS-ALL:+VERS-TLS1.2:" CBC, NULL));
	return made[dtls];
}

/* What is done is said; nothing waits for the one who does not read. */
static size_t heard(int fd, uint8_t *to, size_t room)
{
	ssize_t n = recv(fd, to, room, MSG_DONTWAIT);

	return n > 0 ? (size_t)n : 0;
}

static size_t content_of(struct talk *t, struct input *in, unsigned int options, uint8_t *content, size_t header)
{
	size_t got;
	const uint8_t *raw;

	if (options & 4)
		return header + make_packet(t, in, content + header);
	raw = take(in, take8(in), &got);
	memcpy(content + header, raw, got);
	return header + got;
}

/* ---- TLS ------------------------------------------------------------------------------------------------------- */

static int give_psk(gnutls_session_t session, const char *name, gnutls_datum_t *to)
{
	(void)session, (void)name;
	to->data = gnutls_calloc(1, sizeof key);
	to->size = sizeof key;
	return to->data ? 0 : -1;
}

static void shake_tls(gnutls_session_t *server, gnutls_session_t *client, struct oc_transport **t, const int fds[2])
{
	static gnutls_psk_server_credentials_t ours;
	static gnutls_psk_client_credentials_t theirs;
	gnutls_datum_t datum = { (unsigned char *)key, sizeof key };
	int s = -1, c = -1;

	if (!ours) {
		MUST(!gnutls_psk_allocate_server_credentials(&ours) && !gnutls_psk_allocate_client_credentials(&theirs));
		gnutls_psk_set_server_credentials_function(ours, give_psk);
		MUST(!gnutls_psk_set_client_credentials(theirs, "psk", &datum, GNUTLS_PSK_KEY_RAW));
	}
	MUST(!gnutls_init(server, GNUTLS_SERVER) && !gnutls_init(client, GNUTLS_CLIENT | GNUTLS_NONBLOCK));
	MUST(!gnutls_priority_set(*server, priorities(0)) && !gnutls_priority_set(*client, priorities(0)));
	MUST(!gnutls_credentials_set(*server, GNUTLS_CRD_PSK, ours));
	MUST(!gnutls_credentials_set(*client, GNUTLS_CRD_PSK, theirs));
	MUST((*t = oc_transport_open(*server, fds[0])));
	gnutls_transport_set_int(*client, fds[1]);
	for (int turns = 0; turns < 20 && (s < 0 || c < 0); turns++) {
		c = c < 0 ? gnutls_handshake(*client) : c;
		s = s < 0 ? gnutls_handshake(*server) : s;
	}
	MUST(!s && !c);
}

static void step_tls(struct oc_pump *p, gnutls_session_t client, struct talk *t, struct input *in)
{
	static uint8_t bytes[OC_IN_SIZE], content[OC_FRAME_HEADER + FUZZ_PACKET_MAX] = "STF\1";
	unsigned int options = take8(in);
	size_t n = options & 1 ? content_of(t, in, 0, bytes, 0) : content_of(t, in, options, content, OC_FRAME_HEADER);

	if (!(options & 1)) {
		oc_put16(content + 4, n - OC_FRAME_HEADER);
		content[6] = options & 8 ? (uint8_t)take8(in) : 0;
		MUST(gnutls_record_send(client, content, options & 16 ? 1 : n) > 0);
		n = heard(p->fd, bytes, sizeof bytes);
		if (options & 2)
			bytes[take16(in) % n] ^= (uint8_t)take8(in);
	}
	if (n > p->in.size - p->in.end)
		n = p->in.size - p->in.end;
	memcpy(p->in.data + p->in.end, bytes, n);
	p->in.end += n;
	look_at(p, oc_upstream(p));
	p->out.start = p->out.end = 0;
	drain_tun(p);
}

static void fuzz_tls(unsigned int options, struct input *in)
{
	gnutls_session_t server, client;
	struct oc_transport *transport;
	struct talk t = { .seq = 1 };
	struct oc_pump *p;
	int fds[2];

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	set_nonblocking(fds[0]);
	set_nonblocking(fds[1]);
	shake_tls(&server, &client, &transport, fds);
	p = open_pump_on(server, transport, options);
	MUST(p->library);
	while (in->left && !p->ended)
		step_tls(p, client, &t, in);
	end_pump(p);
	gnutls_deinit(server);
	gnutls_deinit(client);
	oc_transport_close(transport);
	close(fds[0]);
	close(fds[1]);
}

/* ---- DTLS ------------------------------------------------------------------------------------------------------ */

struct ends {
	struct oc_dtls *server, *client;
};

static struct ends shake_dtls(void)
{
	struct ends e;
	uint8_t datagram[2048];
	int error;

	e.server = oc_dtls_open(0, 1500, &error);
	e.client = oc_dtls_open(1, 1500, &error);
	MUST(e.server && e.client);
	e.server->fd = path[0];
	e.client->fd = path[1];
	MUST(!oc_dtls_use_psk(e.server, priorities(1), key, sizeof key, NULL));
	MUST(!oc_dtls_use_psk(e.client, priorities(1), key, sizeof key, session_id));
	for (int turns = 0; turns < 20 && !(e.server->established && e.client->established); turns++) {
		if (!e.client->established)
			(void)oc_dtls_handshake(e.client, datagram, heard(path[1], datagram, sizeof datagram));
		if (!e.server->established)
			(void)oc_dtls_handshake(e.server, datagram, heard(path[0], datagram, sizeof datagram));
	}
	MUST(e.server->established && e.client->established && e.server->library);
	while (heard(path[0], datagram, sizeof datagram) || heard(path[1], datagram, sizeof datagram))
		;
	return e;
}

static void step_dtls(struct oc_pump *p, struct oc_dtls *client, struct talk *t, struct input *in, unsigned int options)
{
	static uint8_t datagram[OC_DATAGRAM_MAX], content[1 + FUZZ_PACKET_MAX];
	size_t n = options & 1 ? content_of(t, in, 0, datagram, 0) : content_of(t, in, options, content, 1);
	int event = OC_NOTHING;

	if (!(options & 1)) {
		content[0] = options & 8 ? (uint8_t)take8(in) : 0;
		(void)oc_dtls_library_send(client, content, n);
		n = heard(path[0], datagram, sizeof datagram);
		if (n && options & 2)
			datagram[take16(in) % n] ^= (uint8_t)take8(in);
	}
	if (!n)
		return;
	if (options & 64) {
		(void)oc_pump_adopt(p, path[0], datagram, n);
	} else {
		oc_received_put(&p->received, datagram, n);
		p->received_fd = path[0];
	}
	for (int turns = 0; turns < 50 && (turns == 0 || event != OC_NOTHING || p->tun_full); turns++) {
		event = oc_upstream(p);
		look_at(p, event);
		drain_tun(p);
	}
	while (heard(path[1], datagram, sizeof datagram))
		;
}

static void fuzz_dtls(unsigned int options, struct input *in)
{
	struct oc_pump *p = open_pump(options);
	struct talk t = { .seq = 1 };
	struct ends ends[2];
	int count = options & 64 ? 2 : 1;

	if (path[0] == path[1]) {
		MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, path) == 0);
		set_nonblocking(path[0]);
		set_nonblocking(path[1]);
	}
	for (int i = 0; i < count; i++) {
		ends[i] = shake_dtls();
		MUST(oc_pump_attach(p, ends[i].server, path[0]) == i);
	}
	while (in->left) {
		unsigned int step = take8(in);

		step_dtls(p, ends[(step >> 4 & 1) % count].client, &t, in, step);
	}
	end_pump(p);
	for (int i = 0; i < count; i++) {
		oc_dtls_close(ends[i].server);
		oc_dtls_close(ends[i].client);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct input in = { data, n };
	unsigned int options = take8(&in);

	if (options & 128)
		fuzz_dtls(options, &in);
	else
		fuzz_tls(options, &in);
	return 0;
}

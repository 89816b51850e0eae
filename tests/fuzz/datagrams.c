/* What a client sends by DTLS, from the datagram to the TUN, with one session or two on the socket. Input: options, then
 * steps: raw records, and such as are sealed with a client's keys, in datagrams that may have been merged. */
#include "pumped.h"

#include "dtls.h"

struct ends {
	struct oc_dtls *server, *client;
	struct oc_dtls fresh; /* the server's, after its handshake */
	int used;             /* GnuTLS has changed since */
};

static struct ends ends[2];
static int path[2];

static void agree(struct oc_dtls *d, const uint8_t *session_id)
{
	static const uint8_t key[32];
	gnutls_priority_t priorities;

	MUST(!gnutls_priority_init(&priorities,
				   "NORMAL:-VERS-ALL:-KX-ALL:+PSK:+VERS-DTLS1.2:-CIPHER-ALL:+AES-256-GCM", NULL));
	MUST(!oc_dtls_use_psk(d, priorities, key, sizeof key, session_id));
	gnutls_priority_deinit(priorities);
}

static int shake(struct oc_dtls *d)
{
	uint8_t datagram[2048];
	ssize_t n = recv(d->fd, datagram, sizeof datagram, 0);

	return oc_dtls_handshake(d, datagram, n > 0 ? (size_t)n : 0);
}

static void establish(struct ends *e)
{
	static const uint8_t session_id[OC_SESSION_ID] = { 1 };
	int error, done = 0;
	uint8_t rest[2048];

	if (e->server) {
		oc_dtls_close(e->server);
		oc_dtls_close(e->client);
	}
	e->server = oc_dtls_open(0, 1400, &error);
	e->client = oc_dtls_open(1, 1400, &error);
	MUST(e->server && e->client);
	e->server->fd = path[0];
	e->client->fd = path[1];
	agree(e->server, NULL);
	agree(e->client, session_id);
	for (int turns = 0; turns < 20 && done < 2; turns++)
		done = (e->client->established || shake(e->client) == 1) +
		       (e->server->established || shake(e->server) == 1);
	MUST(done == 2);
	while (recv(path[0], rest, sizeof rest, 0) > 0 || recv(path[1], rest, sizeof rest, 0) > 0)
		;
	e->fresh = *e->server;
	e->used = 0;
}

static void renew(struct ends *e)
{
	if (path[0] == path[1]) {
		MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, path) == 0);
		set_nonblocking(path[0]);
		set_nonblocking(path[1]);
	}
	if (!e->server || e->used)
		establish(e);
	*e->server = e->fresh;
}

static size_t put_content(struct talk *t, struct input *in, unsigned int options, uint8_t *content)
{
	size_t got;
	const uint8_t *raw;

	content[0] = options & 4 ? (uint8_t)take8(in) : 0;
	if (!(options & 8))
		return 1 + make_packet(t, in, content + 1);
	raw = take(in, take8(in), &got);
	memcpy(content + 1, raw, got);
	return 1 + got;
}

static size_t put_sealed(struct talk *t, struct input *in, unsigned int options, uint8_t *at, size_t room)
{
	static const int types[4] = { OC_APPLICATION, OC_APPLICATION, OC_ALERT, OC_HANDSHAKE };
	uint8_t content[FUZZ_PACKET_MAX + 1];
	struct oc_dtls *d = ends[options >> 4 & 1].client;
	struct oc_half *h = &d->write;
	uint64_t next = h->seq;
	size_t n = put_content(t, in, options, content);
	long size;

	if (options & 32)
		h->seq = 0x0001000000000001 + take16(in);
	size = oc_dtls_seal(h, types[options >> 6], content, n, at, room);
	MUST(size > 0);
	if (h->seq < next)
		h->seq = next;
	if (options & 2 && take8(in) & 1)
		at[take16(in) % (unsigned long)size] ^= (uint8_t)take8(in);
	return (size_t)size;
}

static void deliver(struct oc_pump *p, const uint8_t *datagram, size_t n, unsigned int each)
{
	int event;

	if (p->received.at < p->received.count || !n)
		return;
	oc_received_put(&p->received, datagram, n);
	if (each)
		p->received.of[0].each = each;
	p->received_fd = path[0];
	p->now += 0.06;
	for (int turns = 0; turns < 200; turns++) {
		event = oc_upstream(p);
		look_at(p, event);
		if (event == OC_NOTHING && !p->tun_full)
			break;
		drain_tun(p);
	}
}

static void steps(struct oc_pump *p, struct talk *t, struct input *in)
{
	static uint8_t datagram[OC_DATAGRAM_MAX];
	uint8_t said[2048];
	size_t n = 0, got;

	while (in->left) {
		unsigned int how = take8(in);

		if (how & 1) {
			const uint8_t *raw = take(in, take8(in), &got);

			if (got > sizeof datagram - n)
				got = 0;
			memcpy(datagram + n, raw, got);
			n += got;
		} else if (sizeof datagram - n > FUZZ_PACKET_MAX + 64) {
			n += put_sealed(t, in, take8(in), datagram + n, sizeof datagram - n);
		}
		if (how & 2)
			continue;
		deliver(p, datagram, n, how & 4 ? take16(in) : 0);
		n = 0;
		if (!(how & 8))
			drain_tun(p);
		while (recv(path[1], said, sizeof said, 0) > 0)
			;
	}
	deliver(p, datagram, n, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct input in = { data, n };
	unsigned int options = take8(&in);
	struct oc_pump *p = open_pump(options);
	struct talk t = { .seq = 1 };

	renew(&ends[0]);
	renew(&ends[1]);
	MUST(oc_pump_attach(p, ends[0].server, path[0]) == 0);
	if (options & 64)
		MUST(oc_pump_attach(p, ends[1].server, path[0]) == 1);
	if (options & 128)
		MUST(oc_pump_measure(p) == 0);
	steps(p, &t, &in);
	end_pump(p);
	for (int i = 0; i < 2; i++)
		ends[i].used = ends[i].server->last_library != ends[i].fresh.last_library || ends[i].server->deaf;
	return 0;
}

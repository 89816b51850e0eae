/* What a client sends by TLS, from the record to the TUN. Input: options, then steps: raw bytes of the stream, records
 * that are sealed with the client's keys, and frames in such records. */
#include "pumped.h"

static struct oc_half client;

static void derive(const uint8_t *secret, size_t secret_size, const char *label, uint8_t *out, size_t n)
{
	size_t label_size = strlen(label);
	gnutls_datum_t key = { (unsigned char *)secret, (unsigned int)secret_size };
	uint8_t text[32] = { 0, (uint8_t)n, (uint8_t)(6 + label_size), 't', 'l', 's', '1', '3', ' ' };
	gnutls_datum_t info = { text, (unsigned int)(9 + label_size + 1) };

	memcpy(text + 9, label, label_size);
	MUST(gnutls_hkdf_expand(GNUTLS_MAC_SHA384, &key, &info, out, n) == 0);
}

static void set_keys(struct oc_pump *p, int tls13)
{
	static uint8_t secret[48] = { 1 }, key[32], iv[12];
	size_t iv_size = tls13 ? 12 : 4;

	derive(secret, sizeof secret, "key", key, sizeof key);
	derive(secret, sizeof secret, "iv", iv, sizeof iv);
	MUST(!oc_half_open(&p->read, tls13, GNUTLS_CIPHER_AES_256_GCM, key, 32, iv, iv_size, 0, secret, 48));
	MUST(!oc_half_open(&p->write, tls13, GNUTLS_CIPHER_AES_256_GCM, key, 32, iv, iv_size, 0, secret, 48));
	MUST(!oc_half_open(&client, tls13, GNUTLS_CIPHER_AES_256_GCM, key, 32, iv, iv_size, 0, secret, 48));
}

static void feed(struct oc_pump *p, const uint8_t *data, size_t n)
{
	struct oc_buffer *in = &p->in;

	memmove(in->data, in->data + in->start, oc_waiting(in));
	in->end -= in->start;
	in->start = 0;
	if (n > in->size - in->end)
		n = in->size - in->end;
	memcpy(in->data + in->end, data, n);
	in->end += n;
}

static void seal(struct oc_pump *p, struct input *in, int type, uint8_t *content, size_t n, int flip)
{
	static uint8_t record[OC_RECORD_MAX + 64];
	long size = oc_seal(&client, type, content, n, record, sizeof record);

	MUST(size > 0);
	if (flip)
		record[take16(in) % (unsigned long)size] ^= (uint8_t)take8(in);
	feed(p, record, (size_t)size);
	if (client.tls13 && type == OC_HANDSHAKE && n == 5 && !memcmp(content, "\30\0\0\1", 4))
		MUST(oc_half_update(&client) == 0);
}

static size_t put_frame(struct talk *t, struct input *in, uint8_t *at)
{
	unsigned int options = take8(in);
	size_t n, got;

	if (options & 8) {
		n = make_packet(t, in, at + OC_FRAME_HEADER);
	} else {
		const uint8_t *payload = take(in, take8(in), &got);

		memcpy(at + OC_FRAME_HEADER, payload, got);
		n = got;
	}
	memcpy(at, "STF\1", 4);
	oc_put16(at + 4, n);
	at[6] = options & 8 ? 0 : options & 7;
	if (options & 16)
		at[6] = OC_COMPRESSED;
	at[7] = 0;
	if (options & 32)
		at[take8(in) % 8] ^= (uint8_t)take8(in);
	return OC_FRAME_HEADER + n;
}

static void step(struct oc_pump *p, struct talk *t, struct input *in)
{
	static uint8_t content[OC_CONTENT_MAX + 1];
	static const int types[4] = { OC_APPLICATION, OC_ALERT, OC_HANDSHAKE, OC_CHANGE_CIPHER_SPEC };
	unsigned int options = take8(in);
	size_t got, n = 0;
	const uint8_t *raw;

	switch (options & 3) {
	case 0:
		raw = take(in, take8(in), &got);
		feed(p, raw, got);
		break;
	case 1:
		raw = take(in, options & 64 ? take16(in) % OC_CONTENT_MAX : take8(in), &got);
		memcpy(content, raw, got);
		seal(p, in, types[options >> 2 & 3], content, got, options & 16);
		break;
	default:
		for (unsigned int frames = 1 + (options >> 2 & 3); frames && n + 2048 < OC_CONTENT_MAX; frames--)
			n += put_frame(t, in, content + n);
		seal(p, in, OC_APPLICATION, content, n, options & 16);
	}
	if (options & 32)
		return;
	look_at(p, oc_upstream(p));
	p->out.start = p->out.end = 0; /* the client reads all that it is told */
	if (!(options & 128))
		drain_tun(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct input in = { data, n };
	unsigned int options = take8(&in);
	struct oc_pump *p = open_pump(options);
	struct talk t = { .seq = 1 };

	set_keys(p, options & 128);
	while (in.left && !p->ended)
		step(p, &t, &in);
	for (int turns = 0; turns < 100 && !p->ended && (oc_waiting(&p->in) || oc_waiting(&p->plain)); turns++) {
		look_at(p, oc_upstream(p));
		p->out.start = p->out.end = 0;
		drain_tun(p);
	}
	end_pump(p);
	oc_half_close(&client);
	return 0;
}

/* client → TUN. The stages of a packet:
 *   1 receive   what the sockets have: TLS into `in`, datagrams into `received`
 *   2 open      the next record, to where its packet would continue those that are gathered (coalesce.h)
 *   3 judge     alerts and KeyUpdate are dealt with; application data goes on
 *   4 cut       the CSTP frame, or the type byte of DTLS; what is no packet ends the run
 *   5 inflate   a compressed packet
 *   6 admit     its source address, the rate that the client may send at
 *   7 gather    it with those before it: TCP in order, UDP of one size
 *   8 deliver   them to the TUN in one write, or wait for room there
 *   9 count     them */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "compress.h"
#include "pump.h"

/* ---- latency --------------------------------------------------------------------------------------------------- */

/* The packet at hand is one of those gathered. */
static void stamp_packet(struct oc_pump *p)
{
	unsigned int last = p->stamp_count ? p->stamp_count - 1 : 0;

	if (!p->latency || !p->stamp)
		return;
	if (!p->stamp_count || (p->stamps[last].stamp != p->stamp && p->stamp_count < OC_STAMPS_MAX)) {
		last = p->stamp_count++;
		p->stamps[last].stamp = p->stamp;
		p->stamps[last].packets = 0;
	}
	p->stamps[last].packets++;
}

/* Those gathered are written: from the kernel's stamp until now they were here. */
static void measure(struct oc_pump *p)
{
	struct timespec now;
	uint64_t ns;

	if (!p->stamp_count)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	for (unsigned int i = 0; i < p->stamp_count; i++)
		oc_latency_add(p->latency, p->stamps[i].stamp, ns, p->stamps[i].packets);
	p->stamp_count = 0;
}

/* ---- 8 deliver, 9 count ---------------------------------------------------------------------------------------- */

static void count(struct oc_pump *p, uint64_t bytes, uint64_t packets, int data)
{
	oc_count(p, OC_RX_BYTES, bytes);
	oc_count(p, OC_RX_PACKETS, packets);
	if (data)
		p->last_data_rx = p->now;
}

/* 0: the kernel took it. EAGAIN: it waits. EINVAL, ENOMEM: it is lost, for what it is or for want of memory. Any other
 * errno ends the tunnel. */
static int write_tun(struct oc_pump *p, const uint8_t *packet, size_t n)
{
	while (write(p->tun, packet, n) < 0) {
		switch (errno) {
		case EINTR:
			continue;
		case ENOBUFS:
			return ENOMEM;
		case EMSGSIZE: /* EINVAL also of what is not IP: the kernel looks at the version */
			return EINVAL;
		default:
			return errno;
		}
	}
	return 0;
}

/* This kernel does not take such packets gathered: one by one, now and from now on. */
static void deliver_apart(struct oc_pump *p, uint8_t *super, size_t n)
{
	struct oc_coalescer *c = &p->gathered;
	struct oc_segments parts;
	struct oc_vnet vnet, none = { 0 };
	uint8_t *packet;
	size_t size;

	memcpy(&vnet, super, OC_VNET_SIZE);
	if (c->first.protocol == OC_UDP)
		c->udp = 0;
	else
		c->tcp = 0;
	if (oc_segments_begin(&parts, &vnet, super + OC_VNET_SIZE, n - OC_VNET_SIZE) < 0)
		return;
	while ((packet = oc_segments_next(&parts, &size))) {
		memcpy(packet - OC_VNET_SIZE, &none, OC_VNET_SIZE);
		if (write_tun(p, packet - OC_VNET_SIZE, OC_VNET_SIZE + size) == 0)
			count(p, size, 1, c->data);
		else
			p->refused_by_tun++;
	}
}

/* Write what is gathered. What waits behind it is gathered next. */
static int deliver(struct oc_pump *p)
{
	struct oc_coalescer *c = &p->gathered;
	size_t n;
	uint8_t *packet = oc_coalesce_finish(c, &n);
	int error = p->vnet ? write_tun(p, packet, n) : write_tun(p, packet + OC_VNET_SIZE, n - OC_VNET_SIZE);

	p->tun_full = error == EAGAIN;
	if (p->tun_full)
		return OC_NOTHING;
	if (error && error != EINVAL && error != ENOMEM)
		return oc_tun_lost(p, error);
	if (!error)
		count(p, c->bytes, c->packets, c->data);
	else if (error == EINVAL && c->packets > 1)
		deliver_apart(p, packet, n);
	else
		p->refused_by_tun += c->packets;
	measure(p);
	oc_coalesce_next(c);
	return OC_NOTHING;
}

static int deliver_all(struct oc_pump *p)
{
	int event = OC_NOTHING;

	p->tun_full = 0;
	while (event == OC_NOTHING && p->gathered.size && !p->tun_full)
		event = deliver(p);
	return event;
}

/* ---- 6 admit --------------------------------------------------------------------------------------------------- */

static int admits(struct oc_pump *p, const uint8_t *packet, size_t n)
{
	if (!p->any_source) {
		enum oc_source source = oc_judge_source(packet, n, p->networks, p->network_count);

		p->foreign += source == OC_SOURCE_FOREIGN;
		if (source != OC_SOURCE_OURS)
			return 0;
	}
	if (!oc_limit_admits(&p->rx_limit, n, p->now)) {
		p->over_limit++;
		return 0;
	}
	return 1;
}

/* ---- 7 gather -------------------------------------------------------------------------------------------------- */

/* A packet where it was placed, or elsewhere after oc_coalesce_undo. */
static int gather(struct oc_pump *p, const uint8_t *packet, size_t n)
{
	struct oc_coalescer *c = &p->gathered;
	int event = OC_NOTHING;

	if (!n || !admits(p, packet, n)) {
		oc_coalesce_undo(c);
		return OC_NOTHING;
	}
	if (!oc_coalesce_take(c, packet, n))
		event = deliver(p);
	stamp_packet(p);
	if (event == OC_NOTHING && !p->tun_full && oc_coalesce_is_full(c))
		event = deliver(p);
	return event;
}

/* ---- 5 inflate ------------------------------------------------------------------------------------------------- */

/* Each packet is compressed alone, so one that does not inflate is only lost. */
static int inflate(struct oc_pump *p, int algorithm, const uint8_t *packed, size_t n)
{
	long size = oc_decompress(algorithm, packed, n, p->inflated, OC_CONTENT_MAX);

	oc_coalesce_undo(&p->gathered);
	if (size <= 0) {
		p->malformed++;
		return OC_NOTHING;
	}
	return gather(p, p->inflated, (size_t)size);
}

/* ---- 4 cut ----------------------------------------------------------------------------------------------------- */

/* The payload's length, or a fault. */
static long frame_length(const uint8_t *frame, size_t n)
{
	size_t length;

	if (n < OC_FRAME_HEADER)
		return -OC_FAULT_FRAME_LENGTH;
	if (memcmp(frame, "STF\1", 4) != 0 || frame[7] != 0)
		return -OC_FAULT_FRAME_MAGIC;
	length = (size_t)frame[4] << 8 | frame[5];
	return length > n - OC_FRAME_HEADER ? -OC_FAULT_FRAME_LENGTH : (long)length;
}

/* Not a packet: Python's. It stays readable until the pump runs again. */
static int on_control(struct oc_pump *p, int slot, int type, const uint8_t *payload, size_t n)
{
	p->frame_slot = slot;
	p->frame_type = (uint8_t)type;
	p->frame = payload;
	p->frame_size = n;
	return OC_EVENT_FRAME;
}

/* A client that sends data by TLS has left DTLS, until it is heard there again. A client does not follow a server that
 * does, as openconnect does not: the server may have heard nothing for a while because there was nothing to say. */
static void note_data_by_tls(struct oc_pump *p)
{
	if (!p->at_client)
		p->udp_up = 0;
}

/* One frame's payload. */
static int on_frame(struct oc_pump *p, int type, const uint8_t *payload, size_t n)
{
	if (type == OC_DATA) {
		note_data_by_tls(p);
		return gather(p, payload, n);
	}
	if (type == OC_COMPRESSED && p->tls_compression) {
		note_data_by_tls(p);
		return inflate(p, p->tls_compression, payload, n);
	}
	return on_control(p, -1, type, payload, n);
}

/* The frames of `plain`, one after another: of a record with several, or with one that is no packet. */
static int cut_frames(struct oc_pump *p)
{
	int event = OC_NOTHING;

	while (event == OC_NOTHING && !p->tun_full && oc_waiting(&p->plain)) {
		const uint8_t *frame = p->plain.data + p->plain.start;
		long n = frame_length(frame, oc_waiting(&p->plain));

		if (n < 0)
			return oc_violation(p, (int)-n);
		p->plain.start += OC_FRAME_HEADER + (size_t)n;
		event = on_frame(p, frame[6], frame + OC_FRAME_HEADER, (size_t)n);
	}
	return event;
}

/* ---- 3 judge --------------------------------------------------------------------------------------------------- */

enum { WARNING = 1, CLOSE_NOTIFY = 0, USER_CANCELED = 90 };

static int on_alert(struct oc_pump *p, const uint8_t *alert, size_t n)
{
	if (n != 2)
		return oc_violation(p, OC_FAULT_ALERT);
	if (alert[1] == CLOSE_NOTIFY)
		return oc_closed(p, 1);
	/* RFC 8446 6: in TLS 1.3 every alert is fatal but these two; before it, the level says. */
	if (alert[0] == WARNING && (!p->read.tls13 || alert[1] == USER_CANCELED))
		return OC_NOTHING;
	return oc_closed(p, 0);
}

/* A record's content, n bytes, that lies in `plain`. */
static int on_plain(struct oc_pump *p, int type, size_t n)
{
	p->plain.start = 0;
	p->plain.end = type == OC_APPLICATION ? n : 0;
	switch (type) {
	case OC_APPLICATION:
		return cut_frames(p);
	case OC_ALERT:
		return on_alert(p, p->plain.data, n);
	case OC_HANDSHAKE:
		return p->read.tls13 ? oc_on_key_update(p, p->plain.data, n) :
				       oc_violation(p, OC_FAULT_RENEGOTIATION);
	default:
		return oc_violation(p, OC_FAULT_TYPE);
	}
}

static int is_one_packet(const struct oc_pump *p, const uint8_t *content, size_t n)
{
	return frame_length(content, n) == (long)(n - OC_FRAME_HEADER) &&
	       (content[6] == OC_DATA || (content[6] == OC_COMPRESSED && p->tls_compression));
}

/* A record's content where it was placed. */
static int on_record(struct oc_pump *p, int type, const uint8_t *content, size_t n)
{
	if (type == OC_APPLICATION && n > OC_FRAME_HEADER && is_one_packet(p, content, n))
		return on_frame(p, content[6], content + OC_FRAME_HEADER, n - OC_FRAME_HEADER);
	memcpy(p->plain.data, content, n);
	oc_coalesce_undo(&p->gathered);
	return on_plain(p, type, n);
}

/* ---- 2 open ---------------------------------------------------------------------------------------------------- */

/* The next record of `in`: *type 0 when no whole one is there. */
static int next_record(struct oc_pump *p, int *type)
{
	struct oc_buffer *in = &p->in;
	long length, n;
	uint8_t *at;

	*type = 0;
	if (p->library) {
		n = oc_library_open(p, type);
		return n < 0 ? oc_violation(p, (int)-n) : *type ? on_plain(p, *type, (size_t)n) : OC_NOTHING;
	}
	length = oc_record_length(in->data + in->start, oc_waiting(in));
	if (length < 0)
		return oc_violation(p, OC_FAULT_HEADER);
	if (length == 0 || (size_t)length > oc_waiting(in))
		return OC_NOTHING;
	at = oc_coalesce_place(&p->gathered, OC_FRAME_HEADER);
	n = oc_open(&p->read, in->data + in->start, (size_t)length, at, OC_PLACED_MAX, type);
	in->start += (size_t)length;
	if (in->start == in->end)
		in->start = in->end = 0;
	if (n < 0) {
		oc_coalesce_undo(&p->gathered);
		return oc_violation(p, (int)-n);
	}
	return on_record(p, *type, at, (size_t)n);
}

static int open_records(struct oc_pump *p)
{
	int event = cut_frames(p), type = 1;

	p->answer_full = 0;
	while (event == OC_NOTHING && type && !p->tun_full) {
		if (!oc_room_for_answer(p)) {
			p->answer_full = 1;
			return OC_NOTHING;
		}
		event = next_record(p, &type);
	}
	return event;
}

/* ---- datagrams: 2 open, 3 judge, 4 cut ------------------------------------------------------------------------- */

static int on_dtls_alert(struct oc_pump *p, struct oc_dtls *d, const uint8_t *alert, size_t n)
{
	int ends = n == 2 && (alert[0] != WARNING || alert[1] == CLOSE_NOTIFY);

	oc_coalesce_undo(&p->gathered);
	p->frame_slot = oc_slot_of(p, d);
	return ends ? OC_EVENT_DTLS_CLOSED : OC_NOTHING;
}

/* A datagram's content where it was placed: a type and its payload. */
static int on_content(struct oc_pump *p, struct oc_dtls *d, const uint8_t *content, size_t n)
{
	oc_heard(p, d);
	if (content[0] == OC_DATA)
		return gather(p, content + 1, n - 1);
	if (content[0] == OC_COMPRESSED && p->dtls_compression)
		return inflate(p, p->dtls_compression, content + 1, n - 1);
	memcpy(p->inflated, content, n);
	oc_coalesce_undo(&p->gathered);
	return on_control(p, oc_slot_of(p, d), p->inflated[0], p->inflated + 1, n - 1);
}

/* What is left of the datagram that was given to a session. */
static int open_contents(struct oc_pump *p)
{
	struct oc_dtls *d = p->giving;
	int event = OC_NOTHING, type;

	while (event == OC_NOTHING && !p->tun_full) {
		uint8_t *at = oc_coalesce_place(&p->gathered, 1);
		long n = oc_dtls_next(d, at, OC_PLACED_MAX, &type, p->now);

		if (n <= 0) {
			oc_coalesce_undo(&p->gathered);
			p->giving = NULL;
			return OC_NOTHING;
		}
		event = type == OC_APPLICATION ? on_content(p, d, at, (size_t)n) : on_dtls_alert(p, d, at, (size_t)n);
	}
	return event;
}

static int for_python(struct oc_pump *p, int event, int slot, const uint8_t *datagram, size_t n)
{
	p->frame_slot = slot;
	p->frame = datagram;
	p->frame_size = n;
	return event;
}

/* A datagram of a socket: data of a session on it, a part of a handshake, or the begin of one. */
static int on_datagram(struct oc_pump *p, int fd, const uint8_t *datagram, size_t n)
{
	struct oc_dtls *d = oc_owner(p, fd, datagram, n);
	int shaking = oc_handshake_on(p, fd);
	int handshake = datagram[0] == OC_HANDSHAKE || datagram[0] == OC_CHANGE_CIPHER_SPEC;

	if (shaking >= 0 && (handshake || !d))
		return for_python(p, OC_EVENT_HANDSHAKE, shaking, datagram, n);
	if (!d)
		return OC_NOTHING;
	if (oc_dtls_is_hello(datagram, n))
		return for_python(p, OC_EVENT_HELLO, oc_slot_of(p, d), datagram, n);
	oc_dtls_give(d, datagram, n);
	p->giving = d;
	return OC_NOTHING;
}

static int open_datagrams(struct oc_pump *p)
{
	int event = OC_NOTHING;
	size_t n;

	while (event == OC_NOTHING && !p->tun_full) {
		const uint8_t *datagram;

		if (p->giving) {
			event = open_contents(p);
			continue;
		}
		datagram = oc_received_next(&p->received, &n, &p->stamp);
		if (!datagram) {
			p->stamp = 0;
			return OC_NOTHING;
		}
		event = on_datagram(p, p->received_fd, datagram, n);
	}
	return event;
}

/* ---- 1 receive ------------------------------------------------------------------------------------------------- */

static int receive_stream(struct oc_pump *p)
{
	struct oc_buffer *in = &p->in;
	ssize_t n;

	p->client_ready = 0;
	if (in->size - in->end < OC_RECORD_MAX) {
		memmove(in->data, in->data + in->start, oc_waiting(in));
		in->end -= in->start;
		in->start = 0;
	}
	n = recv(p->fd, in->data + in->end, in->size - in->end, MSG_DONTWAIT);
	if (n > 0) {
		/* Who sends more than that at a time needs no nap to come in bursts. */
		p->bulk |= n >= OC_BULK_BYTES && n < OC_BULK_MOST;
		oc_note_work(p, (size_t)n);
		in->end += (size_t)n;
		p->last_rx = p->now;
		return OC_NOTHING;
	}
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? OC_NOTHING : oc_closed(p, 0);
}

/* Two sessions may share the socket, and either may have been told of it. */
static void note_empty(struct oc_pump *p, int fd)
{
	for (unsigned int slot = 0; slot < OC_DTLS_MAX; slot++)
		if (p->dtls[slot] && p->dtls[slot]->fd == fd)
			p->udp_ready &= ~(1u << slot);
}

/* One socket at a time: what was received is taken before the next is read. An error of the socket is ICMP's word of
 * what was sent, and is said once: too big for the path; or nobody listens there, so that the client does not hear
 * what is sent by this session. */
static int receive_datagrams(struct oc_pump *p, int fd)
{
	int n = oc_receive(&p->received, fd);
	size_t bytes = 0;

	p->received_fd = fd;
	if (n == -EMSGSIZE)
		return oc_too_big(p, fd);
	if (n < 0 && p->active >= 0 && p->dtls[p->active]->fd == fd)
		p->udp_up = 0;
	for (int i = 0; i < n; i++)
		bytes += p->received.of[i].size;
	oc_note_work(p, bytes);
	/* Merged by the kernel, they need no nap to come in bursts. */
	p->bulk |= n >= OC_BULK_DATAGRAMS && bytes >= OC_BULK_BYTES && p->received.of[0].each == p->received.of[0].size;
	/* A full house may have left somebody outside. */
	if (n < OC_RECEIVE)
		note_empty(p, fd);
	return OC_NOTHING;
}

static int upstream_datagrams(struct oc_pump *p)
{
	int event = open_datagrams(p), turns = 0;

	for (int slot = 0; slot < OC_DTLS_MAX; slot++)
		while (event == OC_NOTHING && !p->tun_full && p->udp_ready >> slot & 1 && turns++ < OC_TURN) {
			event = receive_datagrams(p, p->dtls[slot]->fd);
			if (event == OC_NOTHING)
				event = open_datagrams(p);
		}
	return event;
}

static int upstream_stream(struct oc_pump *p)
{
	int event = open_records(p);

	if (event == OC_NOTHING && p->client_ready && !p->tun_full && !p->answer_full) {
		event = receive_stream(p);
		if (event == OC_NOTHING)
			event = open_records(p);
	}
	return event;
}

int oc_upstream(struct oc_pump *p)
{
	int event = deliver_all(p);

	if (event == OC_NOTHING && !p->tun_full)
		event = upstream_datagrams(p);
	if (event == OC_NOTHING && !p->tun_full)
		event = upstream_stream(p);
	/* The end of a burst, or of a run: nothing is kept back, and packets come before what was said after them. */
	if (!p->tun_full && event != OC_EVENT_TUN_LOST && deliver_all(p))
		return OC_EVENT_TUN_LOST;
	return event;
}

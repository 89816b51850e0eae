/* TUN → client. The stages of a packet:
 *   1 read      from the TUN; one read may bring many TCP segments or UDP datagrams (TSO, USO)
 *   2 segment   it into the packets that it stands for, where it lies (segment.h)
 *   3 admit     its length, the rate that may be sent at, a queue that does not get shorter
 *   4 choose    DTLS or TLS (channels.c)
 *   5 squeeze   it, where the client agreed to compression and it gets shorter
 *   6 frame     a type byte (DTLS), eight bytes of CSTP (TLS)
 *   7 seal      a record of its own, behind the others (clients read a frame a record)
 *   8 count     it
 *   9 send      all of the burst in one call: datagrams of one size, or the records of a stream */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "compress.h"
#include "pump.h"

/* ---- 1 read, 2 segment ----------------------------------------------------------------------------------------- */

/* The vnet header comes right before the packet. */
static ssize_t read_tun(struct oc_pump *p, uint8_t *packet)
{
	size_t header = p->vnet ? OC_VNET_SIZE : 0;
	ssize_t n;

	do
		n = read(p->tun, packet - header, header + OC_PACKET_MAX);
	while (n < 0 && errno == EINTR);
	return n;
}

/* 1 when there is something to segment, 0 when the TUN has nothing now, -1 when it is lost. */
static int read_packet(struct oc_pump *p)
{
	uint8_t *packet = p->from_tun + OC_TUN_HEADROOM + OC_VNET_SIZE;
	struct oc_vnet vnet = { 0 };
	size_t header = p->vnet ? OC_VNET_SIZE : 0;

	for (;;) {
		ssize_t n = read_tun(p, packet);

		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n <= 0) {
			oc_tun_lost(p, n < 0 ? errno : 0);
			return -1;
		}
		memcpy(&vnet, packet - header, header);
		if ((size_t)n > header && oc_segments_begin(&p->segments, &vnet, packet, (size_t)n - header) == 0) {
			oc_note_work(p, (size_t)n);
			return 1;
		}
		p->malformed++;
	}
}

/* ---- 3 admit --------------------------------------------------------------------------------------------------- */

/* Packets of calls, of DNS, acknowledgements, and what would not slow down, are spared. */
static int sheds(struct oc_pump *p, const uint8_t *packet, size_t n)
{
	return n > p->mtu / 2 && oc_queue_sheds(&p->queue, p->now) && oc_yields(packet, n);
}

static int admits(struct oc_pump *p, const uint8_t *packet, size_t n)
{
	if (n > p->mtu) {
		p->too_long++;
		return 0;
	}
	if (sheds(p, packet, n)) {
		p->shed++;
		return 0;
	}
	if (!oc_limit_admits(&p->tx_limit, n, p->now)) {
		p->over_limit++;
		return 0;
	}
	return 1;
}

/* ---- 5 squeeze ------------------------------------------------------------------------------------------------- */

/* What is sent instead of the packet, with room for its frame's header before it; the packet itself where that is no
 * longer. */
static int squeeze(struct oc_pump *p, int algorithm, uint8_t **packet, size_t *n)
{
	uint8_t *packed = p->scratch + OC_TUN_HEADROOM;
	long size;

	if (!algorithm || *n <= p->no_compress_limit)
		return OC_DATA;
	size = oc_compress(algorithm, *packet, *n, packed, *n - 1);
	if (size <= 0)
		return OC_DATA;
	*packet = packed;
	*n = (size_t)size;
	return OC_COMPRESSED;
}

/* ---- 6 frame, 7 seal ------------------------------------------------------------------------------------------- */

static void put_frame_header(uint8_t *frame, int type, size_t n)
{
	memcpy(frame, "STF\1", 4);
	oc_put16(frame + 4, n);
	frame[6] = (uint8_t)type;
	frame[7] = 0;
}

static void make_room(struct oc_buffer *out)
{
	if (out->size - out->end >= OC_SEALED_MAX)
		return;
	memmove(out->data, out->data + out->start, oc_waiting(out));
	out->end -= out->start;
	out->start = 0;
}

int oc_put_record(struct oc_pump *p, int type, uint8_t *plain, size_t n)
{
	struct oc_buffer *out = &p->out;
	long sealed;

	make_room(out);
	if (p->library)
		sealed = oc_library_seal(p, plain, n);
	else
		sealed = oc_seal(&p->write, type, plain, n, out->data + out->end, out->size - out->end);
	if (sealed < 0)
		return oc_violation(p, (int)-sealed);
	if (!p->library)
		out->end += (size_t)sealed;
	p->warm = 1;
	return OC_NOTHING;
}

int oc_put_frame(struct oc_pump *p, int type, const uint8_t *payload, size_t n)
{
	if (n > OC_FRAME_MAX - OC_FRAME_HEADER || oc_waiting(&p->out) + OC_SEALED_MAX > OC_OUT_SIZE)
		return -1;
	put_frame_header(p->scratch, type, n);
	if (n)
		memcpy(p->scratch + OC_FRAME_HEADER, payload, n);
	return oc_put_record(p, OC_APPLICATION, p->scratch, OC_FRAME_HEADER + n) ? -2 : 0;
}

static int seal_stream(struct oc_pump *p, int type, uint8_t *packet, size_t n)
{
	put_frame_header(packet - OC_FRAME_HEADER, type, n);
	return oc_put_record(p, OC_APPLICATION, packet - OC_FRAME_HEADER, OC_FRAME_HEADER + n);
}

/* A datagram that the batch cannot take waits until the batch is sent: `udp_full` then. That the batch was too big for
 * the path is told, and is not this one's fault. */
static int seal_datagram(struct oc_pump *p, struct oc_dtls *d, int type, uint8_t *packet, size_t n)
{
	struct oc_batch *b = &p->batch;
	int slot = oc_slot_of(p, d), event = OC_NOTHING;
	long sealed;

	packet[-1] = (uint8_t)type;
	if (d->library) {
		p->lost += oc_dtls_library_send(d, packet - 1, n + 1) != 0;
		return OC_NOTHING;
	}
	if (p->batch_slot != slot || !oc_batch_fits(b, d->overhead + 1 + n))
		event = oc_send_batch(p);
	if (p->udp_full)
		return OC_NOTHING;
	p->batch_slot = slot;
	sealed = oc_dtls_seal(&d->write, OC_APPLICATION, packet - 1, n + 1, oc_batch_end(b), OC_DATAGRAM_MAX - b->size);
	if (sealed < 0)
		return oc_violation(p, (int)-sealed);
	oc_batch_add(b, (size_t)sealed);
	p->warm = 1;
	return event;
}

/* ---- 8 count --------------------------------------------------------------------------------------------------- */

static void count(struct oc_pump *p, int data, size_t n)
{
	oc_count(p, OC_TX_BYTES, n);
	oc_count(p, OC_TX_PACKETS, 1);
	if (data)
		p->last_data_tx = p->now;
}

/* ---- 4 choose, and the rest of the way ------------------------------------------------------------------------- */

/* One packet. Where `udp_full` is set afterwards it was not sent, and waits. */
static int forward(struct oc_pump *p, uint8_t *packet, size_t n)
{
	struct oc_dtls *d = oc_channel(p);
	size_t size = n;
	int data = oc_is_data(packet, n);
	int type = squeeze(p, d ? p->dtls_compression : p->tls_compression, &packet, &size);
	int event = d ? seal_datagram(p, d, type, packet, size) : seal_stream(p, type, packet, size);

	if (event != OC_EVENT_VIOLATION && !p->udp_full)
		count(p, data, n);
	return event;
}

static int forward_held(struct oc_pump *p)
{
	int event;

	if (!p->held || !oc_room_for_packet(p))
		return OC_NOTHING;
	event = forward(p, p->held, p->held_size);
	if (!p->udp_full)
		p->held = NULL;
	return event;
}

/* The segments of what was read, as far as there is room for them. */
static int forward_segments(struct oc_pump *p)
{
	int event = forward_held(p);
	uint8_t *packet;
	size_t n;

	while (event == OC_NOTHING && !p->held && oc_room_for_packet(p) &&
	       (packet = oc_segments_next(&p->segments, &n))) {
		if (!admits(p, packet, n))
			continue;
		event = forward(p, packet, n);
		if (p->udp_full) {
			p->held = packet;
			p->held_size = n;
		}
	}
	return event;
}

int oc_downstream(struct oc_pump *p)
{
	int event = OC_NOTHING;

	if (p->udp_full)
		event = oc_send_batch(p);
	if (event == OC_NOTHING)
		event = forward_segments(p);
	for (int turn = 0; event == OC_NOTHING && p->tun_ready && oc_room_for_packet(p) && turn < OC_TURN; turn++) {
		int n = read_packet(p);

		if (n < 0)
			return OC_EVENT_TUN_LOST;
		p->tun_ready = n;
		if (n)
			event = forward_segments(p);
	}
	if (event == OC_NOTHING && p->batch.count && !p->udp_full)
		event = oc_send_batch(p);
	return event;
}

/* ---- 9 send ---------------------------------------------------------------------------------------------------- */

size_t oc_pump_queued(const struct oc_pump *p)
{
	return oc_waiting(&p->out);
}

int oc_pump_send(struct oc_pump *p)
{
	struct oc_buffer *out = &p->out;

	while (oc_waiting(out)) {
		ssize_t n = send(p->fd, out->data + out->start, oc_waiting(out), MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? OC_NOTHING : oc_closed(p, 0);
		out->start += (size_t)n;
	}
	out->start = out->end = 0;
	return OC_NOTHING;
}

/* TUN → client. The stages of a packet:
 *   1 read    one packet from the TUN, behind the place of its frame's header
 *   2 check   its length: a longer one than the MTU is dropped
 *   3 frame   it: eight bytes of CSTP
 *   4 seal    the frame into a record of its own, behind the others in `out` (clients read a frame a record)
 *   5 count   it
 *   6 send    all records of the burst in one call, when the TUN is empty or `out` is full */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pump.h"

/* ---- 1 read, 2 check ------------------------------------------------------------------------------------------- */

/* The packet's length, 0 when there is none now, -1 when the TUN is lost. */
static long read_packet(struct oc_pump *p, uint8_t *packet)
{
	for (;;) {
		ssize_t n = read(p->tun, packet, p->mtu + 1);

		if (n > 0 && (size_t)n <= p->mtu)
			return n;
		if (n > 0) {
			p->dropped++;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		oc_tun_lost(p, n < 0 ? errno : 0);
		return -1;
	}
}

/* ---- 3 frame --------------------------------------------------------------------------------------------------- */

static void put_frame_header(uint8_t *frame, int type, size_t n)
{
	memcpy(frame, "STF\1", 4);
	frame[4] = (uint8_t)(n >> 8);
	frame[5] = (uint8_t)n;
	frame[6] = (uint8_t)type;
	frame[7] = 0;
}

/* ---- 4 seal ---------------------------------------------------------------------------------------------------- */

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
	put_frame_header(p->packet, type, n);
	if (n)
		memcpy(p->packet + OC_FRAME_HEADER, payload, n);
	return oc_put_record(p, OC_APPLICATION, p->packet, OC_FRAME_HEADER + n) ? -2 : 0;
}

/* ---- 5 count --------------------------------------------------------------------------------------------------- */

static void count(struct oc_pump *p, const uint8_t *packet, size_t n)
{
	oc_count(p, OC_TX_BYTES, n);
	oc_count(p, OC_TX_PACKETS, 1);
	if (oc_is_data(packet, n))
		p->last_data_tx = p->now;
}

int oc_downstream(struct oc_pump *p)
{
	uint8_t *packet = p->packet + OC_FRAME_HEADER;

	p->tun_ready = 0;
	while (oc_room_for_packet(p)) {
		long n = read_packet(p, packet);

		if (n <= 0)
			return n ? OC_EVENT_TUN_LOST : OC_NOTHING;
		put_frame_header(p->packet, 0, (size_t)n);
		if (oc_put_record(p, OC_APPLICATION, p->packet, OC_FRAME_HEADER + (size_t)n))
			return OC_EVENT_VIOLATION;
		count(p, packet, (size_t)n);
	}
	return OC_NOTHING;
}

/* ---- 6 send ---------------------------------------------------------------------------------------------------- */

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

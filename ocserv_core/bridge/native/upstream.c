/* client → TUN. The stages of a packet:
 *   1 receive   what the socket has, into `in`
 *   2 open      the next whole record, from `in` into `plain`
 *   3 judge     alerts and KeyUpdate are dealt with; application data goes on
 *   4 cut       the next whole CSTP frame of the record; frames without a packet end the run
 *   5 deliver   the packet to the TUN, or wait for room there
 *   6 count     it */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pump.h"

/* ---- 1 receive ------------------------------------------------------------------------------------------------- */

int oc_upstream_receive(struct oc_pump *p)
{
	struct oc_buffer *in = &p->in;
	ssize_t n;

	p->client_ready = 0;
	if (p->tun_full || p->answer_full)
		return OC_NOTHING;
	if (in->size - in->end < OC_RECORD_MAX) {
		memmove(in->data, in->data + in->start, oc_waiting(in));
		in->end -= in->start;
		in->start = 0;
	}
	n = recv(p->fd, in->data + in->end, in->size - in->end, MSG_DONTWAIT);
	if (n > 0) {
		/* A full buffer is not napped on: the socket has more. */
		p->bulk = n >= OC_BULK && in->end + (size_t)n < in->size;
		in->end += (size_t)n;
		p->last_rx = p->now;
		return OC_NOTHING;
	}
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? OC_NOTHING : oc_closed(p, 0);
}

/* ---- 2 open ---------------------------------------------------------------------------------------------------- */

/* The content's length, 0 and *type 0 when no whole record is there, or a fault. */
static long open_record(struct oc_pump *p, int *type)
{
	struct oc_buffer *in = &p->in;
	long length, n;

	*type = 0;
	if (p->library)
		return oc_library_open(p, type);
	length = oc_record_length(in->data + in->start, oc_waiting(in));
	if (length < 0)
		return -OC_FAULT_HEADER;
	if (length == 0 || (size_t)length > oc_waiting(in))
		return 0;
	n = oc_open(&p->read, in->data + in->start, (size_t)length, p->plain.data, p->plain.size, type);
	in->start += (size_t)length;
	if (in->start == in->end)
		in->start = in->end = 0;
	return n;
}

/* ---- 3 judge --------------------------------------------------------------------------------------------------- */

static int on_alert(struct oc_pump *p, const uint8_t *alert, size_t n)
{
	enum { WARNING = 1, CLOSE_NOTIFY = 0, USER_CANCELED = 90 };

	if (n != 2)
		return oc_violation(p, OC_FAULT_ALERT);
	if (alert[1] == CLOSE_NOTIFY)
		return oc_closed(p, 1);
	/* RFC 8446 6: in TLS 1.3 every alert is fatal but these two; before it, the level says. */
	if (alert[0] == WARNING && (!p->read.tls13 || alert[1] == USER_CANCELED))
		return OC_NOTHING;
	return oc_closed(p, 0);
}

static int on_record(struct oc_pump *p, int type, size_t n)
{
	switch (type) {
	case OC_APPLICATION:
		p->plain.start = 0;
		p->plain.end = n;
		return OC_NOTHING;
	case OC_ALERT:
		return on_alert(p, p->plain.data, n);
	case OC_HANDSHAKE:
		return p->read.tls13 ? oc_on_key_update(p, p->plain.data, n) :
				       oc_violation(p, OC_FAULT_RENEGOTIATION);
	default:
		return oc_violation(p, OC_FAULT_TYPE);
	}
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

static int on_control_frame(struct oc_pump *p, uint8_t *frame, size_t n)
{
	p->frame_type = frame[6];
	p->frame = frame + OC_FRAME_HEADER;
	p->frame_size = n;
	return OC_EVENT_FRAME;
}

/* ---- 5 deliver, 6 count ---------------------------------------------------------------------------------------- */

static void count(struct oc_pump *p, const uint8_t *packet, size_t n)
{
	oc_count(p, OC_RX_BYTES, n);
	oc_count(p, OC_RX_PACKETS, 1);
	if (oc_is_data(packet, n))
		p->last_data_rx = p->now;
}

static int deliver(struct oc_pump *p, const uint8_t *packet, size_t n)
{
	while (write(p->tun, packet, n) < 0) {
		switch (errno) {
		case EINTR:
			continue;
		case EAGAIN:
			p->tun_full = 1;
			return OC_NOTHING;
		case EINVAL: /* not IP: the kernel looks at the version */
		case EMSGSIZE:
		case ENOBUFS:
		case ENOMEM:
			p->dropped++;
			return OC_NOTHING;
		default:
			return oc_tun_lost(p, errno);
		}
	}
	count(p, packet, n);
	return OC_NOTHING;
}

/* The frames of the record in `plain`, one after another. */
static int deliver_frames(struct oc_pump *p)
{
	p->tun_full = 0;
	while (oc_waiting(&p->plain)) {
		uint8_t *frame = p->plain.data + p->plain.start;
		long n = frame_length(frame, oc_waiting(&p->plain));
		int event = OC_NOTHING;

		if (n < 0)
			return oc_violation(p, (int)-n);
		if (frame[6] != 0)
			event = on_control_frame(p, frame, (size_t)n);
		else if (n)
			event = deliver(p, frame + OC_FRAME_HEADER, (size_t)n);
		if (p->tun_full)
			return OC_NOTHING;
		p->plain.start += OC_FRAME_HEADER + (size_t)n;
		if (event)
			return event;
	}
	return OC_NOTHING;
}

int oc_upstream(struct oc_pump *p)
{
	int event, type;
	long n;

	p->answer_full = 0;
	while ((event = deliver_frames(p)) == OC_NOTHING && !p->tun_full) {
		if (!oc_room_for_answer(p)) {
			p->answer_full = 1;
			return OC_NOTHING;
		}
		n = open_record(p, &type);
		if (n < 0)
			return oc_violation(p, (int)-n);
		if (type == 0)
			return OC_NOTHING;
		if ((event = on_record(p, type, (size_t)n)))
			return event;
	}
	return event;
}

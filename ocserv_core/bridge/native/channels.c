/* Which way packets take: TLS, or one of the DTLS sessions; and which session a datagram belongs to. See pump.h. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "pump.h"

/* ---- sessions -------------------------------------------------------------------------------------------------- */

int oc_slot_of(const struct oc_pump *p, const struct oc_dtls *d)
{
	for (int slot = 0; slot < OC_DTLS_MAX; slot++)
		if (d && p->dtls[slot] == d)
			return slot;
	return -1;
}

int oc_slot_on(const struct oc_pump *p, int fd)
{
	for (int slot = 0; slot < OC_DTLS_MAX; slot++)
		if (p->dtls[slot] && p->dtls[slot]->fd == fd)
			return slot;
	return -1;
}

int oc_handshake_on(const struct oc_pump *p, int fd)
{
	for (int slot = 0; slot < OC_DTLS_MAX; slot++)
		if (p->dtls[slot] && p->dtls[slot]->fd == fd && !p->dtls[slot]->established)
			return slot;
	return -1;
}

int oc_pump_attach(struct oc_pump *p, struct oc_dtls *d, int fd)
{
	for (int slot = 0; slot < OC_DTLS_MAX; slot++)
		if (!p->dtls[slot]) {
			d->fd = fd;
			d->last_rx = oc_now();
			p->dtls[slot] = d;
			p->newest = slot;
			oc_received_ask(fd, p->latency != NULL);
			return slot;
		}
	return -1;
}

/* The slot of a session that is not this one's, or -1. */
static int other(const struct oc_pump *p, int slot)
{
	for (int i = 0; i < OC_DTLS_MAX; i++)
		if (i != slot && p->dtls[i])
			return i;
	return -1;
}

void oc_pump_detach(struct oc_pump *p, int slot)
{
	int fd = p->dtls[slot]->fd;

	if (p->giving == p->dtls[slot])
		p->giving = NULL;
	if (p->batch_slot == slot) {
		p->lost += oc_batch_left(&p->batch);
		oc_batch_clear(&p->batch);
		p->udp_full = 0;
	}
	if (p->active == slot)
		p->active = -1;
	p->udp_ready &= ~(1u << slot);
	p->dtls[slot] = NULL;
	if (p->newest == slot)
		p->newest = other(p, slot);
	/* What was received for it; the rest is another session's on the same socket. */
	if (p->received_fd == fd && oc_slot_on(p, fd) < 0)
		p->received.count = 0;
}

static struct oc_dtls *established_on(const struct oc_pump *p, int slot, int fd)
{
	struct oc_dtls *d = slot < 0 ? NULL : p->dtls[slot];

	return d && d->fd == fd && d->established ? d : NULL;
}

/* Two sessions on one socket have the same epochs: the keys say whose a record is, the newer one's first. What is left
 * of a handshake can only be the newer one's. */
struct oc_dtls *oc_owner(struct oc_pump *p, int fd, const uint8_t *datagram, size_t n)
{
	struct oc_dtls *newest = established_on(p, p->newest, fd), *old = established_on(p, other(p, p->newest), fd);

	if (!newest || !old)
		return newest ? newest : old;
	if (datagram[0] == OC_HANDSHAKE || datagram[0] == OC_CHANGE_CIPHER_SPEC)
		return newest;
	return oc_dtls_opens(newest, datagram, n, p->scratch, OC_SCRATCH_SIZE) ? newest : old;
}

/* Whether it is the newest that was heard of the session: an old one that was held up on its way moves nobody back
 * (RFC 9146 6). */
static int is_news(const struct oc_dtls *d, const uint8_t *datagram, size_t n)
{
	struct oc_dtls_header header;

	return d->library || (oc_dtls_parse(datagram, n, &header) == 0 && header.number >= d->window.next);
}

int oc_pump_adopt(struct oc_pump *p, int fd, const uint8_t *datagram, size_t n)
{
	for (int slot = 0; slot < OC_DTLS_MAX; slot++) {
		struct oc_dtls *d = p->dtls[slot];

		if (!d || !oc_dtls_opens(d, datagram, n, p->scratch, OC_SCRATCH_SIZE) || !is_news(d, datagram, n))
			continue;
		oc_received_ask(fd, p->latency != NULL);
		if (p->received.at >= p->received.count && !p->giving && n <= OC_DATAGRAM_MAX) {
			oc_received_put(&p->received, datagram, n);
			p->received_fd = fd;
		} else if (p->received_fd == d->fd) {
			p->received_fd = fd; /* what was received before the client moved */
		}
		d->fd = fd;
		d->last_rx = oc_now();
		return slot;
	}
	return -1;
}

/* ---- the way of a packet --------------------------------------------------------------------------------------- */

/* A record of this session was opened. The newest session is used from its first word on: before that its client may
 * not have heard the end of the handshake. */
void oc_heard(struct oc_pump *p, struct oc_dtls *d)
{
	int slot = oc_slot_of(p, d);

	if (slot == p->newest || p->active < 0)
		p->active = slot;
	if (slot == p->active)
		p->udp_up = !p->udp_off;
}

/* The session that a packet goes by now; NULL for TLS. */
struct oc_dtls *oc_channel(struct oc_pump *p)
{
	struct oc_dtls *d = p->active < 0 ? NULL : p->dtls[p->active];

	if (!p->udp_up || !d)
		return NULL;
	if (p->udp_patience > 0 && p->now - d->last_rx > p->udp_patience) {
		p->udp_up = 0;
		return NULL;
	}
	return d;
}

/* ---- what is sent ---------------------------------------------------------------------------------------------- */

int oc_too_big(struct oc_pump *p, int fd)
{
	socklen_t size = sizeof p->path_mtu;
	struct sockaddr_storage address;
	socklen_t address_size = sizeof address;
	int ipv6;

	if (!p->discover_mtu)
		return OC_NOTHING;
	p->path_mtu = 0;
	if (getsockname(fd, (struct sockaddr *)&address, &address_size) < 0)
		return OC_EVENT_TOO_BIG;
	ipv6 = address.ss_family == AF_INET6;
	if (getsockopt(fd, ipv6 ? IPPROTO_IPV6 : IPPROTO_IP, ipv6 ? IPV6_MTU : IP_MTU, &p->path_mtu, &size) < 0)
		p->path_mtu = 0;
	return OC_EVENT_TOO_BIG;
}

/* Send the batch. What no socket takes is lost, as datagrams may be; a client that nobody listens for any more hears
 * by TLS until it speaks again. */
int oc_send_batch(struct oc_pump *p)
{
	struct oc_dtls *d = p->dtls[p->batch_slot];
	int error;

	p->udp_full = 0;
	if (!p->batch.count)
		return OC_NOTHING;
	error = oc_batch_send(&p->batch, d->fd, &p->lost);
	if (error == EAGAIN) {
		p->udp_full = 1;
		return OC_NOTHING;
	}
	if (error == EMSGSIZE)
		return oc_too_big(p, d->fd);
	if (error && p->active == p->batch_slot)
		p->udp_up = 0;
	return OC_NOTHING;
}

int oc_put_datagram(struct oc_pump *p, int slot, int type, const uint8_t *payload, size_t n)
{
	struct oc_dtls *d = slot >= 0 && slot < OC_DTLS_MAX ? p->dtls[slot] : NULL;
	uint8_t record[OC_DTLS_HEADER + 8 + 1 + OC_SCRATCH_SIZE + 16];
	long sealed;

	if (!d || !d->established || n + 1 > OC_SCRATCH_SIZE)
		return EINVAL;
	p->scratch[0] = (uint8_t)type;
	if (n)
		memcpy(p->scratch + 1, payload, n);
	if (d->library)
		return oc_dtls_library_send(d, p->scratch, n + 1);
	sealed = oc_dtls_seal(&d->write, OC_APPLICATION, p->scratch, n + 1, record, sizeof record);
	if (sealed < 0)
		return EINVAL;
	return send(d->fd, record, (size_t)sealed, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? errno : 0;
}

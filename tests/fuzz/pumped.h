/* A pump without a handshake: fixed keys, bytes put straight into its buffers, and a packet socket as its TUN. */
#ifndef FUZZ_PUMPED_H
#define FUZZ_PUMPED_H

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "input.h"
#include "packets.h"
#include "pump.h"

static uint64_t counters[4];
static uint64_t written_packets, written_bytes;
static int tun[2], stream[2];

static inline void set_nonblocking(int fd)
{
	MUST(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
}

static inline void open_sockets(void)
{
	if (tun[0] != tun[1])
		return;
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, tun) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, stream) == 0);
	for (int i = 0; i < 2; i++) {
		set_nonblocking(tun[i]);
		set_nonblocking(stream[i]);
	}
}

static inline struct oc_pump *open_pump_on(gnutls_session_t session, struct oc_transport *transport,
					   unsigned int options)
{
	static const uint8_t address[16] = { 10 };
	struct oc_pump *p;
	int error;

	open_sockets();
	memset(counters, 0, sizeof counters);
	written_packets = written_bytes = 0;
	p = oc_pump_open(session, transport, tun[0], 1400, 0, (uint8_t *)counters, &error);
	MUST(p);
	if (options & 1)
		oc_pump_use_vnet(p, !(options & 2), !(options & 4));
	if (options & 8)
		MUST(oc_pump_allow(p, 4, address, 8) == 0);
	p->tls_compression = p->dtls_compression = (int)(options >> 4 & 3) % 3;
	return p;
}

/* The session is no more than what GnuTLS needs to be asked for: its keys are none, and are replaced. */
static inline struct oc_pump *open_pump(unsigned int options)
{
	static gnutls_session_t session;
	static struct oc_transport transport;
	struct oc_pump *p;

	open_sockets();
	if (!session)
		MUST(gnutls_init(&session, GNUTLS_SERVER) == 0);
	transport.fd = stream[0];
	p = open_pump_on(session, &transport, options);
	p->library = NULL;
	return p;
}

static inline void check_written(struct oc_pump *p, uint8_t *data, size_t n)
{
	struct oc_vnet vnet = { 0 };
	struct oc_segments segments;
	uint8_t *copy, *segment;
	size_t header = p->vnet ? OC_VNET_SIZE : 0, size;

	MUST(n > header);
	memcpy(&vnet, data, header);
	copy = copy_of(data + header, n - header);
	if (!vnet.gso_type) {
		MUST(!vnet.flags);
		written_packets++;
		written_bytes += n - header;
	} else {
		MUST(oc_segments_begin(&segments, &vnet, copy, n - header) == 0);
		for (; (segment = oc_segments_next(&segments, &size)); written_packets++)
			written_bytes += size;
	}
	free(copy);
}

static inline void drain_tun(struct oc_pump *p)
{
	static uint8_t data[OC_VNET_SIZE + OC_PACKET_MAX + 1];
	ssize_t n;

	while ((n = recv(tun[1], data, sizeof data, 0)) > 0)
		check_written(p, data, (size_t)n);
}

/* What an event shows must be there. */
static inline void look_at(struct oc_pump *p, int event)
{
	if (event == OC_EVENT_FRAME || event == OC_EVENT_HELLO || event == OC_EVENT_HANDSHAKE)
		touch(p->frame, p->frame_size);
	MUST(event != OC_EVENT_TUN_LOST);
}

/* All of it must come out, and the counters must be right to the byte. */
static inline void end_pump(struct oc_pump *p)
{
	while (!p->ended && (p->gathered.size || p->tun_full)) {
		drain_tun(p);
		look_at(p, oc_upstream(p));
	}
	drain_tun(p);
	if (!p->gathered.size) {
		MUST(counters[OC_RX_PACKETS] == written_packets);
		MUST(counters[OC_RX_BYTES] == written_bytes);
	}
	oc_pump_close(p);
}

#endif

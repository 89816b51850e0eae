/* The tunnel's state and what its parts share. pump.py opens it, runs it, reads the event out of it, closes it.
 * upstream.c and downstream.c move packets; control.c sends what is no packet; library.c serves the suites that
 * record.c does not. */
#ifndef OC_PUMP_H
#define OC_PUMP_H

#include <gnutls/gnutls.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#include "record.h"

#define OC_FRAME_HEADER 8
#define OC_FRAME_MAX OC_CONTENT_MAX
#define OC_WATCH_MAX 14

/* A record as long as can be, whatever the suite: CBC adds an IV, a MAC and up to 256 bytes of padding. */
#define OC_SEALED_MAX (OC_FRAME_MAX + 512)
#define OC_IN_SIZE 65536
#define OC_PLAIN_SIZE 20480
#define OC_PACKET_SIZE 20480
/* Packets wait up to here; above it there is room for a control frame of each side: ours, and our answer to theirs. */
#define OC_OUT_PACKETS 65536
#define OC_OUT_SIZE (OC_OUT_PACKETS + 3 * OC_SEALED_MAX)

/* RFC 8446 5.5: AES-GCM keys serve 2^24.5 full records; new ones come well before. */
#define OC_RECORDS_PER_KEY ((1 << 24) - (1 << 16))

/* Bytes of one wake-up that are a fast upload: a nap then gathers what a client sends packet by packet. */
#define OC_BULK 4000
#define OC_NAP 300000 /* nanoseconds */

enum oc_event {
	OC_NOTHING = 0,
	OC_EVENT_FRAME,     /* frame_type, frame, frame_size */
	OC_EVENT_READABLE,  /* ready_fd */
	OC_EVENT_DEADLINE,
	OC_EVENT_INTERRUPTED,
	OC_EVENT_CLOSED,    /* clean */
	OC_EVENT_VIOLATION, /* fault */
	OC_EVENT_TUN_LOST   /* tun_errno */
};

enum { OC_RX_BYTES = 0, OC_TX_BYTES, OC_RX_PACKETS, OC_TX_PACKETS }; /* of the page of counters */

struct oc_buffer {
	uint8_t *data;
	size_t size, start, end;
};

#define OC_MEMORY_SIZE (OC_IN_SIZE + OC_PLAIN_SIZE + OC_PACKET_SIZE + OC_OUT_SIZE)

struct oc_pump {
	int fd, tun;
	size_t mtu;
	uint64_t *counters;

	struct oc_half read, write;
	gnutls_session_t library; /* else NULL: the suite is record.c's */

	void *memory;
	struct oc_buffer in, plain, out; /* sealed by the client; opened, not yet at the TUN; sealed for the client */
	uint8_t *packet;                 /* one frame on its way to the client */
	int warm;                        /* the buffers' pages are in use */

	int client_ready, tun_ready; /* as poll said last */
	int tun_full;                /* the first packet of `plain` waits for room */
	int bulk;                    /* the client sends so fast that waiting a little gathers a burst */
	int answer_full;             /* `in` waits until an answer would have room in `out` */
	int ended;                   /* an event after which nothing is read: it is given again */
	struct pollfd polls[2 + OC_WATCH_MAX];
	unsigned int watched;

	double now, last_rx, last_data_rx, last_data_tx;
	uint64_t dropped;

	uint8_t frame_type;
	uint8_t *frame;
	size_t frame_size;
	int ready_fd, clean, fault, tun_errno;
};

/* Take the session over. NULL and *error (a GnuTLS error) when that cannot be done. */
struct oc_pump *oc_pump_open(gnutls_session_t session, struct oc_transport *t, int tun, size_t mtu, uint8_t *counters,
			     int *error);
void oc_pump_close(struct oc_pump *p);
int oc_pump_watch(struct oc_pump *p, const int *fds, unsigned int n);

/* Move packets until there is an event. */
int oc_pump_run(struct oc_pump *p, double deadline);

/* Send what is queued, as far as the socket takes it: OC_NOTHING, or the connection's end. */
int oc_pump_send(struct oc_pump *p);
size_t oc_pump_queued(const struct oc_pump *p);

/* ---- between the parts ----------------------------------------------------------------------------------------- */

int oc_upstream_receive(struct oc_pump *p);
int oc_upstream(struct oc_pump *p);
int oc_downstream(struct oc_pump *p);

/* Seal n bytes of `plain` (with room for one more) behind what waits. OC_NOTHING, or a violation's event. */
int oc_put_record(struct oc_pump *p, int type, uint8_t *plain, size_t n);
/* Queue a frame. 0, or -1 when there is no room, or -2 when it cannot be sealed. */
int oc_put_frame(struct oc_pump *p, int type, const uint8_t *payload, size_t n);
int oc_put_alert(struct oc_pump *p, int level, int description);
/* TLS 1.3: KeyUpdate to the client, then new keys for sending. 0, -1, -2 as above. */
int oc_put_key_update(struct oc_pump *p, int requested);
int oc_on_key_update(struct oc_pump *p, const uint8_t *message, size_t n);

int oc_library_attach(struct oc_pump *p);
long oc_library_open(struct oc_pump *p, int *type);
long oc_library_seal(struct oc_pump *p, const uint8_t *plain, size_t n);
int oc_library_bye(struct oc_pump *p);

int oc_violation(struct oc_pump *p, int fault);
int oc_closed(struct oc_pump *p, int clean);
int oc_tun_lost(struct oc_pump *p, int error);

static inline size_t oc_waiting(const struct oc_buffer *b)
{
	return b->end - b->start;
}

/* Whether another packet may be queued for the client. */
static inline int oc_room_for_packet(const struct oc_pump *p)
{
	return oc_waiting(&p->out) + OC_SEALED_MAX <= OC_OUT_PACKETS;
}

/* Whether what comes from the client may be looked at: its answer must find room. */
static inline int oc_room_for_answer(const struct oc_pump *p)
{
	return oc_waiting(&p->out) + 2 * OC_SEALED_MAX <= OC_OUT_SIZE;
}

/* Whether an inner packet shows that somebody uses the tunnel: not ICMP, IGMP, ICMPv6. */
static inline int oc_is_data(const uint8_t *packet, size_t n)
{
	if (n >= 20 && packet[0] >> 4 == 4)
		return packet[9] != 1 && packet[9] != 2;
	if (n > 40 && packet[0] >> 4 == 6) /* MLD's ICMPv6 stands behind a hop-by-hop header */
		return (packet[6] == 0 ? packet[40] : packet[6]) != 58;
	return 0;
}

/* main reads the page while we write it; only we write. */
static inline void oc_count(struct oc_pump *p, int counter, uint64_t n)
{
	__atomic_store_n(&p->counters[counter], p->counters[counter] + n, __ATOMIC_RELAXED);
}

#endif

/* The tunnel's state and what its parts share. pump.py opens it, runs it, reads the event out of it, closes it.
 * upstream.c and downstream.c move packets; control.c sends what is no packet; library.c serves the TLS suites that
 * record.c does not; channels.c says which way a packet takes: TLS or DTLS. */
#ifndef OC_PUMP_H
#define OC_PUMP_H

#include <gnutls/gnutls.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#include "coalesce.h"
#include "datagrams.h"
#include "dtls.h"
#include "latency.h"
#include "limit.h"
#include "packet.h"
#include "queue.h"
#include "record.h"
#include "segment.h"

#define OC_FRAME_HEADER 8
#define OC_FRAME_MAX OC_CONTENT_MAX
#define OC_WATCH_MAX 14
#define OC_DTLS_MAX 2 /* the session in use, and the one that takes over from it */
#define OC_NETWORKS_MAX 64

/* A record as long as can be, whatever the suite: CBC adds an IV, a MAC and up to 256 bytes of padding. */
#define OC_SEALED_MAX (OC_FRAME_MAX + 512)
#define OC_IN_SIZE 65536
#define OC_PLAIN_SIZE 20480
#define OC_SCRATCH_SIZE 20480
/* A packet of the TUN, with room before it for a frame's header, and behind it for the type of a TLS 1.3 record. */
#define OC_TUN_HEADROOM 16
#define OC_TUN_SIZE (OC_TUN_HEADROOM + OC_VNET_SIZE + OC_PACKET_MAX + 8)
/* Packets wait up to here; above it there is room for a control frame of each side: ours, and our answer to theirs. */
#define OC_OUT_PACKETS (65536 + OC_SEALED_MAX)
#define OC_OUT_SIZE (OC_OUT_PACKETS + 3 * OC_SEALED_MAX)

/* What the kernel may hold unsent for a client, beyond what is on its way: a queue before the queue only adds delay. */
#define OC_NOTSENT_LOWAT 65536

/* RFC 8446 5.5: AES-GCM keys serve 2^24.5 full records; new ones come well before. */
#define OC_RECORDS_PER_KEY ((1 << 24) - (1 << 16))

/* Wake-ups that come fast one after another and find little each are a stream of small things: a nap before the next
 * gathers more of them. An idle link, or one that moves much at a time, is not napped on. */
#define OC_DENSE 0.00025     /* seconds between two wake-ups */
#define OC_DENSE_WAKES 8     /* so many in a row */
#define OC_LITTLE_BYTES 16384
#define OC_LITTLE_NAP 150000 /* nanoseconds */
/* A fast upload, packet by packet. */
#define OC_BULK_BYTES 4000
#define OC_BULK_MOST 49152
#define OC_BULK_DATAGRAMS 4
#define OC_BULK_NAP 300000

/* Calls to one descriptor before the others have their turn. */
#define OC_TURN 16

enum oc_event {
	OC_NOTHING = 0,
	OC_EVENT_FRAME,     /* frame_type, frame, frame_size, frame_slot (-1: it came by TLS) */
	OC_EVENT_READABLE,  /* ready_fd */
	OC_EVENT_DEADLINE,
	OC_EVENT_INTERRUPTED,
	OC_EVENT_CLOSED,    /* clean */
	OC_EVENT_VIOLATION, /* fault */
	OC_EVENT_TUN_LOST,  /* tun_errno */
	OC_EVENT_HELLO,     /* frame, frame_size: a new DTLS handshake on the socket of session frame_slot */
	OC_EVENT_HANDSHAKE, /* frame, frame_size: a datagram for the handshake of session frame_slot */
	OC_EVENT_DTLS_CLOSED, /* frame_slot: the client has closed this session */
	OC_EVENT_TOO_BIG    /* path_mtu: of outer packets by DTLS, 0 where the kernel does not say */
};

enum { OC_RX_BYTES = 0, OC_TX_BYTES, OC_RX_PACKETS, OC_TX_PACKETS }; /* of the page of counters */

/* Types of CSTP frames and of DTLS packets that the pump knows; all others are pump.py's. */
enum { OC_DATA = 0, OC_COMPRESSED = 8 };

struct oc_buffer {
	uint8_t *data;
	size_t size, start, end;
};

#define OC_MEMORY_SIZE                                                                                                \
	(OC_IN_SIZE + OC_PLAIN_SIZE + 2 * OC_SCRATCH_SIZE + OC_TUN_SIZE + OC_COALESCE_SIZE + OC_OUT_SIZE +                \
	 OC_DATAGRAM_MAX + 1 + OC_RECEIVED_SIZE)

/* Gathered packets whose kernel stamps differ; further ones count with the last. */
#define OC_STAMPS_MAX 64

struct oc_pump {
	int fd, tun;
	int vnet; /* the TUN's packets have a vnet header */
	size_t mtu;
	uint64_t *counters;

	struct oc_half read, write;
	gnutls_session_t library; /* else NULL: the suite is record.c's */

	void *memory;
	struct oc_buffer in, plain, out; /* sealed by the client; contents that are no single packet; sealed for it */
	uint8_t *inflated;               /* a packet that was compressed, or a datagram that is no packet */
	uint8_t *scratch;                /* what is compressed or framed now; holds nothing between two calls */
	uint8_t *from_tun;
	struct oc_segments segments; /* of what was read from the TUN */
	uint8_t *held;               /* one of them that waits for room in the DTLS socket */
	size_t held_size;
	struct oc_coalescer gathered; /* for the TUN */
	struct oc_received received;
	int received_fd; /* from which socket that was */
	struct oc_batch batch;
	int warm; /* the buffers' pages are in use */

	struct oc_dtls *dtls[OC_DTLS_MAX]; /* those in handshake, too */
	int newest, active;  /* attached last; whose packets are sent by DTLS, once it has spoken; or -1 */
	int udp_up;          /* packets go by DTLS */
	int udp_off;         /* they never do */
	int discover_mtu;    /* what is too big for the path is told: OC_EVENT_TOO_BIG */
	double udp_patience; /* seconds of silence after which they do not; 0: never */
	struct oc_dtls *giving; /* a datagram was given to it, and more may be in it */
	int batch_slot;         /* whose the batch is */

	struct oc_network networks[OC_NETWORKS_MAX];
	unsigned int network_count;
	int any_source; /* what comes may come from anywhere */
	int at_client;  /* ours is the client's end */
	struct oc_limit rx_limit, tx_limit;
	int tls_compression, dtls_compression;
	size_t no_compress_limit;

	/* Latency statistics: NULL without them. `stamps` are of what is gathered. */
	struct oc_latency *latency;
	struct {
		uint64_t stamp;
		unsigned int packets;
	} stamps[OC_STAMPS_MAX];
	unsigned int stamp_count;
	uint64_t stamp; /* of the datagram at hand; 0 for none */

	int client_ready, tun_ready; /* there may be more to read */
	unsigned int udp_ready;      /* likewise; a bit for each session's socket */
	int tun_full;    /* what was gathered waits for room in the TUN */
	int bulk;        /* the client sends so fast that waiting a little gathers a burst */
	size_t found;    /* bytes since the last wake-up */
	unsigned int dense;
	double woken;
	struct oc_queue queue; /* of the TUN */
	int answer_full; /* `in` waits until an answer would have room in `out` */
	int udp_full;    /* the batch waits for room in the socket */
	int ended;       /* an event after which nothing is read: it is given again */
	unsigned int unpolled; /* runs since poll was asked */
	struct pollfd polls[2 + OC_DTLS_MAX + OC_WATCH_MAX];
	unsigned int watched;

	double now, last_rx, last_data_rx, last_data_tx;
	uint64_t too_long, refused_by_tun, foreign, over_limit, shed, malformed, lost; /* packets that were thrown away */

	uint8_t frame_type;
	const uint8_t *frame;
	size_t frame_size;
	int frame_slot;
	int ready_fd, clean, fault, tun_errno, path_mtu;
};

/* Take the session over. NULL and *error (a GnuTLS error) when that cannot be done. client: ours is the client's end. */
struct oc_pump *oc_pump_open(gnutls_session_t session, struct oc_transport *t, int tun, size_t mtu, int client,
			     uint8_t *counters, int *error);
void oc_pump_close(struct oc_pump *p);
int oc_pump_watch(struct oc_pump *p, const int *fds, unsigned int n);

/* The TUN's packets have vnet headers; which protocols may be gathered. */
void oc_pump_use_vnet(struct oc_pump *p, int tcp, int udp);
/* Take packets from this network too. 0, or -1 when there are too many. */
int oc_pump_allow(struct oc_pump *p, int version, const uint8_t *address, int bits);

/* Measure how long what comes by DTLS stays here. 0, or -1 without memory. */
int oc_pump_measure(struct oc_pump *p);

/* A DTLS session on a connected socket, in handshake or past it: its number, or -1 when there is no place. */
int oc_pump_attach(struct oc_pump *p, struct oc_dtls *d, int fd);
void oc_pump_detach(struct oc_pump *p, int slot);
/* The client's address has changed: whether an established session's keys open this datagram, which then is taken,
 * and `fd` is that session's socket from now on. Its number, or -1. */
int oc_pump_adopt(struct oc_pump *p, int fd, const uint8_t *datagram, size_t n);

/* Move packets until there is an event. */
int oc_pump_run(struct oc_pump *p, double deadline);

/* Send what is queued for TLS, as far as the socket takes it: OC_NOTHING, or the connection's end. */
int oc_pump_send(struct oc_pump *p);
size_t oc_pump_queued(const struct oc_pump *p);

/* ---- between the parts ----------------------------------------------------------------------------------------- */

int oc_upstream(struct oc_pump *p);
int oc_downstream(struct oc_pump *p);

/* Seal n bytes of `plain` (with room for one more) behind what waits. OC_NOTHING, or a violation's event. */
int oc_put_record(struct oc_pump *p, int type, uint8_t *plain, size_t n);
/* Queue a frame. 0, or -1 when there is no room, or -2 when it cannot be sealed. */
int oc_put_frame(struct oc_pump *p, int type, const uint8_t *payload, size_t n);
int oc_put_alert(struct oc_pump *p, int level, int description);
/* Send a packet that carries no data by a DTLS session, at once: 0, or an errno. */
int oc_put_datagram(struct oc_pump *p, int slot, int type, const uint8_t *payload, size_t n);
/* TLS 1.3: KeyUpdate to the client, then new keys for sending. 0, -1, -2 as above. */
int oc_put_key_update(struct oc_pump *p, int requested);
int oc_on_key_update(struct oc_pump *p, const uint8_t *message, size_t n);

int oc_library_attach(struct oc_pump *p);
long oc_library_open(struct oc_pump *p, int *type);
long oc_library_seal(struct oc_pump *p, const uint8_t *plain, size_t n);
int oc_library_bye(struct oc_pump *p);

/* channels.c */
void oc_heard(struct oc_pump *p, struct oc_dtls *d);
struct oc_dtls *oc_channel(struct oc_pump *p);
struct oc_dtls *oc_owner(struct oc_pump *p, int fd, const uint8_t *datagram, size_t n);
int oc_slot_of(const struct oc_pump *p, const struct oc_dtls *d);
int oc_slot_on(const struct oc_pump *p, int fd);
int oc_handshake_on(const struct oc_pump *p, int fd);
int oc_send_batch(struct oc_pump *p);
int oc_too_big(struct oc_pump *p, int fd);

int oc_violation(struct oc_pump *p, int fault);
int oc_closed(struct oc_pump *p, int clean);
int oc_tun_lost(struct oc_pump *p, int error);

static inline size_t oc_waiting(const struct oc_buffer *b)
{
	return b->end - b->start;
}

/* Whether another packet may be sealed for the client, whichever way it takes. */
static inline int oc_room_for_packet(const struct oc_pump *p)
{
	return !p->udp_full && oc_waiting(&p->out) + OC_SEALED_MAX <= OC_OUT_PACKETS;
}

/* Whether what comes from the client may be looked at: its answer must find room. */
static inline int oc_room_for_answer(const struct oc_pump *p)
{
	return oc_waiting(&p->out) + 2 * OC_SEALED_MAX <= OC_OUT_SIZE;
}

/* Something was read: whether naps pay is judged by it. */
static inline void oc_note_work(struct oc_pump *p, size_t bytes)
{
	p->found += bytes;
}

/* main reads the page while we write it; only we write. */
static inline void oc_count(struct oc_pump *p, int counter, uint64_t n)
{
	__atomic_store_n(&p->counters[counter], p->counters[counter] + n, __ATOMIC_RELAXED);
}

#endif

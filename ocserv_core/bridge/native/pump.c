/* The poll loop round the two directions, and the taking over of a session. See pump.h. */
#include "pump.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

/* After so many seconds without a packet the buffers' pages go back to the kernel. */
#define COOL_AFTER 1.0

#define FIRST_WATCH (2 + OC_DTLS_MAX)

/* ---- ends ------------------------------------------------------------------------------------------------------ */

int oc_violation(struct oc_pump *p, int fault)
{
	p->fault = fault;
	return p->ended = OC_EVENT_VIOLATION;
}

int oc_closed(struct oc_pump *p, int clean)
{
	p->clean = clean;
	return p->ended = OC_EVENT_CLOSED;
}

int oc_tun_lost(struct oc_pump *p, int error)
{
	p->tun_errno = error;
	return p->ended = OC_EVENT_TUN_LOST;
}

/* ---- the loop -------------------------------------------------------------------------------------------------- */

static struct pollfd interest(int fd, short events)
{
	/* Without interest poll would still report errors, and the loop would spin on them. */
	return (struct pollfd){ .fd = events ? fd : -1, .events = events };
}

static void set_interest(struct oc_pump *p)
{
	short client = 0, tun = 0, udp = p->tun_full ? 0 : POLLIN;

	if (!p->tun_full && !p->answer_full)
		client |= POLLIN;
	if (oc_waiting(&p->out))
		client |= POLLOUT;
	if (oc_room_for_packet(p))
		tun |= POLLIN;
	if (p->tun_full)
		tun |= POLLOUT;
	p->polls[0] = interest(p->fd, client);
	p->polls[1] = interest(p->tun, tun);
	for (int slot = 0; slot < OC_DTLS_MAX; slot++) {
		struct oc_dtls *d = p->dtls[slot];
		short room = p->udp_full && p->batch_slot == slot ? POLLOUT : 0;

		/* Two sessions on one socket are one to poll. */
		p->polls[2 + slot] = interest(d ? d->fd : -1, d && oc_slot_on(p, d->fd) == slot ? udp | room : room);
	}
}

static int is_idle(const struct oc_pump *p)
{
	return !oc_waiting(&p->in) && !oc_waiting(&p->plain) && !oc_waiting(&p->out) && !p->gathered.size &&
	       !p->segments.left && !p->held && !p->batch.count && !p->giving && p->received.at >= p->received.count;
}

/* Whether work() would find something without waiting for anybody. */
static int has_more(const struct oc_pump *p)
{
	return (p->answer_full && oc_room_for_answer(p)) || (p->udp_ready && !p->tun_full) ||
	       (oc_room_for_packet(p) && (p->tun_ready || p->held || p->segments.left));
}

static void cool(struct oc_pump *p)
{
	madvise(p->memory, OC_MEMORY_SIZE, MADV_DONTNEED);
	p->warm = 0;
}

/* The time is `now`, and since the last look nothing was waited for. */
static void look_at_clock(struct oc_pump *p, double now)
{
	oc_queue_excuses(&p->queue, now - p->now);
	p->now = now;
}

static int wait_until(struct oc_pump *p, double until)
{
	double begin = oc_now(), left = until - begin;
	int ms = left <= 0 ? 0 : left > 1e6 ? (int)1e9 : (int)(left * 1000) + 1, ready;

	look_at_clock(p, begin);
	ready = poll(p->polls, FIRST_WATCH + p->watched, ms);
	p->unpolled = 0;
	if (ms)
		p->now = oc_now();
	else
		look_at_clock(p, oc_now());
	return ready;
}

static int ready_watch(struct oc_pump *p)
{
	for (unsigned int i = FIRST_WATCH; i < FIRST_WATCH + p->watched; i++)
		if (p->polls[i].revents) {
			p->ready_fd = p->polls[i].fd;
			return OC_EVENT_READABLE;
		}
	return OC_NOTHING;
}

static void note_ready(struct oc_pump *p)
{
	p->warm = 1;
	if (p->polls[0].revents & ~POLLOUT)
		p->client_ready = 1;
	if (p->polls[1].revents & ~POLLOUT) {
		if (!p->tun_ready)
			oc_queue_begins(&p->queue, p->now);
		p->tun_ready = 1;
	}
	if (p->polls[1].revents & ~POLLIN)
		p->tun_full = 0;
	for (unsigned int slot = 0; slot < OC_DTLS_MAX; slot++)
		if (p->polls[2 + slot].revents & ~POLLOUT)
			p->udp_ready |= 1u << slot;
}

/* How long to wait before looking for more, in nanoseconds. */
static long nap_time(struct oc_pump *p)
{
	int dense = p->now - p->woken < OC_DENSE && p->found > 0 && p->found < OC_LITTLE_BYTES, bulk = p->bulk;

	p->dense = dense ? p->dense + 1 : 0;
	p->woken = p->now;
	p->found = 0;
	p->bulk = 0;
	return bulk ? OC_BULK_NAP : p->dense >= OC_DENSE_WAKES ? OC_LITTLE_NAP : 0;
}

static int nap(struct oc_pump *p)
{
	struct timespec time = { 0, nap_time(p) };

	return time.tv_nsec ? nanosleep(&time, NULL) : 0;
}

/* Wait for something to do, which is noted. */
static int wait_for_work(struct oc_pump *p, double deadline)
{
	int ready, more = has_more(p), cooling = p->warm && !more && is_idle(p) && deadline > p->now + COOL_AFTER;

	if (!more && nap(p) < 0)
		return OC_EVENT_INTERRUPTED;
	set_interest(p);
	ready = wait_until(p, more ? 0 : cooling ? p->now + COOL_AFTER : deadline);
	if (ready == 0 && cooling) {
		cool(p);
		ready = wait_until(p, deadline);
	}
	if (ready < 0)
		return errno == EINTR ? OC_EVENT_INTERRUPTED : oc_tun_lost(p, errno);
	if (ready == 0)
		return more && p->now < deadline ? OC_NOTHING : OC_EVENT_DEADLINE;
	note_ready(p);
	return ready_watch(p);
}

static int renew_keys(struct oc_pump *p)
{
	if (!p->write.tls13 || p->write.seq < OC_RECORDS_PER_KEY || !oc_room_for_answer(p))
		return OC_NOTHING;
	return oc_put_key_update(p, 0) ? OC_EVENT_VIOLATION : OC_NOTHING;
}

/* All that can be done without waiting, within a turn. */
static int work(struct oc_pump *p)
{
	int event = oc_upstream(p);

	if (event == OC_NOTHING)
		event = oc_downstream(p);
	if (event == OC_NOTHING)
		event = renew_keys(p);
	if (event == OC_NOTHING)
		event = oc_pump_send(p);
	return event;
}

/* A client that makes an event of everything it sends must not keep the others waiting: what goes to it, the watched
 * descriptors, time. */
static int look_round(struct oc_pump *p, double deadline)
{
	int event = oc_downstream(p);

	if (event == OC_NOTHING)
		event = oc_pump_send(p);
	if (event)
		return event;
	set_interest(p);
	if (wait_until(p, p->now) > 0) {
		note_ready(p);
		event = ready_watch(p);
	}
	return event == OC_NOTHING && p->now >= deadline ? OC_EVENT_DEADLINE : event;
}

int oc_pump_run(struct oc_pump *p, double deadline)
{
	int event;

	if (p->ended)
		return p->ended;
	look_at_clock(p, oc_now());
	if (p->unpolled++ >= OC_TURN && (event = look_round(p, deadline)))
		return event;
	while ((event = work(p)) == OC_NOTHING) {
		if ((event = wait_for_work(p, deadline)))
			break;
		if (p->now >= deadline)
			return OC_EVENT_DEADLINE;
	}
	return event;
}

/* ---- opening and closing --------------------------------------------------------------------------------------- */

static int take_half(gnutls_session_t session, struct oc_half *h, int read, const uint8_t *secret, size_t secret_size)
{
	gnutls_datum_t mac, iv, key;
	unsigned char seq[8];
	int tls13 = gnutls_protocol_get_version(session) == GNUTLS_TLS1_3;
	int e = gnutls_record_get_state(session, (unsigned int)read, &mac, &iv, &key, seq);

	if (e < 0)
		return e;
	return oc_half_open(h, tls13, (int)gnutls_cipher_get(session), key.data, key.size, iv.data, iv.size,
			    oc_get64(seq), secret, secret_size);
}

static int take_session(struct oc_pump *p, gnutls_session_t session, struct oc_transport *t, int client)
{
	long rest;
	int e;

	if (gnutls_record_check_pending(session) || gnutls_record_check_corked(session))
		return GNUTLS_E_INVALID_REQUEST;
	if (gnutls_record_get_max_size(session) < OC_FRAME_HEADER + p->mtu)
		return GNUTLS_E_LARGE_PACKET;
	rest = oc_transport_rest(t, p->in.data, p->in.size);
	if (rest < 0)
		return GNUTLS_E_SHORT_MEMORY_BUFFER;
	p->in.end = (size_t)rest;
	if (!oc_record_serves((int)gnutls_cipher_get(session))) {
		p->library = session;
		return oc_library_attach(p);
	}
	e = take_half(session, &p->read, 1, client ? t->server_secret : t->client_secret, t->secret_size);
	if (e == 0)
		e = take_half(session, &p->write, 0, client ? t->client_secret : t->server_secret, t->secret_size);
	return e;
}

static uint8_t *cut(uint8_t **from, size_t n)
{
	uint8_t *at = *from;

	*from += n;
	return at;
}

static int allocate(struct oc_pump *p)
{
	uint8_t *at = mmap(NULL, OC_MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return -1;
	p->memory = at;
	oc_received_open(&p->received, cut(&at, OC_RECEIVED_SIZE));
	p->batch.data = cut(&at, OC_DATAGRAM_MAX + 1);
	p->in = (struct oc_buffer){ .data = cut(&at, OC_IN_SIZE), .size = OC_IN_SIZE };
	p->plain = (struct oc_buffer){ .data = cut(&at, OC_PLAIN_SIZE), .size = OC_PLAIN_SIZE };
	p->inflated = cut(&at, OC_SCRATCH_SIZE);
	p->scratch = cut(&at, OC_SCRATCH_SIZE);
	p->from_tun = cut(&at, OC_TUN_SIZE);
	p->out = (struct oc_buffer){ .data = cut(&at, OC_OUT_SIZE), .size = OC_OUT_SIZE };
	oc_coalesce_open(&p->gathered, cut(&at, OC_COALESCE_SIZE));
	return 0;
}

/* The kernel's own queues: none that only adds delay, and short naps that are as short as they are said to be. What it
 * refuses is done without. */
static void tune(const struct oc_pump *p)
{
	int lowat = OC_NOTSENT_LOWAT;

	(void)setsockopt(p->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof lowat);
	(void)prctl(PR_SET_TIMERSLACK, 1000);
}

struct oc_pump *oc_pump_open(gnutls_session_t session, struct oc_transport *t, int tun, size_t mtu, int client,
			     uint8_t *counters, int *error)
{
	struct oc_pump *p = calloc(1, sizeof *p);

	*error = GNUTLS_E_MEMORY_ERROR;
	if (!p || allocate(p) < 0) {
		free(p);
		return NULL;
	}
	p->fd = t->fd;
	p->tun = tun;
	p->mtu = mtu;
	p->newest = p->active = p->received_fd = -1;
	p->any_source = 1;
	p->at_client = client;
	p->counters = (uint64_t *)(void *)counters;
	p->now = p->last_rx = p->last_data_rx = p->last_data_tx = oc_now();
	*error = take_session(p, session, t, client);
	if (*error < 0) {
		oc_pump_close(p);
		return NULL;
	}
	tune(p);
	return p;
}

void oc_pump_use_vnet(struct oc_pump *p, int tcp, int udp)
{
	p->vnet = 1;
	p->gathered.tcp = tcp;
	p->gathered.udp = udp;
}

int oc_pump_allow(struct oc_pump *p, int version, const uint8_t *address, int bits)
{
	struct oc_network *network = &p->networks[p->network_count];

	if (p->network_count == OC_NETWORKS_MAX || bits < 0 || bits > (version == 4 ? 32 : 128))
		return -1;
	network->version = (uint8_t)version;
	network->bits = (uint8_t)bits;
	memcpy(network->address, address, version == 4 ? 4 : 16);
	p->network_count++;
	p->any_source = 0;
	return 0;
}

int oc_pump_measure(struct oc_pump *p)
{
	if (!p->latency)
		p->latency = calloc(1, sizeof *p->latency);
	return p->latency ? 0 : -1;
}

int oc_pump_watch(struct oc_pump *p, const int *fds, unsigned int n)
{
	if (n > OC_WATCH_MAX)
		return -1;
	for (unsigned int i = 0; i < n; i++)
		p->polls[FIRST_WATCH + i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
	p->watched = n;
	return 0;
}

void oc_pump_close(struct oc_pump *p)
{
	oc_half_close(&p->read);
	oc_half_close(&p->write);
	free(p->latency);
	munmap(p->memory, OC_MEMORY_SIZE);
	free(p);
}

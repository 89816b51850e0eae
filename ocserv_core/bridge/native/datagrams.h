/* Many datagrams in one system call: UDP_SEGMENT and sendmmsg out, UDP_GRO and recvmmsg in. What the kernel refuses is
 * not asked for again, and the next best way is taken. Used by the pump; knows nothing of what is in them. */
#ifndef OC_DATAGRAMS_H
#define OC_DATAGRAMS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#define OC_DATAGRAM_MAX 65535

/* ---- out ------------------------------------------------------------------------------------------------------- */

#define OC_BATCH_SIZE 65507 /* the longest UDP payload over IPv4; the kernel cuts within it */
#define OC_BATCH_COUNT 64   /* UDP_MAX_SEGMENTS before Linux 6.9 */

enum oc_way { OC_SEGMENT, OC_MANY, OC_SINGLE }; /* UDP_SEGMENT, sendmmsg or recvmmsg, one by one */

/* Datagrams of one size, the last may be shorter, behind one another. */
struct oc_batch {
	uint8_t *data;
	size_t size, each;
	size_t sent; /* bytes of the first datagrams, which are gone already */
	unsigned int count;
	int closed;
	enum oc_way way;
};

/* Whether a datagram of n bytes can be added before the batch is sent. */
static inline int oc_batch_fits(const struct oc_batch *b, size_t n)
{
	return !b->count || (!b->closed && !b->sent && n <= b->each && b->size + n <= OC_BATCH_SIZE &&
			     b->count < OC_BATCH_COUNT);
}

static inline uint8_t *oc_batch_end(const struct oc_batch *b)
{
	return b->data + b->size;
}

static inline void oc_batch_add(struct oc_batch *b, size_t n)
{
	if (!b->count)
		b->each = n;
	b->closed = n < b->each;
	b->size += n;
	b->count++;
}

static inline void oc_batch_clear(struct oc_batch *b)
{
	b->size = b->sent = b->count = 0;
	b->closed = 0;
}

/* Datagrams that are not gone yet. */
static inline unsigned int oc_batch_left(const struct oc_batch *b)
{
	return b->each ? (unsigned int)((b->size - b->sent + b->each - 1) / b->each) : 0;
}

/* 0: the batch is empty again. EAGAIN: its rest waits for room in the socket. Any other errno: what could not be sent of
 * it was thrown away, and is added to *lost. ECONNREFUSED and EMSGSIZE may tell of earlier ones alone. */
int oc_batch_send(struct oc_batch *b, int fd, uint64_t *lost);

/* ---- in -------------------------------------------------------------------------------------------------------- */

#define OC_RECEIVE 32
#define OC_RECEIVED_SIZE (OC_RECEIVE * (OC_DATAGRAM_MAX + 1))

/* The size of merged datagrams, and a stamp. */
#define OC_CONTROL_SIZE (CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct timespec)))

struct oc_received {
	uint8_t *memory; /* OC_RECEIVED_SIZE */
	enum oc_way way;
	unsigned int count, at;   /* messages that were received; the one that is taken from */
	size_t offset;            /* in that one */
	struct {
		size_t size, each; /* each: of the datagrams that the kernel has merged */
		uint64_t stamp;    /* nanoseconds of CLOCK_REALTIME, 0 where it was not asked for */
	} of[OC_RECEIVE];

	/* What the kernel is given, made once. */
	struct mmsghdr messages[OC_RECEIVE];
	struct iovec iov[OC_RECEIVE];
	union oc_control {
		char room[OC_CONTROL_SIZE];
		struct cmsghdr align;
	} control[OC_RECEIVE];
};

void oc_received_open(struct oc_received *r, uint8_t *memory);

/* Ask for merged datagrams, and for stamps. What is refused is done without. */
void oc_received_ask(int fd, int stamps);

/* How many messages came, 0 when there is none now, or minus an errno. */
int oc_receive(struct oc_received *r, int fd);

/* As if this one had been received, when all others were taken. */
void oc_received_put(struct oc_received *r, const uint8_t *datagram, size_t n);

/* The next datagram and its stamp; NULL when all are taken. */
const uint8_t *oc_received_next(struct oc_received *r, size_t *n, uint64_t *stamp);

#endif

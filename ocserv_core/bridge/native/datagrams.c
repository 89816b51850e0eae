/* See datagrams.h. */
#include "datagrams.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

/* ---- out ------------------------------------------------------------------------------------------------------- */

/* Of the kernel or the device: the call is not known, or not for this socket. */
static int refused(int error)
{
	return error == EINVAL || error == EIO || error == EOPNOTSUPP || error == ENOPROTOOPT || error == ENOSYS;
}

static ssize_t send_segmented(const struct oc_batch *b, int fd)
{
	union {
		char room[CMSG_SPACE(sizeof(uint16_t))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct iovec iov = { b->data + b->sent, b->size - b->sent };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	uint16_t each = (uint16_t)b->each;
	struct cmsghdr *cmsg;

	if (b->size - b->sent > b->each) {
		message.msg_control = control.room;
		message.msg_controllen = sizeof control.room;
		cmsg = CMSG_FIRSTHDR(&message);
		cmsg->cmsg_level = IPPROTO_UDP;
		cmsg->cmsg_type = UDP_SEGMENT;
		cmsg->cmsg_len = CMSG_LEN(sizeof each);
		memcpy(CMSG_DATA(cmsg), &each, sizeof each);
	}
	return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static ssize_t send_many(const struct oc_batch *b, int fd)
{
	struct mmsghdr messages[OC_BATCH_COUNT];
	struct iovec iov[OC_BATCH_COUNT];
	unsigned int n = 0;
	ssize_t bytes = 0;
	int sent;

	for (size_t at = b->sent; at < b->size && n < OC_BATCH_COUNT; at += b->each, n++) {
		iov[n] = (struct iovec){ b->data + at, b->size - at < b->each ? b->size - at : b->each };
		messages[n] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &iov[n], .msg_iovlen = 1 } };
	}
	sent = sendmmsg(fd, messages, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	for (int i = 0; i < sent; i++)
		bytes += (ssize_t)iov[i].iov_len;
	return sent < 0 ? -1 : bytes;
}

static ssize_t send_single(const struct oc_batch *b, int fd)
{
	size_t left = b->size - b->sent;

	return send(fd, b->data + b->sent, left < b->each ? left : b->each, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static ssize_t (*const WAYS[])(const struct oc_batch *, int) = {
	[OC_SEGMENT] = send_segmented, [OC_MANY] = send_many, [OC_SINGLE] = send_single
};

int oc_batch_send(struct oc_batch *b, int fd, uint64_t *lost)
{
	enum oc_way way = b->way;
	int error = 0, for_good = 1;

	while (b->sent < b->size) {
		ssize_t n = WAYS[way](b, fd);

		if (n > 0) {
			b->sent += (size_t)n;
			if (for_good)
				b->way = way;
		} else if (n < 0 && errno == EAGAIN) {
			return EAGAIN;
		} else if (n < 0 && errno == ECONNREFUSED && !error) {
			/* It was said of an earlier datagram; this call has taken the message. */
			error = ECONNREFUSED;
		} else if (n < 0 && way != OC_SINGLE && (refused(errno) || errno == EMSGSIZE)) {
			/* Longer than the path is known to carry: such a one may go in fragments, which segments may not.
			 * Older kernels say EINVAL of that, so the next way is kept only when it succeeds. Or the
			 * word of a router about an earlier one, which is said once. */
			if (errno == EMSGSIZE) {
				error = EMSGSIZE;
				for_good = 0;
			}
			way++;
		} else if (n >= 0 || errno != EINTR) {
			error = n < 0 ? errno : EIO;
			break;
		}
	}
	*lost += oc_batch_left(b);
	oc_batch_clear(b);
	return error;
}

/* ---- in -------------------------------------------------------------------------------------------------------- */

void oc_received_ask(int fd, int stamps)
{
	int on = 1;

	(void)setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on);
	if (stamps)
		(void)setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
}

static void note(struct oc_received *r, unsigned int i, size_t size, struct msghdr *message)
{
	r->of[i].size = r->of[i].each = size;
	r->of[i].stamp = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
			int each;

			memcpy(&each, CMSG_DATA(c), sizeof each);
			if (each > 0)
				r->of[i].each = (size_t)each;
		} else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
			struct timespec stamp;

			memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
			r->of[i].stamp = (uint64_t)stamp.tv_sec * 1000000000u + (uint64_t)stamp.tv_nsec;
		}
	}
}

void oc_received_open(struct oc_received *r, uint8_t *memory)
{
	r->memory = memory;
	for (unsigned int i = 0; i < OC_RECEIVE; i++) {
		r->iov[i] = (struct iovec){ memory + i * (size_t)(OC_DATAGRAM_MAX + 1), OC_DATAGRAM_MAX };
		r->messages[i].msg_hdr = (struct msghdr){
			.msg_iov = &r->iov[i], .msg_iovlen = 1, .msg_control = &r->control[i],
			.msg_controllen = sizeof r->control[i]
		};
	}
}

static void take(struct oc_received *r, unsigned int i, size_t size)
{
	struct msghdr *header = &r->messages[i].msg_hdr;

	note(r, i, size, header);
	header->msg_controllen = sizeof r->control[i];
	header->msg_flags = 0;
}

static int receive_many(struct oc_received *r, int fd)
{
	int n = recvmmsg(fd, r->messages, OC_RECEIVE, MSG_DONTWAIT, NULL);

	for (int i = 0; i < n; i++)
		take(r, (unsigned int)i, r->messages[i].msg_len);
	return n;
}

static int receive_single(struct oc_received *r, int fd)
{
	ssize_t n = recvmsg(fd, &r->messages[0].msg_hdr, MSG_DONTWAIT);

	if (n < 0)
		return -1;
	take(r, 0, (size_t)n);
	return 1;
}

int oc_receive(struct oc_received *r, int fd)
{
	int n;

	r->count = r->at = 0;
	r->offset = 0;
	do {
		n = r->way == OC_SINGLE ? receive_single(r, fd) : receive_many(r, fd);
		if (n < 0 && r->way != OC_SINGLE && (refused(errno) || errno == EPERM)) {
			r->way = OC_SINGLE;
			errno = EINTR;
		}
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	r->count = (unsigned int)n;
	return n;
}

const uint8_t *oc_received_next(struct oc_received *r, size_t *n, uint64_t *stamp)
{
	while (r->at < r->count) {
		const uint8_t *message = r->memory + r->at * (size_t)(OC_DATAGRAM_MAX + 1);
		size_t from = r->offset, left = r->of[r->at].size - from;

		*stamp = r->of[r->at].stamp;
		*n = left < r->of[r->at].each ? left : r->of[r->at].each;
		r->offset += *n;
		if (r->offset >= r->of[r->at].size) {
			r->at++;
			r->offset = 0;
		}
		if (*n)
			return message + from;
	}
	return NULL;
}

void oc_received_put(struct oc_received *r, const uint8_t *datagram, size_t n)
{
	memcpy(r->memory, datagram, n);
	r->of[0].size = r->of[0].each = n;
	r->of[0].stamp = 0;
	r->count = 1;
	r->at = 0;
	r->offset = 0;
}

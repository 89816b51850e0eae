/* See transport.h. Bytes come in by fill(), wait in `in` until their record is whole, and go to GnuTLS by pull(). */
#include "transport.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

double oc_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* 0 when fd is ready. -1 with errno EAGAIN at the deadline, EINTR so that Python can run its signal handlers. */
static int wait_for(struct oc_transport *t, short events)
{
	struct pollfd p = { .fd = t->fd, .events = events };
	double left = t->deadline - oc_now();
	int ready = poll(&p, 1, left <= 0 ? 0 : left > 1e6 ? -1 : (int)(left * 1000) + 1);

	if (ready > 0)
		return 0;
	if (ready == 0) {
		t->timed_out = 1;
		errno = EAGAIN;
	}
	return -1;
}

long oc_record_length(const uint8_t *data, size_t n)
{
	size_t length;

	if (n && (data[0] < 20 || data[0] > 24))
		return -1;
	if (n < OC_HEADER)
		return 0;
	length = OC_HEADER + ((size_t)data[3] << 8 | data[4]);
	if (data[1] != 3 || length > OC_RECORD_MAX)
		return -1;
	return (long)length;
}

static void mark_whole(struct oc_transport *t)
{
	size_t have = t->end - t->start;
	long length = have ? oc_record_length(t->in + t->start, have) : 0;

	/* What is no record at all (HTTP without TLS, an SSLv2 hello) is GnuTLS's to refuse, and at once. */
	if (length < 0 || t->eof)
		t->whole = t->end;
	else if (length && (size_t)length <= have)
		t->whole = t->start + (size_t)length;
}

static int fill(struct oc_transport *t)
{
	ssize_t n;

	if (!t->in && !(t->in = malloc(OC_RECORD_MAX))) {
		errno = ENOMEM;
		return -1;
	}
	memmove(t->in, t->in + t->start, t->end - t->start);
	t->end -= t->start;
	t->start = t->whole = 0;
	while ((n = recv(t->fd, t->in + t->end, OC_RECORD_MAX - t->end, MSG_DONTWAIT)) < 0)
		if (errno != EAGAIN || wait_for(t, POLLIN) < 0)
			return -1;
	t->eof = n == 0;
	t->end += (size_t)n;
	return 0;
}

static ssize_t pull(gnutls_transport_ptr_t ptr, void *to, size_t n)
{
	struct oc_transport *t = ptr;

	if (t->start == t->whole)
		mark_whole(t);
	while (t->start == t->whole && !t->eof) {
		if (fill(t) < 0)
			return -1;
		mark_whole(t);
	}
	if (n > t->whole - t->start)
		n = t->whole - t->start;
	if (n)
		memcpy(to, t->in + t->start, n);
	t->start += n;
	return (ssize_t)n;
}

/* GnuTLS asks only where a handshake has GnuTLS's own time limit, which ours have not. */
static int pull_timeout(gnutls_transport_ptr_t ptr, unsigned int ms)
{
	struct oc_transport *t = ptr;
	struct pollfd p = { .fd = t->fd, .events = POLLIN };

	return t->start < t->whole ? 1 : poll(&p, 1, (int)ms);
}

static ssize_t push(gnutls_transport_ptr_t ptr, const giovec_t *iov, int count)
{
	struct oc_transport *t = ptr;
	struct msghdr message = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count };
	ssize_t n;

	while ((n = sendmsg(t->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL)) < 0)
		if (errno != EAGAIN || wait_for(t, POLLOUT) < 0)
			return -1;
	return n;
}

static int keep_secret(gnutls_session_t session, const char *label, const gnutls_datum_t *secret)
{
	struct oc_transport *t = gnutls_transport_get_ptr(session);

	if (secret->size > OC_SECRET_MAX)
		return 0;
	if (strcmp(label, "CLIENT_TRAFFIC_SECRET_0") == 0)
		memcpy(t->client_secret, secret->data, secret->size);
	else if (strcmp(label, "SERVER_TRAFFIC_SECRET_0") == 0)
		memcpy(t->server_secret, secret->data, secret->size);
	else
		return 0;
	t->secret_size = secret->size;
	return 0;
}

struct oc_transport *oc_transport_open(gnutls_session_t session, int fd)
{
	struct oc_transport *t = calloc(1, sizeof *t);

	if (!t)
		return NULL;
	t->fd = fd;
	gnutls_transport_set_ptr(session, t);
	gnutls_transport_set_pull_function(session, pull);
	gnutls_transport_set_pull_timeout_function(session, pull_timeout);
	gnutls_transport_set_vec_push_function(session, push);
	gnutls_session_set_keylog_function(session, keep_secret);
	return t;
}

long oc_transport_rest(struct oc_transport *t, uint8_t *to, size_t room)
{
	size_t n = t->end - t->start;

	if (n > room)
		return -1;
	if (n)
		memcpy(to, t->in + t->start, n);
	t->start = t->whole = t->end = 0;
	free(t->in);
	t->in = NULL;
	return (long)n;
}

size_t oc_transport_waiting(const struct oc_transport *t)
{
	long length;

	if (t->start < t->whole)
		return t->whole - t->start;
	if (t->start == t->end)
		return 0;
	length = oc_record_length(t->in + t->start, t->end - t->start);
	return length && (size_t)length <= t->end - t->start ? t->end - t->start : 0;
}

void oc_transport_close(struct oc_transport *t)
{
	gnutls_memset(t->client_secret, 0, sizeof t->client_secret);
	gnutls_memset(t->server_secret, 0, sizeof t->server_secret);
	free(t->in);
	free(t);
}

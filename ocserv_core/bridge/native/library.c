/* The suites that record.c does not serve (CBC): GnuTLS's own record layer between the pump's buffers. It reads from
 * `in` and writes to `out`, never to the socket. TLS 1.2 and earlier only, so there is no KeyUpdate here. */
#include <errno.h>
#include <string.h>

#include "pump.h"

static ssize_t pull(gnutls_transport_ptr_t ptr, void *to, size_t n)
{
	struct oc_pump *p = ptr;
	size_t have = oc_waiting(&p->in);

	if (!have) {
		errno = EAGAIN;
		return -1;
	}
	if (n > have)
		n = have;
	memcpy(to, p->in.data + p->in.start, n);
	p->in.start += n;
	if (p->in.start == p->in.end)
		p->in.start = p->in.end = 0;
	return (ssize_t)n;
}

static ssize_t push(gnutls_transport_ptr_t ptr, const void *data, size_t n)
{
	struct oc_pump *p = ptr;

	if (n > p->out.size - p->out.end) {
		errno = EAGAIN;
		return -1;
	}
	memcpy(p->out.data + p->out.end, data, n);
	p->out.end += n;
	return (ssize_t)n;
}

static int pull_timeout(gnutls_transport_ptr_t ptr, unsigned int ms)
{
	struct oc_pump *p = ptr;

	(void)ms;
	return oc_waiting(&p->in) != 0;
}

int oc_library_attach(struct oc_pump *p)
{
	gnutls_transport_set_ptr(p->library, p);
	gnutls_transport_set_pull_function(p->library, pull);
	gnutls_transport_set_pull_timeout_function(p->library, pull_timeout);
	gnutls_transport_set_push_function(p->library, push);
	return 0;
}

/* GnuTLS tells of alerts as errors; here they become the record that they were. */
static long as_alert(struct oc_pump *p, int level, int description, int *type)
{
	p->plain.data[0] = (uint8_t)level;
	p->plain.data[1] = (uint8_t)description;
	*type = OC_ALERT;
	return 2;
}

long oc_library_open(struct oc_pump *p, int *type)
{
	size_t before;
	ssize_t n;

	/* A record that is not for us (an empty one) ends as EAGAIN too. */
	do {
		before = oc_waiting(&p->in);
		n = gnutls_record_recv(p->library, p->plain.data, p->plain.size);
	} while (n == GNUTLS_E_AGAIN && oc_waiting(&p->in) && oc_waiting(&p->in) < before);
	switch (n) {
	case GNUTLS_E_AGAIN:
	case GNUTLS_E_INTERRUPTED:
		return 0;
	case 0:
		return as_alert(p, GNUTLS_AL_WARNING, GNUTLS_A_CLOSE_NOTIFY, type);
	case GNUTLS_E_WARNING_ALERT_RECEIVED:
		return as_alert(p, GNUTLS_AL_WARNING, gnutls_alert_get(p->library), type);
	case GNUTLS_E_FATAL_ALERT_RECEIVED:
		return as_alert(p, GNUTLS_AL_FATAL, gnutls_alert_get(p->library), type);
	case GNUTLS_E_REHANDSHAKE:
		return -OC_FAULT_RENEGOTIATION;
	case GNUTLS_E_DECRYPTION_FAILED:
		return -OC_FAULT_MAC;
	default:
		*type = OC_APPLICATION;
		return n < 0 ? -OC_FAULT_LIBRARY : n;
	}
}

long oc_library_seal(struct oc_pump *p, const uint8_t *plain, size_t n)
{
	ssize_t sent = gnutls_record_send(p->library, plain, n);

	return sent == (ssize_t)n ? sent : -OC_FAULT_LIBRARY;
}

int oc_library_bye(struct oc_pump *p)
{
	if (oc_waiting(&p->out) + OC_SEALED_MAX > OC_OUT_SIZE)
		return -1;
	return gnutls_bye(p->library, GNUTLS_SHUT_WR) < 0 ? -2 : 0;
}

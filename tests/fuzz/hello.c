/* The begin of a connection: the stream under GnuTLS, and the name in a ClientHello. Input: options, then a ClientHello's
 * body, or bytes of the stream. GnuTLS itself is fuzzed by others. */
#include "../../ocserv_core/bridge/native/callbacks.c"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "input.h"
#include "transport.h"

int oc_py_sign(void *key, int algorithm, const uint8_t *data, size_t n, gnutls_datum_t *signature)
{
	(void)key, (void)algorithm, (void)signature;
	touch(data, n);
	return -1;
}

int oc_py_decrypt(void *key, const uint8_t *data, size_t n, gnutls_datum_t *plain)
{
	(void)key, (void)plain;
	touch(data, n);
	return -1;
}

int oc_py_client_hello(void *session, const uint8_t *name, size_t n)
{
	(void)session;
	MUST(n <= NAME_MAX_SIZE);
	touch(name, n);
	return 0;
}

int oc_py_verify(void *session)
{
	(void)session;
	return 0;
}

int oc_py_store(void *session, const uint8_t *id, size_t id_size, const uint8_t *data, size_t n)
{
	(void)session;
	touch(id, id_size);
	touch(data, n);
	return 0;
}

int oc_py_fetch(void *session, const uint8_t *id, size_t id_size, gnutls_datum_t *data)
{
	(void)session, (void)data;
	touch(id, id_size);
	return -1;
}

int oc_py_delete(void *session, const uint8_t *id, size_t id_size)
{
	(void)session;
	touch(id, id_size);
	return 0;
}

static void read_hello(gnutls_session_t session, const uint8_t *body, size_t n)
{
	uint8_t *copy = copy_of(body, n);
	gnutls_datum_t message = { copy, (unsigned int)n };

	MUST(client_hello(session, 1, 0, 1, &message) == 0);
	free(copy);
}

static void read_stream(gnutls_session_t session, struct input *in)
{
	struct oc_transport *t;
	int fds[2], e = GNUTLS_E_AGAIN;

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	t = oc_transport_open(session, fds[0]);
	MUST(t);
	while (in->left && !gnutls_error_is_fatal(e) && e < 0) {
		size_t got;
		const uint8_t *piece = take(in, take16(in), &got);

		MUST(send(fds[1], piece, got, MSG_DONTWAIT) == (ssize_t)got);
		t->deadline = 0;
		e = gnutls_handshake(session);
		(void)oc_transport_waiting(t);
	}
	shutdown(fds[1], SHUT_WR);
	if (!gnutls_error_is_fatal(e))
		(void)gnutls_handshake(session);
	close(fds[0]);
	close(fds[1]);
	oc_transport_close(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static gnutls_certificate_credentials_t credentials;
	struct input in = { data, n };
	gnutls_session_t session;
	unsigned int options = take8(&in);

	if (!credentials)
		MUST(gnutls_certificate_allocate_credentials(&credentials) == 0);
	MUST(gnutls_init(&session, GNUTLS_SERVER | GNUTLS_NO_SIGNAL) == 0);
	MUST(gnutls_set_default_priority(session) == 0);
	MUST(gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials) == 0);
	oc_callbacks_set(session, NULL, 1);
	if (options & 1)
		read_stream(session, &in);
	else
		read_hello(session, in.at, in.left);
	gnutls_deinit(session);
	return 0;
}

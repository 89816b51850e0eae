/* What the pump says and hears beside packets: alerts, and KeyUpdate of TLS 1.3 (RFC 8446 4.6.3). */
#include <string.h>

#include "pump.h"

enum { KEY_UPDATE = 24, KEY_UPDATE_SIZE = 5 };

static int room(const struct oc_pump *p)
{
	return oc_waiting(&p->out) + OC_SEALED_MAX <= OC_OUT_SIZE;
}

int oc_put_alert(struct oc_pump *p, int level, int description)
{
	uint8_t alert[3] = { (uint8_t)level, (uint8_t)description, 0 };

	if (p->library)
		return oc_library_bye(p);
	if (!room(p))
		return -1;
	return oc_put_record(p, OC_ALERT, alert, 2) ? -2 : 0;
}

int oc_put_key_update(struct oc_pump *p, int requested)
{
	uint8_t message[KEY_UPDATE_SIZE + 1] = { KEY_UPDATE, 0, 0, 1, (uint8_t)requested, 0 };

	if (!room(p))
		return -1;
	/* The message itself is the last record under the old keys. */
	if (oc_put_record(p, OC_HANDSHAKE, message, KEY_UPDATE_SIZE))
		return -2;
	if (oc_half_update(&p->write) < 0) {
		oc_violation(p, OC_FAULT_KEYS);
		return -2;
	}
	return 0;
}

int oc_on_key_update(struct oc_pump *p, const uint8_t *message, size_t n)
{
	static const uint8_t expected[4] = { KEY_UPDATE, 0, 0, 1 };

	/* A key change ends its record (RFC 8446 5.1), so the message is alone in it. */
	if (n != KEY_UPDATE_SIZE || memcmp(message, expected, 4) != 0 || message[4] > 1)
		return oc_violation(p, OC_FAULT_HANDSHAKE);
	if (oc_half_update(&p->read) < 0)
		return oc_violation(p, OC_FAULT_KEYS);
	/* An update that we asked for ourselves may cross this one: it is answered all the same. */
	if (message[4] == 1 && oc_put_key_update(p, 0))
		return oc_violation(p, OC_FAULT_KEYS);
	return OC_NOTHING;
}

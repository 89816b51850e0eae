/* Any packets, gathered as upstream.c does it and cut again by segment.c: the same must come out. Input: options, then
 * steps. */
#include "coalesce.h"

#include "input.h"
#include "packets.h"

#define STEPS_MAX 300

struct expected {
	uint8_t *packet;
	size_t n;
};

static uint8_t memory[OC_COALESCE_SIZE];
static struct expected expected[STEPS_MAX];
static unsigned int first, count;

static void compare(const uint8_t *made, size_t n, int alone)
{
	struct expected *e = &expected[first];

	MUST(first++ < count && e->n == n);
	MUST(alone ? !memcmp(e->packet, made, n) : same_packet(e->packet, made, n));
}

static void cut(const uint8_t *super, size_t n, unsigned int packets)
{
	struct oc_segments segments;
	struct oc_vnet vnet;
	uint8_t *copy = copy_of(super + OC_VNET_SIZE, n - OC_VNET_SIZE), *segment;
	size_t size;

	memcpy(&vnet, super, OC_VNET_SIZE);
	MUST(n - OC_VNET_SIZE <= OC_PACKET_MAX);
	if (packets == 1) {
		MUST(!vnet.flags && !vnet.gso_type);
		compare(copy, n - OC_VNET_SIZE, 1);
	} else {
		MUST(oc_segments_begin(&segments, &vnet, copy, n - OC_VNET_SIZE) == 0);
		for (; (segment = oc_segments_next(&segments, &size)); packets--)
			compare(segment, size, 0);
		MUST(!packets);
	}
	free(copy);
}

static void deliver(struct oc_coalescer *c)
{
	size_t n;

	(void)oc_coalesce_finish(c, &n);
	cut(oc_coalesce_finish(c, &n), n, c->packets);
	oc_coalesce_next(c);
}

static void gather(struct oc_coalescer *c, const uint8_t *packet, size_t n)
{
	expected[count++] = (struct expected){ copy_of(packet, n), n };
	if (!oc_coalesce_take(c, packet, n))
		deliver(c);
	if (oc_coalesce_is_full(c))
		deliver(c);
}

/* What an open that fails leaves behind: rubbish in all the room that it was given for its content. */
static void drop(struct oc_coalescer *c, size_t prefix, size_t n)
{
	memset(oc_coalesce_place(c, prefix), 0xaa, n);
	oc_coalesce_undo(c);
}

static size_t packet_of(struct talk *t, struct input *in, unsigned int step, uint8_t *packet)
{
	size_t got;
	const uint8_t *raw;

	if (!(step & 1))
		return make_packet(t, in, packet);
	raw = take(in, step & 2 ? take8(in) : take16(in) % (OC_PLACED_MAX - OC_PREFIX_MAX), &got);
	memcpy(packet, raw, got);
	return got;
}

static void step(struct oc_coalescer *c, struct talk *t, struct input *in)
{
	static uint8_t packet[OC_PLACED_MAX];
	unsigned int options = take8(in);
	size_t prefix = options & 4 ? 8 : options & 8 ? 1 : 0, n = packet_of(t, in, options, packet);
	uint8_t *elsewhere, *at;

	if (options & 16)
		drop(c, prefix, n + prefix);
	if (!n)
		return;
	if (options & 32) {
		elsewhere = copy_of(packet, n);
		drop(c, prefix, n);
		gather(c, elsewhere, n);
		free(elsewhere);
		return;
	}
	at = oc_coalesce_place(c, prefix);
	memset(at, 0xbb, prefix);
	memcpy(at + prefix, packet, n);
	gather(c, at + prefix, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct input in = { data, n };
	unsigned int options = take8(&in);
	struct oc_coalescer c;
	struct talk t = { .seq = options & 4 ? 0xfffff000 : 1, .id = options & 8 ? 0xfff0 : 1 };

	oc_coalesce_open(&c, memory);
	c.tcp = !(options & 1);
	c.udp = !(options & 2);
	first = count = 0;
	while (in.left && count < STEPS_MAX)
		step(&c, &t, &in);
	while (c.size)
		deliver(&c);
	MUST(first == count);
	while (count)
		free(expected[--count].packet);
	return 0;
}

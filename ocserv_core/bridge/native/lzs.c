/* LZS of one packet, RFC 1974 / ANSI X3.241: a stream of bits, the highest first.
 *   literal   0, byte(8)
 *   copy      1 1 offset(7), or 1 0 offset(11); then the length:
 *             2..4: 00 01 10   5..7: 1100 1101 1110   from 8: 1111, then nibbles that add up, 15 says that one follows
 *   end       1 1 0000000, then zeros up to the byte's border
 * Compression is greedy: at each place the longest copy, of these the nearest. The C server's is the same to the bit. */
#include <string.h>

#include "compress.h"

#define LONGEST_SHORT_OFFSET 127
#define LONGEST_OFFSET 2047
#define WINDOW (LONGEST_OFFSET + 1)
#define HASH_BITS 11
/* Candidates that are looked at for each byte of a packet, on the average, before it is given up: text has two, machine
 * code up to thirty, and strangers can write packets that have hundreds. */
#define PATIENCE 32

enum { NIBBLE = 15 };

/* ---- bits out -------------------------------------------------------------------------------------------------- */

struct writer {
	uint8_t *out;
	size_t room, written;
	uint64_t bits;        /* the lowest `pending` of them are still to be written */
	unsigned int pending; /* fewer than 32 between two calls */
};

/* The highest pending bits, at most eight, as a byte. -1 when there is no room. */
static inline int put_byte(struct writer *w)
{
	unsigned int taken = w->pending < 8 ? w->pending : 8;

	if (w->written == w->room)
		return -1;
	w->pending -= taken;
	w->out[w->written++] = (uint8_t)(w->bits >> w->pending << (8 - taken));
	return 0;
}

/* bits: at most 32. -1 when there is no room. */
static inline int put(struct writer *w, uint32_t value, unsigned int bits)
{
	w->bits = w->bits << bits | value;
	w->pending += bits;
	if (w->pending < 32)
		return 0;
	return put_byte(w) | put_byte(w) | put_byte(w) | put_byte(w);
}

static int put_length(struct writer *w, size_t length)
{
	if (length < 5)
		return put(w, (uint32_t)length - 2, 2);
	if (length < 8)
		return put(w, 12 | ((uint32_t)length - 5), 4);
	if (put(w, NIBBLE, 4))
		return -1;
	for (length -= 8; length >= NIBBLE; length -= NIBBLE)
		if (put(w, NIBBLE, 4))
			return -1;
	return put(w, (uint32_t)length, 4);
}

static int put_copy(struct writer *w, size_t offset, size_t length)
{
	int full;

	if (offset <= LONGEST_SHORT_OFFSET)
		full = put(w, 3 << 7 | (uint32_t)offset, 9);
	else
		full = put(w, 2 << 11 | (uint32_t)offset, 13);
	return full ? -1 : put_length(w, length);
}

/* The end: the bytes written in all, 0 when there is no room. */
static long put_end(struct writer *w)
{
	if (put(w, 3 << 7, 9))
		return 0;
	while (w->pending)
		if (put_byte(w))
			return 0;
	return (long)w->written;
}

/* ---- compression ----------------------------------------------------------------------------------------------- */

/* Where pairs of bytes have been. Numbers are places + 1; 0 is none. */
struct places {
	uint16_t newest[1 << HASH_BITS]; /* by the pair's hash */
	uint16_t before[WINDOW];         /* by place, modulo WINDOW: the next older one of the same hash */
	size_t patience;
};

static inline uint16_t pair_at(const uint8_t *in)
{
	uint16_t pair;

	memcpy(&pair, in, 2);
	return pair;
}

static inline unsigned int hash(const uint8_t *in)
{
	return (uint32_t)(pair_at(in) * 0x9e3779b1u) >> (32 - HASH_BITS);
}

static inline void remember(struct places *p, const uint8_t *in, size_t at)
{
	uint16_t *newest = &p->newest[hash(in + at)];

	p->before[at % WINDOW] = *newest;
	*newest = (uint16_t)(at + 1);
}

static inline size_t common(const uint8_t *a, const uint8_t *b, size_t longest)
{
	size_t n = 0;

	while (n + 8 <= longest && memcmp(a + n, b + n, 8) == 0)
		n += 8;
	while (n < longest && a[n] == b[n])
		n++;
	return n;
}

/* The length of the copy for this place, and its offset; less than 2 when there is none. At least two bytes are left. */
static size_t find(struct places *p, const uint8_t *in, size_t n, size_t at, size_t *offset)
{
	size_t longest = n - at, best = 1;
	size_t too_old = at > LONGEST_OFFSET ? at - LONGEST_OFFSET : 0;
	size_t candidate = p->newest[hash(in + at)];

	for (; candidate > too_old && p->patience; candidate = p->before[(candidate - 1) % WINDOW]) {
		const uint8_t *there = in + candidate - 1;
		size_t length;

		p->patience--;
		if (pair_at(there + best - 1) != pair_at(in + at + best - 1))
			continue;
		length = common(there, in + at, longest);
		if (length <= best)
			continue;
		best = length;
		*offset = at + 1 - candidate;
		if (best == longest)
			break;
	}
	return best;
}

long oc_lzs_compress(const uint8_t *in, size_t n, uint8_t *out, size_t room)
{
	struct writer w = { .out = out, .room = room };
	struct places p;
	size_t at = 0;

	memset(p.newest, 0, sizeof p.newest);
	p.patience = PATIENCE * (n + 1);
	while (at < n) {
		size_t offset = 0, length = at + 1 < n ? find(&p, in, n, at, &offset) : 1, next = at + length;

		if (!p.patience || (length < 2 ? put(&w, in[at], 9) : put_copy(&w, offset, length)))
			return 0;
		for (; at < next; at++)
			if (at + 1 < n)
				remember(&p, in, at);
	}
	return put_end(&w);
}

/* ---- bits in --------------------------------------------------------------------------------------------------- */

struct reader {
	const uint8_t *in;
	size_t n, read;
	uint64_t bits; /* the lowest `have` of them are still to be taken */
	unsigned int have;
};

/* The next bits, at most 11; -1 when there are not so many. */
static inline int take(struct reader *r, unsigned int bits)
{
	while (r->have < bits) {
		if (r->read == r->n)
			return -1;
		r->bits = r->bits << 8 | r->in[r->read++];
		r->have += 8;
	}
	r->have -= bits;
	return (int)(r->bits >> r->have & ((1u << bits) - 1));
}

/* -1 when it is cut off. */
static long take_length(struct reader *r)
{
	int bits = take(r, 2);
	long length = 8;

	if (bits < 3)
		return bits < 0 ? -1 : bits + 2;
	bits = take(r, 2);
	if (bits < 3)
		return bits < 0 ? -1 : bits + 5;
	do {
		bits = take(r, 4);
		if (bits < 0)
			return -1;
		length += bits;
	} while (bits == NIBBLE);
	return length;
}

/* ---- decompression --------------------------------------------------------------------------------------------- */

/* The places may overlap: then the first `offset` bytes are repeated, and each round doubles what can be copied. */
static void copy(uint8_t *to, size_t offset, size_t length)
{
	const uint8_t *from = to - offset;

	for (; length > offset; offset *= 2) {
		memcpy(to, from, offset);
		to += offset;
		length -= offset;
	}
	memcpy(to, from, length);
}

/* Whatever follows the end is not looked at: encoders may leave a zero byte there. */
long oc_lzs_decompress(const uint8_t *in, size_t n, uint8_t *out, size_t room)
{
	struct reader r = { .in = in, .n = n };
	size_t written = 0;

	for (;;) {
		int is_copy = take(&r, 1), is_short, offset;
		long length = 1;

		if (is_copy == 0) {
			int byte = take(&r, 8);

			if (byte < 0 || written == room)
				return -1;
			out[written++] = (uint8_t)byte;
			continue;
		}
		is_short = take(&r, 1);
		if (is_copy < 0 || is_short < 0)
			return -1;
		offset = take(&r, is_short ? 7 : 11);
		if (offset == 0 && is_short)
			return (long)written;
		if (offset <= 0 || (size_t)offset > written)
			return -1;
		length = take_length(&r);
		if (length < 0 || (size_t)length > room - written)
			return -1;
		copy(out + written, (size_t)offset, (size_t)length);
		written += (size_t)length;
	}
}

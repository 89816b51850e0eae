/* See compress.h. */
#include "compress.h"

#include <lz4.h>

/* ---- lz4 ------------------------------------------------------------------------------------------------------- */

static long lz4_compress(const uint8_t *in, size_t n, uint8_t *out, size_t room)
{
	LZ4_stream_t state; /* how liblz4 was built decides where its own state would lie, perhaps in malloc's memory */

	return LZ4_compress_fast_extState(&state, (const char *)in, (char *)out, (int)n, (int)room, 1);
}

static long lz4_decompress(const uint8_t *in, size_t n, uint8_t *out, size_t room)
{
	return LZ4_decompress_safe((const char *)in, (char *)out, (int)n, (int)room);
}

/* ---- both ------------------------------------------------------------------------------------------------------ */

static size_t at_most(size_t n, size_t limit)
{
	return n < limit ? n : limit;
}

long oc_compress(int algorithm, const uint8_t *in, size_t n, uint8_t *out, size_t room)
{
	if (n > OC_COMPRESS_MAX || room == 0)
		return 0;
	room = at_most(room, OC_COMPRESS_MAX);
	switch (algorithm) {
	case OC_COMPRESS_LZ4:
		return lz4_compress(in, n, out, room);
	case OC_COMPRESS_LZS:
		return oc_lzs_compress(in, n, out, room);
	default:
		return 0;
	}
}

long oc_decompress(int algorithm, const uint8_t *in, size_t n, uint8_t *out, size_t room)
{
	long written = -1;

	if (n == 0 || n > OC_COMPRESS_MAX || room == 0)
		return -1;
	room = at_most(room, OC_COMPRESS_MAX);
	switch (algorithm) {
	case OC_COMPRESS_LZ4:
		written = lz4_decompress(in, n, out, room);
		break;
	case OC_COMPRESS_LZS:
		written = oc_lzs_decompress(in, n, out, room);
		break;
	}
	return written > 0 ? written : -1;
}

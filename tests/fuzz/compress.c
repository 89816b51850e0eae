/* Blocks of strangers, and the round trip. Input: options, room, data. */
#include "compress.h"

#include "input.h"

static void unpack(int algorithm, size_t room, const uint8_t *packed, size_t n)
{
	uint8_t *in = copy_of(packed, n), *out = malloc(room ? room : 1);
	long size = oc_decompress(algorithm, in, n, out, room);

	MUST(size < 0 || (size > 0 && (size_t)size <= room));
	if (size > 0)
		touch(out, (size_t)size);
	free(in);
	free(out);
}

static void round_trip(int algorithm, size_t room, const uint8_t *plain, size_t n)
{
	uint8_t *in = copy_of(plain, n), *packed = malloc(room ? room : 1), *out = malloc(n ? n : 1);
	long size = oc_compress(algorithm, in, n, packed, room);

	MUST(size >= 0 && (size_t)size <= room);
	if (size > 0 && n) {
		MUST(oc_decompress(algorithm, packed, (size_t)size, out, n) == (long)n);
		MUST(!memcmp(out, in, n));
		MUST(oc_decompress(algorithm, packed, (size_t)size, out, n - 1) < 0);
	}
	free(in);
	free(packed);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct input in = { data, n };
	unsigned int options = take8(&in);
	int algorithm = options & 1 ? OC_COMPRESS_LZS : OC_COMPRESS_LZ4;
	size_t room = take16(&in) % 17000;

	if (options & 2)
		round_trip(algorithm, options & 4 ? in.left + 100 : room, in.at, in.left);
	else
		unpack(algorithm, room, in.at, in.left);
	return 0;
}

/* The bytes of libFuzzer, taken piece by piece: numbers little-endian, zeros and nothing after the end. */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct input {
	const uint8_t *at;
	size_t left;
};

static inline unsigned int take8(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->at++;
}

static inline unsigned int take16(struct input *in)
{
	unsigned int low = take8(in);

	return low | take8(in) << 8;
}

/* At most n bytes, of which there are *got. */
static inline const uint8_t *take(struct input *in, size_t n, size_t *got)
{
	const uint8_t *at = in->at;

	*got = n < in->left ? n : in->left;
	in->at += *got;
	in->left -= *got;
	return at;
}

/* Exactly as long as it says, so that AddressSanitizer sees the first byte behind it. */
static inline uint8_t *copy_of(const uint8_t *data, size_t n)
{
	uint8_t *made = malloc(n ? n : 1);

	if (!made)
		abort();
	if (n)
		memcpy(made, data, n);
	return made;
}

/* What must hold. */
#define MUST(condition)                                                                                               \
	do {                                                                                                              \
		if (!(condition))                                                                                             \
			abort();                                                                                                  \
	} while (0)

/* Read all of it. */
static inline void touch(const uint8_t *data, size_t n)
{
	static volatile uint8_t sink;

	for (size_t i = 0; i < n; i++)
		sink = (uint8_t)(sink ^ data[i]);
}

#endif

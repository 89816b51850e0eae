/* Compression of single packets, without history: oc-lz4 (a raw LZ4 block, by liblz4) and LZS (RFC 1974, lzs.c).
 * Used by the pump in both directions; no I/O, no memory but the caller's stack (up to 17 KiB), any thread. */
#ifndef OC_COMPRESS_H
#define OC_COMPRESS_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of a packet, before or after: positions in it fit 16 bits. Longer ones do not get shorter here. */
#define OC_COMPRESS_MAX 65535

enum { OC_COMPRESS_NONE, OC_COMPRESS_LZ4, OC_COMPRESS_LZS };

/* Bytes written, at most `room`; 0 when the result would be longer, or finding it takes too long. With room n - 1
 * only what gets shorter is written. `out` may hold anything afterwards where it is 0. */
long oc_compress(int algorithm, const uint8_t *in, size_t n, uint8_t *out, size_t room);

/* Bytes written, at least one and at most `room`. Negative when `in` is malformed or holds nothing or more. */
long oc_decompress(int algorithm, const uint8_t *in, size_t n, uint8_t *out, size_t room);

/* ---- lzs.c ----------------------------------------------------------------------------------------------------- */

/* The same for LZS alone; `n` of the first at most OC_COMPRESS_MAX. An empty packet is 0 bytes, not a fault. */
long oc_lzs_compress(const uint8_t *in, size_t n, uint8_t *out, size_t room);
long oc_lzs_decompress(const uint8_t *in, size_t n, uint8_t *out, size_t room);

#endif

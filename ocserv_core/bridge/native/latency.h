/* How long packets from the client stay in the server: sets of 1024 samples, of which only sums are kept.
 *
 * What the pump does, where the option latency-stats says so:
 *   once           setsockopt(udp, SOL_SOCKET, SO_TIMESTAMPNS, 1), and room in the control buffer of its receives
 *   each receive   stamp_ns from SCM_TIMESTAMPNS: struct timespec of CLOCK_REALTIME, when the kernel had the datagram
 *   each write     now_ns of CLOCK_REALTIME after the write to the TUN has returned, then oc_latency_add for the packets
 *                  of that write. Those of one UDP_GRO receive share the stamp of its first
 * A receive without a stamp (the kernel had none) is no sample. The sums only grow; Python takes differences. */
#ifndef OC_LATENCY_H
#define OC_LATENCY_H

#include <stdint.h>

#define OC_LATENCY_SAMPLES 1024

struct oc_latency {
	double median_total, mean_total, rms_total; /* microseconds, of all sets; rms: the deviation from the median */
	uint64_t sets;
	unsigned int waiting;
	uint32_t samples[OC_LATENCY_SAMPLES]; /* nanoseconds; in any order */
};

/* Add a full set to the sums and begin the next. */
void oc_latency_evaluate(struct oc_latency *l);

/* The wall clock may step: what would be negative is 0, and nothing is longer than 32 bits of nanoseconds, 4.3 s. */
static inline uint32_t oc_latency_sample(uint64_t stamp_ns, uint64_t now_ns)
{
	uint64_t passed = now_ns > stamp_ns ? now_ns - stamp_ns : 0;

	return passed < UINT32_MAX ? (uint32_t)passed : UINT32_MAX;
}

/* `packets` packets that came at stamp_ns were written at now_ns. */
static inline void oc_latency_add(struct oc_latency *l, uint64_t stamp_ns, uint64_t now_ns, unsigned int packets)
{
	uint32_t sample = oc_latency_sample(stamp_ns, now_ns);

	while (packets--) {
		l->samples[l->waiting++] = sample;
		if (l->waiting == OC_LATENCY_SAMPLES)
			oc_latency_evaluate(l);
	}
}

#endif

/* How long what is sent waits before the client reads it: in the path, and in the client's own socket. A DPD request
 * within the stream tells, since a client answers it when it has read everything before it. Where that delay stands
 * well above the least that was seen, packets are dropped from what comes from the TUN, more and more often, until it
 * does not (CoDel, RFC 8289, with the request's round trip for the sojourn time): TCP hears that, and slows down.
 * One request is under way at a time, and only while much is sent. No I/O, no clock. */
#ifndef OC_DELAY_H
#define OC_DELAY_H

#include <math.h>
#include <stddef.h>

#define OC_DELAY_BYTES 65536 /* sent since the last request: below that nobody waits for long */
#define OC_DELAY_QUEUE 16384 /* less than that is no queue: the client itself was slow to answer */
#define OC_DELAY_WINDOW 10.0 /* seconds that the least delay is remembered for, once or twice */
/* A datagram may be lost: its answer is waited for so long, and twice as long each time that none came. */
#define OC_DELAY_PATIENCE 0.25
#define OC_DELAY_PATIENCE_MOST 8.0
/* RFC 8289 4.3: an interval is a few round trips, 100 ms on the Internet; 5 % of it are borne for good. */
#define OC_DELAY_INTERVAL_LEAST 0.01
#define OC_DELAY_INTERVAL_MOST 0.1
#define OC_DELAY_ROUND_TRIPS 4
#define OC_DELAY_SHARE 20
/* What is known of the delay is old after so many intervals. */
#define OC_DELAY_FRESH 4
/* Drops come no faster than eight to an interval: a client that is deaf must not be starved besides. */
#define OC_DELAY_DROPS 64

struct oc_delay {
	int on;       /* the client answers such requests */
	int channel;  /* by which a request is under way: a DTLS session's slot, -1 for TLS */
	int asked;    /* a request is under way */
	size_t sent;  /* bytes since the last request */
	size_t queued; /* … of which were sent when it was answered: about what waited then */
	double patience;
	double asked_at, answered_at, last; /* the last round trip */
	double least, least_before, window_began; /* round trips; 0 for none */
	double over_since; /* 0: it is not too long */
	double next;       /* when to drop the next packet */
	unsigned int dropped;
};

static inline double oc_delay_least(const struct oc_delay *d)
{
	return d->least_before > 0 && d->least_before < d->least ? d->least_before : d->least;
}

static inline double oc_delay_interval(const struct oc_delay *d)
{
	double interval = OC_DELAY_ROUND_TRIPS * oc_delay_least(d);

	return interval < OC_DELAY_INTERVAL_LEAST ? OC_DELAY_INTERVAL_LEAST :
	       interval > OC_DELAY_INTERVAL_MOST  ? OC_DELAY_INTERVAL_MOST :
						    interval;
}

/* Whether a request shall be sent now, behind what was sent. */
static inline int oc_delay_asks(struct oc_delay *d, double now)
{
	if (d->patience < OC_DELAY_PATIENCE)
		d->patience = OC_DELAY_PATIENCE;
	if (d->asked && now - d->asked_at > d->patience) {
		d->asked = 0;
		if (d->patience < OC_DELAY_PATIENCE_MOST)
			d->patience *= 2;
	}
	return d->on && !d->asked && d->sent >= OC_DELAY_BYTES && now - d->asked_at >= oc_delay_interval(d) / 4;
}

static inline void oc_delay_asked(struct oc_delay *d, int channel, double now)
{
	d->asked = 1;
	d->channel = channel;
	d->asked_at = now;
	d->sent = 0;
}

/* A DPD response came. Whether it was to our request. */
static inline int oc_delay_answered(struct oc_delay *d, int channel, double now)
{
	if (!d->asked || d->channel != channel)
		return 0;
	d->asked = 0;
	d->patience = OC_DELAY_PATIENCE;
	d->answered_at = now;
	d->queued = d->sent;
	d->last = now - d->asked_at;
	if (now - d->window_began > OC_DELAY_WINDOW) {
		d->least_before = now - d->window_began > 2 * OC_DELAY_WINDOW ? 0 : d->least;
		d->window_began = now;
		d->least = d->last;
	} else if (d->last < d->least) {
		d->least = d->last;
	}
	return 1;
}

/* What the delay is, as far as is known: by TLS nothing is lost, so what has not been answered yet is late. */
static inline double oc_delay_now(const struct oc_delay *d, double now)
{
	int is_fresh = now - d->answered_at < OC_DELAY_FRESH * oc_delay_interval(d);
	double fresh = is_fresh && d->queued >= OC_DELAY_QUEUE ? d->last : 0;
	double late = d->asked && d->channel < 0 && d->sent >= OC_DELAY_QUEUE ? now - d->asked_at : 0;

	return late > fresh ? late : fresh;
}

/* Whether the packet at hand is to be dropped. */
static inline int oc_delay_sheds(struct oc_delay *d, double now)
{
	double interval = oc_delay_interval(d), delay = oc_delay_now(d, now);

	if (!d->on || d->least <= 0 || delay - oc_delay_least(d) < interval / OC_DELAY_SHARE) {
		d->over_since = 0;
		return 0;
	}
	if (d->over_since <= 0) {
		d->over_since = now;
		d->next = now + interval;
		d->dropped = 0;
	}
	if (now < d->next)
		return 0;
	if (d->dropped < OC_DELAY_DROPS)
		d->dropped++;
	d->next = now + interval / sqrt(d->dropped);
	return 1;
}

#endif

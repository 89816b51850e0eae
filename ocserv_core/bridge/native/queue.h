/* A queue that stands is shortened (after CoDel, RFC 8289). The kernel keeps the queue of the TUN and does not say how long
 * a packet was in it, but it says when there is none left: a queue that was not empty for OC_QUEUE_PATIENCE only adds
 * delay, so packets are dropped from it, more and more often, until it is. TCP hears that and slows down. Which packets
 * are spared is said by who asks. */
#ifndef OC_QUEUE_H
#define OC_QUEUE_H

#include <math.h>

#define OC_QUEUE_PATIENCE 0.02 /* seconds: a few round trips of a client nearby */
#define OC_QUEUE_INTERVAL 0.1  /* seconds between the first drops, RFC 8289 4.3 */
#define OC_QUEUE_STALL 0.01    /* seconds: longer than any turn; who is away for longer had no processor */

struct oc_queue {
	double next; /* when to drop the next packet */
	unsigned int dropped;
};

/* There is something again, after there was nothing. */
static inline void oc_queue_begins(struct oc_queue *q, double now)
{
	q->next = now + OC_QUEUE_PATIENCE;
	q->dropped = 0;
}

/* For so long (seconds) nobody looked at it: what came meanwhile is no queue that stands. A TCP that is slowed down has no
 * part in that other processes have the processor. */
static inline void oc_queue_excuses(struct oc_queue *q, double away)
{
	if (away > OC_QUEUE_STALL)
		q->next += away;
}

/* Whether the packet at hand is to be dropped. */
static inline int oc_queue_sheds(struct oc_queue *q, double now)
{
	if (now < q->next)
		return 0;
	q->dropped++;
	q->next = now + OC_QUEUE_INTERVAL / sqrt(q->dropped);
	return 1;
}

#endif

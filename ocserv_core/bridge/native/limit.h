/* A bound on bytes a second (rx-data-per-sec, tx-data-per-sec): a bucket that fills at the rate and holds a tenth of a
 * second, or one packet. What finds it empty is dropped, so that no queue grows: TCP slows down by that. */
#ifndef OC_LIMIT_H
#define OC_LIMIT_H

#include <stddef.h>

#define OC_LIMIT_SECONDS 0.1
#define OC_LIMIT_LEAST 32768.0

struct oc_limit {
	double rate; /* bytes a second; 0 for none */
	double level, last;
};

static inline int oc_limit_admits(struct oc_limit *l, size_t n, double now)
{
	double most;

	if (l->rate <= 0)
		return 1;
	most = l->rate * OC_LIMIT_SECONDS;
	if (most < OC_LIMIT_LEAST)
		most = OC_LIMIT_LEAST;
	l->level += (now - l->last) * l->rate;
	if (l->level > most)
		l->level = most;
	l->last = now;
	if (l->level < (double)n)
		return 0;
	l->level -= (double)n;
	return 1;
}

#endif

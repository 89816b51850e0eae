/* See latency.h. */
#include "latency.h"

#include <math.h>
#include <stddef.h>

#define HALF (OC_LATENCY_SAMPLES / 2)
#define MICROSECOND 1000.0

static void swap(uint32_t *a, uint32_t *b)
{
	uint32_t kept = *a;

	*a = *b;
	*b = kept;
}

static uint32_t middle_of(uint32_t a, uint32_t b, uint32_t c)
{
	if (a > b)
		swap(&a, &b);
	return c < a ? a : c > b ? b : c;
}

/* Not the ends, nor the middle alone: a queue that fills and drains makes samples that rise and fall again. */
static uint32_t pivot_of(const uint32_t *s, ptrdiff_t n)
{
	return middle_of(s[n / 4], s[n / 2], s[n * 3 / 4]);
}

/* Quickselect (Hoare): afterwards nothing before s[k] is greater than it, and nothing behind it less. */
static void select_kth(uint32_t *s, ptrdiff_t n, ptrdiff_t k)
{
	ptrdiff_t first = 0, last = n - 1;

	while (first < last) {
		uint32_t pivot = pivot_of(s + first, last - first + 1);
		ptrdiff_t i = first, j = last;

		while (i <= j) {
			while (s[i] < pivot)
				i++;
			while (s[j] > pivot)
				j--;
			if (i <= j)
				swap(&s[i++], &s[j--]);
		}
		if (k <= j)
			last = j;
		else if (k >= i)
			first = i;
		else
			return;
	}
}

static double median(uint32_t *s)
{
	uint32_t below = 0;

	select_kth(s, OC_LATENCY_SAMPLES, HALF);
	for (int i = 0; i < HALF; i++)
		below = s[i] > below ? s[i] : below;
	return ((double)below + s[HALF]) / 2;
}

static double mean(const uint32_t *s)
{
	uint64_t sum = 0;

	for (int i = 0; i < OC_LATENCY_SAMPLES; i++)
		sum += s[i];
	return (double)sum / OC_LATENCY_SAMPLES;
}

static double deviation(const uint32_t *s, double from)
{
	double squares = 0;

	for (int i = 0; i < OC_LATENCY_SAMPLES; i++)
		squares += (s[i] - from) * (s[i] - from);
	return sqrt(squares / OC_LATENCY_SAMPLES);
}

void oc_latency_evaluate(struct oc_latency *l)
{
	double middle = median(l->samples);

	l->median_total += middle / MICROSECOND;
	l->mean_total += mean(l->samples) / MICROSECOND;
	l->rms_total += deviation(l->samples, middle) / MICROSECOND;
	l->sets++;
	l->waiting = 0;
}

/* Sends and counts numbered UDP packets: `blaster send …` and `blaster count …`, started by blaster.py.
 *
 * send ADDRESS PORT RATE SECONDS SIZE   RATE packets a second of SIZE bytes of payload, evenly in steps of STEP
 * count ADDRESS PORT                    says "ready", counts until its stdin ends and DRAIN more; one line of JSON
 *
 * Plain sendmmsg and recvmmsg: UDP_SEGMENT would hand over a train of packets as one, which no application with
 * small packets does. A packet is an 8 byte number in network order, then zeros.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, MAX_SIZE = 1500, NUMBERS = 1 << 26, BUFFER = 4 << 20 };

static const int64_t SECOND = 1000000000, STEP = 193000, DRAIN = 300000000;
/* No divisor of a clock tick: /proc/stat samples at ticks, and would always see the same moment of a step. */

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * SECOND + time.tv_nsec;
}

static void sleep_until(int64_t when)
{
    struct timespec time = {when / SECOND, when % SECOND};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) == EINTR) {
    }
}

static int open_socket(const char *address, const char *port, int (*attach)(int, const struct sockaddr *, socklen_t))
{
    struct sockaddr_in end = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || inet_pton(AF_INET, address, &end.sin_addr) != 1)
        die(address);
    if (attach(fd, (struct sockaddr *)&end, sizeof end) < 0)
        die(address);
    return fd;
}

/* ---- send ---- */

static struct {
    char payload[BATCH][MAX_SIZE];
    struct iovec parts[BATCH];
    struct mmsghdr messages[BATCH];
} batch;

static void prepare(size_t size)
{
    for (int i = 0; i < BATCH; i++) {
        batch.parts[i] = (struct iovec){batch.payload[i], size};
        batch.messages[i].msg_hdr = (struct msghdr){.msg_iov = &batch.parts[i], .msg_iovlen = 1};
    }
}

enum { NOWHERE = -1 };

/* Up to BATCH packets numbered from `first`: how many the kernel took, or NOWHERE when their network is away. */
static int64_t send_some(int fd, uint64_t first, int64_t count)
{
    for (int i = 0; i < count; i++) {
        uint64_t number = htobe64(first + (uint64_t)i);
        memcpy(batch.payload[i], &number, sizeof number);
    }
    int took = sendmmsg(fd, batch.messages, (unsigned)count, MSG_DONTWAIT);
    if (took >= 0)
        return took;
    switch (errno) {
    case EAGAIN: case ENOBUFS: case ECONNREFUSED:
        return 0;
    case ENETUNREACH: case EHOSTUNREACH: case ENETDOWN: case EINVAL: /* EINVAL: its own address is away */
        return NOWHERE;
    }
    die("sendmmsg");
    return 0;
}

static int send_all(char **argument)
{
    double rate = atof(argument[2]);
    int64_t length = (int64_t)(atof(argument[3]) * (double)SECOND);
    int size = atoi(argument[4]);
    if (size < 8 || size > MAX_SIZE || rate <= 0)
        return 2;
    int fd = open_socket(argument[0], argument[1], connect);
    prctl(PR_SET_TIMERSLACK, 1000);
    prepare((size_t)size);

    /* What the kernel does not take at once was offered all the same: `sent` are the taken. */
    int64_t begin = now(), end = begin + length, offered = 0, sent = 0, nowhere = 0;
    for (int64_t next = begin; next < end; next += STEP) {
        sleep_until(next);
        int64_t due = (int64_t)((double)(next + STEP - begin) * rate / (double)SECOND);
        while (offered < due) {
            int64_t want = due - offered > BATCH ? BATCH : due - offered;
            int64_t took = send_some(fd, (uint64_t)sent, want);
            offered += want;
            if (took == NOWHERE)
                nowhere += want;
            else
                sent += took;
        }
    }
    printf("{\"offered\": %lld, \"sent\": %lld, \"nowhere\": %lld, \"seconds\": %.6f}\n", (long long)offered,
           (long long)sent, (long long)nowhere, (double)(now() - begin) / (double)SECOND);
    return 0;
}

/* ---- count ---- */

static struct {
    uint8_t *seen; /* a bit for each number */
    uint64_t highest;
    int64_t received, duplicates, late, last, longest;
} tally;

static void note(const struct mmsghdr *message, const char *payload)
{
    uint64_t number;
    if (message->msg_len < sizeof number)
        return;
    memcpy(&number, payload, sizeof number);
    number = be64toh(number);
    if (number >= NUMBERS) {
        fprintf(stderr, "number %llu is too large\n", (unsigned long long)number);
        exit(1);
    }
    uint8_t bit = (uint8_t)(1 << (number & 7));
    if (tally.seen[number >> 3] & bit)
        tally.duplicates++;
    else if (tally.received > 0 && number < tally.highest)
        tally.late++;
    tally.seen[number >> 3] |= bit;
    tally.received++;
    if (number > tally.highest)
        tally.highest = number;
}

static void note_gap(int64_t time)
{
    if (tally.last && time - tally.last > tally.longest)
        tally.longest = time - tally.last;
}

static void receive_some(int fd)
{
    int got = recvmmsg(fd, batch.messages, BATCH, MSG_DONTWAIT, NULL);
    if (got < 0 && errno != EAGAIN && errno != ECONNREFUSED)
        die("recvmmsg");
    if (got <= 0)
        return;
    int64_t time = now();
    note_gap(time);
    tally.last = time;
    for (int i = 0; i < got; i++)
        note(&batch.messages[i], batch.payload[i]);
}

static int count_all(char **argument)
{
    int fd = open_socket(argument[0], argument[1], bind), buffer = BUFFER;
    /* The counter shall not be what loses packets; this needs no sysctl but root. */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer) < 0)
        die("SO_RCVBUFFORCE");
    tally.seen = calloc(NUMBERS / 8, 1);
    if (!tally.seen)
        die("calloc");
    prepare(MAX_SIZE);
    puts("ready");
    fflush(stdout);

    struct pollfd ready[2] = {{.fd = fd, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    int64_t until = INT64_MAX;
    while (now() < until) {
        /* After stdin has ended only the socket is polled. */
        if (poll(ready, until == INT64_MAX ? 2 : 1, 50) < 0)
            die("poll");
        if (ready[0].revents)
            receive_some(fd);
        if (until == INT64_MAX && ready[1].revents) {
            until = now() + DRAIN;
            note_gap(until - DRAIN);
        }
    }
    printf("{\"received\": %lld, \"duplicates\": %lld, \"late\": %lld, \"longest_gap\": %.6f}\n",
           (long long)tally.received, (long long)tally.duplicates, (long long)tally.late,
           (double)tally.longest / (double)SECOND);
    return 0;
}

int main(int count, char **argument)
{
    if (count == 7 && !strcmp(argument[1], "send"))
        return send_all(argument + 2);
    if (count == 4 && !strcmp(argument[1], "count"))
        return count_all(argument + 2);
    fputs("blaster send ADDRESS PORT RATE SECONDS SIZE | blaster count ADDRESS PORT\n", stderr);
    return 2;
}

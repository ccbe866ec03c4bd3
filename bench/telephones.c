/* Telephones of bench/capacity.py: UDP sockets that send G.711 in RTP every 20 ms and note what comes.
 *
 *     telephones talk LEGS SECONDS     the telephones
 *     telephones echo LEGS             sends every packet back; shows what the telephones themselves carry
 *
 * Both print the ports of their sockets and read the ports to send to, each as a JSON array in one line. The
 * telephones then print "started", talk, and print what they saw as one JSON object for each 100 ms. The legs
 * send evenly spread over the 20 ms. Packets that come are timed by the kernel, so that it does not matter when
 * they are read. Sends are not timed by the kernel: how late they were is counted.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

enum { PAYLOAD = 160, HEADER = 12, EVENTS = 1024, STEPS = 20, BUCKETS = 401 };
static const int64_t PERIOD_NS = 20000000, SLICE_NS = 100000000, STEP_NS = 5000000;
static const int64_t BUCKET_NS = 500000; /* width of a bucket of gaps; the last one has all that are longer */
static const int64_t REST_NS = 500000;   /* shortest sleep: sends are up to so late on purpose */
static const int64_t LATE_NS = 5000000;

struct leg {
    int fd;
    int64_t last; /* when the latest packet came, by the real-time clock; 0: none yet */
};

struct slice {
    unsigned sent, late, silent;
    int64_t latest;         /* delay of the send that was the latest one */
    unsigned came[STEPS];   /* packets by the 5 ms in which they came */
    unsigned gaps[BUCKETS]; /* time between two packets of a leg */
};

static struct leg *legs;
static int number, queue;

static int64_t now(clockid_t clock)
{
    struct timespec at;
    clock_gettime(clock, &at);
    return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* Bind the sockets, tell their ports, and connect each to its port of the relay. A connected socket gets
 * nothing of others, such as the RTCP of a neighbouring port. */
static void connect_all(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int on = 1, port;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    queue = epoll_create1(0);
    for (int i = 0; i < number; i++) {
        address.sin_port = 0;
        legs[i].fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        if (legs[i].fd < 0 || bind(legs[i].fd, (struct sockaddr *)&address, size))
            fail("socket");
        setsockopt(legs[i].fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        if (epoll_ctl(queue, EPOLL_CTL_ADD, legs[i].fd, &event))
            fail("epoll_ctl");
        getsockname(legs[i].fd, (struct sockaddr *)&address, &size);
        printf("%s%d", i ? ", " : "[", ntohs(address.sin_port));
    }
    printf("]\n");
    fflush(stdout);
    for (int i = 0; i < number; i++) {
        if (scanf("%*[^0-9]%d", &port) != 1)
            exit(1);
        address.sin_port = htons((uint16_t)port);
        if (connect(legs[i].fd, (struct sockaddr *)&address, size))
            fail("connect");
    }
}

static void send_packet(int i, int64_t round)
{
    unsigned char packet[HEADER + PAYLOAD] = {0x80, 0};
    uint16_t sequence = htons((uint16_t)round);
    uint32_t stamp = htonl((uint32_t)round * PAYLOAD), source = htonl(9000 + (uint32_t)i);
    memcpy(packet + 2, &sequence, 2);
    memcpy(packet + 4, &stamp, 4);
    memcpy(packet + 8, &source, 4);
    for (int k = 0; k < PAYLOAD; k++)
        packet[HEADER + k] = (unsigned char)(40 + k % 80);
    /* An ICMP error of an earlier packet fails one call. */
    if (send(legs[i].fd, packet, sizeof packet, 0) < 0 && errno == ECONNREFUSED)
        send(legs[i].fd, packet, sizeof packet, 0);
}

/* Read one packet of a leg and note it in the slice of its time. */
static void note(struct leg *leg, struct slice *slices, int count, int64_t began)
{
    unsigned char data[2048];
    union {
        char bytes[CMSG_SPACE(sizeof(struct timespec))];
        struct cmsghdr aligned;
    } notes;
    struct iovec part = {data, sizeof data};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &notes,
                             .msg_controllen = sizeof notes};
    ssize_t size = recvmsg(leg->fd, &message, 0);
    struct cmsghdr *first = CMSG_FIRSTHDR(&message);
    if (size < HEADER || !first || (data[1] >= 192 && data[1] <= 223)) /* RTCP: RFC 5761, section 4 */
        return;
    struct timespec at;
    memcpy(&at, CMSG_DATA(first), sizeof at);
    int64_t came = at.tv_sec * 1000000000LL + at.tv_nsec, index = (came - began) / SLICE_NS;
    int64_t gap = (came - leg->last) / BUCKET_NS;
    int is_first = leg->last == 0;
    leg->last = came;
    if (came < began || index >= count)
        return;
    struct slice *slice = &slices[index];
    slice->came[(came - began) % SLICE_NS / STEP_NS]++;
    if (!is_first)
        slice->gaps[gap < 0 ? 0 : gap < BUCKETS ? gap : BUCKETS - 1]++;
    int head = HEADER + 4 * (data[0] & 15);
    /* Every sample is like the next one: the mix had nothing of the other telephone. */
    slice->silent += size > head + 1 && !memcmp(data + head, data + head + 1, (size_t)(size - head - 1));
}

static void talk(double seconds)
{
    int count = (int)(seconds * 10 + 0.5);
    struct slice *slices = calloc((size_t)count, sizeof *slices);
    struct epoll_event events[EVENTS];
    int64_t began_real = now(CLOCK_REALTIME), began = now(CLOCK_MONOTONIC), sent = 0, time, late;
    while ((time = now(CLOCK_MONOTONIC)) < began + count * SLICE_NS) {
        /* Telephones that are far behind still read between their sends. */
        int64_t most = sent + EVENTS;
        for (int64_t due; sent < most && (due = began + sent * PERIOD_NS / number) <= time; sent++) {
            send_packet((int)(sent % number), sent / number);
            struct slice *slice = &slices[(time - began) / SLICE_NS];
            late = now(CLOCK_MONOTONIC) - due;
            slice->sent++;
            slice->late += late > LATE_NS;
            slice->latest = late > slice->latest ? late : slice->latest;
        }
        int came = epoll_wait(queue, events, EVENTS, 0);
        for (int k = 0; k < came; k++)
            note(&legs[events[k].data.u32], slices, count, began_real);
        int64_t wake = began + sent * PERIOD_NS / number;
        wake = wake > time + REST_NS ? wake : time + REST_NS;
        /* More waits to be read than one call returned: no rest. */
        if (came < EVENTS) {
            struct timespec at = {wake / 1000000000, wake % 1000000000};
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
        }
    }
    for (struct slice *slice = slices; slice < slices + count; slice++) {
        printf("{\"sent\": %u, \"late\": %u, \"silent\": %u, \"latest_ms\": %.3f, \"came\": [", slice->sent,
               slice->late, slice->silent, (double)slice->latest / 1e6);
        for (int k = 0; k < STEPS; k++)
            printf("%s%u", k ? ", " : "", slice->came[k]);
        printf("], \"gaps\": [");
        for (int k = 0; k < BUCKETS; k++)
            printf("%s%u", k ? ", " : "", slice->gaps[k]);
        printf("]}\n");
    }
}

static void echo(void)
{
    struct epoll_event events[EVENTS];
    unsigned char data[2048];
    for (;;) {
        int came = epoll_wait(queue, events, EVENTS, -1);
        for (int k = 0; k < came; k++) {
            int fd = legs[events[k].data.u32].fd;
            ssize_t size = recv(fd, data, sizeof data, 0);
            if (size > 0)
                send(fd, data, (size_t)size, 0);
        }
    }
}

int main(int count, char **words)
{
    if (count < 3 || (number = atoi(words[2])) < 1)
        return 2;
    legs = calloc((size_t)number, sizeof *legs);
    prctl(PR_SET_TIMERSLACK, 1000UL);
    connect_all();
    if (!strcmp(words[1], "echo"))
        echo();
    printf("started\n");
    fflush(stdout);
    talk(count > 3 ? atof(words[3]) : 10);
    return 0;
}

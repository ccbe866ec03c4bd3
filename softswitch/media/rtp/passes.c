/* Relays ordinary packets between two ticks, without Python (passes.py, docs/adr/0053).
 *
 * A pass reads the connected sockets of relayed ports, takes the packets in and sends what is forwarded, as Reception,
 * OrdinaryPackets and Transports do one after the other. It ends where one of them would have something to decide.
 */
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <time.h>

struct books;

/* Of batch.c and ordinary.c. */
int softswitch_batch_receive(int epoll, struct epoll_event *events, int members, int rounds, const int64_t *slot_of,
                             double *heard_at, double now, uint8_t *rows, int64_t stride, int64_t longest,
                             int capacity, int32_t *fds, int64_t *lengths, int64_t *slots, int32_t *out);
int softswitch_batch_send(const uint8_t *rows, int64_t stride, const int64_t *lengths, const int64_t *slots,
                          const int32_t *fd_of, int64_t table, int count, int32_t *errors);
int softswitch_accept_unconverted(struct books *b, uint8_t *forwarded, int64_t width, int64_t *forwarded_lengths,
                                  int64_t *forwarded_slots, const uint8_t *rows, int64_t stride,
                                  const int64_t *lengths, const int64_t *slots, int count, int64_t arrival, int timed,
                                  int64_t *rest, int64_t *forwards);

/* Why the passes ended: their time is over; a socket that is read by itself is ready; Python has to go on with a pass. */
enum { OVER, OTHERS, UNFINISHED };
enum { WATCHED = 4, UNITS = 48000 };

/* Arrays and numbers that Python hands over, and what came of the last pass. Times are monotonic seconds. */
struct passes {
    /* Epoll that watches those of all relayed sockets, and that of the connected ones. */
    int64_t watch;
    int64_t epoll;
    int64_t members;
    int64_t rounds;
    struct epoll_event *events;
    const int64_t *slot_of;
    double *heard_at;
    const int32_t *fd_of;
    int64_t table;
    uint8_t *rows;
    int64_t stride;
    int64_t longest;
    int64_t capacity;
    int32_t *fds;
    int64_t *lengths;
    int64_t *slots;
    struct books *books;
    uint8_t *forwarded;
    int64_t width;
    int64_t *forwarded_lengths;
    int64_t *forwarded_slots;
    int64_t *rest;
    int32_t *errors;
    /* Time between two passes, and between the begin of the last one and `until`. */
    double period;
    double margin;
    /* Until when arrivals say something about the network. */
    double timed_until;
    /* When the last pass began. */
    double passed;
    /* Of all passes: packets taken in, packets forwarded. */
    int64_t accepted;
    int64_t relayed;
    /* Of the last one: rows read, those for Python, rounds of reading left, rows left, packets made, packets unsent. */
    int64_t taken;
    int64_t odd;
    int64_t rounds_left;
    int64_t left;
    int64_t forwards;
    int64_t unsent;
};

static double monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void sleep_until(double at)
{
    struct timespec when = {.tv_sec = (time_t)at};
    when.tv_nsec = (long)((at - (double)when.tv_sec) * 1e9);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, 0) == EINTR)
        ;
}

/* Carry what has come; return 0 where Python has to go on. */
static int pass(struct passes *p)
{
    int32_t out[2];
    p->taken = softswitch_batch_receive((int)p->epoll, p->events, (int)p->members, (int)p->rounds, p->slot_of,
                                        p->heard_at, p->passed, p->rows, p->stride, p->longest, (int)p->capacity,
                                        p->fds, p->lengths, p->slots, out);
    p->rounds_left = out[0];
    p->odd = out[1];
    if (p->odd || p->rounds_left)
        return 0;
    if (!p->taken)
        return 1;
    p->left = softswitch_accept_unconverted(p->books, p->forwarded, p->width, p->forwarded_lengths, p->forwarded_slots,
                                            p->rows, p->stride, p->lengths, p->slots, (int)p->taken,
                                            (int64_t)(p->passed * UNITS), p->passed < p->timed_until, p->rest,
                                            &p->forwards);
    p->accepted += p->taken - p->left;
    p->relayed += p->forwards;
    if (p->forwards)
        p->unsent = softswitch_batch_send(p->forwarded, p->width, p->forwarded_lengths, p->forwarded_slots, p->fd_of,
                                          p->table, (int)p->forwards, p->errors);
    return !p->left && !p->unsent;
}

/* When the next pass begins: passes are `period` apart, and the last one begins `margin` before `until`.
 *
 * Their distance may be shorter, or a fifth longer. Negative if none begins any more.
 */
static double next_pass(const struct passes *p, double last)
{
    double more = ceil((last - p->passed) / p->period - 0.2);
    return more < 1.0 ? -1.0 : last - (more - 1.0) * p->period;
}

/* Carry packets as they come until `until`, or until Python is needed; without packets nothing is done but to wait.
 *
 * Returns why the passes ended.
 */
int softswitch_pass(struct passes *p, double until)
{
    struct epoll_event ready[WATCHED];
    int flowing = 0;
    double last = until - p->margin;
    p->accepted = p->relayed = 0;
    for (;;) {
        double now = monotonic(), due = next_pass(p, last);
        if (due < 0.0 || now > last)
            break;
        if (!flowing) {
            /* Whole milliseconds, rounded up: one more than the margin is never waited. */
            if (epoll_wait((int)p->watch, ready, WATCHED, (int)((last - now) * 1000.0) + 1) <= 0)
                continue;
            now = monotonic();
        }
        if (due > now) {
            sleep_until(due);
            now = monotonic();
        }
        if (now > until)
            break;
        int count = epoll_wait((int)p->watch, ready, WATCHED, 0);
        flowing = count > 0;
        if (flowing || now >= last)
            p->passed = now;
        if (!flowing)
            continue;
        p->taken = p->odd = p->rounds_left = p->left = p->forwards = p->unsent = 0;
        for (int i = 0; i < count; i++)
            if (ready[i].data.fd != (int)p->epoll)
                return OTHERS;
        if (!pass(p))
            return UNFINISHED;
    }
    sleep_until(until);
    return OVER;
}

/* Relays ordinary packets between two ticks, without Python (passes.py, docs/adr/0053 and 0055).
 *
 * A pass reads the sockets of relayed ports that are connected or belong to ICE, takes the packets in, converts those of
 * another codec and sends what is forwarded, as Reception, OrdinaryPackets and Transports do one after the other. It
 * ends where one of them would have something to decide.
 */
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <time.h>

struct books;
struct converter;
struct ice;
typedef int srtp_t(void *session, void *packet, int *length);

/* Of batch.c, ice.c, secure.c, ordinary.c and convert.c. */
int softswitch_batch_receive(int epoll, struct epoll_event *events, int members, int rounds, const int64_t *slot_of,
                             double *heard_at, double now, uint8_t *rows, int64_t stride, int64_t longest,
                             int capacity, int32_t *fds, int64_t *lengths, int64_t *slots, int32_t *out);
int softswitch_batch_send(const uint8_t *rows, int64_t stride, const int64_t *lengths, const int64_t *slots,
                          const int32_t *fd_of, int64_t table, int count, int32_t *errors);
int softswitch_ice_receive(struct ice *t, int epoll, int members, int rounds, int first);
int64_t softswitch_ice_set_aside(struct ice *t, int64_t taken);
int softswitch_secure_send(srtp_t *protect, const uint8_t *rows, int64_t stride, const int64_t *lengths,
                           const int64_t *slots, void *const *sessions, const int32_t *fds, const uint8_t *addresses,
                           const int32_t *sizes, int64_t table, int count, int32_t *errors);
int softswitch_accept_smooth(struct books *b, const uint8_t *rough, uint8_t *forwarded, int64_t width,
                             int64_t *forwarded_lengths, int64_t *forwarded_slots, const uint8_t *rows, int64_t stride,
                             const int64_t *lengths, const int64_t *slots, int count, int64_t arrival, int timed,
                             int64_t *rest, int64_t *made);
int64_t softswitch_convert(struct converter *c, uint8_t *out, int64_t width, int64_t *lengths, int64_t *slots);

/* Why the passes ended: their time is over; a socket that is read by itself is ready; Python has to go on with a pass. */
enum { OVER, OTHERS, UNFINISHED };
enum { WATCHED = 4, UNITS = 48000, NOT_HERE = -1 };

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
    /* Sockets of ICE: null without relayed ones. */
    struct ice *ice;
    int64_t ice_epoll;
    int64_t ice_members;
    int64_t ice_rounds;
    const uint8_t *ice_rows;
    const int64_t *ice_lengths;
    const int64_t *ice_slots;
    /* Slots that send encrypted packets, as those of softswitch_secure_send. */
    srtp_t *protect;
    void *const *sessions;
    const int32_t *secure_fds;
    const uint8_t *addresses;
    const int32_t *sizes;
    int64_t secure_table;
    struct books *books;
    struct converter *converter;
    const uint8_t *rough;
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
    /* Of all passes: packets taken in, packets forwarded, and how many of these were converted. */
    int64_t accepted;
    int64_t relayed;
    int64_t converted;
    /* Of the last reading: whether it was that of ICE, and whether other sockets still have to be read. */
    int64_t is_ice;
    int64_t is_more;
    /* Rows read, how many are for Python, the first of these if all others were taken in, rounds of reading left, whether reading has to go on, rows left, packets made,
     * packets unsent, packets that Python has to convert. */
    int64_t taken;
    int64_t odd;
    int64_t aside;
    int64_t rounds_left;
    int64_t is_unread;
    int64_t left;
    int64_t forwards;
    int64_t unsent;
    int64_t waiting;
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

static void clear(struct passes *p)
{
    p->taken = p->odd = p->aside = p->rounds_left = p->is_unread = p->left = p->forwards = p->unsent = p->waiting = 0;
}

/* Send what is forwarded. A packet that could not be made has no octets, and counts as one that was refused. */
static void send_forwarded(struct passes *p)
{
    for (int64_t i = 0; i < p->forwards; i++) {
        const uint8_t *row = p->forwarded + i * p->width;
        const int64_t *length = p->forwarded_lengths + i, *slot = p->forwarded_slots + i;
        int32_t *error = p->errors + i;
        *error = EINVAL;
        if (*length)
            softswitch_batch_send(row, p->width, length, slot, p->fd_of, p->table, 1, error);
        if (*error == NOT_HERE)
            softswitch_secure_send(p->protect, row, p->width, length, slot, p->sessions, p->secure_fds, p->addresses,
                                   p->sizes, p->secure_table, 1, error);
        p->unsent += *error != 0;
    }
}

/* Take in, convert and send what was read; return 0 where Python has to go on. */
static int carry(struct passes *p, const uint8_t *rows, const int64_t *lengths, const int64_t *slots)
{
    int64_t made[2];
    if (!p->taken)
        return 1;
    p->left = softswitch_accept_smooth(p->books, p->rough, p->forwarded, p->width, p->forwarded_lengths,
                                       p->forwarded_slots, rows, p->stride, lengths, slots, (int)p->taken,
                                       (int64_t)(p->passed * UNITS), p->passed < p->timed_until, p->rest, made);
    p->accepted += p->taken - p->left;
    p->forwards = made[0];
    if (made[1]) {
        int64_t more = softswitch_convert(p->converter, p->forwarded + made[0] * p->width, p->width,
                                          p->forwarded_lengths + made[0], p->forwarded_slots + made[0]);
        if (more < 0)
            p->waiting = made[1];
        else {
            p->forwards += more;
            p->converted += more;
        }
    }
    p->relayed += p->forwards;
    send_forwarded(p);
    return !p->left && !p->unsent && !p->waiting;
}

/* Carry what has come to connected sockets; return 0 where Python has to go on. */
static int pass_connected(struct passes *p)
{
    int32_t out[2];
    p->taken = softswitch_batch_receive((int)p->epoll, p->events, (int)p->members, (int)p->rounds, p->slot_of,
                                        p->heard_at, p->passed, p->rows, p->stride, p->longest, (int)p->capacity,
                                        p->fds, p->lengths, p->slots, out);
    p->rounds_left = out[0];
    p->odd = out[1];
    p->is_unread = p->odd || p->rounds_left;
    return !p->is_unread && carry(p, p->rows, p->lengths, p->slots);
}

/* The same for sockets of ICE. */
static int pass_ice(struct passes *p)
{
    int64_t all = p->taken =
        softswitch_ice_receive(p->ice, (int)p->ice_epoll, (int)p->ice_members, (int)p->ice_rounds, 0);
    int64_t media = softswitch_ice_set_aside(p->ice, all);
    p->is_unread = media < 0;
    if (p->is_unread)
        return 0;
    p->taken = media;
    p->aside = all;
    p->odd = all - media;
    return carry(p, p->ice_rows, p->ice_lengths, p->ice_slots) && !p->odd;
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
    p->accepted = p->relayed = p->converted = 0;
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
        int is_connected = 0, is_ice = 0;
        for (int i = 0; i < count; i++) {
            int fd = ready[i].data.fd;
            if (fd == (int)p->epoll)
                is_connected = 1;
            else if (p->ice && fd == (int)p->ice_epoll)
                is_ice = 1;
            else
                return OTHERS;
        }
        p->is_ice = 0;
        p->is_more = is_ice;
        clear(p);
        if (is_connected && !pass_connected(p))
            return UNFINISHED;
        p->is_ice = 1;
        p->is_more = 0;
        clear(p);
        if (is_ice && !pass_ice(p))
            return UNFINISHED;
    }
    sleep_until(until);
    return OVER;
}

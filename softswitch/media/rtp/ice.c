/* Reads the sockets of ICE of many ports, and decrypts what is media, with one call from Python (ice_batch.py).
 *
 * Sockets are non-blocking and unconnected: the remote party of each is known by its address. libsrtp is that of
 * pylibsrtp, as in secure.c.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { ADDRESS = 28 };
/* What a row is: media, something else or from elsewhere, refused by libsrtp (its length is the negative status),
 * an error of the socket, or longer than media may be. */
enum { MEDIA, STRAY, REFUSED, FAILED, ODD };

typedef int srtp_t(void *session, void *packet, int *length);

int softswitch_secure_open(srtp_t *unprotect, srtp_t *unprotect_rtcp, uint8_t *rows, int64_t stride, int64_t *lengths,
                           void *const *sessions, int count);

/* Arrays of ice_batch.py. */
struct ice {
    srtp_t *unprotect;
    srtp_t *unprotect_rtcp;
    /* Slot by descriptor, -1 for sockets that Python reads. */
    const int64_t *slot_of;
    int64_t descriptors;
    /* By slot: sessions of RTP and of RTCP, and the address of the remote party. */
    void *const *sessions;
    void *const *control_sessions;
    const uint8_t *addresses;
    /* Room for all sockets of an epoll, and for the descriptors of those that are left. */
    struct epoll_event *events;
    int32_t *others;
    /* Rows of words, and of each its octets, slot, kind, and the address that it came from. */
    uint8_t *rows;
    int64_t stride;
    int64_t longest;
    int64_t capacity;
    int64_t *lengths;
    int64_t *slots;
    int32_t *kinds;
    uint8_t *sources;
    /* Rows that are not media, rounds that remain, and sockets that were left. */
    int64_t odd;
    int64_t left;
    int64_t left_sockets;
};

/* Compare family, port and host. Addresses in the table have no scope: one with a scope is another one. */
static int is_same(const uint8_t *source, const uint8_t *known)
{
    struct sockaddr_in6 found;
    memcpy(&found, source, sizeof found);
    if (found.sin6_family == AF_INET)
        return !memcmp(source, known, 8);
    return !memcmp(source, known, 4) && !memcmp(source + 8, known + 8, 16) && !found.sin6_scope_id;
}

/* Read one datagram of a socket into row `at`; return 0 if there was none. */
static int take(struct ice *t, int fd, int64_t slot, int64_t at)
{
    uint8_t *row = t->rows + at * t->stride, *source = t->sources + at * ADDRESS;
    socklen_t size = ADDRESS;
    memset(source, 0, ADDRESS);
    ssize_t got = recvfrom(fd, row, (size_t)t->stride, MSG_DONTWAIT, (struct sockaddr *)source, &size);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    t->slots[at] = slot;
    t->lengths[at] = got < 0 ? -errno : got;
    t->kinds[at] = MEDIA;
    if (got < 0)
        t->kinds[at] = FAILED;
    else if (!got || row[0] >> 6 != 2 || !is_same(source, t->addresses + slot * ADDRESS))
        t->kinds[at] = STRAY;
    else if (got > t->longest)
        t->kinds[at] = ODD;
    else {
        /* Types of RTCP are 192 to 223 (RFC 5761 section 4). */
        int is_control = got > 1 && row[1] >> 5 == 6;
        if (softswitch_secure_open(t->unprotect, t->unprotect_rtcp, row, t->stride, t->lengths + at,
                                   (is_control ? t->control_sessions : t->sessions) + slot, 1))
            t->kinds[at] = REFUSED;
    }
    t->odd += t->kinds[at] != MEDIA;
    return 1;
}

/* Read one datagram of each ready socket of an epoll, `rounds` times at most, into the rows from `first` on.
 *
 * The epoll has `members` sockets. Stops before a round that has more ready sockets than rows are left. Returns the
 * number of rows that are taken then; see the end of the struct for the rest.
 */
int softswitch_ice_receive(struct ice *t, int epoll, int members, int rounds, int first)
{
    int taken = first, left = rounds;
    t->odd = t->left_sockets = 0;
    for (; left > 0; left--) {
        int ready = epoll_wait(epoll, t->events, members, 0), found = 0;
        if (ready > t->capacity - taken)
            break;
        for (int i = 0; i < ready; i++) {
            int fd = t->events[i].data.fd;
            int64_t slot = fd < t->descriptors ? t->slot_of[fd] : -1;
            if (slot >= 0) {
                taken += take(t, fd, slot, taken);
                found++;
            } else if (left == rounds)
                t->others[t->left_sockets++] = fd;
        }
        if (!found) {
            left = 0;
            break;
        }
    }
    t->left = left;
    return taken;
}

static void move_row(struct ice *t, int64_t from, int64_t to)
{
    /* The length of a refused row, or one of an error, is negative. */
    if (t->lengths[from] > 0)
        memcpy(t->rows + to * t->stride, t->rows + from * t->stride, (size_t)t->lengths[from]);
    t->lengths[to] = t->lengths[from];
    t->slots[to] = t->slots[from];
    t->kinds[to] = t->kinds[from];
    memcpy(t->sources + to * ADDRESS, t->sources + from * ADDRESS, ADDRESS);
}

/* Move the rows of the last reading that are not media behind the `taken` ones of it; those that are close ranks.
 *
 * Returns how many are media, or -1, having changed nothing, if Python has to go on with all: sockets still have to be
 * read, or there are too few rows.
 */
int64_t softswitch_ice_set_aside(struct ice *t, int64_t taken)
{
    int64_t kept = 0, aside = taken;
    if (t->left || t->left_sockets || t->odd > t->capacity - taken)
        return -1;
    for (int64_t row = 0; t->odd && row < taken; row++)
        if (t->kinds[row] != MEDIA)
            move_row(t, row, aside++);
        else if (kept++ < row)
            move_row(t, row, kept - 1);
    return t->odd ? kept : taken;
}

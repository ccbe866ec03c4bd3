/* Reads and sends the datagrams of many connected UDP sockets with one call from Python (batch.py, docs/adr/0031).
 *
 * Plain C without Python's headers: ctypes loads it and releases the interpreter's lock around each call. Sockets are
 * non-blocking and connected; everything that needs an address or a key stays in Python.
 */
#include <errno.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* Number of the interface of the whole library; compiled.py loads no other. */
int softswitch_batch_version(void) { return 16; }

/* Size of struct epoll_event here: 12 octets on x86-64, 16 elsewhere. */
int softswitch_batch_event_size(void) { return (int)sizeof(struct epoll_event); }

/* Read one datagram of each ready socket of an epoll, `rounds` times at most, until none is ready.
 *
 * `events` has room for all `members` of the epoll. Datagram i goes into row i, its descriptor into fds[i], its slot
 * (slot_of[descriptor]) into slots[i], and its octets into lengths[i], or the negative errno. heard_at[descriptor]
 * becomes `now`. Stops before a round that has more ready sockets than rows are left. Returns the number of rows taken;
 * out[0] gets the rounds that remain, 0 if all is read, out[1] the rows without a slot or with a length that is
 * not within 1 and `longest`.
 */
int softswitch_batch_receive(int epoll, struct epoll_event *events, int members, int rounds, const int64_t *slot_of,
                             double *heard_at, double now, uint8_t *rows, int64_t stride, int64_t longest,
                             int capacity, int32_t *fds, int64_t *lengths, int64_t *slots, int32_t *out)
{
    int taken = 0, odd = 0, left = rounds;
    for (; left > 0; left--) {
        int ready = epoll_wait(epoll, events, members, 0);
        if (ready <= 0) {
            left = 0;
            break;
        }
        if (ready > capacity - taken)
            break;
        for (int i = 0; i < ready; i++, taken++) {
            int fd = events[i].data.fd;
            ssize_t got = recv(fd, rows + taken * stride, (size_t)stride, MSG_DONTWAIT);
            fds[taken] = fd;
            lengths[taken] = got < 0 ? -errno : got;
            slots[taken] = slot_of[fd];
            odd += got <= 0 || got > longest || slots[taken] < 0;
            if (got >= 0)
                heard_at[fd] = now;
        }
    }
    out[0] = left;
    out[1] = odd;
    return taken;
}

/* Send row i on the socket fd_of[slots[i]]. errors[i] gets 0, the errno, or -1 for a slot without a socket.
 *
 * An ICMP error of an earlier datagram is reported once and instead of sending, so that a refused datagram is tried
 * once more, unless a buffer is full. Returns the number of rows whose errors[i] is not 0.
 */
int softswitch_batch_send(const uint8_t *rows, int64_t stride, const int64_t *lengths, const int64_t *slots,
                          const int32_t *fd_of, int64_t table, int count, int32_t *errors)
{
    int unsent = 0;
    for (int i = 0; i < count; i++) {
        int fd = slots[i] < table ? fd_of[slots[i]] : -1;
        errors[i] = fd < 0 ? -1 : 0;
        for (int attempt = 0; fd >= 0 && attempt < 2; attempt++) {
            ssize_t sent = send(fd, rows + i * stride, (size_t)lengths[i], MSG_DONTWAIT | MSG_NOSIGNAL);
            errors[i] = sent < 0 ? errno : 0;
            if (errors[i] == 0 || errors[i] == EAGAIN || errors[i] == ENOBUFS)
                break;
        }
        unsent += errors[i] != 0;
    }
    return unsent;
}

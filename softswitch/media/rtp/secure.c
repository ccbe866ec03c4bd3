/* SRTP of many packets with one call from Python, and their sending (secure_batch.py). libsrtp is that of pylibsrtp.
 *
 * Sessions and functions of libsrtp come as addresses. Sockets are non-blocking and may be unconnected.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

enum { SHORTEST_RTP = 12, SHORTEST_RTCP = 8, ROW = 2048, TRAILER = 160, ADDRESS = 28 };
enum { NOT_HERE = -1, NOT_PROTECTED = -2, FAILED = 1 };

/* srtp_protect, srtp_unprotect and those of RTCP: they change the packet and its length in place, and return 0. */
typedef int srtp_t(void *session, void *packet, int *length);

/* RFC 5761 section 4. */
static int is_rtcp(const uint8_t *packet) { return packet[1] >= 192 && packet[1] <= 223; }

/* Encrypt packets of RTP and send each on the socket of its slot.
 *
 * Of each slot: sessions[slot] (0: it is not sent here), its descriptor, and the address that it sends to, of
 * sizes[slot] octets. errors[i] gets 0, the errno, or one of the numbers above. Returns how many are not 0.
 */
int softswitch_secure_send(srtp_t *protect, const uint8_t *rows, int64_t stride, const int64_t *lengths,
                           const int64_t *slots, void *const *sessions, const int32_t *fds, const uint8_t *addresses,
                           const int32_t *sizes, int64_t table, int count, int32_t *errors)
{
    /* libsrtp works on words. */
    uint32_t words[ROW / 4];
    int unsent = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t slot = slots[i];
        int length = (int)lengths[i];
        errors[i] = NOT_HERE;
        if (slot < table && sessions[slot] && length >= SHORTEST_RTP && length <= ROW - TRAILER &&
            !is_rtcp(rows + i * stride)) {
            memcpy(words, rows + i * stride, (size_t)length);
            if (protect(sessions[slot], words, &length))
                errors[i] = NOT_PROTECTED;
            else {
                ssize_t sent = sendto(fds[slot], words, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL,
                                      (const struct sockaddr *)(addresses + slot * ADDRESS), (socklen_t)sizes[slot]);
                errors[i] = sent < 0 ? errno : 0;
            }
        }
        unsent += errors[i] != 0;
    }
    return unsent;
}

/* Decrypt packets of RTP and RTCP in their rows, each by its session; a null session leaves its packet as it is.
 *
 * lengths[i] becomes the octets of the plain packet, or the negative status of libsrtp. Rows are aligned to words.
 * Returns how many were refused.
 */
int softswitch_secure_open(srtp_t *unprotect, srtp_t *unprotect_rtcp, uint8_t *rows, int64_t stride, int64_t *lengths,
                           void *const *sessions, int count)
{
    int refused = 0;
    for (int64_t i = 0; i < count; i++) {
        if (!sessions[i])
            continue;
        uint8_t *row = rows + i * stride;
        int length = (int)lengths[i], status = FAILED;
        if (length >= SHORTEST_RTCP && is_rtcp(row))
            status = unprotect_rtcp(sessions[i], row, &length);
        else if (length >= SHORTEST_RTP)
            status = unprotect(sessions[i], row, &length);
        lengths[i] = status ? -status : length;
        refused += status != 0;
    }
    return refused;
}

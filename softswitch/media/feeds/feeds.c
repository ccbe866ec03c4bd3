/* Queues of feed ports, and the WebSockets of those that the tick serves itself: one call takes the next frame of all
 * ports of a format, another one sends what they hear (feed_queue.py, docs/adr/0051).
 *
 * The queue does what FeedFifo does (feed_fifo.py, where the rules are explained). A socket is read and written here only
 * while all is ordinary: whole or partial binary messages in one frame each, and a kernel that takes what is sent. All
 * else is left to the event loop, octet by octet in its order. Plain C without Python's headers.
 */
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "feed.h"

/* Rules of feed_fifo.py and lateness.py. */
enum { WINDOW_TICKS = 250, CREEP_MS = 20, SLACK_MS = 40, HURRY_MS = 500, PATIENCE_TICKS = 5, TICK_MS = 20 };
#define WINDOW_S 0.5

/* Ticks of silence after the last audio that are still played (feeds.py). */
enum { FLUSH_TICKS = 2 };

/* What a row needs from Python after a tick; the same numbers are in feed_queue.py. */
enum { DRIFTS = 1, BEHIND = 2, JUDGE = 4, DRY = 8, ROUSED = 16 };

/* Frames of WebSockets (RFC 6455 section 5.2). */
enum { BINARY = 0x82, MASKED = 0x80, LONGEST_HEAD = 14 };

/* Most octets that wait before the loop is woken; ticks in which nothing comes before any octet wakes it. */
enum { MOST_AWAITED = 32768, QUIET_TICKS = 10 };

/* Octets of what Python knows of a feed. */
int64_t softswitch_feed_size(void) { return (int64_t)offsetof(struct feed, lock); }

struct feed *softswitch_feed_new(void)
{
    struct feed *f = calloc(1, sizeof *f);
    if (f) {
        pthread_mutex_init(&f->lock, NULL);
        f->low = f->floor = f->mark_at = HIGHEST;
        f->base = f->fd = -1;
        f->since = f->origin = -1.0;
        f->silent_ticks = (int64_t)1 << 30;
    }
    return f;
}

void softswitch_feed_free(struct feed *f)
{
    pthread_mutex_destroy(&f->lock);
    free(f->data);
    free(f->strays);
    free(f->rest);
    free(f->part);
    free(f->id);
    free(f);
}

/* --- the queue --- */

/* Make room for more octets behind the queue; 0 without memory. */
int make_room(struct feed *f, int64_t more)
{
    int64_t level = f->last - f->first;
    if (f->last + more <= f->room)
        return 1;
    if (4 * (level + more) <= 3 * f->room) {
        memmove(f->data, f->data + f->first, (size_t)level);
    } else {
        int64_t room = f->room ? f->room : FIRST_ROOM;
        while (3 * room < 4 * (level + more))
            room *= 2;
        uint8_t *data = malloc((size_t)room);
        if (!data)
            return 0;
        if (level)
            memcpy(data, f->data + f->first, (size_t)level);
        free(f->data);
        f->data = data;
        f->room = room;
    }
    f->first = 0;
    f->last = level;
    return 1;
}

/* Copy octets and take the mask off, which is `phase` octets old. */
static void unmask(uint8_t *to, const uint8_t *from, int64_t size, const uint8_t *key, int64_t phase)
{
    uint8_t turned[8];
    uint64_t word, mask;
    int64_t i = 0;
    for (int k = 0; k < 8; k++)
        turned[k] = key[(phase + k) & 3];
    memcpy(&mask, turned, 8);
    for (; i + 8 <= size; i += 8) {
        memcpy(&word, from + i, 8);
        word ^= mask;
        memcpy(to + i, &word, 8);
    }
    for (; i < size; i++)
        to[i] = from[i] ^ turned[i & 7];
}

/* Append octets, without their mask; return how many were refused (FeedFifo.put). */
static int64_t put(struct feed *f, const uint8_t *data, int64_t size, const uint8_t *key, int64_t phase)
{
    int64_t lost = 0, skew = (f->put - f->seen) % f->unit;
    if (skew < 0)
        skew += f->unit;
    if (skew) {
        lost = skew < size ? skew : size;
        data += lost;
        size -= lost;
        phase += lost;
        f->seen += lost;
    }
    f->seen += size;
    int64_t room = f->capacity - (f->put - f->taken);
    if (size > room || !make_room(f, size)) {
        if (size <= room)
            room = 0;
        int64_t kept = room - (f->put + room) % f->unit;
        if (kept < 0 || !make_room(f, kept))
            kept = 0;
        lost += size - kept;
        size = kept;
    }
    if (size) {
        unmask(f->data + f->last, data, size, key, phase);
        f->last += size;
        f->put += size;
    }
    f->dropped += lost;
    return lost;
}

void cut(struct feed *f, uint8_t *to, int64_t size)
{
    if (to && size)
        memcpy(to, f->data + f->first, (size_t)size);
    f->first += size;
    f->taken += size;
    if (f->first == f->last) {
        // The same octets again, which the processor has at hand.
        f->first = f->last = 0;
        if (f->room > MOST_KEPT) {
            free(f->data);
            f->data = NULL;
            f->room = 0;
        }
    }
}

static int is_primed(struct feed *f, int64_t level)
{
    if (level < f->unit) {
        f->stalled = 0;
        return 0;
    }
    f->stalled++;
    f->playing = level >= f->start || (double)f->stalled > PATIENCE_TICKS + (double)f->start / (double)f->frame;
    if (f->playing)
        f->stalled = 0;
    return (int)f->playing;
}

static void watch(struct feed *f)
{
    double ms = (double)f->frame / TICK_MS;
    int64_t low = f->low, previous = f->creep;
    f->low = HIGHEST;
    f->window = 0;
    f->creep = low - f->base;
    if (f->base < 0 || fabs((double)(f->creep - previous)) > CREEP_MS * ms) {
        f->base = low;
        f->creep = f->correction = 0;
    } else if ((double)f->creep > SLACK_MS * ms) {
        f->correction = 1;
    } else if (f->creep < 0 && low < f->frame + f->frame / 2) {
        f->correction = -1;
    }
}

/* Take the next frame; return its octets, 0 while nothing is to be played (FeedFifo.take). */
static int64_t take(struct feed *f, uint8_t *to)
{
    int64_t level = f->put - f->taken, frame = f->frame;
    if (f->postponed || (!f->playing && !is_primed(f, level))) {
        f->postponed = 0;
        return 0;
    }
    if (level < f->low)
        f->low = level;
    if (++f->window >= WINDOW_TICKS)
        watch(f);
    if (level >= frame) {
        cut(f, to, frame);
        return frame;
    }
    f->playing = f->window = 0;
    f->low = HIGHEST;
    f->base = -1;
    f->correction = 0;
    f->underruns++;
    int64_t rest = level - level % f->unit;
    if (rest)
        cut(f, to, rest);
    return rest;
}

/* Append octets from any thread; return how many were refused. */
int64_t softswitch_feed_put(struct feed *f, const uint8_t *data, int64_t size)
{
    static const uint8_t none[4];
    pthread_mutex_lock(&f->lock);
    int64_t lost = put(f, data, size, none, 0);
    pthread_mutex_unlock(&f->lock);
    return lost;
}

/* Take the next frame; return its octets, 0 while nothing is to be played. */
int64_t softswitch_feed_take(struct feed *f, uint8_t *to)
{
    pthread_mutex_lock(&f->lock);
    int64_t size = take(f, to);
    pthread_mutex_unlock(&f->lock);
    return size;
}

/* Discard `skipped` octets and take a frame (FeedFifo.skip). */
void softswitch_feed_skip(struct feed *f, int64_t skipped, uint8_t *to)
{
    pthread_mutex_lock(&f->lock);
    if (skipped)
        cut(f, NULL, skipped);
    cut(f, to, f->frame);
    pthread_mutex_unlock(&f->lock);
}

/* Discard the next frame, or postpone it (FeedFifo.apply_correction). */
void softswitch_feed_correct(struct feed *f)
{
    pthread_mutex_lock(&f->lock);
    if (f->correction > 0 && f->put - f->taken >= 2 * f->frame)
        cut(f, NULL, f->frame);
    f->postponed = f->correction < 0;
    f->creep -= f->correction * f->frame;
    f->low = HIGHEST;
    f->window = f->correction = 0;
    f->mended_ms += TICK_MS;
    pthread_mutex_unlock(&f->lock);
}

/* --- the socket --- */

/* Let the loop be woken once more octets wait than the usual message has. */
static void wake_from(struct feed *f, int64_t size)
{
    int octets = size < MOST_AWAITED ? (int)size : MOST_AWAITED;
    if (f->wakes != octets)
        setsockopt((int)f->fd, SOL_SOCKET, SO_RCVLOWAT, &octets, sizeof octets);
    f->wakes = octets;
}

void leave(struct feed *f, const uint8_t *data, int64_t size)
{
    // What was read before of the same frame comes first.
    int64_t begun = f->head_size + f->part_size;
    uint8_t *all = malloc((size_t)(begun + size));
    f->reads = 0;
    wake_from(f, 1); // the transport may read next
    if (!all) {
        f->ended = ENOMEM;
        return;
    }
    memcpy(all, f->head, (size_t)f->head_size);
    if (f->part_size)
        memcpy(all + f->head_size, f->part, (size_t)f->part_size);
    if (size)
        memcpy(all + begun, data, (size_t)size);
    f->strays = all;
    f->stray_size = begun + size;
    f->head_size = f->part_size = 0;
}

/* Take an octet of a header: 1 if it is complete, 0 if more is to come, -1 if the frame is not ordinary. */
static int head(struct feed *f, uint8_t octet)
{
    f->head[f->head_size++] = octet;
    if (f->head_size == 1)
        return octet == BINARY ? 0 : -1;
    if (!(f->head[1] & MASKED))
        return -1;
    int code = f->head[1] & 0x7f, words = code == 127 ? 8 : code == 126 ? 2 : 0;
    if (f->head_size < 6 + words)
        return 0;
    uint64_t length = words ? 0 : (uint64_t)code;
    for (int i = 0; i < words; i++)
        length = length << 8 | f->head[2 + i];
    if (length > (uint64_t)HIGHEST || (f->most && (int64_t)length > f->most))
        return -1;
    f->left = (int64_t)length;
    f->phase = 0;
    memcpy(f->key, f->head + 2 + words, 4);
    f->head_size = 0;
    return 1;
}

/* Take the binary messages of what was read; return whether something is left to the loop. */
static int parse(struct feed *f, const uint8_t *data, int64_t size, int64_t *lost)
{
    for (int64_t at = 0; at < size;) {
        if (f->left) {
            int64_t part = f->left < size - at ? f->left : size - at;
            *lost += put(f, data + at, part, f->key, f->phase);
            f->phase = (f->phase + part) & 3;
            f->left -= part;
            at += part;
            continue;
        }
        int is_whole = head(f, data[at++]);
        if (is_whole < 0) {
            leave(f, data + at, size - at);
            return 1;
        }
    }
    return 0;
}

/* Read once, so that a tick works for no more than `room` octets of a client; return whether the loop has to look. */
static int read_socket(struct feed *f, uint8_t *scratch, int64_t room, int64_t *lost)
{
    ssize_t got = recv((int)f->fd, scratch, (size_t)room, MSG_DONTWAIT);
    if (got <= 0) {
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return 0;
        f->ended = got ? errno : -1;
        f->reads = 0;
        if (f->part_size)
            leave(f, NULL, 0);
        return 1;
    }
    f->heard++;
    f->got = got;
    return f->is_text ? read_texts(f, scratch, got) : parse(f, scratch, got, lost);
}

/* Read once, where the tick reads, and let any octet wake the loop where nothing has come for some ticks; return whether the
 * loop has to look. */
int read_for_tick(struct feed *f, uint8_t *scratch, int64_t room, int64_t *lost)
{
    int64_t heard = f->heard;
    int rouses = f->reads && read_socket(f, scratch, room, lost);
    f->quiet = f->heard == heard ? f->quiet + 1 : 0;
    if (f->quiet == QUIET_TICKS && f->reads)
        wake_from(f, 1);
    return rouses;
}

/* Ask for the memory of a feed, which after 20 ms of other work is in no cache. */
void prefetch(const struct feed *f)
{
    for (size_t at = 0; at < sizeof *f; at += 64)
        __builtin_prefetch((const char *)f + at, 1);
}

/* Read the sockets of some ports before their next frames are taken. out_numbers[0] gets the octets that were refused, [1] the number
 * of ports at whose socket the loop has to look, which are rows[].
 */
void softswitch_feed_early(struct feed *const *feeds, int64_t count, uint8_t *scratch, int64_t room, int64_t *rows,
                           int64_t *out_numbers)
{
    int64_t lost = 0, rouses = 0;
    for (int64_t row = 0; row < count; row++) {
        struct feed *f = feeds[row];
        if (row + 1 < count)
            prefetch(feeds[row + 1]);
        pthread_mutex_lock(&f->lock);
        if (read_for_tick(f, scratch, room, &lost))
            rows[rouses++] = row;
        f->looked = 1;
        pthread_mutex_unlock(&f->lock);
    }
    out_numbers[0] = lost;
    out_numbers[1] = rouses;
}

/* Let the judge see a queue that had `level` octets before `got` of them were taken; return what is for Python to do. */
static int observe(struct feed *f, int64_t level, int64_t got, double now)
{
    if (got < f->frame)
        return f->since < 0.0 ? 0 : DRY;
    f->received = f->put;
    f->level = level;
    if (f->since < 0.0)
        return JUDGE;
    if (level < f->floor) {
        f->floor = level;
        f->lead = (double)(f->put - f->credit) - (now - f->origin) * f->second;
    }
    return now - f->since >= WINDOW_S ? JUDGE : 0;
}

/* Read the sockets of some ports, and take the next frame of each.
 *
 * Active ports have a frame: what was taken, filled up with `silence` where it is shorter than 20 ms. Frame k in `out` is
 * that of row active[k]; out_numbers[0] gets their number, [1] the octets that were refused, [2] the rows that Python has
 * to look at, which are rows[i] for the reasons why[i].
 */
void softswitch_feed_pull(struct feed *const *feeds, int64_t count, double now, uint8_t *scratch, int64_t room,
                          const uint8_t *silence, uint8_t *out, int64_t frame, int64_t *active, int64_t *rows,
                          int64_t *why, int64_t *out_numbers)
{
    int64_t actives = 0, lost = 0, looks = 0;
    for (int64_t row = 0; row < count; row++) {
        struct feed *f = feeds[row];
        uint8_t *to = out + actives * frame;
        int reasons = 0;
        if (row + 1 < count)
            prefetch(feeds[row + 1]);
        pthread_mutex_lock(&f->lock);
        if (f->reads && !f->looked && read_socket(f, scratch, room, &lost))
            reasons |= ROUSED;
        f->looked = 0;
        int64_t level = f->put - f->taken, got = f->speaks ? take(f, to) : 0;
        if (f->judged)
            reasons |= observe(f, level, got, now);
        if (f->behind)
            reasons |= BEHIND;
        if (got && f->correction)
            reasons |= DRIFTS;
        f->silent_ticks = got ? 0 : f->silent_ticks + 1;
        if (f->silent_ticks <= FLUSH_TICKS) {
            memcpy(to + got, silence + got, (size_t)(frame - got));
            active[actives++] = row;
        }
        pthread_mutex_unlock(&f->lock);
        if (reasons) {
            rows[looks] = row;
            why[looks++] = reasons;
        }
    }
    out_numbers[0] = actives;
    out_numbers[1] = lost;
    out_numbers[2] = looks;
}

int64_t try_send(struct feed *f, const uint8_t *data, int64_t size)
{
    ssize_t sent = send((int)f->fd, data, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
    // An error is found again by the transport, which the loop asks to send the same.
    if (sent < size)
        f->writer = LOOP_WRITES;
    return sent < 0 ? 0 : sent;
}

/* Keep what the kernel did not take of a frame, for the loop. */
int keep_rest(struct feed *f, const uint8_t *rest, int64_t size)
{
    f->rest = malloc((size_t)size);
    if (!f->rest) {
        f->ended = ENOMEM;
        return 0;
    }
    memcpy(f->rest, rest, (size_t)size);
    f->rest_size = size;
    return 1;
}

/* Send a frame of audio to each of some ports: that of row rows[i] is the i-th in `data`, `frame` octets each.
 *
 * Where the loop has to do it, left[] gets i. Rows of which the kernel took a part only are in roused[] (i again): the
 * loop sends the rest. out_numbers gets the numbers of both.
 */
void softswitch_feed_push(struct feed *const *feeds, const int64_t *rows, int64_t count, const uint8_t *data,
                          int64_t frame, int64_t *left, int64_t *roused, int64_t *out_numbers)
{
    uint8_t message[4 + 65536];
    int64_t lefts = 0, rouses = 0, head_size = frame < 126 ? 2 : 4;
    for (int64_t i = 0; i < count; i++) {
        struct feed *f = feeds[rows[i]];
        if (i + 1 < count)
            prefetch(feeds[rows[i + 1]]);
        pthread_mutex_lock(&f->lock);
        f->sent_frames++;
        int64_t sent = 0;
        if (f->fd >= 0 && f->listens && f->writer == BOTH_WRITE && frame < 65536) {
            message[0] = BINARY;
            message[1] = frame < 126 ? (uint8_t)frame : 126;
            if (head_size == 4) {
                message[2] = (uint8_t)(frame >> 8);
                message[3] = (uint8_t)frame;
            }
            memcpy(message + head_size, data + i * frame, (size_t)frame);
            sent = try_send(f, message, head_size + frame);
            int64_t rest = head_size + frame - sent;
            if (sent && rest) {
                keep_rest(f, message + sent, rest);
                roused[rouses++] = i;
            }
        }
        if (!sent) {
            f->handed += f->fd >= 0;
            left[lefts++] = i;
        }
        pthread_mutex_unlock(&f->lock);
    }
    out_numbers[0] = lefts;
    out_numbers[1] = rouses;
}

/* Serve a socket from now on, but read and write it only after the following two. */
void softswitch_feed_connect(struct feed *f, int64_t fd, int64_t most, int64_t listens)
{
    pthread_mutex_lock(&f->lock);
    f->fd = fd;
    f->most = most;
    f->listens = listens;
    f->reads = 0;
    f->writer = LOOP_WRITES;
    f->wakes = 1;
    f->quiet = 0;
    f->heard = f->handed = f->ended = f->head_size = f->left = f->part_size = 0;
    pthread_mutex_unlock(&f->lock);
}

/* Let the tick read, or read no more. */
void softswitch_feed_read(struct feed *f, int64_t reads)
{
    pthread_mutex_lock(&f->lock);
    f->reads = reads && f->fd >= 0;
    // Any octet wakes the loop until audio does, which is in vain.
    if (f->fd >= 0)
        wake_from(f, 1);
    pthread_mutex_unlock(&f->lock);
}

/* Read the socket between two ticks, for the loop, which was woken; return how many octets were refused. Where it was
 * woken in vain it takes more to wake it. */
int64_t softswitch_feed_now(struct feed *f, uint8_t *scratch, int64_t room)
{
    pthread_mutex_lock(&f->lock);
    int64_t before = f->seen, lost = 0;
    f->got = 0;
    if (f->reads && !read_socket(f, scratch, room, &lost))
        wake_from(f, f->is_text ? f->got + 1 : f->seen - before + LONGEST_HEAD);
    pthread_mutex_unlock(&f->lock);
    return lost;
}

/* Let the tick write if it has left no more than `handed` frames to the loop. */
void softswitch_feed_write(struct feed *f, int64_t handed)
{
    pthread_mutex_lock(&f->lock);
    f->writer = handed >= f->handed && f->fd >= 0 ? BOTH_WRITE : LOOP_WRITES;
    pthread_mutex_unlock(&f->lock);
}

/* Write whole frames for the loop; return how many octets the kernel took. Without all of them the loop's transport has
 * to write on. */
int64_t softswitch_feed_send(struct feed *f, const uint8_t *data, int64_t size)
{
    pthread_mutex_lock(&f->lock);
    int64_t sent = f->writer == BOTH_WRITE ? try_send(f, data, size) : 0;
    pthread_mutex_unlock(&f->lock);
    return sent;
}

/* Serve the socket no more. What is left to the loop stays. */
void softswitch_feed_disconnect(struct feed *f)
{
    pthread_mutex_lock(&f->lock);
    if (f->fd >= 0)
        wake_from(f, 1);
    f->fd = -1;
    f->reads = 0;
    f->writer = LOOP_WRITES;
    pthread_mutex_unlock(&f->lock);
}

/* Forget what was read for the loop, or what it had to write first. */
void softswitch_feed_forget(struct feed *f, int64_t is_rest)
{
    pthread_mutex_lock(&f->lock);
    if (is_rest) {
        free(f->rest);
        f->rest = NULL;
        f->rest_size = 0;
    } else {
        free(f->strays);
        f->strays = NULL;
        f->stray_size = 0;
    }
    pthread_mutex_unlock(&f->lock);
}

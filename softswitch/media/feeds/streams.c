/* Streams: text messages of a service that the tick reads from its WebSocket right into the queue of a track, and those that
 * it writes with what a party says (stream_queue.py, docs/adr/0054).
 *
 * The rules of sockets are those of feeds.c. What is no media message beyond doubt (stream_text.c), or has no room, is left
 * to the event loop.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "feed.h"

/* Frames of WebSockets (RFC 6455 section 5.2). */
enum { TEXT = 0x81, MASKED = 0x80 };

/* Octets of 20 ms at the bus rate; of a sample. */
enum { FRAME = 960, SAMPLE = 2 };

/* Longest message that is taken: three seconds of audio. A longer one is left to the loop as soon as it begins. */
enum { LONGEST = 262144 };

/* Octets of masking keys that are drawn at a time. */
enum { KEYS = 4096 };

/* Most octets of a media message beside its audio, and of its audio. */
enum { MOST_WORDS = 4096, MOST_AUDIO = 8192 };

/* What stands in the text of a media message where a value is to be written. No JSON has these octets. */
enum { TIME_SLOT = 1, NUMBER_SLOT, PAYLOAD_SLOT, STAMP_SLOT, CHUNK_SLOT };

/* What a tap says to a stream. */
struct tap {
    /* Frames of the tap so far; those that the tick sent; those that came to the event loop. */
    int64_t produced, sent, handled;
    /* Time of a frame in the unit of the stream. */
    int64_t step;
    /* Text of a media message, with slots. */
    uint8_t *words;
    int64_t words_size;
    struct feed *stream;
};

/* --- reading --- */

/* Take one text; return whether it was one of audio that fits. */
static int take_text(struct feed *f, const uint8_t *text, int64_t size)
{
    const uint8_t *payload;
    int64_t count, octets;
    if (!f->is_open || !find_payload(text, size, f->id, f->id_size, &payload, &count))
        return 0;
    octets = base64_size(payload, count);
    // The reader in Python carries half a sample to the next message, and counts what has no room.
    if (octets <= 0 || octets % SAMPLE || octets > f->capacity - (f->put - f->taken) || !make_room(f, octets))
        return 0;
    if (!read_base64(f->data + f->last, payload, count))
        return 0;
    f->last += octets;
    f->put += octets;
    f->fed += octets;
    return 1;
}

/* Measure an unmasked text frame; return the size of its header: 0 where it is not complete, -1 for any other frame. */
static int64_t measure(const uint8_t *data, int64_t size, int64_t *length)
{
    if (data[0] != TEXT)
        return -1;
    if (size < 2)
        return 0;
    if (data[1] & MASKED)
        return -1;
    int words = data[1] == 127 ? 8 : data[1] == 126 ? 2 : 0;
    if (size < 2 + words)
        return 0;
    uint64_t found = words ? 0 : data[1];
    for (int i = 0; i < words; i++)
        found = found << 8 | data[2 + i];
    if (found > LONGEST)
        return -1;
    *length = (int64_t)found;
    return 2 + words;
}

/* Keep the beginning of a message until its rest comes; return 0 without memory. */
static int keep_part(struct feed *f, const uint8_t *data, int64_t size)
{
    if (f->part_size + size > f->part_room) {
        uint8_t *part = realloc(f->part, (size_t)(f->part_size + size));
        if (!part)
            return 0;
        f->part = part;
        f->part_room = f->part_size + size;
    }
    memcpy(f->part + f->part_size, data, (size_t)size);
    f->part_size += size;
    return 1;
}

/* Take the media messages of what was read; return whether something is left to the loop. */
int read_texts(struct feed *f, const uint8_t *data, int64_t size)
{
    int64_t at = 0, begun = f->part_size;
    if (begun) {
        if (!keep_part(f, data, size)) {
            leave(f, data, size);
            return 1;
        }
        data = f->part;
        size += begun;
    }
    while (at < size) {
        int64_t length = 0, head = measure(data + at, size - at, &length);
        if (head > 0 && at + head + length <= size) {
            if (take_text(f, data + at + head, length)) {
                at += head + length;
                continue;
            }
            head = -1;
        }
        if (head < 0) {
            uint8_t *part = begun ? f->part : NULL;
            if (part) {
                f->part = NULL;
                f->part_room = 0;
            }
            f->part_size = 0;
            leave(f, data + at, size - at);
            free(part);
            return 1;
        }
        break;
    }
    if (begun) {
        f->part_size = size - at;
        memmove(f->part, data + at, (size_t)f->part_size);
    } else if (at < size && !keep_part(f, data + at, size - at)) {
        leave(f, data + at, size - at);
        return 1;
    }
    if (!f->part_size && f->part_room > MOST_KEPT) {
        free(f->part);
        f->part = NULL;
        f->part_room = 0;
    }
    return 0;
}

/* Read the sockets of streams that were not read for the next frames yet, `is_early` before the messages of the tick are carried
 * out. Return the number of those at which the loop has to look, which are rows[]. */
int64_t softswitch_stream_read(struct feed *const *streams, int64_t count, uint8_t *scratch, int64_t room,
                               int64_t is_early, int64_t *rows)
{
    int64_t rouses = 0, lost = 0;
    for (int64_t row = 0; row < count; row++) {
        struct feed *f = streams[row];
        if (row + 1 < count)
            prefetch(streams[row + 1]);
        pthread_mutex_lock(&f->lock);
        if ((is_early || !f->looked) && read_for_tick(f, scratch, room, &lost))
            rows[rouses++] = row;
        f->looked = is_early;
        pthread_mutex_unlock(&f->lock);
    }
    return rouses;
}

/* --- the queue --- */

/* Become the queue of a stream with an id, for `capacity` octets. Return 0 without memory. */
int softswitch_stream_begin(struct feed *f, const uint8_t *id, int64_t id_size, int64_t capacity)
{
    f->id = malloc((size_t)id_size + 1);
    if (!f->id)
        return 0;
    memcpy(f->id, id, (size_t)id_size);
    f->id_size = id_size;
    f->is_text = 1;
    f->capacity = capacity;
    f->frame = FRAME;
    f->unit = SAMPLE;
    return 1;
}

/* Append octets; return whether there was memory. */
int softswitch_stream_put(struct feed *f, const uint8_t *data, int64_t size)
{
    pthread_mutex_lock(&f->lock);
    int has_room = make_room(f, size);
    if (has_room) {
        memcpy(f->data + f->last, data, (size_t)size);
        f->last += size;
        f->put += size;
        f->fed += size;
    }
    pthread_mutex_unlock(&f->lock);
    return has_room;
}

/* Take `size` octets, which are there. */
void softswitch_stream_take(struct feed *f, uint8_t *to, int64_t size)
{
    pthread_mutex_lock(&f->lock);
    cut(f, to, size);
    pthread_mutex_unlock(&f->lock);
}

/* Discard all but the next `size` octets. */
void softswitch_stream_keep(struct feed *f, int64_t size)
{
    pthread_mutex_lock(&f->lock);
    if (size < f->put - f->taken) {
        f->put = f->taken + size;
        f->last = f->first + size;
        cut(f, NULL, 0);
    }
    pthread_mutex_unlock(&f->lock);
}

/* Return the next frame of a queue that has one; nothing else may use the queue until the following is called. */
const void *hold_stream(struct feed *f)
{
    pthread_mutex_lock(&f->lock);
    return f->data + f->first;
}

void release_stream(struct feed *f, int64_t size)
{
    cut(f, NULL, size);
    pthread_mutex_unlock(&f->lock);
}

/* Tell whether a track has nothing to decide in this tick: it plays a frame, reaches no mark and has audio left behind it; or it
 * is idle, and no audio has come. */
int stream_goes_on(struct feed *f, int is_idle)
{
    pthread_mutex_lock(&f->lock);
    int64_t level = f->put - f->taken;
    int goes_on = is_idle ? !level : level > FRAME && f->taken + FRAME < f->mark_at;
    pthread_mutex_unlock(&f->lock);
    return goes_on;
}

/* --- writing --- */

/* Draw a masking key that cannot be predicted (RFC 6455 section 5.3); return 0 where the system has none. */
static int draw_key(uint8_t *key)
{
    static __thread uint8_t keys[KEYS];
    static __thread int64_t left;
    if (left < 4) {
        if (getrandom(keys, KEYS, 0) != KEYS)
            return 0;
        left = KEYS;
    }
    left -= 4;
    memcpy(key, keys + left, 4);
    return 1;
}

static int64_t write_number(uint8_t *to, int64_t number)
{
    uint8_t digits[20];
    int64_t count = 0;
    do
        digits[count++] = (uint8_t)('0' + number % 10);
    while (number /= 10);
    for (int64_t i = 0; i < count; i++)
        to[i] = digits[count - 1 - i];
    return count;
}

/* Write a media message of a tap; return its octets. */
static int64_t write_media(uint8_t *to, const struct tap *t, const uint8_t *audio, int64_t size, const uint8_t *moment)
{
    uint8_t *first = to;
    const struct feed *f = t->stream;
    for (const uint8_t *at = t->words, *end = at + t->words_size; at < end; at++) {
        switch (*at) {
        case TIME_SLOT:
            memcpy(to, moment, 24);
            to += 24;
            break;
        case NUMBER_SLOT:
            to += write_number(to, f->number + 1);
            break;
        case PAYLOAD_SLOT:
            to += write_base64(to, audio, size);
            break;
        case STAMP_SLOT:
            to += write_number(to, t->produced * t->step);
            break;
        case CHUNK_SLOT:
            to += write_number(to, f->chunk + 1);
            break;
        default:
            *to++ = *at;
        }
    }
    return to - first;
}

static void mask(uint8_t *data, int64_t size, const uint8_t *key)
{
    uint64_t word, twice;
    int64_t i = 0;
    memcpy(&twice, key, 4);
    memcpy((uint8_t *)&twice + 4, key, 4);
    for (; i + 8 <= size; i += 8) {
        memcpy(&word, data + i, 8);
        word ^= twice;
        memcpy(data + i, &word, 8);
    }
    for (; i < size; i++)
        data[i] ^= key[i & 3];
}

/* Send a frame of audio; return whether it went, or is about to: the loop does the rest where *is_partial is set. */
static int send_media(struct tap *t, const uint8_t *audio, int64_t size, const uint8_t *moment, int *is_partial)
{
    struct feed *f = t->stream;
    uint8_t message[8 + MOST_WORDS + 2 * MOST_AUDIO];
    if (f->fd < 0 || f->writer != BOTH_WRITE || size > MOST_AUDIO)
        return 0;
    // The header is written in front of the text, whose length decides its own.
    uint8_t *text = message + 8, *begin = text - 6;
    int64_t length = write_media(text, t, audio, size, moment), head = 6;
    if (length > 125) {
        begin -= 2;
        head += 2;
    }
    if (!draw_key(text - 4))
        return 0;
    begin[0] = TEXT;
    begin[1] = MASKED | (length < 126 ? (uint8_t)length : 126);
    if (head == 8) {
        begin[2] = (uint8_t)(length >> 8);
        begin[3] = (uint8_t)length;
    }
    mask(text, length, text - 4);
    int64_t sent = try_send(f, begin, head + length);
    if (!sent)
        return 0;
    if (sent < head + length) {
        keep_rest(f, begin + sent, head + length - sent);
        *is_partial = 1;
    }
    f->number++;
    f->chunk++;
    f->sent++;
    t->sent++;
    return 1;
}

/* Send a frame of audio of each tap, `size` octets, as a media message to its stream; null is a tap without one.
 *
 * Where the loop has to do it, left[] gets its place. Places of which the kernel took a part only are in roused[]. out_numbers
 * gets the numbers of both.
 */
void softswitch_stream_push(struct tap *const *taps, int64_t count, const uint8_t *audio, int64_t size,
                            int64_t epoch_ms, int64_t *left, int64_t *roused, int64_t *out_numbers)
{
    uint8_t moment[24];
    int64_t lefts = 0, rouses = 0;
    write_moment(moment, epoch_ms);
    for (int64_t i = 0; i < count; i++) {
        struct tap *t = taps[i];
        int is_partial = 0, went = 0;
        if (t) {
            if (i + 1 < count && taps[i + 1])
                prefetch(taps[i + 1]->stream);
            pthread_mutex_lock(&t->stream->lock);
            went = send_media(t, audio + i * size, size, moment, &is_partial);
            if (!went)
                t->stream->writer = LOOP_WRITES;
            t->produced++;
            pthread_mutex_unlock(&t->stream->lock);
        }
        if (!went)
            left[lefts++] = i;
        if (is_partial)
            roused[rouses++] = i;
    }
    out_numbers[0] = lefts;
    out_numbers[1] = rouses;
}

/* Make a tap of a stream, which must outlive it. Null without memory, or where the text is too long. */
struct tap *softswitch_stream_tap(struct feed *f, const uint8_t *words, int64_t size, int64_t step)
{
    struct tap *t = size <= MOST_WORDS - 256 ? calloc(1, sizeof *t) : NULL;
    if (!t)
        return NULL;
    t->words = malloc((size_t)size + 1);
    if (!t->words) {
        free(t);
        return NULL;
    }
    memcpy(t->words, words, (size_t)size);
    t->words_size = size;
    t->step = step;
    t->stream = f;
    return t;
}

void softswitch_stream_untap(struct tap *t)
{
    free(t->words);
    free(t);
}

static int is_handled(const struct tap *t) { return t->produced <= t->sent + t->handled; }

/* Let the tick write if no frame that it has left is on its way to the loop; return whether it does. */
int softswitch_stream_write(struct feed *f, const struct tap *one, const struct tap *other)
{
    pthread_mutex_lock(&f->lock);
    int may = f->fd >= 0 && (!one || is_handled(one)) && (!other || is_handled(other));
    f->writer = may ? BOTH_WRITE : LOOP_WRITES;
    pthread_mutex_unlock(&f->lock);
    return may;
}

/* Let the loop alone write, so that numbers are its own. */
void softswitch_stream_claim(struct feed *f)
{
    pthread_mutex_lock(&f->lock);
    f->writer = LOOP_WRITES;
    pthread_mutex_unlock(&f->lock);
}

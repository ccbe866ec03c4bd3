/* What the files of this directory share: the queue of a feed port or of a stream's track, with its WebSocket. */
#ifndef SOFTSWITCH_FEED_H
#define SOFTSWITCH_FEED_H

#include <pthread.h>
#include <stdint.h>

#define HIDDEN __attribute__((visibility("hidden")))

#define HIGHEST ((int64_t)1 << 62)

/* Who writes to the socket: the event loop's transport alone, or the tick and the loop in turn, a frame at a time. */
enum { LOOP_WRITES = 0, BOTH_WRITE = 1 };

/* Octets that a queue has room for at first, and above which an empty one gives its memory back. */
enum { FIRST_ROOM = 4096, MOST_KEPT = 65536 };

struct feed {
    /* Rules of the queue, octets: a frame of 20 ms, a sample, the longest queue, the queue from which on it plays. */
    int64_t frame, unit, capacity, start;
    /* State of the queue, as in FeedFifo. */
    int64_t seen, put, taken, dropped, underruns, mended_ms, correction;
    int64_t playing, postponed, stalled, low, window, base, creep;
    /* The port: whether it is mixed, ticks since its last audio, frames that it was sent. */
    int64_t speaks, silent_ticks, sent_frames;
    /* Lateness of a live source, as in Lateness: whether there is a judge, whether it is late; lowest level of the window
     * and the lead at that time; and the queue as the judge is to see it. */
    int64_t judged, behind, floor, credit, received, level;
    double since, origin, second, lead;
    /* The socket, -1: none. Whether the tick reads it, and who writes. */
    int64_t fd, reads, writer;
    /* Whether the socket was read for the next frame already. */
    int64_t looked;
    /* Octets that have to wait in the socket before the loop is woken; ticks in which nothing came. */
    int64_t wakes, quiet;
    /* Octets of the last read. */
    int64_t got;
    /* Longest message, 0: unlimited; whether what the port hears is sent here. */
    int64_t most, listens;
    /* Reads so far; frames left to the loop so far; errno at the end of the connection, -1: the peer closed it. */
    int64_t heard, handed, ended;
    /* Of a frame that is being read: octets of its header so far, those of the payload still to come, octets of the mask
     * that are used up. */
    int64_t head_size, left, phase;
    /* What was read and is left to the loop; what the kernel did not take of a frame. */
    uint8_t *strays;
    int64_t stray_size;
    uint8_t *rest;
    int64_t rest_size;
    uint8_t head[16], key[4];
    /* Of a stream (streams.c): whether messages are text without a mask, and whether the track takes audio; octets that were
     * accepted in all; the value of `taken` at the next mark; the last number and chunk that were sent, media messages that
     * the tick has sent; and a message that is not complete, with the size of its memory. */
    int64_t is_text, is_open, fed, mark_at, number, chunk, sent;
    uint8_t *part;
    int64_t part_size, part_room;
    /* The id that a message of the service may have. */
    uint8_t *id;
    int64_t id_size;
    /* Python knows nothing of these. */
    pthread_mutex_t lock;
    uint8_t *data;
    int64_t room, first, last;
};

/* feeds.c */
HIDDEN int make_room(struct feed *f, int64_t more);
HIDDEN void cut(struct feed *f, uint8_t *to, int64_t size);
HIDDEN void leave(struct feed *f, const uint8_t *data, int64_t size);
HIDDEN int read_for_tick(struct feed *f, uint8_t *scratch, int64_t room, int64_t *lost);
HIDDEN int64_t try_send(struct feed *f, const uint8_t *data, int64_t size);
HIDDEN int keep_rest(struct feed *f, const uint8_t *rest, int64_t size);
HIDDEN void prefetch(const struct feed *f);

/* streams.c */
HIDDEN int read_texts(struct feed *f, const uint8_t *data, int64_t size);
HIDDEN const void *hold_stream(struct feed *f);
HIDDEN void release_stream(struct feed *f, int64_t size);
HIDDEN int stream_goes_on(struct feed *f, int is_idle);

/* stream_text.c */
HIDDEN int find_payload(const uint8_t *text, int64_t size, const uint8_t *id, int64_t id_size, const uint8_t **payload,
                        int64_t *payload_size);
HIDDEN int64_t base64_size(const uint8_t *text, int64_t size);
HIDDEN int read_base64(uint8_t *to, const uint8_t *text, int64_t size);
HIDDEN int64_t write_base64(uint8_t *to, const uint8_t *data, int64_t size);
HIDDEN int64_t write_moment(uint8_t *to, int64_t epoch_ms);

#endif

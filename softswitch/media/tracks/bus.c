/* Tracks that play on for some ticks without anything to decide: their frames are added to the rows of those that hear
 * them, all with one call from Python (steady_tracks.py, docs/adr/0049).
 */
#include <stdint.h>
#include <string.h>

#include "../feeds/feed.h"

#define ALWAYS static inline __attribute__((always_inline))

/* Samples of 20 ms at the bus rate, and most tracks that sound in one mix. */
enum { FRAME = 480, SOURCES = 4 };

/* In place of the octets of a sample: the track of a stream that plays from its queue, and one that waits for audio. */
enum { STREAM = 1, IDLE_STREAM = 3 };

/* What plays, by seat; the arrays are Python's. */
struct tracks {
    int64_t seats;
    /* Ticks that each seat goes on; 0: nothing plays there. */
    int64_t *left;
    /* Next frame of each track of a seat, null for none; the octets of a sample, 4 of a float and 2 of an integer; and its
     * gain. Of streams it is the queue. */
    const char *(*at)[SOURCES];
    const int64_t (*size)[SOURCES];
    const float (*level)[SOURCES];
    /* Rows that hear seat s: those of `rows` from first[s] up to first[s + 1]. */
    const int64_t *first;
    const int64_t *rows;
};

/* Add a frame of a track. */
ALWAYS void add(float *sum, const char *at, int64_t size, float level)
{
    if (size == IDLE_STREAM)
        return;
    if (size == STREAM) {
        const int16_t *audio = hold_stream((struct feed *)at);
        for (int i = 0; i < FRAME; i++)
            sum[i] += (float)audio[i] * level;
        release_stream((struct feed *)at, 2 * FRAME);
    } else if (size == sizeof(float))
        for (int i = 0; i < FRAME; i++)
            sum[i] += ((const float *)at)[i] * level;
    else
        for (int i = 0; i < FRAME; i++)
            sum[i] += (float)((const int16_t *)at)[i] * level;
}

ALWAYS int add_all(struct tracks *t, float *heard, uint8_t *sounding, uint8_t *loud, int64_t *ended)
{
    int count = 0;
    for (int64_t seat = 0; seat < t->seats; seat++) {
        if (!t->left[seat])
            continue;
        float sum[FRAME] = {0};
        int sounds = 0;
        for (int k = 0; k < SOURCES && t->at[seat][k]; k++) {
            sounds |= t->size[seat][k] != IDLE_STREAM;
            add(sum, t->at[seat][k], t->size[seat][k], t->level[seat][k]);
        }
        for (int64_t k = t->first[seat]; sounds && k < t->first[seat + 1]; k++) {
            int64_t row = t->rows[k];
            float *to = heard + row * FRAME;
            for (int i = 0; i < FRAME; i++)
                to[i] += sum[i];
            sounding[row] = loud[row] = 1;
        }
        for (int k = 0; k < SOURCES && t->at[seat][k]; k++)
            if (!(t->size[seat][k] & 1))
                t->at[seat][k] += FRAME * t->size[seat][k];
        if (!--t->left[seat])
            ended[count++] = seat;
    }
    return count;
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static int add_avx2(struct tracks *t, float *heard, uint8_t *sounding,
                                                        uint8_t *loud, int64_t *ended)
{
    return add_all(t, heard, sounding, loud, ended);
}
#endif

/* Add the next frame of each seat to the rows that hear it, and mark these rows.
 *
 * Returns how many seats have played their last frame; `ended` gets them.
 */
int softswitch_add_tracks(struct tracks *t, float *heard, uint8_t *sounding, uint8_t *loud, int64_t *ended)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return add_avx2(t, heard, sounding, loud, ended);
#endif
    return add_all(t, heard, sounding, loud, ended);
}

/* Find the seats in which a stream's track has something to decide before its next frame.
 *
 * Returns their number; `ended` gets them. They still have their ticks.
 */
int softswitch_check_tracks(struct tracks *t, int64_t *ended)
{
    int count = 0;
    for (int64_t seat = 0; seat < t->seats; seat++) {
        int goes_on = 1;
        for (int k = 0; t->left[seat] && k < SOURCES && t->at[seat][k]; k++)
            if (t->size[seat][k] & 1)
                goes_on &= stream_goes_on((struct feed *)t->at[seat][k], t->size[seat][k] == IDLE_STREAM);
        if (!goes_on)
            ended[count++] = seat;
    }
    return count;
}

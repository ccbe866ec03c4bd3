/* One frame of the bus shortened or lengthened by a pitch period, as stretch.py does it, for code in C that plays frames. */
#include <math.h>
#include <stdint.h>
#include <string.h>

/* Samples of 20 ms at 24 kHz, and the shortest and longest periods: 2.5 and 10 ms. */
enum { FRAME = 480, SHORTEST = 60, LONGEST = 240, SEAM = FRAME - LONGEST, FACTOR = 3 };
static const float STRONG = 0.7f, QUIET_POWER = 3600.0f, PI = 3.14159265358979f;

int softswitch_lags(const float *pcm, int64_t rows, int64_t samples, int64_t shortest, int64_t longest, int64_t window,
                    int64_t factor, int64_t *lags, float *strengths);
void softswitch_power(const float *pcm, int64_t rows, int64_t samples, float *out);

/* Cross-fade from `first` to `second`, `count` samples each. */
static void blend(const float *first, const float *second, int64_t count, float *out)
{
    for (int64_t i = 0; i < count; i++) {
        float rising = 0.5f - 0.5f * cosf(PI * (((float)i + 0.5f) / (float)count));
        out[i] = first[i] * (1.0f - rising) + second[i] * rising;
    }
}

/* Write a frame with a period removed, or with one played twice, and return its samples; FRAME if there is no good place.
 *
 * `out` has room for FRAME + LONGEST samples. `force`: where it is heard as well.
 */
int64_t softswitch_stretch(const float *pcm, int shorter, int force, float *out)
{
    int64_t lag = 0;
    float strength, power;
    memcpy(out, pcm, sizeof(float) * FRAME);
    softswitch_lags(pcm, 1, FRAME, SHORTEST, LONGEST, LONGEST, FACTOR, &lag, &strength);
    softswitch_power(pcm, 1, FRAME, &power);
    if (!(strength > STRONG || power < QUIET_POWER || force))
        return FRAME;
    const float *seam = pcm + SEAM, *before = seam - lag, *behind = seam + lag;
    if (shorter) {
        blend(before, seam, lag, out + SEAM - lag);
        memcpy(out + SEAM, behind, sizeof(float) * (size_t)(FRAME - SEAM - lag));
        return FRAME - lag;
    }
    blend(seam, before, lag, out + SEAM);
    memcpy(out + SEAM + lag, seam, sizeof(float) * (FRAME - SEAM));
    return FRAME + lag;
}

/* Bands of the sound that encoders of Opus are given, for many slots with one call from Python (opus.py, band.py).
 *
 * Results are those of the Python code within the rounding of float32.
 */
#include <stdint.h>

#define ALWAYS static inline __attribute__((always_inline))

/* Samples of a block, and waves that it is compared with: a cosine and a sine of each frequency. */
enum { BLOCK = 60, WAVES = 32 };
enum { NARROW, WIDE, FULL };

/* What opus.py knows of each slot, and the numbers that both files agree on. */
struct following {
    int64_t *unseen;
    double *below_ms;
    int64_t *band;
    const uint8_t *limited;
    /* Waves in rows of WAVES, of which those from `top` on lie above 8 kHz. */
    const float *basis;
    int64_t top;
    /* Share in the whole power, and power, from which on a band counts. */
    float share;
    float floor;
    /* Power from which on a frame is sound, and below which it is a pause. */
    float audible;
    float quiet;
    int64_t look_frames;
    double limited_after_ms;
    /* Milliseconds of a sample. */
    double sample_ms;
};

ALWAYS float mean_square(const float *pcm, int64_t samples)
{
    float sums[8] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + 8 <= samples; i += 8)
        for (int k = 0; k < 8; k++)
            sums[k] += pcm[i + k] * pcm[i + k];
    for (; i < samples; i++)
        sum += pcm[i] * pcm[i];
    for (int k = 0; k < 8; k++)
        sum += sums[k];
    return sum / (float)samples;
}

ALWAYS int64_t band_of(const struct following *f, const float *pcm, int64_t samples, float power)
{
    float above_4 = 0, above_8 = 0, audible = f->share * power;
    for (int64_t at = 0; at < samples; at += BLOCK) {
        float sums[WAVES] = {0};
        for (int i = 0; i < BLOCK; i++)
            for (int k = 0; k < WAVES; k++)
                sums[k] += pcm[at + i] * f->basis[i * WAVES + k];
        for (int64_t k = 0; k < WAVES; k++)
            *(k < f->top ? &above_4 : &above_8) += sums[k] * sums[k];
    }
    float blocks = (float)(samples / BLOCK);
    audible = audible > f->floor ? audible : f->floor;
    if (above_8 / blocks > audible)
        return FULL;
    return above_4 / blocks + above_8 / blocks > audible ? WIDE : NARROW;
}

ALWAYS int64_t follow(const struct following *f, const float *pcm, int64_t rows, int64_t samples, const int64_t *slots,
                      int64_t *changed)
{
    int64_t count = 0;
    for (int64_t row = 0; row < rows; row++) {
        int64_t slot = slots[row];
        int64_t unseen = f->unseen[slot] + 1 < f->look_frames ? f->unseen[slot] + 1 : f->look_frames;
        const float *frame = pcm + row * samples;
        float power = mean_square(frame, samples);
        int64_t seen = band_of(f, frame, samples, power), present = f->band[slot], lowest = FULL, wanted = present;
        double *below = f->below_ms + 2 * slot;
        f->unseen[slot] = 0;
        /* Sound without anything above 4 kHz, and above 8. */
        for (int k = WIDE; k >= NARROW; k--) {
            below[k] = seen > k ? 0.0 : below[k] + (power > f->audible ? (double)(unseen * samples) * f->sample_ms : 0.0);
            if (below[k] >= f->limited_after_ms)
                lowest = k;
        }
        if (power < f->quiet && lowest < present)
            wanted = lowest;
        wanted = seen > wanted ? seen : wanted;
        if (wanted != present && !f->limited[slot]) {
            f->band[slot] = wanted;
            changed[count++] = slot;
        }
    }
    return count;
}

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2,fma")))
static int has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

AVX2 static int64_t follow_avx2(const struct following *f, const float *pcm, int64_t rows, int64_t samples,
                                const int64_t *slots, int64_t *changed)
{
    return follow(f, pcm, rows, samples, slots, changed);
}
#endif

/* Do what OpusBank._follow_band does before it makes new encoders: `changed` gets the slots, whose number is returned.
 *
 * `pcm` is (rows, samples) at 24 kHz, whole blocks. All slots are looked at once one of them has not been for long enough.
 */
int64_t softswitch_follow_band(const struct following *f, const float *pcm, int64_t rows, int64_t samples,
                               const int64_t *slots, int64_t *changed)
{
    int64_t most = 0, limited = 0;
    for (int64_t row = 0; row < rows; row++) {
        most = f->unseen[slots[row]] + 1 > most ? f->unseen[slots[row]] + 1 : most;
        limited += f->limited[slots[row]];
    }
    if (limited == rows)
        return 0;
    if (most < f->look_frames) {
        for (int64_t row = 0; row < rows; row++)
            f->unseen[slots[row]]++;
        return 0;
    }
#if defined(__x86_64__)
    if (has_avx2())
        return follow_avx2(f, pcm, rows, samples, slots, changed);
#endif
    return follow(f, pcm, rows, samples, slots, changed);
}

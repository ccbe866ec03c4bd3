/* The soft limiter for many rows with one call from Python (mix.py, docs/adr/0049). */
#include <math.h>
#include <stdint.h>
#include <string.h>

#define ALWAYS static inline __attribute__((always_inline))

static const float KNEE = 0.8f * 32768.0f, HIGHEST = 32767.0f;

/* Bits of a float without its sign: in the order of magnitudes, so that a compiler may look for the largest of many. */
ALWAYS int32_t magnitude(const float *sample)
{
    int32_t bits;
    memcpy(&bits, sample, sizeof bits);
    return bits & INT32_MAX;
}

ALWAYS int is_loud(const float *row, int64_t samples)
{
    int32_t most = 0;
    for (int64_t i = 0; i < samples; i++) {
        int32_t one = magnitude(row + i);
        most = one > most ? one : most;
    }
    return most > magnitude(&KNEE);
}

static void bend(float *row, int64_t samples)
{
    float span = HIGHEST - KNEE;
    for (int64_t i = 0; i < samples; i++) {
        float over = fabsf(row[i]);
        if (over > KNEE)
            row[i] = copysignf(KNEE + span * tanhf((over - KNEE) / span), row[i]);
    }
}

ALWAYS void limit_rows(float *pcm, int64_t rows, int64_t samples, const uint8_t *which)
{
    for (int64_t row = 0; row < rows; row++)
        if ((!which || which[row]) && is_loud(pcm + row * samples, samples))
            bend(pcm + row * samples, samples);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void limit_avx2(float *pcm, int64_t rows, int64_t samples, const uint8_t *which)
{
    limit_rows(pcm, rows, samples, which);
}
#endif

/* Limit those of `rows` that are not 0 in `which`, all where it is null, as mix.limit does. */
void softswitch_limit(float *pcm, int64_t rows, int64_t samples, const uint8_t *which)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        limit_avx2(pcm, rows, samples, which);
        return;
    }
#endif
    limit_rows(pcm, rows, samples, which);
}

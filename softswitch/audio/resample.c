/* Resampling of many rows with one call from Python (resample.py, docs/adr/0049).
 *
 * The filter is written out by the phase of its outputs. The samples that come in are sorted into lines by their place
 * modulo `down`; then the outputs of one phase are sums of products of neighbouring numbers, a register full at a time.
 */
#include <stdint.h>
#include <string.h>

#define ALWAYS static inline __attribute__((always_inline))

/* Largest factor up and down, longest past, outputs of a phase in one go, and room behind the end of each line. */
enum { FACTOR = 6, PAST = 256, GO = 160 };

/* A filter. Tap i of phase p, first[p] <= i < first[p + 1], weighs the numbers from place[i] on, in the lines of `width`
 * numbers one after another. */
struct filter {
    int64_t up, down, past, width;
    const int64_t *first;
    const int64_t *place;
    const float *weight;
};

typedef float lanes4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef float lanes8 __attribute__((vector_size(32), aligned(4), may_alias));
typedef float lanes16 __attribute__((vector_size(64), aligned(4), may_alias));

/* Weigh `taps` numbers for each of `count` outputs, rounded up to a block. */
#define WEIGH(lanes)                                                                                                   \
    ALWAYS void weigh_##lanes(const float *lines, const int64_t *place, const float *weight, int64_t taps,            \
                              int64_t count, float *out)                                                               \
    {                                                                                                                  \
        enum { WIDTH = sizeof(lanes) / sizeof(float), SUMS = 10 };                                                     \
        for (int64_t i = 0; i < count; i += SUMS * WIDTH) {                                                            \
            lanes a[SUMS] = {{0}};                                                                                     \
            for (int64_t tap = 0; tap < taps; tap++) {                                                                 \
                const float *x = lines + place[tap] + i;                                                               \
                float w = weight[tap];                                                                                 \
                _Pragma("GCC unroll 10") for (int k = 0; k < SUMS; k++) a[k] += *(const lanes *)(x + k * WIDTH) * w;   \
            }                                                                                                          \
            _Pragma("GCC unroll 10") for (int k = 0; k < SUMS; k++) *(lanes *)(out + i + k * WIDTH) = a[k];            \
        }                                                                                                              \
    }

WEIGH(lanes4)
WEIGH(lanes8)
WEIGH(lanes16)

/* Sort `count` samples of `line` into the lines of `lines`, and clear the room behind their ends. */
ALWAYS void sort(const float *line, int64_t count, int64_t down, float *lines, int64_t width)
{
    for (int64_t j = 0; j < down; j++) {
        float *to = lines + j * width;
        int64_t n = (count - j + down - 1) / down;
        for (int64_t i = 0; i < n; i++)
            to[i] = line[i * down + j];
        memset(to + n, 0, sizeof(float) * (size_t)(width - n));
    }
}

/* Put the outputs of `up` phases in order. */
ALWAYS void join(const float (*made)[GO], int64_t count, int64_t up, float *out)
{
    for (int64_t i = 0; i < count; i++)
        for (int64_t p = 0; p < up; p++)
            out[i * up + p] = made[p][i];
}

/* Resample one row; `past` becomes the end of it. */
ALWAYS void resample_row(const struct filter *f, float *past, const float *pcm, int64_t samples, float *out, int lanes)
{
    float line[PAST + FACTOR * GO], lines[PAST + FACTOR * (GO + 2)], made[FACTOR][GO];
    memcpy(line, past, sizeof(float) * (size_t)f->past);
    for (int64_t most = GO * f->down; samples > 0; samples -= most, pcm += most, out += GO * f->up) {
        int64_t taken = samples < most ? samples : most, count = taken / f->down;
        memcpy(line + f->past, pcm, sizeof(float) * (size_t)taken);
        if (f->down == 1)
            sort(line, f->past + taken, 1, lines, f->width);
        else if (f->down == 2)
            sort(line, f->past + taken, 2, lines, f->width);
        else if (f->down == 3)
            sort(line, f->past + taken, 3, lines, f->width);
        else
            sort(line, f->past + taken, f->down, lines, f->width);
        for (int64_t p = 0; p < f->up; p++) {
            const int64_t *place = f->place + f->first[p], taps = f->first[p + 1] - f->first[p];
            const float *weight = f->weight + f->first[p];
            if (lanes == 16)
                weigh_lanes16(lines, place, weight, taps, count, made[p]);
            else if (lanes == 8)
                weigh_lanes8(lines, place, weight, taps, count, made[p]);
            else
                weigh_lanes4(lines, place, weight, taps, count, made[p]);
        }
        if (f->up == 1)
            memcpy(out, made[0], sizeof(float) * (size_t)count);
        else if (f->up == 2)
            join((const float(*)[GO])made, count, 2, out);
        else if (f->up == 3)
            join((const float(*)[GO])made, count, 3, out);
        else
            join((const float(*)[GO])made, count, f->up, out);
        memmove(line, line + taken, sizeof(float) * (size_t)f->past);
    }
    memcpy(past, line, sizeof(float) * (size_t)f->past);
}

ALWAYS void resample_rows(const struct filter *f, float *history, const int64_t *slots, int64_t rows, const float *pcm,
                          int64_t samples, float *out, int lanes)
{
    int64_t outputs = samples / f->down * f->up;
    for (int64_t row = 0; row < rows; row++) {
        float *past = history + slots[row] * f->past;
        resample_row(f, past, pcm + row * samples, samples, out + row * outputs, lanes);
    }
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static void
resample_8(const struct filter *f, float *history, const int64_t *slots, int64_t rows, const float *pcm,
           int64_t samples, float *out)
{
    resample_rows(f, history, slots, rows, pcm, samples, out, 8);
}

__attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,fma"))) static void
resample_16(const struct filter *f, float *history, const int64_t *slots, int64_t rows, const float *pcm,
            int64_t samples, float *out)
{
    resample_rows(f, history, slots, rows, pcm, samples, out, 16);
}
#endif

/* Resample rows of `samples`, a multiple of `down`, each behind the past of its slot, which becomes the end of the row.
 *
 * Returns 0, and changes nothing, if a slot is not below `places`.
 */
int softswitch_resample(const struct filter *f, float *history, int64_t places, const int64_t *slots, int64_t rows,
                        const float *pcm, int64_t samples, float *out)
{
    for (int64_t row = 0; row < rows; row++)
        if (slots[row] < 0 || slots[row] >= places)
            return 0;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw"))
        resample_16(f, history, slots, rows, pcm, samples, out);
    else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        resample_8(f, history, slots, rows, pcm, samples, out);
    else
#endif
        resample_rows(f, history, slots, rows, pcm, samples, out, 4);
    return 1;
}

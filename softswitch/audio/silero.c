/* What Silero's network is shown, for many rows with one call from Python (silero.py, docs/adr/0049).
 *
 * Windows are gathered and their frames folded: the waves of the short-time spectrum are symmetric in time and in
 * frequency, so that products with a quarter of their numbers are enough. The products themselves are numpy's.
 */
#include <stdint.h>
#include <string.h>

#define ALWAYS static inline __attribute__((always_inline))

/* Samples of context, window and frame of the bank; of a frame of the spectrum; the hop; frames and bins. */
enum { CONTEXT = 64, WINDOW = 512, PIECE = 320, LINE = CONTEXT + WINDOW + PIECE };
enum { FRAME = 256, HOP = 128, FRAMES = 4, HALF = FRAME / 2, PART = FRAME / 4, BINS = HALF + 1 };
/* Quiet windows for which the network still runs. */
enum { PATIENCE = 8 };

/* Write the parts of `frame`, `stride` numbers apart: sums of even and of odd samples, differences of odd and of even ones.
 */
ALWAYS void fold(const float *frame, float *parts, int64_t stride)
{
    float sums[HALF + 1], differences[HALF + 1], turned[HALF + 1];
    for (int t = 1; t <= HALF; t++)
        turned[t] = frame[FRAME - t];
    for (int t = 1; t <= HALF; t++) {
        sums[t] = (frame[t] + turned[t]) * (1.0f / 32768.0f);
        differences[t] = (frame[t] - turned[t]) * (1.0f / 32768.0f);
    }
    sums[HALF] *= 0.5f;
    for (int i = 0; i < PART; i++) {
        parts[i] = sums[2 * i + 2];
        parts[stride + i] = sums[2 * i + 1];
        parts[2 * stride + i] = differences[2 * i + 1];
        parts[3 * stride + i] = differences[2 * i + 2];
    }
}

/* Fold the frames of a window with its context; behind its end it is mirrored. */
ALWAYS void fold_window(const float *line, float *parts, int64_t stride)
{
    float mirrored[CONTEXT + WINDOW + CONTEXT];
    memcpy(mirrored, line, sizeof(float) * (CONTEXT + WINDOW));
    for (int i = 0; i < CONTEXT; i++)
        mirrored[CONTEXT + WINDOW + i] = line[CONTEXT + WINDOW - 2 - i];
    for (int i = 0; i < FRAMES; i++)
        fold(mirrored + i * HOP, parts + i * PART, stride);
}

ALWAYS int is_quiet(const float *window, float limit)
{
    float sums[16] = {0};
    for (int i = 0; i < WINDOW; i += 16)
        for (int k = 0; k < 16; k++)
            sums[k] += window[i + k] * window[i + k];
    float sum = 0;
    for (int k = 0; k < 16; k++)
        sum += sums[k];
    return sum * (1.0f / WINDOW) < limit;
}

ALWAYS int64_t take_all(float *lines, int64_t *fill, int64_t *quiet, float *probability, const int64_t *slots,
                        int64_t rows, const float *pcm, float limit, float *parts, int64_t stride, int64_t *asked)
{
    int64_t count = 0;
    for (int64_t row = 0; row < rows; row++) {
        int64_t slot = slots[row];
        float *line = lines + slot * LINE;
        memcpy(line + CONTEXT + fill[slot], pcm + row * PIECE, sizeof(float) * PIECE);
        fill[slot] += PIECE;
        if (fill[slot] < WINDOW)
            continue;
        quiet[slot] = is_quiet(line + CONTEXT, limit) ? quiet[slot] + 1 : 0;
        if (quiet[slot] <= PATIENCE) {
            fold_window(line, parts + count * FRAMES * PART, stride);
            asked[count++] = slot;
        } else
            probability[slot] = 0;
        memmove(line, line + WINDOW, sizeof(float) * (LINE - WINDOW));
        fill[slot] -= WINDOW;
    }
    return count;
}

/* Squares of magnitudes of `frames` frames from the products of their parts, each (frames, 65). */
ALWAYS void squares(const float *products, int64_t frames, float *out)
{
    enum { PRODUCTS = PART + 1 };
    const float *a = products, *b = a + frames * PRODUCTS, *c = b + frames * PRODUCTS, *d = c + frames * PRODUCTS;
    for (int64_t i = 0; i < frames; i++) {
        float turned[PRODUCTS];
        for (int k = 0; k < PRODUCTS; k++) {
            float real = a[k] + b[k], imaginary = c[k] + d[k], other = a[k] - b[k], another = c[k] - d[k];
            out[k] = real * real + imaginary * imaginary;
            turned[k] = other * other + another * another;
        }
        for (int k = 0; k < PART; k++)
            out[HALF - k] = turned[k];
        a += PRODUCTS, b += PRODUCTS, c += PRODUCTS, d += PRODUCTS, out += BINS;
    }
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static int64_t
take_avx2(float *lines, int64_t *fill, int64_t *quiet, float *probability, const int64_t *slots, int64_t rows,
          const float *pcm, float limit, float *parts, int64_t stride, int64_t *asked)
{
    return take_all(lines, fill, quiet, probability, slots, rows, pcm, limit, parts, stride, asked);
}

__attribute__((target("avx2,fma"))) static void squares_avx2(const float *products, int64_t frames, float *out)
{
    squares(products, frames, out);
}
#endif

/* Append 20 ms of each row to the line of its slot. Fold the windows that became whole, and are to be judged.
 *
 * The four parts of window i begin at parts + 256 * i, `stride` numbers from each other; asked[i] gets its slot. Returns
 * the number of windows, or -1, and changes nothing, if a slot is not below `places` or its line is too full.
 */
int64_t softswitch_silero_take(float *lines, int64_t *fill, int64_t *quiet, float *probability, int64_t places,
                               const int64_t *slots, int64_t rows, const float *pcm, float limit, float *parts,
                               int64_t stride, int64_t *asked)
{
    for (int64_t row = 0; row < rows; row++)
        if (slots[row] < 0 || slots[row] >= places || fill[slots[row]] < 0 || fill[slots[row]] >= WINDOW)
            return -1;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return take_avx2(lines, fill, quiet, probability, slots, rows, pcm, limit, parts, stride, asked);
#endif
    return take_all(lines, fill, quiet, probability, slots, rows, pcm, limit, parts, stride, asked);
}

/* Write the squares of the magnitudes, (frames, 129), of `frames` folded frames from their products, (4, frames, 65). */
void softswitch_silero_squares(const float *products, int64_t frames, float *out)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        squares_avx2(products, frames, out);
        return;
    }
#endif
    squares(products, frames, out);
}

/* Silero's network for many rows with one call from Python (silero.py, docs/adr/0049).
 *
 * Windows are gathered, and judged in blocks of WINDOWS: each weight is then read once for a whole block. The frames are
 * folded: the waves of the short-time spectrum are symmetric in time and in frequency, so that products with a quarter of
 * their numbers are enough. Weights lie in panels of 16 columns, each of which stays in the nearest cache while all rows are
 * multiplied by it.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

/* Vectors are handed only to functions that become part of their callers, so that no rule for calls matters. */
#pragma GCC diagnostic ignored "-Wpsabi"

#define ALWAYS static inline __attribute__((always_inline))

/* Samples of context, window and frame of the bank; of a frame of the spectrum; the hop; frames and bins. */
enum { CONTEXT = 64, WINDOW = 512, PIECE = 320, LINE = CONTEXT + WINDOW + PIECE };
enum { FRAME = 256, HOP = 128, FRAMES = 4, HALF = FRAME / 2, PART = FRAME / 4, BINS = HALF + 1 };
/* Quiet windows for which the network still runs. */
enum { PATIENCE = 8 };
/* Windows judged together, columns of a panel, rows multiplied at once: 12 sums of 8 numbers stay in registers. */
enum { WINDOWS = 24, PANEL = 16, TILE = 6 };
/* Parts of a folded frame, columns of their products (65 and some for the width of a vector). */
enum { PARTS = 4, PRODUCTS = PART + 8 };
/* Outputs of the convolutions, numbers of the cell's output, its gates. */
enum { WIDE = 128, NARROW = 64, HIDDEN = 128, GATES = 4 * HIDDEN };

typedef float vector __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t integers __attribute__((vector_size(32)));

/* The network, and the arrays of a bank; all of them Python's. */
struct silero {
    float *lines;
    int64_t *fill;
    int64_t *quiet;
    float *probability;
    float *hidden;
    float *memory;
    int64_t places;
    /* Weights in panels, and biases: waves, four convolutions, cell; then the output's weights and bias. */
    const float *waves;
    const float *convolutions[4];
    const float *biases[4];
    const float *cell;
    const float *cell_bias;
    const float *out;
    float out_bias;
    /* Power of a window below which it is quiet. */
    float limit;
    /* Room for struct work. */
    struct work *work;
};

/* What lies between the layers for one block of windows. */
struct work {
    float parts[PARTS][WINDOWS * FRAMES][PART];
    float products[PARTS][WINDOWS * FRAMES][PRODUCTS];
    float magnitudes[WINDOWS][FRAMES][BINS];
    float first[WINDOWS][4][WIDE];
    float second[WINDOWS][2][NARROW];
    float third[WINDOWS][NARROW];
    float inputs[WINDOWS][2 * HIDDEN];
    float gates[WINDOWS][GATES];
    int64_t slots[WINDOWS];
};

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
ALWAYS void fold_window(const float *line, struct work *work, int64_t window)
{
    float mirrored[CONTEXT + WINDOW + CONTEXT];
    memcpy(mirrored, line, sizeof(float) * (CONTEXT + WINDOW));
    for (int i = 0; i < CONTEXT; i++)
        mirrored[CONTEXT + WINDOW + i] = line[CONTEXT + WINDOW - 2 - i];
    for (int i = 0; i < FRAMES; i++)
        fold(mirrored + i * HOP, work->parts[0][window * FRAMES + i], WINDOWS * FRAMES * PART);
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

/* out[r][0 to 8 * wide] = the products of `rows` rows of `depth` numbers and one panel, and the bias if there is one.
 *
 * `rows` and `wide` are constants wherever this is inlined.
 */
ALWAYS void tile(int rows, int wide, const float *in, int64_t stride, int64_t depth, const float *panel,
                 const float *bias, int floored, float *out, int64_t out_stride)
{
    vector sums[TILE][2];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < wide; v++)
            sums[r][v] = bias ? *(const vector *)(bias + 8 * v) : (vector){0};
    for (int64_t k = 0; k < depth; k++) {
        vector weights[2];
        for (int v = 0; v < wide; v++)
            weights[v] = *(const vector *)(panel + (k * wide + v) * 8);
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < wide; v++)
                sums[r][v] += in[r * stride + k] * weights[v];
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < wide; v++) {
            vector sum = sums[r][v];
            if (floored)
                sum = (vector)((integers)sum & (sum > 0));
            *(vector *)(out + r * out_stride + 8 * v) = sum;
        }
}

/* The same for any number of rows. */
ALWAYS void tiles(int64_t rows, int wide, const float *in, int64_t stride, int64_t depth, const float *panel,
                  const float *bias, int floored, float *out, int64_t out_stride)
{
    int64_t r = 0;
    for (; r + TILE <= rows; r += TILE)
        tile(TILE, wide, in + r * stride, stride, depth, panel, bias, floored, out + r * out_stride, out_stride);
    in += r * stride;
    out += r * out_stride;
    switch (rows - r) {
    case 5: tile(5, wide, in, stride, depth, panel, bias, floored, out, out_stride); break;
    case 4: tile(4, wide, in, stride, depth, panel, bias, floored, out, out_stride); break;
    case 3: tile(3, wide, in, stride, depth, panel, bias, floored, out, out_stride); break;
    case 2: tile(2, wide, in, stride, depth, panel, bias, floored, out, out_stride); break;
    case 1: tile(1, wide, in, stride, depth, panel, bias, floored, out, out_stride); break;
    default: break;
    }
}

/* Convolve `rows` lines of `length` frames with three taps, and floor the result at 0. Beyond the ends is silence. */
ALWAYS void convolve(int64_t rows, const float *in, int length, int channels, int step, const float *weights,
                     const float *bias, int outputs, float *out)
{
    int places = (length - 1) / step + 1;
    for (int column = 0; column < outputs; column += PANEL)
        for (int place = 0; place < places; place++) {
            int at = place * step - 1, first = at < 0 ? 0 : at, last = at + 3 > length ? length : at + 3;
            const float *panel = weights + (int64_t)column * 3 * channels + (first - at) * channels * PANEL;
            tiles(rows, 2, in + first * channels, length * channels, (last - first) * channels, panel, bias + column, 1,
                  out + place * outputs + column, places * outputs);
        }
}

/* e to the power of x, for x within -80 and 80, to 1 part in 10 million: 2^n * e^r with a polynomial (Cephes, expf). */
ALWAYS vector power_of_e(vector x)
{
    /* Adding 1.5 * 2^23 rounds to whole numbers, which are then the last bits. */
    vector shifted = x * 1.44269504f + 12582912.0f, whole = shifted - 12582912.0f;
    vector r = x - whole * 0.693359375f + whole * 2.12194440e-4f;
    vector y = r * 1.9875691500e-4f + 1.3981999507e-3f;
    y = y * r + 8.3334519073e-3f;
    y = y * r + 4.1665795894e-2f;
    y = y * r + 1.6666665459e-1f;
    y = y * r + 5.0000001201e-1f;
    y = y * r * r + r + 1.0f;
    return (vector)((integers)y + ((integers)shifted << 23));
}

/* The least of x and `most`, a constant; of two equal ones either. */
ALWAYS vector at_most(vector x, float most)
{
    integers below = x < most;
    return (vector)(((integers)x & below) | ((integers)(most + (vector){0}) & ~below));
}

/* tanh; beyond 9 it is 1 in single precision. */
ALWAYS vector tangent(vector x) { return 1.0f - 2.0f / (power_of_e(2.0f * -at_most(-at_most(x, 9.0f), 9.0f)) + 1.0f); }

/* The logistic function of twice x. */
ALWAYS vector opened(vector x) { return (tangent(x) + 1.0f) * 0.5f; }

/* Magnitudes of all frames from the products of their parts. */
ALWAYS void magnitudes(struct work *work, int64_t frames)
{
    for (int64_t i = 0; i < frames; i++) {
        const float *a = work->products[0][i], *b = work->products[1][i];
        const float *c = work->products[2][i], *d = work->products[3][i];
        float *out = work->magnitudes[0][i], turned[PART + 1];
        for (int k = 0; k <= PART; k++) {
            float real = a[k] + b[k], imaginary = c[k] + d[k], other = a[k] - b[k], another = c[k] - d[k];
            out[k] = sqrtf(real * real + imaginary * imaginary);
            turned[k] = sqrtf(other * other + another * another);
        }
        for (int k = 0; k < PART; k++)
            out[HALF - k] = turned[k];
    }
}

/* Judge the `count` windows whose parts are there, and keep what follows them. */
ALWAYS void judge(const struct silero *s, int64_t count)
{
    struct work *work = s->work;
    int64_t frames = count * FRAMES;
    for (int part = 0; part < PARTS; part++) {
        const float *waves = s->waves + part * PART * PRODUCTS, *in = work->parts[part][0];
        float *out = work->products[part][0];
        for (int column = 0; column < PART; column += PANEL)
            tiles(frames, 2, in, PART, PART, waves + column * PART, 0, 0, out + column, PRODUCTS);
        tiles(frames, 1, in, PART, PART, waves + PART * PART, 0, 0, out + PART, PRODUCTS);
    }
    magnitudes(work, frames);
    convolve(count, work->magnitudes[0][0], FRAMES, BINS, 1, s->convolutions[0], s->biases[0], WIDE, work->first[0][0]);
    convolve(count, work->first[0][0], 4, WIDE, 2, s->convolutions[1], s->biases[1], NARROW, work->second[0][0]);
    convolve(count, work->second[0][0], 2, NARROW, 2, s->convolutions[2], s->biases[2], NARROW, work->third[0]);
    /* Its outputs lie before what the cell put out last. */
    for (int column = 0; column < WIDE; column += PANEL)
        tiles(count, 2, work->third[0], NARROW, NARROW, s->convolutions[3] + (column * 3 + PANEL) * NARROW,
              s->biases[3] + column, 1, work->inputs[0] + column, 2 * HIDDEN);
    for (int64_t i = 0; i < count; i++)
        memcpy(work->inputs[i] + HIDDEN, s->hidden + work->slots[i] * HIDDEN, sizeof(float) * HIDDEN);
    for (int column = 0; column < GATES; column += PANEL)
        tiles(count, 2, work->inputs[0], 2 * HIDDEN, 2 * HIDDEN, s->cell + column * 2 * HIDDEN, s->cell_bias + column, 0,
              work->gates[0] + column, GATES);
    for (int64_t i = 0; i < count; i++) {
        const float *gates = work->gates[i];
        float *hidden = s->hidden + work->slots[i] * HIDDEN, *memory = s->memory + work->slots[i] * HIDDEN;
        vector sums = {0};
        for (int k = 0; k < HIDDEN; k += 8) {
            const float *gate = gates + k;
            vector kept = opened(*(const vector *)(gate + HIDDEN)) * *(vector *)(memory + k);
            kept += opened(*(const vector *)gate) * tangent(*(const vector *)(gate + 3 * HIDDEN));
            vector said = opened(*(const vector *)(gate + 2 * HIDDEN)) * tangent(kept);
            *(vector *)(memory + k) = kept;
            *(vector *)(hidden + k) = said;
            sums += (vector)((integers)said & (said > 0)) * *(const vector *)(s->out + k);
        }
        float sum = s->out_bias;
        for (int k = 0; k < 8; k++)
            sum += sums[k];
        s->probability[work->slots[i]] = opened(sum * 0.5f + (vector){0})[0];
    }
}

ALWAYS void push(const struct silero *s, const int64_t *slots, int64_t rows, const float *pcm, float *out)
{
    int64_t count = 0;
    for (int64_t row = 0; row < rows; row++) {
        int64_t slot = slots[row];
        float *line = s->lines + slot * LINE;
        memcpy(line + CONTEXT + s->fill[slot], pcm + row * PIECE, sizeof(float) * PIECE);
        s->fill[slot] += PIECE;
        if (s->fill[slot] < WINDOW)
            continue;
        s->quiet[slot] = is_quiet(line + CONTEXT, s->limit) ? s->quiet[slot] + 1 : 0;
        if (s->quiet[slot] <= PATIENCE) {
            fold_window(line, s->work, count);
            s->work->slots[count++] = slot;
        } else
            s->probability[slot] = 0;
        memmove(line, line + WINDOW, sizeof(float) * (LINE - WINDOW));
        s->fill[slot] -= WINDOW;
        if (count == WINDOWS) {
            judge(s, count);
            count = 0;
        }
    }
    if (count)
        judge(s, count);
    for (int64_t row = 0; row < rows; row++)
        out[row] = s->probability[slots[row]];
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static void push_avx2(const struct silero *s, const int64_t *slots, int64_t rows,
                                                          const float *pcm, float *out)
{
    push(s, slots, rows, pcm, out);
}
#endif

static void push_anywhere(const struct silero *s, const int64_t *slots, int64_t rows, const float *pcm, float *out)
{
    push(s, slots, rows, pcm, out);
}

/* Octets of struct work. */
int64_t softswitch_silero_room(void) { return (int64_t)sizeof(struct work); }

/* Append 20 ms of each row to the line of its slot, and judge the windows that became whole.
 *
 * out[row] gets the probability that the last whole window is speech. Each slot comes at most once. Returns 0, or -1, and
 * changes nothing, if a slot is not below `places` or its line is too full.
 */
int softswitch_silero_push(const struct silero *s, const int64_t *slots, int64_t rows, const float *pcm, float *out)
{
    for (int64_t row = 0; row < rows; row++)
        if (slots[row] < 0 || slots[row] >= s->places || s->fill[slots[row]] < 0 || s->fill[slots[row]] >= WINDOW)
            return -1;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        push_avx2(s, slots, rows, pcm, out);
        return 0;
    }
#endif
    push_anywhere(s, slots, rows, pcm, out);
    return 0;
}

/* Converts ordinary packets between G.711 and Opus, for passes without Python (convert.py, docs/adr/0055).
 *
 * The packets are those that softswitch_accept has gathered, in the order of their pairs of codecs. What is done with
 * them is what OrdinaryPackets does by the same functions, one after the other.
 */
#include <stdint.h>

/* Of audio/resample.c and ordinary.c. */
struct books;
struct filter;

typedef int opus_decode_t(void *decoder, const uint8_t *data, int32_t octets, int16_t *pcm, int samples, int fec);
typedef int opus_encode_t(void *encoder, const int16_t *pcm, int samples, uint8_t *data, int32_t most);

int softswitch_resample(const struct filter *f, float *history, int64_t places, const int64_t *slots, int64_t rows,
                        const float *pcm, int64_t samples, float *out);
int softswitch_decode_law(const float *table, float *sound, const int64_t *lost, const uint8_t *payloads,
                          int64_t stride, const int64_t *slots, int count, float *out);
int softswitch_decode_opus(opus_decode_t *opus, void *const *decoders, const uint8_t *payloads, int64_t stride,
                           const int64_t *octets, int count, int samples, float *out);
void softswitch_put_law(struct books *b, int kind, int64_t first, int count, const float *pcm, uint8_t *out,
                        int64_t width, int64_t *lengths);
int softswitch_put_opus(struct books *b, opus_encode_t *opus, void *const *encoders, int64_t first, int count,
                        const float *pcm, uint8_t *out, int64_t width, int64_t most, int64_t *lengths);

/* Places of codecs in CODECS of formats.py, the number of them, and of those that are G.711. */
enum { OPUS = 3, KINDS = 4, LAWS = 2 };
/* Samples of 20 ms at 8 and at 24 kHz. */
enum { NARROW = 160, WIDE = 480 };

/* Decoding table of a law, and the memory of the conversions' decoders for concealment: null before they are used. */
struct law {
    const float *decoding;
    float *sound;
    const int64_t *lost;
};

/* Arrays that Python hands over; those of slots are null where they are not there yet. */
struct converter {
    struct books *books;
    /* Packets to be converted, sorted: how many of each pair, payloads in rows of `stride` octets, and of each one its
     * octets and its slots. */
    const int64_t *per_pair;
    const uint8_t *payloads;
    int64_t stride;
    const int64_t *octets;
    const int64_t *sources;
    const int64_t *targets;
    struct law laws[LAWS];
    /* By source slot: decoders of Opus at 8 kHz. By target slot: encoders at 24 kHz, and whether their band is set. */
    opus_decode_t *opus_decode;
    opus_encode_t *opus_encode;
    void *const *decoders;
    void *const *encoders;
    const uint8_t *limited;
    /* From 8 to 24 kHz: the filter, and the past of `places` source slots. */
    const struct filter *filter;
    float *history;
    int64_t places;
    /* Last sample encoded for each target. */
    float *last;
    /* Most octets of a packet of Opus. */
    int64_t most;
    /* Room for all packets: their sound at 8 and at 24 kHz, and their decoders or encoders. */
    float *narrow;
    float *wide;
    void **codecs;
    /* Packets that could not be decoded, until Python asks. */
    int64_t faults;
};

/* Return 1 if `count` packets from place `first` on are converted here: nothing has to be made first or decided. */
static int can_convert(const struct converter *c, int kind, int other, int64_t first, int64_t count)
{
    const int64_t *sources = c->sources + first, *targets = c->targets + first;
    if ((kind != OPUS && kind >= LAWS) || (other != OPUS && other >= LAWS) || kind == other)
        return 0;
    if (kind == OPUS ? !c->decoders : !c->laws[kind].sound)
        return 0;
    if (other == OPUS && (!c->encoders || !c->filter))
        return 0;
    for (int64_t i = 0; i < count; i++) {
        if (kind == OPUS ? !c->decoders[sources[i]] : c->laws[kind].lost[sources[i]] != 0)
            return 0;
        if (other == OPUS && !(c->encoders[targets[i]] && c->limited[targets[i]]))
            return 0;
    }
    return 1;
}

/* Convert `count` packets of one pair from place `first` on into rows of `width` octets. */
static void convert_pair(struct converter *c, int kind, int other, int64_t first, int count, uint8_t *out,
                         int64_t width, int64_t *lengths)
{
    const int64_t *sources = c->sources + first, *targets = c->targets + first;
    const uint8_t *payloads = c->payloads + first * c->stride;
    const float *pcm = c->narrow;
    int64_t samples = NARROW;
    if (kind == OPUS) {
        for (int i = 0; i < count; i++)
            c->codecs[i] = c->decoders[sources[i]];
        c->faults += softswitch_decode_opus(c->opus_decode, c->codecs, payloads, c->stride, c->octets + first, count,
                                            NARROW, c->narrow);
    } else {
        const struct law *law = c->laws + kind;
        softswitch_decode_law(law->decoding, law->sound, law->lost, payloads, c->stride, sources, count, c->narrow);
    }
    if (other == OPUS) {
        softswitch_resample(c->filter, c->history, c->places, sources, count, c->narrow, NARROW, c->wide);
        pcm = c->wide;
        samples = WIDE;
    }
    for (int i = 0; i < count; i++)
        c->last[targets[i]] = pcm[(i + 1) * samples - 1];
    if (other == OPUS) {
        for (int i = 0; i < count; i++)
            c->codecs[i] = c->encoders[targets[i]];
        softswitch_put_opus(c->books, c->opus_encode, c->codecs, first, count, pcm, out, width, c->most, lengths);
    } else
        softswitch_put_law(c->books, other, first, count, pcm, out, width, lengths);
}

/* Make the packets of all that was gathered, in rows of `width` octets; the length of one without a packet is 0.
 *
 * `slots` gets the target of each. Returns how many rows there are, or -1, having changed nothing, if Python has to
 * convert them.
 */
int64_t softswitch_convert(struct converter *c, uint8_t *out, int64_t width, int64_t *lengths, int64_t *slots)
{
    int64_t first = 0;
    for (int pair = 0; pair < KINDS * KINDS; first += c->per_pair[pair++])
        if (c->per_pair[pair] && !can_convert(c, pair / KINDS, pair % KINDS, first, c->per_pair[pair]))
            return -1;
    first = 0;
    for (int pair = 0; pair < KINDS * KINDS; first += c->per_pair[pair++])
        if (c->per_pair[pair])
            convert_pair(c, pair / KINDS, pair % KINDS, first, (int)c->per_pair[pair], out + first * width, width,
                         lengths + first);
    for (int64_t i = 0; i < first; i++)
        slots[i] = c->targets[i];
    return first;
}

-- Words of transcripts for search, as softswitch.store.words cuts them; the migration fills the table afterwards.
CREATE TABLE transcript_words (
    call_id    TEXT     NOT NULL,
    created_at INTEGER  NOT NULL,
    words      TEXT     NOT NULL,
    lexemes    TSVECTOR NOT NULL GENERATED ALWAYS AS (CAST(words AS TSVECTOR)) STORED,
    PRIMARY KEY (call_id, created_at)
);
CREATE INDEX transcript_words_lexemes ON transcript_words USING GIN (lexemes);

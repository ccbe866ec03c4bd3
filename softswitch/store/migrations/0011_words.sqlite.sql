-- Words of transcripts for search, as softswitch.store.words cuts them, with an index of FTS5.
CREATE TABLE transcript_words (
    number     INTEGER NOT NULL PRIMARY KEY,
    call_id    TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    words      TEXT    NOT NULL,
    UNIQUE (call_id, created_at)
);
-- The ascii tokenizer leaves words of other scripts alone; what is to be folded is folded already.
CREATE VIRTUAL TABLE transcript_index USING fts5(
    words, content = 'transcript_words', content_rowid = 'number', detail = none,
    tokenize = "ascii tokenchars '='"
);
CREATE TRIGGER transcript_words_inserted AFTER INSERT ON transcript_words BEGIN
    INSERT INTO transcript_index (rowid, words) VALUES (new.number, new.words);
END;
CREATE TRIGGER transcript_words_deleted AFTER DELETE ON transcript_words BEGIN
    INSERT INTO transcript_index (transcript_index, rowid, words) VALUES ('delete', old.number, old.words);
END;
CREATE TRIGGER transcript_words_updated AFTER UPDATE ON transcript_words BEGIN
    INSERT INTO transcript_index (transcript_index, rowid, words) VALUES ('delete', old.number, old.words);
    INSERT INTO transcript_index (rowid, words) VALUES (new.number, new.words);
END;
INSERT INTO transcript_words (call_id, created_at, words)
SELECT id, created_at, softswitch_words(account, transcript_json) FROM calls WHERE transcript_json <> '';

-- Who answered a call, a person or a machine; and what was said in it, as JSON.
ALTER TABLE calls ADD COLUMN answered_by TEXT NOT NULL DEFAULT '';
ALTER TABLE calls ADD COLUMN transcript_json TEXT NOT NULL DEFAULT '';

-- Where the upload of a recording stands (empty: none is wanted, waiting, uploaded, failed), and its URL there.
ALTER TABLE recordings ADD COLUMN upload TEXT NOT NULL DEFAULT '';
ALTER TABLE recordings ADD COLUMN upload_url TEXT NOT NULL DEFAULT '';
CREATE INDEX recordings_waiting ON recordings (created_at) WHERE upload = 'waiting';

-- Why a call was refused, as a SIP code.
ALTER TABLE calls ADD COLUMN code INTEGER NOT NULL DEFAULT 0;

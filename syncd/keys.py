from syncd.mapping.normalize import key, keys

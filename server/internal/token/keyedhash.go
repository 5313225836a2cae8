package token

import (
	"encoding/base64"
	"encoding/binary"
)

// KeyedHash turns texts into database keys that reveal nothing about them. A username that somebody typed may be a
// password, and with a plain hash a thief of the database could find it by trying.
type KeyedHash struct{ key, second []byte }

// NewKeyedHash makes a KeyedHash. Replicas that share the master key make the same keys.
func NewKeyedHash(master MasterKey) KeyedHash {
	return KeyedHash{key: master.derive("blind keys"), second: master.deriveSecond("blind keys")}
}

// Key returns the key of a sequence of texts: 32 characters.
func (k KeyedHash) Key(texts ...string) string { return keyedHash(k.key, texts) }

// SecondKey returns the key that the second master key makes of the texts; "" if there is no second one.
func (k KeyedHash) SecondKey(texts ...string) string {
	if k.second == nil {
		return ""
	}
	return keyedHash(k.second, texts)
}

func keyedHash(key []byte, texts []string) string {
	var data []byte
	for _, text := range texts {
		data = binary.BigEndian.AppendUint64(data, uint64(len(text))) // so that "a", "bc" differs from "ab", "c"
		data = append(data, text...)
	}
	return base64.RawURLEncoding.EncodeToString(mac(key, data)[:24])
}
